"""Where a notebook's frame lies: a table of its own, with a version for each content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.core.json_cache import keep, read_kept
from engine.core.locations import Store
from engine.core.paths import local_path
from engine.data.files.lake import mapping_options
from engine.data.frames import Frame
from engine.data.source import Source, pin_table
from engine.delta.local_table import LocalTable
from engine.delta.messages import NeedsSpark
from engine.errors import EvalMatrixError
from engine.spark import tables
from engine.spark.api import F
from engine.spark.lazy_session import LazySession
from engine.spark.table_errors import unwritten

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


_KEPT = 50
# All of a time, and nulls told from what is not there.
_JSON = {
    "ignoreNullFields": "false",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}


@dataclass(frozen=True, slots=True)
class FrameTable:
    """A frame as a version of a table; `is_new` tells whether it was written now."""

    path: str
    version: int
    is_new: bool


def write_frame(
    session: LazySession, store: Store, name: str, data: Frame | DataFrame
) -> FrameTable:
    """Makes a frame a version of the table of this name, where it is not one already.

    Raises:
        DataError: for a value that does not fit the type of its column.
        StoreError: when the table cannot be written.
    """
    table = store.frame_table(name)
    digest = _digest(data)
    file = store.files / "cache" / "frames" / f"{hashlib.sha256(table.encode()).hexdigest()}.json"
    known: dict[str, list[object]] = read_kept(file) or {}
    if digest in known:
        version, time = known[digest]
        if (there := _pin(session, table, int(str(version)))) and _time(there) == time:
            return FrameTable(table, there.version, is_new=False)
    written = pin_table(session, table, _write(session, table, data))
    known[digest] = [written.version, _time(written)]
    keep(file, dict(list(known.items())[-_KEPT:]))
    return FrameTable(table, written.version, is_new=True)


def _pin(session: LazySession, table: str, version: int) -> Source | None:
    try:
        return pin_table(session, table, version)
    except EvalMatrixError:
        return None


def _time(source: Source) -> str:
    return source.timestamp.isoformat()


def _digest(data: Frame | DataFrame) -> str:
    """A hash of the content; of a frame of Spark one that no order of rows changes."""
    if isinstance(data, Frame):
        return data.digest()
    names = [F.col(tables.column(name)) for name in data.columns]
    row = F.to_json(F.struct(*names), _JSON)
    hashes = [F.sum(F.xxhash64(row, F.lit(seed)).cast("decimal(38,0)")) for seed in (0, 1)]
    counted = data.agg(F.count(F.lit(1)), *hashes).collect()[0]
    return f"spark {data.schema.json()} {list(map(str, counted))}"


def _write(session: LazySession, table: str, data: Frame | DataFrame) -> int | str:
    """Writes the rows, and gives the version that has them."""
    folder = local_path(table)
    if isinstance(data, Frame) and folder is not None and session.shares_disk:
        try:
            return LocalTable(folder).overwrite(data.reader)
        except NeedsSpark:
            pass
    if isinstance(data, Frame):
        data = session.get().createDataFrame(data.reader().read_all())
    schema = tuple((field.name, field.dataType.simpleString()) for field in data.schema.fields)
    try:
        tables.overwrite(data, table, options=mapping_options(schema))
    except Exception as error:
        raise unwritten(table, error) from error
    return "latest"
