"""What is added up of Arrow columns as Spark has it: moments, and how many values there are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.pieces import NotThisWay
from engine.pieces.row_hash import hash_rows, is_hashable

# As many different values as are counted of a column; of more there is an estimate.
MOST_DISTINCT = 1 << 21

Floats = NDArray[np.float64]


class Moments:
    """How many numbers there are, their mean and the sum of squares around it.

    Batches are added by the formula of Chan, Golub and LeVeque.
    """

    def __init__(self) -> None:
        self.sums: tuple[float, float | None, float | None] = (0.0, None, None)

    def add(self, numbers: Floats) -> None:
        """Takes finite numbers."""
        if not len(numbers):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = numbers.mean()
            squares, size = np.square(numbers - mean).sum(), float(len(numbers))
            count, before, around = self.sums
            if before is not None and around is not None:
                gap = mean - before
                whole = count + size
                squares = around + squares + gap * gap * count * size / whole
                mean, size = before + gap * size / whole, whole
        self.sums = size, float(mean), float(squares)


class DistinctValues:
    """How many different values a column has, nulls left out, by Spark's hash of them.

    Exact up to `MOST_DISTINCT`. Of more only those are kept whose hashes end in zeros, one in 2, 4,
    8, ... of them (adaptive sampling, Wegman 1984), from which the number is known to some 0.1 %.
    """

    def __init__(self) -> None:
        self._known = np.zeros(0, np.int64)
        self._waiting: list[NDArray[np.int64]] = []
        self._gathered = 0
        self._one_in = 1

    def add(self, column: pa.Array) -> None:
        """Takes the values of a batch.

        Raises:
            NotThisWay: for values without a hash.
        """
        if not is_hashable(column.type):
            raise NotThisWay(f"values of {column.type} are counted")
        values = pc.unique(column).drop_null()
        hashes = self._choose(hash_rows([values], len(values)))
        self._waiting.append(hashes)
        self._gathered += len(hashes)
        if self._gathered > MOST_DISTINCT // 2:
            self._throw_together()

    def count(self) -> int:
        """How many different ones there are."""
        self._throw_together()
        return len(self._known) * self._one_in

    def _choose(self, hashes: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(hashes[hashes & (self._one_in - 1) == 0])

    def _throw_together(self) -> None:
        # By sorting: numpy's own `unique` has a table of hashes, which takes ten times as long.
        hashes = np.sort(np.concatenate([self._known, *self._waiting]))
        self._known = hashes[np.append(hashes[1:] != hashes[:-1], [True])[: len(hashes)]]
        self._waiting, self._gathered = [], 0
        while len(self._known) > MOST_DISTINCT:
            self._one_in *= 2
            self._known = self._choose(self._known)
