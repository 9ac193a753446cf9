"""Kept predictions that are joined to rows without Spark, each worker to those that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pyarrow as pa

from engine.execution.distribute import PieceRows
from engine.execution.incremental import StatePlan
from engine.pieces.scanning import PieceReader
from engine.planning.scan_columns import KEY_COLUMN
from engine.store.kept_index import KeptScores, build_index
from engine.store.predictions import kept_batches, stale_batches
from engine.store.tables import StoreTables


def join_kept_here(
    tables: StoreTables, todo: StatePlan, given: PieceRows | None, folder: Path
) -> PieceRows | None:
    """All rows, with what is kept of the predictions that a scan of them needs.

    Args:
        tables: the store's.
        todo: what there is to compute.
        given: all rows; None where only those are scanned that came and went.
        folder: where the workers find what is kept.

    Raises:
        StoreError: when the table of predictions cannot be read.
    """
    wanted = todo.usable_predictions
    if given is None or not wanted:
        return given
    indices = []
    for number, kept in sorted(wanted.items()):
        own = folder / f"kept-{number}"
        own.mkdir()
        stale = stale_batches(_stale_keys(todo), kept)
        rows = chain(kept_batches(kept, tables["predictions"]), stale)
        indices.append((number, build_index(rows, own, todo.plan.dataset.rows)))
    return replace(given, kept=KeptScores(tuple(indices)))


def _stale_keys(todo: StatePlan) -> Iterator[pa.Array]:
    """The keys of the rows that came since predictions were made."""
    if todo.stale is None or todo.stale.came is None:
        return
    assert isinstance(todo.stale.came, PieceRows), "without Spark what came is read in pieces"
    yield from key_batches(todo.stale.came)


def key_batches(given: PieceRows) -> Iterator[pa.Array]:
    """The keys of rows as texts, under which predictions are kept; no other column is read."""
    derived = {name: column for name, column in given.reader.derived if name == KEY_COLUMN}
    read = [column for column in given.reader.read if column.name in derived[KEY_COLUMN].columns]
    reader = PieceReader((KEY_COLUMN,), tuple(read), tuple(derived.items()))
    for batch in reader.batches(given.pieces):
        yield batch.column(0)
