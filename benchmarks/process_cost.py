"""What a command costs: its wall-clock seconds, and the core-seconds of its whole process tree.

The measuring process adopts what its descendants leave behind (Linux's child subreaper) and waits
for it, so that the kernel counts what outlives the command that started it, as the JVM does.
Spark's Python workers are looked at besides, five times a second: their daemon ignores its
children's ends, and the kernel then drops what they used. How many JVMs there were and how much
memory each kind of process took is seen in the same way. The looking itself is not counted.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

EVERY_SECONDS = 0.2
LINGERING_SECONDS = 60.0
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(slots=True)
class Sightings:
    """What was seen of a tree: its JVMs, its workers, the peak resident memory by kind.

    Of each worker there are the core-seconds at the first look, if it was there, and at the last.
    """

    java: set[int] = field(default_factory=set)
    before: dict[int, float] = field(default_factory=dict)
    workers: dict[int, float] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)

    def look(self, root: psutil.Process) -> None:
        """Takes in what runs below a process; what has just ended is left out."""
        for process in root.children(recursive=True):
            try:
                kind, peak = kind_of(process), peak_mib(process.pid)
                if kind == "java":
                    self.java.add(process.pid)
                elif kind == "worker":
                    self.workers[process.pid] = seconds_of(process)
            except (psutil.Error, OSError):
                continue
            self.peaks[kind] = max(self.peaks.get(kind, 0.0), peak)

    def worker_seconds(self, *, but: Collection[int] = ()) -> float:
        """The core-seconds of the workers since the first look, without those that are named."""
        return sum(
            seconds - self.before.get(pid, 0.0)
            for pid, seconds in self.workers.items()
            if pid not in but
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took; `lingering` are the seconds after its end until nothing was left."""

    wall: float
    cores: float
    lingering: float
    java: int
    peaks: Mapping[str, float]
    exit_code: int


def adopt_orphans() -> None:
    """Makes this process the parent of what its descendants leave behind."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not sys.platform.startswith("linux") or libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("core-seconds of a process tree are measured on Linux alone")


def kind_of(process: psutil.Process) -> str:
    """What a process is: `java`, a Python `worker` of Spark, or `other`.

    The JVM by which spark-submit only makes up its command line is `other`, as are the daemon that
    the workers are forked from and what a JVM forks before it becomes another program.
    """
    command, parent = process.cmdline(), process.parent()
    if process.name() == "java" and "org.apache.spark.launcher.Main" not in command:
        return "java" if parent is None or parent.name() != "java" else "other"
    if "pyspark.daemon" in command and parent and "pyspark.daemon" in parent.cmdline():
        return "worker"
    return "other"


def peak_mib(pid: int | str) -> float:
    """The most memory that a process has had resident so far, by the kernel's own account."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def watch(pid: int) -> Iterator[Sightings]:
    """Notes the descendants of a process while the block runs, at its begin and end too."""
    root, seen, over = psutil.Process(pid), Sightings(), threading.Event()
    seen.look(root)
    seen.before = dict(seen.workers)

    def look() -> None:
        while not over.wait(EVERY_SECONDS):
            seen.look(root)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        seen.look(root)


def measure(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], log: Path) -> Cost:
    """Runs a command to its end, and to the end of all that it started; it is the only child."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("wb") as out, watch(os.getpid()) as seen:
        started = time.perf_counter()
        # A session of its own: Ctrl-C reaches this process alone, which then stops the others.
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code = process.wait()
        wall = time.perf_counter() - started
        waited = _wait_for_orphans(LINGERING_SECONDS)
        if psutil.Process().children():
            print("what a command left running is stopped", file=sys.stderr)
            stop_descendants()
        lingering = time.perf_counter() - started - wall
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cores += seen.worker_seconds(but=waited)
    return Cost(wall, cores, lingering, len(seen.java), dict(seen.peaks), code)


def _wait_for_orphans(seconds: float) -> set[int]:
    """Waits until there is no child left, or no longer; the ids of those that it waited for."""
    waited: set[int] = set()
    until = time.monotonic() + seconds
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return waited
        if pid:
            waited.add(pid)
        elif time.monotonic() > until:
            return waited
        else:
            time.sleep(0.02)


def seconds_of(process: psutil.Process) -> float:
    """The core-seconds of a living process, and of those that it has waited for."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def tree_seconds(pid: int) -> float:
    """The core-seconds so far of a living process and all below it but Spark's workers."""
    root, total = psutil.Process(pid), 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += seconds_of(process) if kind_of(process) != "worker" else 0.0
        except psutil.Error:
            continue
    return total


def stop_descendants(grace: float = 10.0) -> None:
    """Ends all that runs below this process: by a request first, then by force."""
    me = psutil.Process()
    for ending in (psutil.Process.terminate, psutil.Process.kill):
        for process in me.children(recursive=True):
            try:
                ending(process)
            except psutil.Error:
                continue
        _wait_for_orphans(grace)
