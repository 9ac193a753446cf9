"""What is spread over workers: one candidate on one fold, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.core.redaction import redacted_message
from engine.errors import InputError


@dataclass(frozen=True, slots=True)
class FoldTask:
    """One candidate on one fold.

    Attributes:
        key: the digest of all that decides the result.
        candidate: all of its hyperparameters, or the name of an estimator.
        fold: which of the folds.
        fraction: of both parts of the fold, which are drawn by chance; None for the whole fold.
    """

    key: str
    candidate: Mapping[str, Any] | str
    fold: int
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class FoldScore:
    """What came of a task: a value for each metric, or an error, in words that may be told.

    `started` is in seconds since the epoch, `seconds` the time to fit and `score_seconds` to
    measure. `lost` says that the process ended, so that another try may succeed.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    n_train: int = 0
    n_test: int = 0
    started: float = 0.0
    seconds: float = 0.0
    score_seconds: float = 0.0
    lost: bool = False


class FoldWork(Protocol):
    """All that the tasks of a search have in common; a worker gets it once, pickled."""

    @property
    def framework(self) -> str:
        """Which framework computes: sklearn, tensorflow or pytorch."""

    def prepare(self) -> None:
        """Imports what fits take: its time is no time of a fit."""

    def fit(self, task: FoldTask) -> tuple[Any, int]:
        """Fits a task's candidate on its fold; the model, and the number of rows."""

    def measure(self, task: FoldTask, model: Any) -> tuple[dict[str, float], int, str | None]:
        """Measures a model on its fold: values, rows, and which could not be measured and why."""


def run_task(work: FoldWork, task: FoldTask) -> FoldScore:
    """Does a task; what a model's code raises is its result.

    Raises:
        InputError: what is wrong with all tasks alike, as code that cannot be imported.
    """
    started, clock = time.time(), time.perf_counter()
    try:
        model, n_train = work.fit(task)
        fitted = time.perf_counter()
        values, n_test, error = work.measure(task, model)
    except InputError:
        raise
    except Exception as error_raised:
        seconds = time.perf_counter() - clock
        message = redacted_message(error_raised)
        return FoldScore(error=message, started=started, seconds=seconds)
    return FoldScore(
        values, error, n_train, n_test, started, fitted - clock, time.perf_counter() - fitted
    )
