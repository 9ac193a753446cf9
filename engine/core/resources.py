"""What processes cost the machine: CPU seconds, and the most memory that they held.

Linux tells both in `/proc` (proc_pid_status(5), proc_pid_stat(5)); elsewhere only this process's
own CPU is known, and all else is None. The peak of resident memory is the kernel's own mark, which
is set back (`clear_refs`) so that a later step does not have that of an earlier one; where that is
not allowed it is the highest so far.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def cpu_seconds(pid: int | None = None) -> float | None:
    """User and system seconds of a process and of its children that have ended; None: this one."""
    if pid is None:
        times = os.times()
        return time.process_time() + times.children_user + times.children_system
    try:
        # Behind the name, which may have blanks and brackets in it, the state is the third field.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None


def peak_bytes(pid: int | None = None) -> int | None:
    """The most resident memory of a process since `forget_peak`, or since it began."""
    try:
        lines = (_PROC / str(pid or "self") / "status").read_text().splitlines()
    except OSError:
        return None
    values = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return next((int(value) * 1024 for value in values), None)


def forget_peak(pid: int | None = None) -> None:
    """Lets the peak of a process begin anew at what it holds now, where the system allows it."""
    with suppress(OSError):
        (_PROC / str(pid or "self") / "clear_refs").write_text("5")
