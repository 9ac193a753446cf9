"""Parquet files in a table's folder as a commit names them: their bytes, rows and limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector, PyFileSystem

from engine.delta.object_store import storage_options

# Delta itself tells the limits of texts by their first 32 characters.
_LONGEST = 32


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file that has been written, and is in no version of a table yet.

    `statistics` are Delta's, as JSON: `numRecords`, `minValues`, `maxValues`, `nullCount`.
    """

    path: str
    size: int
    modified_ms: int
    statistics: str


def describe_files(place: str, folder: str) -> tuple[list[DataFile], pa.Schema]:
    """The files in a folder of a table's own, and their columns.

    Args:
        place: the table's URI.
        folder: the folder, as seen from there.
    """
    handler = PyFileSystem(DeltaStorageHandler(place, storage_options(place)))
    files, schema = [], pa.schema([])
    for about in handler.get_file_info(FileSelector(folder)):
        if not about.path.endswith(".parquet"):
            continue
        footer = pq.read_metadata(about.path, filesystem=handler)
        schema = footer.schema.to_arrow_schema()
        if not footer.num_rows:  # of a task that had none
            continue
        modified = (about.mtime_ns or 0) // 1_000_000
        files.append(DataFile(about.path, about.size, modified, json.dumps(_statistics(footer))))
    return files, schema.remove_metadata()


def _statistics(footer: pq.FileMetaData) -> dict[str, Any]:
    """What Delta's log says of a file: its rows, and the limits of short texts and counts."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name, parts in _columns(footer):
        known = all(part is not None and part.has_min_max and part.has_null_count for part in parts)
        if not known:
            continue
        least, most = min(part.min for part in parts), max(part.max for part in parts)
        if type(least) is int or (type(least) is str and max(len(least), len(most)) <= _LONGEST):
            low[name], high[name] = least, most
            nulls[name] = sum(part.null_count for part in parts)
    return {"numRecords": footer.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}


def _columns(footer: pq.FileMetaData) -> Iterator[tuple[str, list[Any]]]:
    """The statistics of each column's parts, of columns that are not nested."""
    for place in range(footer.num_columns):
        column = footer.schema.column(place)
        if column.path != column.name:
            continue
        groups = (footer.row_group(group) for group in range(footer.num_row_groups))
        yield column.name, [group.column(place).statistics for group in groups]
