"""The rows of a dataset, read to be made more of, or to have something planted in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from engine.core.locations import Store
from engine.data.columns import near_column
from engine.data.files.lake import Question, take
from engine.data.files.table_state import FILE_COLUMN
from engine.data.generation.copies import hash_rows
from engine.data.generation.recipe import Recipe, SourceTable
from engine.data.source import Source, pin_table
from engine.delta.local_table import plain_types
from engine.delta.object_look import open_table
from engine.errors import DataError
from engine.spark.api import F
from engine.spark.lazy_session import LazySession


@dataclass(frozen=True, slots=True)
class SourceRows:
    """A version of a table, and rows of it in an order that their content decides.

    `total` is how many the table has; with more than were asked for the rows are a sample.
    """

    table: str
    version: int
    total: int
    rows: pa.Table


def read_source(session: LazySession, recipe: Recipe) -> SourceRows:
    """The rows of the recipe's dataset: all of it, or the sample that its distributions are of.

    Raises:
        DataError: when there is no such table, or it lacks a column that the recipe names.
    """
    assert recipe.dataset is not None, "the recipe has a dataset"
    pinned = _pin(session, recipe.dataset, recipe.store)
    names = [name for name in pinned.columns if name != FILE_COLUMN]
    _check_names(recipe, names)
    names = [name for name in names if name not in recipe.leave_out]
    most = None if recipe.real else recipe.fit_rows
    rows, total = _read(session, pinned, names, most)
    return SourceRows(pinned.table, pinned.version, total, rows)


def _pin(session: LazySession, dataset: SourceTable, root: str) -> Source:
    if dataset.fmt == "delta":
        return pin_table(session, dataset.place, dataset.version)
    store = Store(root)
    store.check_writable()
    # A table of its own: one that a suite calls like the files has other rows.
    mark = hashlib.sha256(str(Path(dataset.place).absolute()).encode()).hexdigest()[:12]
    table = store.lake_table(f"generate-{mark}")
    asked = Question(dataset.place, dataset.fmt, table, facts=store.files / "cache" / "files")
    taken = take(session, asked)
    return pin_table(session, taken.table, taken.version)


def _check_names(recipe: Recipe, names: list[str]) -> None:
    wanted: dict[str, list[str | None]] = {
        "label": [recipe.label], "key": [recipe.key], "by": [*recipe.by],
        "leave_out": [*recipe.leave_out],
    }  # fmt: skip
    missing = [
        f"{use} {name!r}{near_column(name, names)}"
        for use, columns in wanted.items()
        for name in columns
        if name is not None and name not in names
    ]
    if missing:
        shown = ", ".join(map(repr, names[:50]))
        raise DataError(f"the dataset has no column for {'; '.join(missing)}; it has {shown}")


def _read(
    session: LazySession, pinned: Source, names: list[str], most: int | None
) -> tuple[pa.Table, int]:
    path = None if pinned.catalog else session.direct_place(pinned.table)
    if path is None:
        return _read_by_spark(pinned, names, most)
    scan = open_table(path, pinned.version).scan(columns=names)
    reader = pa.RecordBatchReader.from_stream(scan)
    parts, total = [], 0
    for batch in reader:
        part = plain_types(pa.Table.from_batches([batch]))
        total += part.num_rows
        parts.append(with_hash(part))
        there = sum(part.num_rows for part in parts)
        if most is not None and there > 2 * most:
            # The rows with the smallest hashes stay: the same ones in any order of the files.
            parts = [pa.concat_tables(parts).sort_by(HASH).slice(0, most)]
    if not parts:
        return plain_types(pa.Table.from_batches([], reader.schema)), 0
    rows = pa.concat_tables(parts).sort_by(HASH)
    return rows.slice(0, most).drop_columns([HASH]).combine_chunks(), total


HASH = "\0hash of the row"


def with_hash(rows: pa.Table) -> pa.Table:
    """Rows with a hash of what they hold."""
    return rows.append_column(HASH, pa.array(hash_rows(rows)))


def _read_by_spark(pinned: Source, names: list[str], most: int | None) -> tuple[pa.Table, int]:
    whole = pinned.frame()
    # By names as they are: a column may be called anything.
    frame = whole.drop(*[name for name in whole.columns if name not in names])
    total = frame.count()
    if most is not None and total > most:
        hashes = F.xxhash64(F.struct("*")).alias(HASH)
        frame = frame.select("*", hashes).orderBy(HASH).limit(most).drop(HASH)
    rows = with_hash(frame.toArrow()).sort_by(HASH)
    return rows.drop_columns([HASH]).combine_chunks(), total
