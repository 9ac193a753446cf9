"""Numbers of Arrow columns as Spark has them: its doubles, its exact percentiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.pieces import NotThisWay

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
