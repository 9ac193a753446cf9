"""Which rows of a table: `[("run_id", "=", "a"), ("step", "in", ["", "anew"])]`, all of which hold.

The form is that of `pyarrow.parquet.read_table(filters=...)`. Null is neither equal nor unequal.
"""

from __future__ import annotations

import datetime as dt
import itertools
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Filter = tuple[str, str, Any]

_COMPARISONS = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def to_sql(filters: Sequence[Filter]) -> str | None:
    """The filters in DataFusion's SQL; None of none."""
    return " AND ".join(_predicate(*item) for item in filters) or None


def _predicate(column: str, operator: str, value: Any) -> str:
    name = '"' + column.replace('"', '""') + '"'
    if operator == "in":
        listed = ", ".join(_literal(item) for item in value)
        return f"{name} IN ({listed})" if listed else "FALSE"
    return f"{name} {operator} {_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, dt.datetime):
        micros = (value - _EPOCH) // dt.timedelta(microseconds=1)
        return f"arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def matching_rows(rows: pa.Table, filters: Iterable[Filter]) -> pa.Table:
    """The rows that pass, as SQL would choose them."""
    for column, operator, value in filters:
        values = rows.column(column)
        if operator == "in":
            mask = pc.is_in(values, _array(list(value), values.type))
        else:
            mask = _COMPARISONS[operator](values, _array([value], values.type)[0])
        rows = rows.filter(mask)
    return rows


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """An array of texts or whole numbers from their bytes, of others as Arrow makes it.

    Arrow imports pandas to see whether what it is given is of it: a second for a look at a table.
    """
    count = len(values)
    if all(isinstance(value, str) for value in values):
        encoded = [value.encode() for value in values]
        ends = struct.pack(f"<{count + 1}i", 0, *itertools.accumulate(map(len, encoded)))
        parts = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
        return pa.Array.from_buffers(pa.string(), count, parts).cast(kind)
    if all(type(value) is int for value in values):
        numbers = pa.py_buffer(struct.pack(f"<{count}q", *values))
        return pa.Array.from_buffers(pa.int64(), count, [None, numbers]).cast(kind)
    return pa.array(values, kind)


def may_hold(action: Mapping[str, Any], item: Filter) -> bool:
    """Whether a file may hold rows that pass, by the least and the largest value of its column."""
    column, operator, value = item
    low, high = action.get(f"min.{column}"), action.get(f"max.{column}")
    if low is None or high is None or operator not in ("=", "in"):
        return True
    values = value if operator == "in" else [value]
    return any(low <= wanted <= high for wanted in values)
