"""Rows as Python's own values, without pandas.

Arrow imports pandas to make a time of a timestamp, which takes longer than all that a look at a
small table takes besides.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def records(rows: pa.Table) -> list[dict[str, Any]]:
    """The rows as mappings; times are of UTC, to the microsecond, and maps are mappings."""
    times = [field.name for field in rows.schema if pa.types.is_timestamp(field.type)]
    others = rows.drop_columns(times).to_pylist(maps_as_pydicts="strict")
    for name in times:
        column = rows[name]
        zoned = pa.timestamp("us", tz="UTC") if column.type.tz else pa.timestamp("us")
        numbers = column.cast(zoned, safe=False).cast(pa.int64()).to_pylist()
        zero = _EPOCH if column.type.tz else _EPOCH.replace(tzinfo=None)
        for row, number in zip(others, numbers, strict=True):
            row[name] = None if number is None else zero + dt.timedelta(microseconds=number)
    return [{name: row[name] for name in rows.column_names} for row in others]
