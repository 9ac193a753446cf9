"""Numbers of Arrow columns as Spark has them: its doubles, its exact percentiles, its counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.pieces import NotThisWay
from engine.pieces.row_hash import hash_rows, is_hashable

# As many different values as are counted of a column; of more there is an estimate.
MOST_DISTINCT = 1 << 21
# Whole numbers that a double has all of, and powers of ten.
_DOUBLE_WHOLE, _DOUBLE_POWER = 1 << 53, 22

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def doubles(column: pa.Array) -> Floats:
    """The numbers of a column as doubles; NaN where it is null.

    Raises:
        NotThisWay: for a column that is none of numbers or truth values.
    """
    kind = column.type
    if pa.types.is_decimal128(kind):
        return _decimal_doubles(column)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise NotThisWay(f"numbers are asked of a column of {kind}")
    numbers = pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def _decimal_doubles(column: pa.Array) -> Floats:
    """The doubles nearest to decimals, which no product with a power of ten gives."""
    words = np.frombuffer(column.buffers()[1], np.int64)
    words = words[2 * column.offset : 2 * (column.offset + len(column))]
    low, high = words[0::2], words[1::2]
    numbers = low / 10.0**column.type.scale
    if column.null_count:
        numbers[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    small = (high == low >> 63) & (low < _DOUBLE_WHOLE) & (low > -_DOUBLE_WHOLE)
    long = np.flatnonzero(~small) if column.type.scale <= _DOUBLE_POWER else np.arange(len(column))
    exact = column.take(pa.array(long)).to_pylist()
    numbers[long] = [np.nan if number is None else float(number) for number in exact]
    return np.asarray(numbers)


def are_null(column: pa.Array) -> Bools:
    """Which values of a column are null."""
    if not column.null_count:
        return np.zeros(len(column), bool)
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))


def percentiles(numbers: Floats, shares: Sequence[float]) -> list[float] | None:
    """Percentiles by interpolation between neighbours, as Spark's `percentile` has them.

    Args:
        numbers: those that count, in any order; they are sorted in place.
        shares: from 0 to 1.

    Returns:
        One for each share; None where there is no number.
    """
    if not len(numbers):
        return None
    numbers.sort()
    cuts = []
    for share in shares:
        place = (len(numbers) - 1) * share
        low, high = float(numbers[int(np.floor(place))]), float(numbers[int(np.ceil(place))])
        lower, upper = np.floor(place), np.ceil(place)
        if lower == upper or low == high:
            cuts.append(low)
        else:
            cuts.append(float((upper - place) * low + (place - lower) * high))
    return cuts


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
