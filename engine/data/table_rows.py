"""The rows of a table on this machine as this process reads them: column by column, no Spark.

What is known of few columns of some million rows is found sooner so than a JVM is there. Larger
tables are Spark's, and so is all that is read by rules which only Spark knows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from engine.delta.messages import is_plain
from engine.errors import InputError, StoreError
from engine.pieces import NotThisWay
from engine.pieces.listing import Listing, list_files
from engine.pieces.opening import DamagedFileError, UnreachableError, UnreadableError
from engine.pieces.pieces import Piece, whole_files
from engine.pieces.reading import ReadColumn, read_pieces
from engine.spark.lazy_session import LazySession

# What one process looks at by itself: so many rows, and so many bytes of the columns it needs.
MOST_ROWS = 50_000_000
MOST_BYTES = 2 << 30

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableRows:
    """The rows of some pieces of a table's version.

    Attributes:
        listing: what the table's log says of the version.
        pieces: where the rows are.
        columns: the names of the columns that a dataset has of it.
        zone: the time zone of the session, which timestamps have.
    """

    listing: Listing
    pieces: tuple[Piece, ...]
    columns: tuple[str, ...]
    zone: str

    def type_of(self, name: str) -> pa.DataType:
        """The type of a column as Spark hands it to Python.

        Raises:
            NotThisWay: for a column that only Spark can read.
        """
        if name not in self.columns:
            raise NotThisWay(f"the dataset has no column {name!r}")
        return self.listing.arrow_type(name, self.zone)

    def of_files(self, paths: Collection[str]) -> TableRows:
        """The rows of some files of the version.

        Raises:
            NotThisWay: where one of them is not there under this path.
        """
        wanted = set(paths)
        pieces = tuple(piece for piece in self.pieces if piece.file.path in wanted)
        listed = {file.path for file in self.listing.files}
        if not wanted <= listed:
            raise NotThisWay("the log names its files in several ways")
        return replace(self, pieces=pieces)

    def plain_types(self) -> dict[str, pa.DataType]:
        """The types of the columns that predicates may read; the others have none."""
        known = self.listing.plain_types(self.zone)
        return {name: kind for name, kind in known.items() if name in self.columns}

    def batches(self, names: Sequence[str], held: int = 0) -> Iterator[pa.RecordBatch]:
        """The rows in these columns.

        Args:
            names: the columns.
            held: how many numbers of each row the caller keeps in memory, each of 8 bytes.

        Raises:
            NotThisWay: where only Spark can read them, or there are too many.
            UnreadableError: for a file that cannot be read here.
        """
        rows = sum(piece.file.live for piece in self.pieces)
        if rows > MOST_ROWS:
            raise NotThisWay(f"{rows:,} rows are more than {MOST_ROWS:,}")
        wanted = [
            ReadColumn(name, self.listing.name_in_files(name), self.type_of(name)) for name in names
        ]
        size = 8 * rows * held
        for batch in read_pieces(self.pieces, wanted):
            size += batch.nbytes
            if size > MOST_BYTES:
                raise NotThisWay(f"the columns take more than {MOST_BYTES:,} bytes")
            yield batch

    def head(self, names: Sequence[str], count: int) -> pa.Table:
        """Some rows, the first ones in the order of the files, in these columns.

        Raises:
            NotThisWay: where only Spark can read them.
            UnreadableError: for a file that cannot be read here.
        """
        taken, left = [], count
        for batch in self.batches(names):
            taken.append(batch.slice(0, left))
            left -= taken[-1].num_rows
            if not left:
                break
        schema = pa.schema([(name, self.type_of(name)) for name in names])
        return pa.Table.from_batches(taken, schema)


def table_place(session: LazySession, table: str, *, is_catalog: bool) -> Path | str:
    """The folder of a table, where it is one of this machine and of Spark, or its URI of a store.

    Raises:
        NotThisWay: where it is in no object store either.
    """
    place = None if is_catalog else session.direct_place(table)
    if place is None or (isinstance(place, Path) and not is_plain(place)):
        raise NotThisWay("the table is no folder of this machine, and in no object store")
    return place


def table_rows(place: Path | str, version: int, columns: Sequence[str], zone: str) -> TableRows:
    """All rows of a version of a table in a folder, or in an object store; none is read yet.

    Raises:
        NotThisWay: where only Spark can read them.
    """
    listing = list_files(place, version)
    return TableRows(listing, tuple(whole_files(listing.files)), tuple(columns), zone)


def either_way(session: LazySession, here: Callable[[], T], by_spark: Callable[[], T]) -> T:
    """What this process finds out by itself, or Spark, where only Spark can.

    What is wrong with a file Spark tells in more words.

    Raises:
        InputError: where only Spark can, and none may be started.
        StoreError: where a file is damaged or gone, and no Spark may be started.
        UnreachableError: where the object store does not answer, or refuses.
    """
    try:
        return here()
    except UnreachableError:
        raise
    except (NotThisWay, UnreadableError) as reason:
        if session.current is None and session.is_local:
            if isinstance(reason, DamagedFileError):
                raise StoreError(
                    f"a data file is damaged or gone ({reason}); restore it, or evaluate a version "
                    "of the dataset without it"
                ) from reason
            raise InputError(
                f"the rows can be looked at by Spark only, which is not started here: {reason}; "
                f"{session.remedy}"
            ) from reason
        log.info("Spark looks at the rows: %s", reason)
        return by_spark()
