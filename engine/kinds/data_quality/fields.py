"""What may stand under the checks of a suite: columns, limits, allowed values, patterns, times."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from engine.core.vocabulary import Label
from engine.fields.values import Text, distinct, expected
from engine.fields.wording import suggestion
from engine.kinds.data_quality.check import ALL, FEATURES
from engine.kinds.data_quality.values import TEXT_TYPES, is_pattern

_SECONDS = {"min": 60, "h": 3600, "d": 86400}
_AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(min|h|d)")
_BIGGEST = 2**200


def _columns_or(*words: str) -> Callable[[Any], Any]:
    """Reads one of some words, a column, or a list of columns."""

    def read(value: Any) -> Any:
        if isinstance(value, str) and value in words:
            return value
        columns = [value] if isinstance(value, str) else value
        if not _are_columns(columns):
            raise expected(" or ".join([*words, "a column", "a list of columns that differ"]))
        return columns

    return read


def _are_columns(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    texts = all(isinstance(name, str) and name.strip() for name in value)
    return texts and len(set(value)) == len(value)


def _plain_value(value: Any) -> Any:
    """A value of a suite as plain data: dates and times are texts."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int) and abs(value) > _BIGGEST:
        raise expected("a number that a column can have")
    if isinstance(value, float) and not math.isfinite(value):
        raise expected("a finite number")
    return value


def _limit(value: Any) -> Any:
    value = _plain_value(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise expected("a number, a date or a timestamp")
    if isinstance(value, str):
        try:
            dt.datetime.fromisoformat(value)
        except ValueError:
            raise expected("a number, a date or a timestamp, such as '2026-01-31'") from None
    return value


def _ends(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise expected("[low, high], of which one may be null")
    low, high = (None if end is None else _limit(end) for end in value)
    if low is None and high is None:
        raise expected("[low, high], of which only one may be null")
    if low is not None and high is not None and not _are_ordered(low, high):
        raise expected("the lower end first, and both of one type")
    return [low, high]


def _are_ordered(low: Any, high: Any) -> bool:
    if isinstance(low, str) != isinstance(high, str):
        return False
    if not isinstance(low, str):
        return bool(low <= high)
    first, last = (_in_utc(dt.datetime.fromisoformat(end)) for end in (low, high))
    return first <= last


def _in_utc(point: dt.datetime) -> dt.datetime:
    return point.replace(tzinfo=dt.UTC) if point.tzinfo is None else point


def _numbers_only(least: float | None) -> Callable[[list[Any]], list[Any]]:
    def check(ends: list[Any]) -> list[Any]:
        if any(isinstance(end, str) for end in ends):
            raise expected("two numbers, of which one may be null")
        if least is not None and any(end is not None and end < least for end in ends):
            raise expected(f"numbers of {least:g} or more")
        return ends

    return check


def _value(value: Any) -> Label:
    value = _plain_value(value)
    if not isinstance(value, str | int | float):
        raise expected(
            "a text, a number, a truth value, a date or a timestamp; nulls break no list"
        )
    return value


def _pattern(text: str) -> str:
    if not is_pattern(text):
        raise expected(
            "a regular expression of RE2 (no look-around, no back-references), which the whole "
            "text is to match"
        )
    return text


def _choice(words: tuple[str, ...]) -> Callable[[Any], str]:
    def choose(value: Any) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise expected(suggestion(value, list(words)))

    return choose


def _age(value: Any) -> str:
    if not isinstance(value, str) or not _AGE.fullmatch(value.strip()):
        raise expected("a time such as 90 min, 36 h or 2 d")
    return value.strip()


def seconds_of(age: str) -> float:
    """The seconds of a time such as `2 d`."""
    match = _AGE.fullmatch(age)
    assert match is not None, "a suite has been read"
    return float(match[1]) * _SECONDS[match[2]]


def _keys(value: Any) -> list[Any]:
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not keys or not all(_is_key(key) for key in keys):
        raise expected("a column, or a list of columns; a list in it is of columns together")
    return keys


def _is_key(key: Any) -> bool:
    return _are_columns([key] if isinstance(key, str) else key)


_END = {"type": ["number", "string", "null"]}
_ENDS_SCHEMA = WithJsonSchema({"type": "array", "items": _END, "minItems": 2, "maxItems": 2})
_NUMBER_ENDS_SCHEMA = WithJsonSchema(
    {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 2, "maxItems": 2}
)
_VALUE_SCHEMA = WithJsonSchema({"type": ["string", "number", "boolean"]})


def _by_column(values: Any) -> Any:
    """A mapping from columns, of one or more."""
    return Annotated[dict[Text, values], Field(min_length=1)]


Ends = Annotated[list[Any], PlainValidator(_ends), _ENDS_SCHEMA]
Counts = Annotated[
    list[Any], PlainValidator(_ends), AfterValidator(_numbers_only(0)), _NUMBER_ENDS_SCHEMA
]
Changes = Annotated[
    list[Any], PlainValidator(_ends), AfterValidator(_numbers_only(-1)), _NUMBER_ENDS_SCHEMA
]
Values = Annotated[
    list[Annotated[Any, PlainValidator(_value), _VALUE_SCHEMA]],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(distinct),
]
Pattern = Annotated[Text, AfterValidator(_pattern)]
TypeName = Annotated[
    str,
    PlainValidator(_choice(tuple(TEXT_TYPES))),
    WithJsonSchema({"type": "string", "enum": list(TEXT_TYPES)}),
]
Age = Annotated[
    str, PlainValidator(_age), WithJsonSchema({"type": "string", "pattern": _AGE.pattern})
]

_COLUMN = {"type": "string", "minLength": 1}
_COLUMNS = {"type": "array", "items": _COLUMN, "minItems": 1, "uniqueItems": True}
_COLUMNS_SCHEMA = WithJsonSchema({"anyOf": [_COLUMN, _COLUMNS]})

Ranges = _by_column(Ends)
Lists = _by_column(Values)
Patterns = _by_column(Pattern)
Types = _by_column(TypeName)
Ages = _by_column(Age)
Sources = _by_column(Annotated[list[str], PlainValidator(_columns_or()), _COLUMNS_SCHEMA])
ColumnsOrAll = Annotated[Any, PlainValidator(_columns_or(ALL)), _COLUMNS_SCHEMA]
ColumnsOrFeatures = Annotated[Any, PlainValidator(_columns_or(FEATURES)), _COLUMNS_SCHEMA]
RowColumns = Annotated[Any, PlainValidator(_columns_or(ALL, FEATURES)), _COLUMNS_SCHEMA]
Keys = Annotated[
    list[Any],
    PlainValidator(_keys),
    WithJsonSchema(
        {"anyOf": [_COLUMN, {"type": "array", "items": {"anyOf": [_COLUMN, _COLUMNS]}}]}
    ),
]
