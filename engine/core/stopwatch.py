"""When the steps of a run began and ended, and what they cost, for who wants to see where it went.

Steps overlap: one is within another, and some go on beside others in threads. The CPU seconds of a
step are therefore those that its processes took while it lasted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from engine.core.resources import cpu_seconds, forget_peak, peak_bytes


class Engine(Protocol):
    """What computes for a run beside its own process: Spark's JVM."""

    def pid(self) -> int | None:
        """Its process, where it is one of this machine's."""

    def jobs(self) -> int | None:
        """How many jobs it has begun; None where it does not tell."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step took of this machine; None is what is not known, or was not there.

    Attributes:
        cpu_seconds: of the driver's Python.
        peak_bytes: the most resident memory that it held.
        jvm_cpu_seconds, jvm_peak_bytes: the same of the driver's JVM.
        jobs: the numbers of Spark's jobs that began meanwhile: from the first to before the second.
    """

    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    jvm_cpu_seconds: float | None = None
    jvm_peak_bytes: int | None = None
    jobs: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of a scan before it begins: its rows, and how they reach the workers."""

    rows: int | None = None
    road: str = ""


NO_SCAN = Scan()


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is over; times are nanoseconds since 1970.

    Attributes:
        kind: plan, evaluation, scan, questions, judge or sink.
        name: which of its kind it is, where there are several: the part of a scan, the sink.
        evaluation: the one that it was done for; "" where it was done for the run.
        started: when it began.
        ended: when it was over.
        rows: how many rows it was to read, of a scan.
        failure: the type of what it raised; "" where it came to its end.
        cost: what it took.
        road: how the rows of a scan reached the workers, and why.
    """

    kind: str
    name: str
    started: int
    ended: int
    evaluation: str = ""
    rows: int | None = None
    failure: str = ""
    cost: Cost = field(default_factory=Cost)
    road: str = ""


@dataclass(slots=True)
class _Open:
    """A step that goes on: what stood on the meters when it began, and its peaks so far."""

    cpu: float | None
    jvm_cpu: float | None
    jobs: int
    peaks: list[int | None]


class Stopwatch:
    """Takes the time and the cost of steps, of whatever thread they are; to have one costs nothing.

    Args:
        engine: what computes beside this process.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.started = time.time_ns()
        self.steps: list[Step] = []
        self._engine = engine
        self._open: list[_Open] = []
        self._lock = threading.Lock()

    @contextmanager
    def step(
        self, kind: str, name: str = "", *, evaluation: str = "", scan: Scan = NO_SCAN
    ) -> Iterator[None]:
        """Takes the time of a block, also where it raises; `scan` says what of one is known."""
        begun = self._begin()
        started, tick = time.time_ns(), time.monotonic_ns()
        failure = ""
        try:
            yield
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            ended = started + time.monotonic_ns() - tick
            cost = self._end(begun)
            self.steps.append(
                Step(kind, name, started, ended, evaluation, scan.rows, failure, cost, scan.road)
            )

    def _begin(self) -> _Open:
        pid, jobs = self._look()
        with self._lock:
            self._mark_peaks(pid)
            begun = _Open(
                cpu_seconds(), None if pid is None else cpu_seconds(pid), jobs or 0, [None, None]
            )
            self._open.append(begun)
        return begun

    def _end(self, begun: _Open) -> Cost:
        pid, jobs = self._look()
        with self._lock:
            self._mark_peaks(pid)
            self._open.remove(begun)
        jvm_cpu = None if pid is None else cpu_seconds(pid)
        return Cost(
            _less(cpu_seconds(), begun.cpu),
            begun.peaks[0],
            # A JVM that was not there began within the step.
            None if jvm_cpu is None else jvm_cpu - (begun.jvm_cpu or 0.0),
            begun.peaks[1],
            None if jobs is None else (begun.jobs, jobs),
        )

    def _look(self) -> tuple[int | None, int | None]:
        return (None, None) if self._engine is None else (self._engine.pid(), self._engine.jobs())

    def _mark_peaks(self, pid: int | None) -> None:
        """Gives all open steps the peaks since somebody looked last, which begin anew."""
        peaks = [peak_bytes(), None if pid is None else peak_bytes(pid)]
        for step in self._open:
            step.peaks = [_larger(*pair) for pair in zip(step.peaks, peaks, strict=True)]
        forget_peak()
        if pid is not None:
            forget_peak(pid)


def _less(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else now - before


def _larger(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)
