"""The tables of a store, each by the road it takes.

Where the store is a folder of this machine its tables are read and written by delta-rs, in
milliseconds and without a JVM. A catalog's, and those with features that delta-rs does not know,
are Spark's. Both roads write one format, under one lock, by one law: a write with a token is made
once. In an object store delta-rs alone commits: its commits are puts that the store refuses where
another one was first, which Spark's are not. What Spark's workers have is written by them there as
files, which one commit of delta-rs then adds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from engine.core.locations import Store
from engine.delta.filters import Filter
from engine.delta.local_table import LocalTable
from engine.delta.messages import NeedsSpark, unreadable
from engine.delta.object_table import ObjectTable, table_at
from engine.delta.streams import stream_rows
from engine.errors import StoreError
from engine.spark.lazy_session import LazySession

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from engine.spark.spark_table import SparkTable

T = TypeVar("T")

log = logging.getLogger(__name__)


class StoreTables:
    """The tables of a store by their names: `states`, `results`, `runs`, ..."""

    def __init__(self, store: Store, session: LazySession) -> None:
        self.store = store
        self.session = session
        session.reach(store.root)

    def __getitem__(self, name: str) -> StoreTable:
        return StoreTable(self.store, name, self.session)


class StoreTable:
    """One table of a store, which need not be there yet.

    Raises:
        StoreError: by every method, when the table cannot be read or written.
    """

    def __init__(self, store: Store, name: str, session: LazySession) -> None:
        self.store = store
        self.path = store.table(name)
        self.session = session
        self._folder = None if store.local is None else Path(self.path)
        self._direct = None if store.is_catalog else table_at(self.path)

    @property
    def is_direct(self) -> bool:
        """Whether delta-rs is tried first."""
        if self._direct is None:
            return False
        return self.store.in_object_store or self.session.shares_disk

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine's disk, where that can be said."""
        return self._folder

    def exists(self) -> bool:
        """Whether there is such a table."""
        return self._read(LocalTable.exists, lambda table: table.exists())

    def columns(self) -> list[str]:
        """The names of its columns."""
        return self._read(LocalTable.columns, lambda table: table.columns())

    def rows(
        self,
        columns: Sequence[str] | None = None,
        where: Sequence[Filter] = (),
        *,
        spares: bool = False,
    ) -> pa.Table:
        """The rows that pass, in no order; of `columns` those that the table has.

        Args:
            columns: the columns; all of them by default.
            where: `(column, operator, value)`; all must hold.
            spares: whether the table only spares what can be computed anew; an error says so.
        """
        return self._read(
            lambda table: table.rows(columns, where),
            lambda table: table.rows(columns, where),
            spares=spares,
        )

    def stream(self, columns: Sequence[str], where: Sequence[Filter]) -> Iterator[pa.RecordBatch]:
        """The rows that pass, some at a time, where delta-rs reads the table; else all at once."""
        if not self.is_direct:
            yield from self.rows(columns, where, spares=True).to_batches()
            return
        try:
            yield from stream_rows(self.path, columns, where)
        except Exception as error:
            raise unreadable(self.path, error, spares=True) from error

    def size(self) -> tuple[int, int]:
        """How many files its newest version has, and their bytes."""
        return self._read(LocalTable.size, lambda table: table.size())

    def bytes_of(self, where: Sequence[Filter]) -> int | None:
        """About how many bytes the rows take that pass; None where only Spark could tell."""
        if not self.is_direct or self._direct is None:
            return None
        try:
            return self._direct.bytes_of(where)
        except NeedsSpark:
            return None
        except Exception as error:
            raise unreadable(self.path, error, spares=True) from error

    def append_once(
        self, rows: pa.Table, *, token: str, properties: Mapping[str, str] | None = None
    ) -> None:
        """Appends rows unless an append with the same token has been made.

        Args:
            rows: the rows; columns that the table lacks are added to it.
            token: names this append for good.
            properties: table properties of a new table.
        """
        self._write(
            lambda table: table.append_once(rows, token=token, properties=properties),
            lambda table: table.append_once(rows, token=token, properties=properties),
        )

    def append_frame_once(
        self, frame: DataFrame, *, token: str, options: Mapping[str, str] | None = None
    ) -> None:
        """Appends rows that Spark's workers have, unless an append with the token has been made.

        Args:
            frame: the rows.
            token: names this append for good.
            options: more options of Delta's writer, table properties of a new table among them.
        """
        if isinstance(self._direct, ObjectTable):
            self.session.require(self.path)
            from engine.spark.data_files import write_files

            files, schema = write_files(frame, self._direct, token)
            self._direct.add_files(files, schema, token=token, properties=options)
            return
        from engine.spark.tables import append_once

        append_once(frame, self.path, token=token, options=options)

    def update(self, where: Sequence[Filter], values: Mapping[str, Any]) -> None:
        """Sets columns of the rows that pass to one value each."""
        self._write(
            lambda table: table.update(where, values), lambda table: table.update(where, values)
        )

    def revise(self, where: Sequence[Filter], change: Callable[[pa.Table], pa.Table]) -> None:
        """Puts what `change` makes of the rows that pass in their place, in one commit."""
        self._write(
            lambda table: table.revise(where, change), lambda table: table.revise(where, change)
        )

    def erase_history(self) -> bool:
        """Removes all versions but the newest; gives whether the log tells nothing of them, too.

        Spark keeps the log for as long as the table says, thirty days by itself.
        """
        if self.is_direct and self._direct is not None:
            try:
                return self._direct.erase_history()
            except NeedsSpark as reason:
                log.debug("%s is written by Spark: %s", self.path, reason)
        self.by_spark().vacuum(0)
        return False

    def delete(self, where: Sequence[Filter]) -> None:
        """Deletes the rows that pass."""
        self._write(lambda table: table.delete(where), lambda table: table.delete(where))

    def delete_like(self, rows: pa.Table) -> None:
        """Deletes the rows that have the values of one of `rows`; nulls are alike."""
        self._write(lambda table: table.delete_like(rows), lambda table: table.delete_like(rows))

    def compact(self) -> None:
        """Puts small files together; the rows stay as they are."""
        self._write(LocalTable.compact, lambda table: table.compact())

    def vacuum(self, hours: float | None = None) -> None:
        """Removes files that no version of the last `hours` needs; None: the table's retention."""
        self._write(lambda table: table.vacuum(hours), lambda table: table.vacuum(hours))

    def by_spark(self) -> SparkTable:
        """The table as Spark sees it."""
        from engine.spark.spark_table import SparkTable

        self.session.require(self.path)
        return SparkTable(self.session.get(), self.path)

    def _read(
        self,
        local: Callable[[LocalTable], T],
        spark: Callable[[SparkTable], T],
        *,
        spares: bool = False,
    ) -> T:
        if self.is_direct and self._direct is not None:
            try:
                return local(self._direct)
            except NeedsSpark as reason:
                log.debug("%s is read by Spark: %s", self.path, reason)
            except Exception as error:
                raise unreadable(self.path, error, spares=spares) from error
        table = self.by_spark()
        from engine.spark.table_errors import reading

        with reading(self.path, spares=spares):
            return spark(table)

    def _write(
        self, local: Callable[[LocalTable], None], spark: Callable[[SparkTable], None]
    ) -> None:
        if self.is_direct and self._direct is not None:
            try:
                local(self._direct)
                return
            except NeedsSpark as reason:
                if self.store.in_object_store:
                    raise StoreError(
                        f"the table {self.path!r} could not be written: {reason}; in an object "
                        "store evalmatrix writes by delta-rs alone, which does not know that"
                    ) from reason
                log.debug("%s is written by Spark: %s", self.path, reason)
        spark(self.by_spark())
