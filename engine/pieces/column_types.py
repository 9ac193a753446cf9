"""The types of a table's columns as Spark hands them to Python, in Arrow's words."""

from __future__ import annotations

import re

import pyarrow as pa

_PLAIN = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "int": pa.int32(),
    "smallint": pa.int16(),
    "tinyint": pa.int8(),
    "double": pa.float64(),
    "float": pa.float32(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp_ntz": pa.timestamp("us"),
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def arrow_type(text: str, zone: str) -> pa.DataType | None:
    """The type of a column of which Spark writes the type so; None where there is no plain one.

    Args:
        text: the type, such as `bigint` or `array<double>`.
        zone: the time zone of the session, which timestamps have.
    """
    if text == "timestamp":
        return pa.timestamp("us", zone)
    if decimal := _DECIMAL.fullmatch(text):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if text.startswith("array<"):
        item = arrow_type(text.removeprefix("array<").removesuffix(">"), zone)
        return None if item is None else pa.list_(pa.field("element", item))
    return _PLAIN.get(text)
