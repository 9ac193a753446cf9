"""Reads the states that an evaluation is measured from: on the driver, or by Spark where large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from engine.states.rows import IRREVERSIBLE, STATES_VERSION, StateRow
from engine.store.states import (
    ROW,
    Kept,
    NotUpdatedError,
    Place,
    StateCatalog,
    blocks_of,
    is_small,
    kept_rows,
)
from engine.store.tables import StoreTable


def state_rows(table: StoreTable, catalog: StateCatalog) -> Iterator[StateRow]:
    """All that an evaluation of a run is measured from, sorted; few are held at a time.

    Raises:
        NotUpdatedError: where the scan of an unread catalog tells that.
        StoreError: when the table cannot be read.
    """
    usable = catalog.usable(catalog.plan.dataset.version)
    others = {
        place: kept
        for place, kept in usable.items()
        if not kept.writer.is_of(catalog.run_id, catalog.plan)
    }
    steps = {kept.writer.step for place, kept in usable.items() if place not in others}
    runs = {catalog.run_id, *(kept.writer.run_id for kept in others.values())}
    # What a scan has just given is here, and may not be in the table yet.
    is_here = catalog.fresh is not None or table.session.is_local
    if is_here or is_small(table, [("run_id", "in", sorted(runs))]):
        rows = _driver_rows(table, catalog, others, steps)
    else:
        from engine.store.state_frames import large_rows

        rows = large_rows(table, catalog, others, steps, blocks_of(usable))
    for row in rows:
        if row.family == IRREVERSIBLE and catalog.unread:
            raise NotUpdatedError(row.payload.decode())
        yield row


def _driver_rows(
    table: StoreTable, catalog: StateCatalog, others: Mapping[Place, Kept], steps: set[str]
) -> Iterator[StateRow]:
    """The rows by delta-rs, and those of a scan that has just ended from memory."""
    parts = []
    known, earlier = None, set(catalog.own_steps)
    if catalog.fresh is not None:
        known, rows = catalog.fresh
        earlier.discard(known)
        parts.append(rows.select(ROW))
    if earlier:
        where = [
            ("run_id", "=", catalog.run_id),
            ("evaluation", "=", catalog.plan.name),
            ("schema_version", "=", STATES_VERSION),
        ]
        own = table.rows([*ROW, "step"], where, spares=True)
        notes, chosen = pc.equal(own["slice_set"], ""), sorted(steps - {known})
        states = pc.is_in(own["step"], pa.array(chosen, pa.string()))
        own = own.filter(pc.or_(notes, states))
        if known is not None:
            own = own.filter(pc.not_equal(own["step"], known))
        parts.append(own.select(ROW))
    if others:
        parts.append(kept_rows(table, others))
    if not parts:
        return
    names = ("slice_set", "block", "model", "family")
    every = pa.concat_tables(parts, promote_options="permissive")
    ordered = every.sort_by([(name, "ascending") for name in names])
    payloads = ordered["payload"]
    columns = (ordered[name].to_pylist() for name in (*names, "slice_keys"))
    rows = zip(*columns, strict=True)
    for place, (slice_set, block, model, family, slice_keys) in enumerate(rows):
        payload = payloads[place].as_py()
        yield StateRow(slice_set, block, model, family, slice_keys or (), payload)
