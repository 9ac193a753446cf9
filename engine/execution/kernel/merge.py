"""States as rows of Arrow batches, and their sums by key.

A row holds the states of many slices: all those of a slice set, or one part ("block") of them. So
adding two partitions is a few operations on arrays, however many slices there are.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby, islice

import numpy as np
import pyarrow as pa

from engine.planning.slices import SliceIndex, slice_key
from engine.states import Ints, NotInvertible, States, Sums, decode
from engine.states.codec import CodecError
from engine.states.rows import (
    CHANCE,
    FAILURE,
    IRREVERSIBLE,
    MERGED_SCHEMA,
    NOTES,
    RESOURCES,
    ROWS,
    STATE_SCHEMA,
    Key,
    StateBytes,
    add_resources,
    failures_row,
    in_batches,
    notes_row,
    read_failures,
    read_notes,
    read_resources,
    resources_row,
)

MERGED_AT_ONCE = 16


def block_of(key: str, blocks: int) -> int:
    """The block of a slice set in which a slice is."""
    return zlib.crc32(key.encode()) % blocks


def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Adds the states of one key, and takes away what has the sign -1.

    The rows come sorted by `STATE_KEY`, so few are held at a time. Where something cannot be taken
    away, or is damaged, there is a row of the family `IRREVERSIBLE` in its place, which says why.
    """
    grouped = groupby(_rows(batches), key=lambda row: row.key)
    return in_batches(_sum_rows(key, rows) for key, rows in grouped)


def merge_named(
    batches: Iterable[pa.RecordBatch],
    names: Mapping[tuple[int, str, str], str | None],
    blocks: Mapping[str, int],
) -> Iterator[pa.RecordBatch]:
    """The sums of states under the names by which they are kept (`MERGED_SCHEMA`).

    Args:
        batches: rows sorted by `STATE_KEY`.
        names: the names of states, by model, slice set and family.
        blocks: into how many parts the states of a slice set go, where it is more than one.
    """
    for batch in merge(batches):
        sets, models, families = (
            batch.column(name).to_pylist() for name in ("slice_set", "model", "family")
        )
        places = zip(models, sets, families, strict=True)
        columns = {
            **{name: batch.column(name) for name in batch.schema.names if name != "sign"},
            "blocks": pa.array([blocks.get(slice_set, 1) for slice_set in sets], pa.int32()),
            "state": pa.array([names.get(place) for place in places], pa.string()),
        }
        yield pa.RecordBatch.from_pydict({name: columns[name] for name in MERGED_SCHEMA.names})


def _sum_rows(key: Key, rows: Iterator[StateBytes]) -> StateBytes:
    """The sum of the rows of a key; of several reasons for one thing, the first in the alphabet."""
    if key.family == CHANCE:
        return min(rows, key=lambda row: row.payload)
    if key.family == NOTES:
        counts: Counter[str] = Counter()
        for row in rows:
            counts.update(read_notes(row.payload))
        return notes_row(key.model, counts)
    if key.family == RESOURCES:
        amounts: dict[str, float] = {}
        for row in rows:
            add_resources(amounts, read_resources(row.payload))
        return resources_row(key.model, amounts)
    if key.family == FAILURE:
        reasons: dict[str, str] = {}
        for row in rows:
            for family, why in read_failures(row.payload).items():
                reasons[family] = min(why, reasons.get(family, why))
        return failures_row(key.model, reasons)
    sums = {1: RunningSum(), -1: RunningSum()}
    numbers: dict[str, int] = {}
    few = list(islice(rows, 2))
    if len(few) == 1 and few[0].sign > 0:
        return few[0]
    try:
        for row in chain(few, rows):
            places = [numbers.setdefault(slice_name, len(numbers)) for slice_name in row.slice_keys]
            states = decode(row.payload).renumber(np.array(places, np.int64), len(numbers))
            sums[row.sign].add(states)
        state = _less(sums[1].total(), sums[-1].total())
    except (NotInvertible, CodecError) as error:
        place = (key.slice_set, str(key.block), key.family)
        return StateBytes(Key("", 0, key.model, IRREVERSIBLE), 1, place, str(error).encode())
    kept = _remaining_slices(key, list(numbers), state)
    names = [name for name, _ in kept]
    chosen = state.select(np.array([number for _, number in kept], np.int64))
    return StateBytes(key, 1, names, chosen.encode())


def _less(state: States | None, gone: States | None) -> States:
    if state is None:
        raise NotInvertible("there is nothing from which rows could be taken")
    return state if gone is None else state.minus(gone)


def _remaining_slices(key: Key, names: list[str], state: States) -> list[tuple[str, int]]:
    """The slices in the order of their names, without those all of whose rows have gone."""
    everything = slice_key(())
    numbered = sorted(zip(names, range(len(names)), strict=True))
    if key.family != ROWS or not isinstance(state, Sums):
        return numbered
    some = (state.values != 0).any(axis=(1, 2)).tolist()
    return [(name, number) for name, number in numbered if some[number] or name == everything]


@dataclass(slots=True)
class RunningSum:
    """A sum of states on its way: some are held and added at once."""

    _sum: States | None = None
    _held: list[States] = field(default_factory=list)

    def add(self, states: States) -> None:
        self._held.append(states)
        if len(self._held) >= MERGED_AT_ONCE:
            self._sum, self._held = self.total(), []

    def total(self) -> States | None:
        """The sum so far; None of nothing."""
        every = self._held if self._sum is None else [self._sum, *self._held]
        return every[0].merge(*every[1:]) if every else None


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[StateBytes]:
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in STATE_SCHEMA.names]
        for slice_set, block, model, family, sign, slice_keys, payload in zip(
            *columns, strict=True
        ):
            yield StateBytes(Key(slice_set, block, model, family), sign, slice_keys, payload)


def slices_by_block(index: SliceIndex, blocks: int) -> Iterator[tuple[int, Ints]]:
    """The numbers of a set's slices, block after block; the first also where there is no slice.

    The groups of a slice that are compared are in one block, by what they have in common.
    """
    compared = index.slice_set.parent is not None
    keys = (slice_key(values[:-1] if compared else values) for values in index.keys)
    block_numbers = np.array([block_of(key, blocks) if blocks > 1 else 0 for key in keys], np.int64)
    for block in range(blocks):
        numbers = np.flatnonzero(block_numbers == block)
        if len(numbers) or block == 0:
            yield block, numbers
