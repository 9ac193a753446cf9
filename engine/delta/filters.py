"""Which rows of a table: `[("run_id", "=", "a"), ("step", "in", ["", "anew"])]`, all of which hold.

The form is that of `pyarrow.parquet.read_table(filters=...)`. Null is neither equal nor unequal.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
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
            mask = pc.is_in(values, pa.array(list(value), values.type))
        else:
            mask = _COMPARISONS[operator](values, pa.scalar(value, values.type))
        rows = rows.filter(mask)
    return rows
