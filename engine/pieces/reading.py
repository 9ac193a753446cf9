"""Reads pieces of Parquet files as Arrow batches: the table's columns, of Spark's types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.core.object_store import in_object_store
from engine.delta.arrow_types import plain_type
from engine.pieces.data_file import unpack_mask
from engine.pieces.opening import DamagedFileError, UnreadableError, open_parquet, unreachable
from engine.pieces.pieces import Piece

BATCH_ROWS = 65_536


# By these Spark marks files in which old days are counted by another calendar.
_OLD_CALENDAR = (b"org.apache.spark.legacyDateTime", b"org.apache.spark.legacyINT96")
_VERSION = b"org.apache.spark.version"


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A column to read: what the files call it, and the type that it is to have."""

    name: str
    stored: str
    type: pa.DataType


def read_pieces(pieces: Iterable[Piece], columns: Sequence[ReadColumn]) -> Iterator[pa.RecordBatch]:
    """The rows of pieces, without those that are deleted, with these columns.

    A column that a file lacks is null, as one that was added to the table later.

    Raises:
        DamagedFileError: for a file that is gone or damaged.
        UnreachableError: where its object store does not answer, or refuses.
        UnreadableError: for one that has another type than the table says.
    """
    for piece in pieces:
        try:
            yield from _read(piece, columns)
        except UnreadableError:
            raise
        except (OSError, pa.ArrowException) as error:
            is_gone = isinstance(error, (FileNotFoundError, pa.ArrowException))
            if in_object_store(piece.file.path) and isinstance(error, OSError) and not is_gone:
                raise unreachable(piece.file.path, error) from error
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise DamagedFileError(f"the file {piece.file.path}: {told}") from error


def _read(piece: Piece, columns: Sequence[ReadColumn]) -> Iterator[pa.RecordBatch]:
    partition = piece.file.partition
    with open_parquet(piece.file.path) as file:
        _check_calendar(piece, file, columns)
        stored = _stored_names(file, [c for c in columns if c.name not in partition])
        groups, first = _row_groups(file.metadata, piece)
        keep = None
        if piece.file.deleted is not None:
            keep = unpack_mask(piece.file.deleted, piece.file.rows)
        at = first
        names = sorted(set(stored.values()))
        # A worker has one core, and others are at work beside it.
        for batch in file.iter_batches(BATCH_ROWS, groups, names, use_threads=False):
            start, at = at, at + batch.num_rows
            low, high = max(piece.start, start), min(piece.stop, at)
            if low >= high:
                continue
            part = _without_views(batch.slice(low - start, high - low))
            if keep is not None:
                part = part.filter(pa.array(keep[low:high]))
            if part.num_rows:
                yield _cast(part, columns, stored, partition)
            if at >= piece.stop:
                break


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Texts and bytes as they are elsewhere: Arrow cannot choose rows of views of them.

    delta-rs writes these where it rewrites a file.
    """
    types = [plain_type(kind) for kind in batch.schema.types]
    if types == batch.schema.types:
        return batch
    columns = [column.cast(kind) for column, kind in zip(batch.columns, types, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _row_groups(metadata: pq.FileMetaData, piece: Piece) -> tuple[list[int], int]:
    """The row groups in which the rows of a piece are, and the place of their first row."""
    sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    ends = np.cumsum(sizes)
    if not len(ends) or ends[-1] != piece.file.rows:
        there = int(ends[-1]) if len(ends) else 0
        raise DamagedFileError(
            f"the file {piece.file.path} has {there:,} rows, the table's log says "
            f"{piece.file.rows:,}: it is not the file that was written"
        )
    starts = ends - sizes
    groups = [n for n in range(len(sizes)) if starts[n] < piece.stop and ends[n] > piece.start]
    return groups, int(starts[groups[0]]) if groups else 0


def _stored_names(file: pq.ParquetFile, columns: Sequence[ReadColumn]) -> dict[str, str]:
    """The names under which a file has columns, of those that it has; as Spark, in any case."""
    names = file.schema_arrow.names
    lower: dict[str, list[str]] = {}
    for name in names:
        lower.setdefault(name.lower(), []).append(name)
    stored = {}
    for column in columns:
        alike = [column.stored] if column.stored in names else lower.get(column.stored.lower(), [])
        if len(alike) > 1:
            raise UnreadableError(f"a file has the columns {alike}, of one name in another case")
        if alike:
            stored[column.name] = alike[0]
    return stored


def _cast(
    batch: pa.RecordBatch,
    columns: Sequence[ReadColumn],
    stored: Mapping[str, str],
    partition: Mapping[str, pa.Array],
) -> pa.RecordBatch:
    arrays = []
    for column in columns:
        if column.name in partition:
            value = partition[column.name].cast(column.type)[0]
            arrays.append(pa.repeat(value, batch.num_rows))
        elif column.name in stored:
            arrays.append(_to_type(batch.column(stored[column.name]), column))
        else:
            arrays.append(pa.nulls(batch.num_rows, column.type))
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _to_type(array: pa.Array, column: ReadColumn) -> pa.Array:
    """The values in the type that the table says; another type in a file is an error."""
    if array.type == column.type:
        return array
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_string(column.type) and pa.types.is_binary(array.type):
        # A text of other writers; whether its bytes are one is not asked here, as Spark does not.
        return array.view(pa.string())
    if not _is_alike(array.type, column.type):
        raise UnreadableError(
            f"the column {column.name!r} is {array.type} in a file, and {column.type} in the table"
        )
    try:
        return array.cast(column.type)
    except pa.ArrowInvalid as error:
        # Arrow's words have the value.
        raise UnreadableError(
            f"the column {column.name!r} has values in a file that {column.type} has not"
        ) from error


def _is_alike(stored: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a type of a file holds the values of a table's type, and no others."""
    same: tuple[Any, ...] = (
        pa.types.is_integer,
        pa.types.is_decimal,
        pa.types.is_timestamp,
        lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
        lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
    )
    if pa.types.is_list(wanted) or pa.types.is_large_list(wanted):
        lists = pa.types.is_list(stored) or pa.types.is_large_list(stored)
        return lists and (
            stored.value_type == wanted.value_type
            or _is_alike(stored.value_type, wanted.value_type)
        )
    return any(is_one(stored) and is_one(wanted) for is_one in same)


def _check_calendar(piece: Piece, file: pq.ParquetFile, columns: Sequence[ReadColumn]) -> None:
    """Refuses days and times of a file that counts old ones by the Julian calendar."""
    about = file.metadata.metadata or {}
    version = about.get(_VERSION, b"3").decode(errors="replace")
    major = version.partition(".")[0]
    old = any(key in about for key in _OLD_CALENDAR) or (major.isdigit() and int(major) < 3)
    if old and any(pa.types.is_temporal(column.type) for column in columns):
        raise UnreadableError(
            f"the file {piece.file.path} was written by Spark {version} with an older calendar"
        )
