"""Which values of a column break a check, batch by batch, in Arrow.

Each function takes a column and gives float64 [rows], 1 where the value breaks the check. Nulls
and NaN break none of them: that they are missing is a check of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.kinds.data_quality.limits import Plain, bounds_of, value_set
from engine.states import Bools, Floats
from engine.states.columns import RowNumber, null_indicator

_INTEGER = r"[+-]?[0-9]+"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
_ZONE = r"(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?"
TEXT_TYPES = {
    "integer": _INTEGER,
    "number": _NUMBER,
    "boolean": r"(?i:true|false)",
    "date": _DATE,
    "timestamp": rf"{_DATE}([T ]{_TIME}{_ZONE})?",
}
"""How a text must be written to be one of a type, all of it."""

_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def outside(low: Any, high: Any) -> RowNumber:
    """Whether a value lies below or above a range; its ends are within."""

    def break_range(column: pa.Array) -> Floats:
        bounds = bounds_of(column.type, low, high)
        if bounds.nothing_fits:
            return 1 - null_indicator(column)
        bad = np.zeros(len(column), bool)
        for end, compare in ((bounds.low, pc.less), (bounds.high, pc.greater)):
            if end is not None:
                bad |= _truths(compare(column, end))
        return bad.astype(np.float64)

    return break_range


def not_among(values: Sequence[Plain]) -> RowNumber:
    """Whether a value is none of those that are allowed; case and spaces count."""

    def break_list(column: pa.Array) -> Floats:
        allowed = value_set(column.type, values)
        if pa.types.is_floating(column.type):
            # One zero, as everywhere.
            column = pc.add(column, pa.scalar(0.0, column.type))
        here = pc.is_in(column, value_set=allowed).to_numpy(zero_copy_only=False)
        bad = ~here.astype(bool) & (null_indicator(column) == 0)
        return np.asarray(bad, np.float64)

    return break_list


def not_like(pattern: str) -> RowNumber:
    """Whether a text as a whole does not match a pattern, in the syntax of RE2."""

    def break_pattern(column: pa.Array) -> Floats:
        return np.asarray(_truths(pc.invert(_matches(column, pattern))), np.float64)

    return break_pattern


def is_pattern(pattern: str) -> bool:
    """Whether RE2 takes a pattern."""
    try:
        # By itself: `a)|(b` would be one within parentheses.
        pc.match_substring_regex(pa.array([""]), pattern)
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return False
    return True


def not_of_type(name: str) -> RowNumber:
    """Whether a value cannot be read as one of a type of `TEXT_TYPES`.

    A column of such a type has no others; a number is an integer where it is whole.
    """

    def break_type(column: pa.Array) -> Floats:
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _unlike_texts(column, name)
        if _is_type(kind, name):
            return np.zeros(len(column))
        if name == "integer" and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            whole = pc.equal(column, pc.floor(column))
            if pa.types.is_floating(kind):
                whole = pc.and_(whole, pc.is_finite(column))
            return np.asarray(_truths(pc.invert(whole)), np.float64) * (1 - null_indicator(column))
        return 1 - null_indicator(column)

    return break_type


def _is_type(kind: pa.DataType, name: str) -> bool:
    """Whether all values of a type are of another."""
    whole = pa.types.is_integer(kind)
    holds: dict[str, bool] = {
        "integer": whole,
        "number": whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind),
        "boolean": pa.types.is_boolean(kind),
        "date": pa.types.is_date(kind),
        "timestamp": pa.types.is_timestamp(kind) or pa.types.is_date(kind),
    }
    return holds[name]


def _unlike_texts(column: pa.Array, name: str) -> Floats:
    good = _truths(_matches(column, TEXT_TYPES[name]))
    known = ~column.is_null().to_numpy(zero_copy_only=False)
    if name in ("date", "timestamp"):
        good[good] = _are_days(column.filter(pa.array(good)))
    return np.asarray(known & ~good, np.float64)


def _are_days(texts: pa.Array) -> Bools:
    """Which texts begin with a day that the calendar has; they begin like `2026-02-31`."""
    year, month, day = (
        pc.cast(pc.utf8_slice_codeunits(texts, first, last), pa.int64()).to_numpy(
            zero_copy_only=False
        )
        for first, last in ((0, 4), (5, 7), (8, 10))
    )
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0)) & (month == 2)
    return np.asarray(day <= _DAYS[month - 1] + leap, bool)


def _matches(column: pa.Array, pattern: str) -> pa.Array:
    """Whether texts as a whole match; null where they are."""
    return pc.match_substring_regex(column, rf"\A(?:{pattern})\z")


def _truths(answers: pa.Array) -> Bools:
    """Truth values, where null is false."""
    return np.asarray(pc.fill_null(answers, False).to_numpy(zero_copy_only=False), bool)
