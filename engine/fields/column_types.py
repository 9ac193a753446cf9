"""The types that a suite may give the columns of CSV files, by the names of Spark and of SQL."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from engine.fields.values import Text, expected
from engine.fields.wording import suggestion

# As Spark writes them, by what people write.
_NAMES = {
    "string": "string", "text": "string", "varchar": "string", "str": "string",
    "boolean": "boolean", "bool": "boolean",
    "tinyint": "tinyint", "byte": "tinyint", "smallint": "smallint", "short": "smallint",
    "int": "int", "integer": "int", "bigint": "bigint", "long": "bigint",
    "float": "float", "real": "float", "double": "double",
    "decimal": "decimal(10,0)", "numeric": "decimal(10,0)",
    "date": "date", "timestamp": "timestamp", "timestamp_ltz": "timestamp",
    "timestamp_ntz": "timestamp_ntz",
}  # fmt: skip
_SHOWN = ("string", "boolean", "tinyint", "smallint", "int", "bigint", "float", "double",
          "decimal(10,2)", "date", "timestamp", "timestamp_ntz")  # fmt: skip
_DECIMAL = re.compile(r"(?:decimal|numeric)\s*\(\s*(\d{1,2})\s*(?:,\s*(\d{1,2})\s*)?\)")


def column_type(name: str) -> str | None:
    """A type as Spark writes it; None for a name that is none.

    >>> column_type("Integer"), column_type("decimal(12, 2)"), column_type("strnig")
    ('int', 'decimal(12,2)', None)
    """
    folded = name.strip().lower()
    if match := _DECIMAL.fullmatch(folded):
        precision, scale = int(match[1]), int(match[2] or 0)
        fits = 1 <= precision <= 38 and scale <= precision
        return f"decimal({precision},{scale})" if fits else None
    return _NAMES.get(folded)


def type_names(word: str) -> str:
    """The end of a sentence about a name that is none: those there are, and the nearest."""
    listed = suggestion(word, _SHOWN)
    if "did you mean" in listed:
        return listed
    near = suggestion(word, _NAMES).partition("; ")[2]
    return f"{listed}; {near}" if near else listed


def _column_type(value: Any) -> str:
    kind = column_type(value) if isinstance(value, str) else None
    if kind is None:
        raise expected(f"a type of columns, {type_names(str(value))}")
    return kind


TypeField = Annotated[
    str, PlainValidator(_column_type), WithJsonSchema({"type": "string", "minLength": 1})
]
ColumnTypes = Annotated[dict[Text, TypeField], Field(min_length=1)]

NullTexts = list[str] | dict[str, list[str]]

_WORDS = (
    'a list of texts that mean null, such as ["NA", "-"], or a mapping of columns to such lists; '
    "put each text in quotes"
)


def _null_values(value: Any) -> NullTexts:
    if isinstance(value, dict) and value and all(isinstance(name, str) for name in value):
        return {name: _texts(texts) for name, texts in value.items()}
    return _texts(value)


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise expected(_WORDS)
    for item in value:
        # YAML makes numbers of -999 and -1, of which there is one spelling.
        plain = isinstance(item, str | int) and not isinstance(item, bool)
        if not plain or item == "":
            raise expected(_WORDS)
    return list(dict.fromkeys(str(item).strip() for item in value))


_TEXTS = {"type": "array", "minItems": 1, "items": {"type": ["string", "integer"]}}
NullValues = Annotated[
    NullTexts,
    PlainValidator(_null_values),
    WithJsonSchema(
        {"anyOf": [_TEXTS, {"type": "object", "minProperties": 1, "additionalProperties": _TEXTS}]}
    ),
]
