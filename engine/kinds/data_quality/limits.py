"""Values of a suite in the type of a column: limits, allowed values, and why they cannot be.

A limit is rounded inwards to what the column can hold, so that values are compared in the column's
own type: 0.1 in a column of 32-bit floats is the 0.1 that such a column has.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

import numpy as np
import pyarrow as pa

from engine.kinds.data_quality.check import base_type, family_of

Plain = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """The ends of a range in a column's type; None where all values are within, on that side.

    `nothing_fits` is set where no value of the type lies between them.
    """

    low: pa.Scalar | None
    high: pa.Scalar | None
    nothing_fits: bool = False


def bounds_of(kind: pa.DataType, low: Any, high: Any) -> Bounds:
    """The ends of a range in the type of an Arrow column of numbers, dates or timestamps."""
    least, most = (
        None if end is None else _end(kind, end, up) for end, up in ((low, True), (high, False))
    )
    if pa.types.is_floating(kind):
        # Infinities are values of the type.
        return Bounds(_scalar(kind, least), _scalar(kind, most))
    low, high = (None if _is_beyond(end) else end for end in (least, most))
    nothing_fits = least == math.inf or most == -math.inf
    return Bounds(_scalar(kind, low), _scalar(kind, high), nothing_fits)


def _scalar(kind: pa.DataType, end: Any) -> pa.Scalar | None:
    return None if end is None else pa.scalar(end, kind)


def _is_beyond(end: Any) -> bool:
    return isinstance(end, float) and math.isinf(end)


def _end(kind: pa.DataType, end: Any, up: bool) -> Any:
    """An end as Python has it in the column's type; an infinity where the type ends before."""
    if pa.types.is_integer(kind):
        whole = math.ceil(end) if up else math.floor(end)
        most = 2 ** (kind.bit_width - 1)
        return whole if -most <= whole < most else math.copysign(math.inf, whole)
    if pa.types.is_decimal(kind):
        return _decimal_end(kind, end, up)
    if pa.types.is_floating(kind):
        with np.errstate(over="ignore"):
            return _float(end, kind)
    if pa.types.is_date(kind):
        return dt.date.fromisoformat(end)
    return moment(end, zoned=kind.tz is not None)


def _float(number: float, kind: pa.DataType) -> float:
    try:
        near = float(number)
    except OverflowError:
        return math.copysign(math.inf, number)
    return float(np.float32(near)) if kind.bit_width == 32 else near


def _decimal_end(kind: pa.DataType, end: Any, up: bool) -> Decimal | float:
    exact = decimal_of(end)
    with localcontext(prec=400):
        grid = Decimal(1).scaleb(-kind.scale)
        near = exact.quantize(grid, ROUND_CEILING if up else ROUND_FLOOR)
        if abs(near) >= Decimal(1).scaleb(kind.precision - kind.scale):
            return math.copysign(math.inf, near)
    return near


def decimal_of(number: Any) -> Decimal:
    """A number of a suite as it is written there: 0.1 is a tenth."""
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))


def moment(text: str, *, zoned: bool) -> dt.datetime:
    """A point in time; without a zone it is in UTC."""
    point = dt.datetime.fromisoformat(text)
    if zoned:
        return point.replace(tzinfo=dt.UTC) if point.tzinfo is None else point
    return point.replace(tzinfo=None) if point.tzinfo is None else point.astimezone(dt.UTC)


def value_set(kind: pa.DataType, values: Sequence[Plain]) -> pa.Array:
    """Allowed values as an array of a column's type; those it cannot hold are left out."""
    fitting: list[Any] = []
    for value in values:
        if pa.types.is_decimal(kind):
            end = _decimal_end(kind, value, up=True)
            if isinstance(end, Decimal) and end == decimal_of(value):
                fitting.append(end)
        elif pa.types.is_floating(kind):
            with np.errstate(over="ignore"):
                fitting.append(_float(value, kind) + 0.0)  # type: ignore[arg-type]
        elif pa.types.is_integer(kind):
            if -(2 ** (kind.bit_width - 1)) <= value < 2 ** (kind.bit_width - 1):
                fitting.append(int(value))
        elif pa.types.is_date(kind):
            fitting.append(dt.date.fromisoformat(str(value)))
        elif pa.types.is_timestamp(kind):
            fitting.append(moment(str(value), zoned=kind.tz is not None))
        else:
            fitting.append(value)
    return pa.array(fitting, kind)


def value_mistake(kind: str, value: Any) -> str | None:
    """Why a value of a suite cannot be one of a column, whose type is as Spark writes it.

    Gives what was expected; None where it can be.
    """
    family = family_of(kind)
    if family == "text":
        return None if isinstance(value, str) else "texts; quote what is one"
    if family == "boolean":
        return None if isinstance(value, bool) else "true or false"
    if family == "numbers":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "numbers"
        whole = base_type(kind) in ("tinyint", "smallint", "int", "bigint")
        return "whole numbers" if whole and value != int(value) else None
    return time_mistake(kind, value)


def time_mistake(kind: str, value: Any) -> str | None:
    """The same of a column of dates or timestamps."""
    if family_of(kind) == "date":
        return None if _is_date(value) else "dates, such as '2026-01-31'"
    point = _point(value)
    if point is None:
        return "timestamps, such as '2026-01-31' or '2026-01-31 18:30:00'"
    if point.tzinfo is not None and base_type(kind) == "timestamp_ntz":
        return "timestamps without a zone, as the column has them"
    return None


def _is_date(value: Any) -> bool:
    try:
        dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _point(value: Any) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
