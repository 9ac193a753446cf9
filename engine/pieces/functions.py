"""Functions and casts over Arrow arrays, as Spark has them in its ANSI mode.

What comes out otherwise, or of which it is not known how it comes out, is an error: Spark then
reads the rows, and says what is wrong with them. Operands are arrays of one length, or scalars.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ValueOfSparkError(pa.ArrowInvalid):  # type: ignore[misc]
    """A value that only Spark reads; the message names no value, and may be told."""


# Days of the years 1 to 9999, since 1970.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_MICROS_OF_DAY = 86_400_000_000
# Letters of which the cases are known to be Java's, one by one: Latin, Greek and Cyrillic.
_LETTERS = frozenset([*map(chr, range(0x80, 0x250)), *map(chr, range(0x370, 0x530))])
# A dot that goes with others, and a letter that is another one at the end of a word.
_ODD_LETTERS = frozenset("\u0130\u03a3")
_CASED = frozenset(("Lu", "Ll", "Lt", "Cn"))


def _remainder(left: Any, right: Any) -> pa.Array:
    """What is left of a division towards zero, with the sign of what is divided."""
    rows = len(right if isinstance(left, pa.Scalar) else left)
    sides = [pa.repeat(x, rows) if isinstance(x, pa.Scalar) else x for x in (left, right)]
    nulls = pc.or_(*map(pc.is_null, sides)).to_numpy(zero_copy_only=False)
    above, below = (
        pc.fill_null(side, pa.scalar(1, side.type)).to_numpy(zero_copy_only=False) for side in sides
    )
    below = np.where(nulls, below.dtype.type(1), below)
    if (below == 0).any():
        raise ValueOfSparkError("a remainder of a division by zero")
    with np.errstate(invalid="ignore"):
        return pa.array(np.fmod(above, below), sides[0].type, mask=nulls)


def _change_case(texts: pa.Array, change: Callable[[str], str], plain: Any) -> pa.Array:
    texts.validate(full=True)
    if pc.all(pc.string_is_ascii(texts)).as_py() is not False:
        return plain(texts)
    # Each text once.
    coded = texts.dictionary_encode()
    values = []
    for text in coded.dictionary.to_pylist():
        if not text.isascii() and not all(map(_has_known_cases, text)):
            raise ValueOfSparkError("a letter whose cases only Spark knows")
        values.append(change(text))
    return pa.array(values, pa.string()).take(coded.indices)


@lru_cache(maxsize=1 << 16)
def _has_known_cases(letter: str) -> bool:
    """Whether the cases of a letter are Java's, whose Unicode may be a newer one."""
    if letter.isascii():
        return True
    if letter == letter.lower() == letter.upper():
        # A letter of one case may have got another one since.
        return unicodedata.category(letter) not in _CASED
    return letter in _LETTERS and letter not in _ODD_LETTERS


def _slice(texts: pa.Array, place: tuple[int, int | None]) -> pa.Array:
    """Some letters, from a place that is counted from 1, or below 0 from the end."""
    texts.validate(full=True)
    start, length = place
    if length is not None and length <= 0:
        return pc.if_else(pc.is_valid(texts), "", pa.scalar(None, pa.string()))
    first = start - 1 if start > 0 else start
    stop = None if length is None else first + length
    if stop is not None and (first < 0 <= stop):
        stop = None
    return pc.utf8_slice_codeunits(texts, first, stop)


def _length(texts: pa.Array) -> pa.Array:
    texts.validate(full=True)
    return pc.utf8_length(texts).cast(pa.int32())


def _join(*texts: Any) -> Any:
    return pc.binary_join_element_wise(*texts, "", null_handling="emit_null")


def _check_years(days: pa.Array) -> pa.Array:
    ends = pc.min_max(days.view(pa.int32())).as_py()
    if ends["min"] is not None and not _FIRST_DAY <= ends["min"] <= ends["max"] <= _LAST_DAY:
        raise ValueOfSparkError("a day of a year that has not four digits")
    return days


def _to_day(times: pa.Array) -> pa.Array:
    """The day in UTC of a time."""
    micros = times.cast(pa.timestamp("us", times.type.tz)).view(pa.int64())
    nulls = pc.is_null(micros).to_numpy(zero_copy_only=False)
    whole = pc.fill_null(micros, 0).to_numpy(zero_copy_only=False) // _MICROS_OF_DAY
    return pa.array(whole.astype(np.int32), mask=nulls).view(pa.date32())


def _part(part: Callable[[pa.Array], pa.Array]) -> Callable[[pa.Array], pa.Array]:
    return lambda days: part(_check_years(days)).cast(pa.int32())


def _from_sunday(days: pa.Array) -> pa.Array:
    return pc.day_of_week(days, count_from_zero=False, week_start=7)


def to_type(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values in another type, of those that `calls.py` lets through."""
    own = values.type
    if pa.types.is_floating(own) and pa.types.is_integer(kind):
        return _whole_part(values, kind)
    if pa.types.is_boolean(kind):
        return pc.not_equal(values, pa.scalar(0, own))
    if pa.types.is_boolean(own) and pa.types.is_floating(kind):
        return values.cast(pa.int8()).cast(kind)
    if pa.types.is_date32(own):
        return _check_years(values).cast(kind)
    return pc.cast(values, kind, safe=not pa.types.is_floating(kind))


def _whole_part(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers without what is behind the point, where the type has them."""
    nulls = pc.is_null(values).to_numpy(zero_copy_only=False)
    whole = np.trunc(pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False))
    limit = 2.0 ** (kind.bit_width - 1)
    if not ((whole >= -limit) & (whole < limit)).all():
        raise ValueOfSparkError(f"a number that {kind} has not")
    return pa.array(whole.astype(kind.to_pandas_dtype()), mask=nulls)


def describe_error(error: pa.ArrowException) -> str:
    """What may be told of an error over values: Arrow's own words have some of them."""
    if isinstance(error, ValueOfSparkError):
        return str(error)
    return "a number that its type has not, or another value that only Spark reads"


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "%": _remainder,
    "abs": pc.abs_checked,
    "coalesce": pc.coalesce,
    "join": _join,
    "lower": lambda texts: _change_case(texts, str.lower, pc.ascii_lower),
    "upper": lambda texts: _change_case(texts, str.upper, pc.ascii_upper),
    "length": _length,
    "trim": lambda texts: pc.utf8_trim(texts, " "),
    "trim left": lambda texts: pc.utf8_ltrim(texts, " "),
    "trim right": lambda texts: pc.utf8_rtrim(texts, " "),
    "to day": _to_day,
    "year": _part(pc.year),
    "month": _part(pc.month),
    "day": _part(pc.day),
    "day of week": _part(_from_sunday),
    "slice": _slice,
}
"""By their names in expressions; `slice` takes a place and a length as well."""
