"""Rows of a Delta table as delta-rs reads them, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from engine.delta.filters import Filter, matching_rows, to_sql
from engine.delta.local_table import plain_types
from engine.delta.object_look import open_table


def stream_rows(
    place: str | Path, columns: Sequence[str], where: Sequence[Filter]
) -> Iterator[pa.RecordBatch]:
    """The rows of the newest version that pass, in these columns and in no order."""
    read = list(dict.fromkeys([*columns, *(name for name, _, _ in where)]))
    scan = open_table(place).scan(columns=read, predicate=to_sql(where))
    for batch in pa.RecordBatchReader.from_stream(scan):
        rows = matching_rows(plain_types(pa.Table.from_batches([batch])), where)
        yield from rows.select(list(columns)).to_batches()
