"""Runs a command for as long as its standard input is open: a server that cannot be left behind.

    python leash.py SECONDS COMMAND...

It is run by its path, with the standard library alone. Whoever started it holds the other end of
its standard input. When that is closed, by will or because the process was killed, all that the
command started is asked to end (SIGTERM), and after SECONDS is ended (SIGKILL). It ends with 0
when all ended in time, with 75 when something had to be killed, and with 70 when the command ended
by itself before anybody asked it to.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

ENDED, GONE, KILLED = 0, 70, 75
_LOOK_SECONDS = 0.05
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux


def main(arguments: list[str]) -> int:
    """Runs the command, and ends all of it; its own process group is what it ends."""
    grace, command = float(arguments[0]), arguments[1:]
    # The group gets the signals that are meant for the command.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        # What the command leaves behind becomes a child of this process, and can be waited for.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_usual_ways)
    while _any_child():
        if select.select([0], [], [], _LOOK_SECONDS)[0] and not os.read(0, 1024):
            return ENDED if _end(grace) else KILLED
    return GONE


def _usual_ways() -> None:
    """What the command must not inherit: deafness to signals, and a model's limit of memory."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _end(grace: float) -> bool:
    """Ends the group; whether nobody had to be killed."""
    # This process is deaf to it.
    os.killpg(0, signal.SIGTERM)
    until = time.monotonic() + grace
    while _any_child():
        if time.monotonic() > until:
            # A whole group is killed with this process in it, so each is by itself.
            for pid in _others():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            while _any_child():
                time.sleep(_LOOK_SECONDS)
            return False
        time.sleep(_LOOK_SECONDS / 5)
    return True


def _any_child() -> bool:
    """Whether there is a child left, when those that have ended are buried."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if not pid:
            return True


def _others() -> list[int]:
    """The processes of this group but this one."""
    own, group = os.getpid(), os.getpgid(0)
    others = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if place.name != str(own) and os.getpgid(int(place.name)) == group:
                others.append(int(place.name))
    return others


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
