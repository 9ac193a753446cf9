"""States as rows of Arrow batches, and their sums by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice

import pyarrow as pa

from engine.states import decode

OUT_ROWS = 4096
MERGED_AT_ONCE = 16

# The "family" of a row that holds no state, but why there is none.
FAILURE = "failure"

STATE_SCHEMA = pa.schema(
    [
        ("model", pa.int32()),
        ("slice_set", pa.string()),
        ("slice_key", pa.string()),
        ("family", pa.string()),
        ("payload", pa.binary()),
    ]
)
STATE_KEY = ("slice_set", "slice_key", "model", "family")

Key = tuple[str, str, int, str]
StateBytes = tuple[Key, bytes]


def in_batches(rows: Iterable[StateBytes]) -> Iterator[pa.RecordBatch]:
    """Rows of states in batches of `OUT_ROWS`."""
    out: list[StateBytes] = []
    for row in rows:
        out.append(row)
        if len(out) >= OUT_ROWS:
            yield to_batch(out)
            out = []
    if out:
        yield to_batch(out)


def to_batch(rows: list[StateBytes]) -> pa.RecordBatch:
    """Rows of states as an Arrow batch of `STATE_SCHEMA`."""
    columns = [
        pa.array([key[2] for key, _ in rows], pa.int32()),
        pa.array([key[0] for key, _ in rows], pa.string()),
        pa.array([key[1] for key, _ in rows], pa.string()),
        pa.array([key[3] for key, _ in rows], pa.string()),
        pa.array([payload for _, payload in rows], pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=STATE_SCHEMA)


def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Adds the states of one key; the rows come sorted by `STATE_KEY`, so one is held at a time."""
    grouped = groupby(_keyed(batches), key=lambda row: row[0])
    return in_batches((key, _added(key, (each for _, each in rows))) for key, rows in grouped)


def _added(key: Key, payloads: Iterator[bytes]) -> bytes:
    """The sum of states as bytes; of reasons for a failure, the first in the alphabet."""
    if key[3] == FAILURE:
        return min(payloads)
    first, *few = islice(payloads, MERGED_AT_ONCE)
    if not few:
        return first
    state = decode(first)
    while few:
        state = state.merge(*map(decode, few))
        few = list(islice(payloads, MERGED_AT_ONCE))
    return state.encode()


def _keyed(batches: Iterable[pa.RecordBatch]) -> Iterator[StateBytes]:
    for batch in batches:
        models, sets, slices, families, payloads = (
            batch.column(name).to_pylist()
            for name in ("model", "slice_set", "slice_key", "family", "payload")
        )
        keys = zip(sets, slices, models, families, strict=True)
        yield from zip(keys, payloads, strict=True)
