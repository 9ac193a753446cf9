"""Everything that evalmatrix raises on purpose.

    EvalMatrixError                 exit code 4: the machinery failed
    |-- InputError                  exit code 2: the suite, an argument or an input is wrong
    |   |-- SuiteError              all the mistakes of a suite file, each with its place
    |   |-- DataError               a dataset: missing, empty, without a column, without a version
    |   `-- ModelError              a model: not found, does not fit the data, cannot be loaded
    |       `-- EndpointError       a served model: out of reach, or answers otherwise than asked
    `-- StoreError                  the store, Spark or the tracking server is out of reach
        |-- WorkerDiedError         a process of Spark that ran Python has died
        `-- TrackingError           the tracking server alone: the Delta tables are complete

A message says what is wrong, what was found, what was expected, and where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_CODES = {
    0: "the gate passed",
    1: "the gate failed",
    2: "the suite, an argument or an input is wrong; nothing was evaluated",
    3: "something could not be evaluated, and the gate does not forgive errors",
    4: "the machinery failed: the store, Spark, or the tracking server; the message says what is "
    "safe and how to resume",
}
"""What the exit codes of a run mean, as docs/semantics.md has them."""


class EvalMatrixError(Exception):
    """The root of the tree; on its own it means that the machinery failed."""

    exit_code = 4


class InputError(EvalMatrixError):
    """The suite, an argument or an input is wrong; nothing was evaluated."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a suite file: where it stands, what is wrong, what was expected."""

    where: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}, " if self.line is not None else ""
        return f"{place}{self.where}: {self.message}"


class SuiteError(InputError):
    """A suite file with one mistake or more; `mistakes` lists them all."""

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.source = source
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        head = f"{source}: {count} mistake{'' if count == 1 else 's'}"
        super().__init__("\n".join([head, *(f"  {mistake}" for mistake in self.mistakes)]))


class DataError(InputError):
    """A dataset that is missing, empty, or lacks a column or a version."""


class ModelError(InputError):
    """A model that is not found, does not fit the data, or cannot be loaded."""


class EndpointError(ModelError):
    """A served model that is out of reach, or that answers otherwise than it was asked."""


class StoreError(EvalMatrixError):
    """The store or Spark is out of reach; the message says what is safe and how to resume."""


class TrackingError(StoreError):
    """The tracking server is out of reach; the Delta tables are complete without it."""


class WorkerDiedError(StoreError):
    """A worker's Python has died, of a model or for want of memory."""
