"""A version of a table is known by its time as well: a copy may have another of its number."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa

from engine.data.source import Source
from engine.delta.head import read_head
from engine.delta.local_table import LocalTable
from engine.spark.lazy_session import LazySession


def test_a_version_is_the_same_only_at_its_time(tmp_path: Path) -> None:
    table = LocalTable(tmp_path / "table")
    for number in range(2):
        table.append_once(pa.table({"n": [number]}), token=str(number))
    head = read_head(table.path)
    source = Source(
        LazySession(), str(table.path), 1, head.timestamp, head.table_id, False, head.schema
    )
    first = read_head(table.path, 0).timestamp
    assert source.has_version(0, first.isoformat())
    assert not source.has_version(0, (first + dt.timedelta(seconds=1)).isoformat())
    assert not source.has_version(7, first.isoformat())
