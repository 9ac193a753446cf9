"""When the steps of a run began and ended, for who wants to see where its time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


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
    """

    kind: str
    name: str
    started: int
    ended: int
    evaluation: str = ""
    rows: int | None = None
    failure: str = ""


class Stopwatch:
    """Takes the time of steps, of whatever thread they are; to have one costs nothing."""

    def __init__(self) -> None:
        self.started = time.time_ns()
        self.steps: list[Step] = []

    @contextmanager
    def step(
        self, kind: str, name: str = "", *, evaluation: str = "", rows: int | None = None
    ) -> Iterator[None]:
        """Takes the time of a block, also where it raises."""
        started, tick = time.time_ns(), time.monotonic_ns()
        failure = ""
        try:
            yield
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            ended = started + time.monotonic_ns() - tick
            self.steps.append(Step(kind, name, started, ended, evaluation, rows, failure))
