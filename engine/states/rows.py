"""The rows of the states table: their families, their key, and batches of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

METER_COLUMNS = ("rows", "predictions", "predict_seconds", "scan_seconds", "loads", "batches")

# Goes up when the states of the same rows come out otherwise: all stored ones are then of no use.
# 2: shares have the squares of their weights beside them, and models are compared row by row.
# 3: the states of all slices of a set lie together; histograms know how many scores they had.
STATES_VERSION = 3

# The family of a model's predictions, which are kept in a table of their own.
PREDICTIONS = "predictions"

# The family of the counts of rows, which every slice of every model has.
ROWS = "rows"

OUT_BYTES = 32 * 2**20

# The families of rows that hold no state: why there is none, why one could not be taken from
# another, what a scan cost and what it took of the machine, which model is not deterministic, how
# many of its predictions were clipped or cannot be used, by what is wrong with them, and what a
# question found.
FAILURE = "failure"
IRREVERSIBLE = "irreversible"
METER = "meter"
CHANCE = "chance"
NOTES = "notes"
RESOURCES = "resources"
CLIPPED = "clipped"
ANSWER = "answer"

STATE_SCHEMA = pa.schema(
    [
        ("slice_set", pa.string()),
        ("block", pa.int32()),
        ("model", pa.int32()),
        ("family", pa.string()),
        ("sign", pa.int8()),
        ("slice_keys", pa.list_(pa.string())),
        ("payload", pa.binary()),
    ]
)

# The columns of merged states, as Spark names their types.
MERGED_DDL = (
    "slice_set string, block int, blocks int, model int, family string, state string, "
    "slice_keys array<string>, payload binary"
)
MERGED_SCHEMA = pa.schema(
    [
        ("slice_set", pa.string()),
        ("block", pa.int32()),
        ("blocks", pa.int32()),
        ("model", pa.int32()),
        ("family", pa.string()),
        ("state", pa.string()),
        ("slice_keys", pa.list_(pa.string())),
        ("payload", pa.binary()),
    ]
)
STATE_KEY = ("slice_set", "block", "model", "family")


class Key(NamedTuple):
    """What the rows share whose states are added; `slice_set` is "" for what holds no state."""

    slice_set: str
    block: int
    model: int
    family: str


class StateBytes(NamedTuple):
    """One row: states to add (sign 1) or to take away (-1), of the slices `slice_keys` name."""

    key: Key
    sign: int
    slice_keys: Sequence[str]
    payload: bytes


@dataclass(frozen=True, slots=True)
class StateRow:
    """One row of the states table; rows come sorted by slice set and block."""

    slice_set: str
    block: int
    model: int
    family: str
    slice_keys: Sequence[str]
    payload: bytes


def in_batches(rows: Iterable[StateBytes]) -> Iterator[pa.RecordBatch]:
    """Rows of states in batches of about `OUT_BYTES`."""
    out: list[StateBytes] = []
    size = 0
    for row in rows:
        out.append(row)
        size += len(row.payload)
        if size >= OUT_BYTES:
            yield to_batch(out)
            out, size = [], 0
    if out:
        yield to_batch(out)


def to_batch(rows: Sequence[StateBytes]) -> pa.RecordBatch:
    """Rows of states as an Arrow batch of `STATE_SCHEMA`."""
    columns = [
        [row.key.slice_set for row in rows],
        [row.key.block for row in rows],
        [row.key.model for row in rows],
        [row.key.family for row in rows],
        [row.sign for row in rows],
        [list(row.slice_keys) for row in rows],
        [row.payload for row in rows],
    ]
    arrays = [pa.array(c, field.type) for c, field in zip(columns, STATE_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=STATE_SCHEMA)


def failures_row(model: int, failures: dict[str, str]) -> StateBytes:
    """The reasons why families of a model have no states; the family "" is the model itself."""
    payload = json.dumps(failures, ensure_ascii=False, sort_keys=True).encode()
    return StateBytes(Key("", 0, model, FAILURE), 1, (), payload)


def chance_row(model: int, why: str) -> StateBytes:
    """Says of a model that it is not deterministic, and how that was found."""
    return StateBytes(Key("", 0, model, CHANCE), 1, (), why.encode())


def notes_row(model: int, counts: Mapping[str, int]) -> StateBytes:
    """How many predictions of a model were clipped, or cannot be used, by the words for it."""
    payload = json.dumps(dict(counts), ensure_ascii=False, sort_keys=True).encode()
    return StateBytes(Key("", 0, model, NOTES), 1, (), payload)


def resources_row(model: int, amounts: Mapping[str, float]) -> StateBytes:
    """What a scan took of the machine: sums, and peaks by names that end in `_peak_bytes`."""
    payload = json.dumps(dict(amounts), sort_keys=True).encode()
    return StateBytes(Key("", 0, model, RESOURCES), 1, (), payload)


def read_resources(payload: bytes) -> dict[str, float]:
    """The amounts that `resources_row` wrote."""
    amounts: dict[str, float] = json.loads(payload)
    return amounts


def add_resources(amounts: dict[str, float], more: Mapping[str, float]) -> None:
    """Adds what another scan took: of a peak the larger one."""
    for name, amount in more.items():
        held = amounts.get(name, 0.0)
        amounts[name] = max(held, amount) if name.endswith("_peak_bytes") else held + amount


def read_notes(payload: bytes) -> dict[str, int]:
    """The counts that `notes_row` wrote."""
    counts: dict[str, int] = json.loads(payload)
    return counts


def read_failures(payload: bytes) -> dict[str, str]:
    """The reasons that `failures_row` wrote."""
    failures: dict[str, str] = json.loads(payload)
    return failures
