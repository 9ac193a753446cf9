"""The rows of a plan's table as this process reads them for questions: columns, and their slices.

No Spark is asked, so all is bounded in rows and bytes, as a look at a table is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import DatasetVersion
from engine.data.table_rows import MOST_BYTES, MOST_ROWS, TableRows, table_place, table_rows
from engine.kinds import SlicedRows
from engine.pieces import NotThisWay
from engine.pieces.expressions import Expression, columns_of, matches
from engine.pieces.functions import describe_error
from engine.pieces.opening import UnreadableError, is_file_there
from engine.planning.piece_columns import read_predicate
from engine.planning.slices import Slicer, where_column
from engine.spark.lazy_session import LazySession

# A batch without columns has no rows.
_NOTHING = "\0nothing"


def place_here(session: LazySession, dataset: DatasetVersion) -> Path | str:
    """Where this machine's workers find a dataset's table: its folder, or its URI of a store.

    Raises:
        NotThisWay: where they do not.
    """
    place = table_place(session, dataset.uri, is_catalog=dataset.is_catalog_table)
    if not session.is_seen(str(place)):
        raise NotThisWay("the workers may be on other machines")
    return place


def rows_of_table(session: LazySession, dataset: DatasetVersion) -> TableRows:
    """The rows of a dataset's version; none is read.

    Raises:
        NotThisWay: where only Spark can read them, or there are too many.
    """
    zone = session.setting("spark.sql.session.timeZone", "UTC")
    names = [name for name, _ in dataset.schema]
    rows = table_rows(place_here(session, dataset), dataset.version, names, zone)
    if rows.listing.rows > MOST_ROWS:
        raise NotThisWay(f"{rows.listing.rows:,} rows are more than {MOST_ROWS:,}")
    return rows


@dataclass(slots=True)
class HeldColumns:
    """The columns of a table that the question before has read; the next reads what it lacks."""

    rows: TableRows
    _held: dict[str, pa.ChunkedArray] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.rows.listing.rows

    def read(self, names: Sequence[str]) -> pa.Table:
        """Columns of all rows, in the order of the files.

        Raises:
            NotThisWay: where only Spark can read them, or they take too many bytes.
            UnreadableError: for a file that cannot be read here, or is gone.
        """
        wanted = list(dict.fromkeys(names))
        self._held = {name: column for name, column in self._held.items() if name in wanted}
        missing = [name for name in wanted if name not in self._held]
        if missing:
            schema = pa.schema([(name, self.rows.type_of(name)) for name in missing])
            table = pa.Table.from_batches(self.rows.batches(missing), schema)
            self._held |= dict(zip(missing, table.columns, strict=True))
        for piece in self.rows.pieces:
            if not wanted and not is_file_there(piece.file.path):
                raise UnreadableError(f"the file {piece.file.path} is gone")
        if sum(column.nbytes for column in self._held.values()) > MOST_BYTES:
            raise NotThisWay(f"the columns take more than {MOST_BYTES:,} bytes")
        return pa.table({name: self._held[name] for name in wanted})

    def types(self, names: Sequence[str]) -> pa.Table:
        """The same columns of no rows.

        Raises:
            NotThisWay: for a column that only Spark can read.
        """
        fields = [(name, self.rows.type_of(name)) for name in dict.fromkeys(names)]
        return pa.schema(fields).empty_table()


@dataclass(frozen=True, slots=True)
class RowSlices:
    """Tells rows of tables of which slice of a set each is; `slicer` is of this set alone."""

    slicer: Slicer
    where: Expression | None

    @classmethod
    def of(cls, slicer: Slicer, rows: TableRows) -> RowSlices:
        """Those of a set, whose predicate is read by the columns of a table.

        Raises:
            NotThisWay: for a predicate that only Spark reads.
        """
        (index,) = slicer.indices
        if index.slice_set.where is None:
            return cls(slicer, None)
        return cls(slicer, read_predicate(index.slice_set.where, rows.plain_types()))

    @property
    def dimensions(self) -> list[str]:
        (index,) = self.slicer.indices
        return [dimension.column for dimension in index.slice_set.dimensions]

    @property
    def columns(self) -> list[str]:
        """The columns that tell it."""
        return [*self.dimensions, *columns_of(self.where)]

    def cut(self, held: HeldColumns, names: Sequence[str]) -> SlicedRows:
        """The rows of a table in some columns, each with the number of its slice.

        Raises:
            NotThisWay: where only Spark can read them, or they take too many bytes.
            UnreadableError: for a file that cannot be read here, or is gone.
        """
        names = list(dict.fromkeys(names))
        table = held.read([*names, *self.columns])
        if table.num_columns:
            slices = [self._place(batch) for batch in table.to_batches()]
        else:
            nothing = {_NOTHING: pa.nulls(held.count)}
            slices = [self._place(pa.RecordBatch.from_pydict(nothing))]
        (index,) = self.slicer.indices
        numbers = np.concatenate([np.zeros(0, np.int64), *slices])
        return SlicedRows(table.select(names), numbers, len(index.keys))

    def _place(self, batch: pa.RecordBatch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        columns = {name: batch.column(name) for name in self.dimensions}
        columns[_NOTHING] = pa.nulls(batch.num_rows)
        if self.where is not None:
            try:
                columns[where_column(0)] = matches(self.where, batch)
            except pa.ArrowException as error:
                # A sum that is too large, for one: Spark says so in words of its own.
                raise UnreadableError(describe_error(error)) from error
        (placed,) = self.slicer.place(pa.RecordBatch.from_pydict(columns))
        if placed.rows is None:
            return placed.groups
        numbers = np.full(batch.num_rows, -1, np.int64)
        numbers[placed.rows] = placed.groups
        return numbers
