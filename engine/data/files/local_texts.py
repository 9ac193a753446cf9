"""The texts of a CSV column as values of a type, in this process, as Spark casts them.

A column has few kinds of texts and often few texts: each that differs is looked at once.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.data.files.values import DATE, NUMBER, TIMESTAMP, Seen, text_class
from engine.pieces import NotThisWay

_BLANKS = " \t"
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(NUMBER)
_DATE = re.compile(DATE)
_TIMESTAMP = re.compile(TIMESTAMP)
_UTC = ("", "Z", "UTC", "GMT")
_TIMES = Seen.DATE | Seen.TIMESTAMP
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
_BOOLEANS = {"t": True, "true": True, "y": True, "yes": True, "1": True,
             "f": False, "false": False, "n": False, "no": False, "0": False}  # fmt: skip
# Beyond, the sums of digits and exponents are nobody's numbers.
_MOST_DIGITS = 300
_EXACT = Context(prec=1000)

ARROW = {
    "string": pa.string(), "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(),
    "int": pa.int32(), "bigint": pa.int64(), "float": pa.float32(), "double": pa.float64(),
    "binary": pa.binary(), "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}  # fmt: skip
"""Spark's types of columns, as they lie in Arrow; decimals are beside them (`arrow_type`)."""


class Misfit(Exception):
    """A text is no value of the type."""


def arrow_type(kind: str) -> pa.DataType:
    """The type of a column as Arrow has it."""
    if match := _DECIMAL.fullmatch(kind):
        return pa.decimal128(int(match[1]), int(match[2]))
    return ARROW[kind]


def classes_of(texts: pa.ChunkedArray) -> Seen:
    """The classes of a column's texts, as `values.class_of` finds them by Spark.

    Raises:
        NotThisWay: for a time that is not known to be one of Spark's.
    """
    seen = Seen(0)
    for text in pc.unique(texts).to_pylist():
        seen |= _class_of(text)
    return seen


def _class_of(text: str | None) -> Seen:
    if text is not None and len(text) > _MOST_DIGITS and _WHOLE.fullmatch(text.strip(_BLANKS)):
        return Seen.TEXT
    seen = text_class(text)
    if text is not None and seen & _TIMES:
        try:
            _time(text, keeps_zone=True) if seen is Seen.TIMESTAMP else _date(text)
        except Misfit:
            return Seen.TEXT
    return seen


def values_of(texts: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """A column's texts as values of a type.

    Raises:
        Misfit: where one of them is none.
        NotThisWay: where it is not known what Spark makes of one.
    """
    if kind == "string":
        return texts
    # One dictionary for all of the column.
    coded = texts.combine_chunks().dictionary_encode()
    convert = _converter(kind)
    values = pa.array([convert(text) for text in coded.dictionary.to_pylist()], arrow_type(kind))
    return pa.chunked_array([values.take(coded.indices)])


def _converter(kind: str) -> Callable[[str], Any]:
    if kind in _BITS:
        return lambda text: _whole(text, _BITS[kind])
    if match := _DECIMAL.fullmatch(kind):
        return lambda text: _decimal(text, int(match[1]), int(match[2]))
    return {
        "boolean": _boolean,
        "float": _float,
        "double": _double,
        "date": _date,
        "timestamp": lambda text: _time(text, keeps_zone=True),
        "timestamp_ntz": lambda text: _time(text, keeps_zone=False),
    }[kind]


def _whole(text: str, bits: int) -> int:
    bare = text.strip(_BLANKS)
    if _WHOLE.fullmatch(bare) is None or len(bare) > _MOST_DIGITS:
        raise Misfit
    number = int(bare)
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise Misfit
    return number


def _double(text: str) -> float:
    bare = text.strip(_BLANKS)
    if _NUMBER.fullmatch(bare) is None:
        raise Misfit
    return float(bare)


def _float(text: str) -> Any:
    """Of the digits, and not of the double that is nearest to them, as Java does."""
    _double(text)
    return pc.cast(pa.scalar(text.strip(_BLANKS).removeprefix("+")), pa.float32()).as_py()


def _decimal(text: str, precision: int, scale: int) -> Decimal:
    _double(text)
    bare = text.strip(_BLANKS)
    if not re.search("[0-9]", bare):
        raise Misfit
    exact = Decimal(bare)
    if len(bare) > _MOST_DIGITS or abs(exact.adjusted()) > _MOST_DIGITS:
        raise NotThisWay("a number is longer than a decimal's digits")
    rounded = exact.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _EXACT)
    if rounded and rounded.adjusted() + scale >= precision:
        raise Misfit
    return rounded


def _boolean(text: str) -> bool:
    bare = text.strip(_BLANKS).lower()
    if bare not in _BOOLEANS:
        raise Misfit
    return _BOOLEANS[bare]


def _date(text: str) -> dt.date:
    bare = text.strip(_BLANKS)
    if _DATE.fullmatch(bare) is None:
        raise Misfit
    if bare.startswith("0000"):
        raise NotThisWay("a date is of the year 0")
    try:
        return dt.date.fromisoformat(bare)
    except ValueError as error:
        raise Misfit from error


def _time(text: str, *, keeps_zone: bool) -> dt.datetime:
    """A time of the session's zone, which is UTC, unless the text names another one."""
    bare = text.strip(_BLANKS)
    if _DATE.fullmatch(bare):
        day = _date(bare)
        return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC if keeps_zone else None)
    match = _TIMESTAMP.fullmatch(bare)
    if match is None:
        raise Misfit
    # What follows the clock, and in it the zone without a blank.
    end, zone = (len(bare), "") if match[3] is None else (match.start(3), match[4])
    if zone and not keeps_zone:
        raise NotThisWay("a time of a column without zones has one")
    if zone not in _UTC and re.fullmatch("[+-][0-9]{2}:[0-9]{2}", zone) is None:
        raise NotThisWay("a time has another zone than Z, UTC, GMT or +hh:mm")
    day = _date(bare[:10])
    try:
        clock = dt.time.fromisoformat(_six_digits(bare[11:end]))
        offset = _offset(zone)
    except ValueError as error:
        raise Misfit from error
    moment = dt.datetime.combine(day, clock)
    try:
        return (moment - offset).replace(tzinfo=dt.UTC) if keeps_zone else moment
    except OverflowError as error:
        raise NotThisWay("a time is before the year 1, or after 9999") from error


def _six_digits(clock: str) -> str:
    whole, dot, part = clock.partition(".")
    return f"{whole}.{part[:6]:0<6}" if dot else whole


def _offset(zone: str) -> dt.timedelta:
    if zone in _UTC:
        return dt.timedelta()
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 18 or minutes > 59 or (hours == 18 and minutes):
        raise ValueError(zone)
    return (-1 if zone[0] == "-" else 1) * dt.timedelta(hours=hours, minutes=minutes)
