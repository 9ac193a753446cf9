"""Which rows came and which went between two versions of a table, as pieces of their files.

What two versions do not share is told by their listings; rows that were only rewritten are in files
of both sides, and cancel. What is left of a file are some of its rows: the others count as deleted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.pieces import NotThisWay
from engine.pieces.data_file import DataFile, pack_mask, unpack_mask
from engine.pieces.listing import Listing
from engine.pieces.pieces import Piece, whole_files
from engine.pieces.row_hash import hash_rows, is_hashable
from engine.pieces.scanning import PieceReader

# What one process holds of the rows of each side.
MOST_BYTES = 1 << 30
_BITS = 62


@dataclass(frozen=True, slots=True)
class MovedPieces:
    """Where the rows are that came, and those that went."""

    came: tuple[Piece, ...]
    gone: tuple[Piece, ...]

    @property
    def rows_came(self) -> int:
        return sum(piece.file.live for piece in self.came)

    @property
    def rows_gone(self) -> int:
        return sum(piece.file.live for piece in self.gone)


def moved_pieces(steps: Iterable[tuple[Listing, Listing]], reader: PieceReader) -> MovedPieces:
    """The rows that came and went in some steps from one version to a later one.

    As multisets, what is read of the rows at the end is what was there at the start, and what
    came, less what went. Rows are equal where SQL groups them together: nulls are equal, NaN is
    NaN, and 0.0 is -0.0.

    Args:
        steps: the listings at the start and at the end of each.
        reader: what is read of a row, at all these versions.

    Raises:
        NotThisWay: where rows must be compared that have values only Spark compares, or too many.
        UnreadableError: for a file that cannot be read here.
    """
    came, gone = [], []
    for old, new in steps:
        more, less = _difference(old.files, new.files)
        came += more
        gone += less
    if came and gone:
        came, gone = _cancel(came, gone, reader)
    return MovedPieces(tuple(whole_files(came)), tuple(whole_files(gone)))


def _difference(
    old: Sequence[DataFile], new: Sequence[DataFile]
) -> tuple[list[DataFile], list[DataFile]]:
    """What each of two versions has that the other lacks: whole files, or some of their rows."""
    before = {file.path: file for file in old}
    after = {file.path: file for file in new}
    came = [file for path, file in after.items() if path not in before]
    gone = [file for path, file in before.items() if path not in after]
    for path in sorted(before.keys() & after.keys()):
        if before[path].deleted == after[path].deleted:
            continue
        was, now = _live_rows(before[path]), _live_rows(after[path])
        came.append(_some_of(after[path], now & ~was))
        gone.append(_some_of(before[path], was & ~now))
    return [file for file in came if file.live], [file for file in gone if file.live]


def _live_rows(file: DataFile) -> NDArray[np.bool_]:
    """Which rows of a file are not deleted."""
    if file.deleted is None:
        return np.ones(file.rows, bool)
    return np.asarray(unpack_mask(file.deleted, file.rows), bool)


def _some_of(file: DataFile, kept: NDArray[np.bool_]) -> DataFile:
    """A file of which only some rows are wanted."""
    live = int(kept.sum())
    if live == file.rows:
        return replace(file, live=live, deleted=None)
    return replace(file, live=live, deleted=pack_mask(kept))


def _cancel(
    came: Sequence[DataFile], gone: Sequence[DataFile], reader: PieceReader
) -> tuple[list[DataFile], list[DataFile]]:
    """Both sides without the rows that are in both, each as often as it is."""
    plus, minus = _read(came, reader), _read(gone, reader)
    left, right = _equal_rows(plus, minus)
    return _without(came, left, plus.num_rows), _without(gone, right, minus.num_rows)


def _read(files: Sequence[DataFile], reader: PieceReader) -> pa.Table:
    size, batches = 0, []
    for batch in reader.batches(whole_files(files)):
        for column in batch.schema:
            if not is_hashable(column.type):
                raise NotThisWay(f"rows with {column.name!r} of {column.type} are compared")
        size += batch.nbytes
        if size > MOST_BYTES:
            raise NotThisWay(f"the rows to compare take more than {MOST_BYTES:,} bytes")
        batches.append(batch)
    return pa.Table.from_batches(batches).combine_chunks()


def _equal_rows(one: pa.Table, other: pa.Table) -> tuple[NDArray[Any], NDArray[Any]]:
    """The places of rows of two tables that are equal, pair by pair; no row is in two pairs."""
    (left, first), (right, second) = _sorted_hashes(one), _sorted_hashes(other)
    # The n-th row of a hash on one side goes with the n-th of it on the other.
    places = np.searchsorted(second, first) + _numbers(first)
    paired = places < len(second)
    paired[paired] = second[places[paired]] == first[paired]
    left, right = left[paired], right[places[paired]]
    same = np.ones(len(left), bool)
    # Rows of one hash may yet be different ones.
    for name in one.column_names:
        same &= _are_equal(one[name].take(pa.array(left)), other[name].take(pa.array(right)))
    return left[same], right[same]


def _sorted_hashes(rows: pa.Table) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The places of rows in the order of their hashes, and these."""
    columns = [column.chunk(0) for column in rows.columns]
    # A hash passes over nulls: which columns have them goes into it as well.
    nulls = np.zeros(rows.num_rows, np.int64)
    for place, column in enumerate(columns):
        if column.null_count:
            nulls ^= column.is_null().to_numpy(zero_copy_only=False).astype(np.int64) << (
                place % _BITS
            )
    hashes = hash_rows([*columns, pa.array(nulls)], rows.num_rows)
    order = np.argsort(hashes, kind="stable")
    return order, hashes[order]


def _numbers(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many like it stand before each of sorted hashes."""
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]]))
    lengths = np.diff(np.append(starts, len(hashes)))
    return np.asarray(np.arange(len(hashes)) - np.repeat(starts, lengths))


def _are_equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> NDArray[np.bool_]:
    same = pc.fill_null(pc.equal(one, other), False)
    same = pc.or_(same, pc.and_(pc.is_null(one), pc.is_null(other)))
    if pa.types.is_floating(one.type):
        both = pc.and_(pc.is_nan(one), pc.is_nan(other))
        same = pc.or_(same, pc.fill_null(both, False))
    return np.asarray(same.to_numpy(), bool)


def _without(files: Sequence[DataFile], places: NDArray[Any], rows: int) -> list[DataFile]:
    """Files without the rows at some places of all their live rows, one file after the other."""
    left = np.ones(rows, bool)
    left[places] = False
    ends = itertools.accumulate(file.live for file in files)
    some = []
    for file, end in zip(files, ends, strict=True):
        kept = _live_rows(file)
        kept[np.flatnonzero(kept)] = left[end - file.live : end]
        some.append(_some_of(file, kept))
    return [file for file in some if file.live]
