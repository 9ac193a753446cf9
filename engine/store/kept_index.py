"""Kept predictions as scans without Spark find them: files that are sorted by the hash of the key.

Workers map the files into memory and search them, so all of them share what the system holds of
them, and none reads a table of predictions whole. Here is no delta-rs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.pieces.row_hash import hash_rows
from engine.planning.scan_columns import KEY_COLUMN, kept_column

# So many predictions are sorted at a time; of more the hash says into which file they go.
FILE_ROWS = 500_000
_MOST_BITS = 8
SCORES = pa.list_(pa.float64())
ROWS = pa.schema(
    [("key", pa.string()), ("scores", SCORES), ("place", pa.int64()), ("at", pa.int64())]
)
"""What an index is made of: `place` and then `at` say which of a key's scores are the newest; null
in the place of scores says that there are none that hold."""
_HASHED = ROWS.append(pa.field("hash", pa.uint64()))
_FOUND = pa.schema([("hash", pa.uint64()), ("key", pa.string()), ("scores", SCORES)])

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class KeptIndex:
    """The newest predictions of a model by their keys, in a file for each beginning of a hash."""

    files: tuple[str, ...]

    def scores_of(self, keys: pa.Array) -> pa.Array:
        """The scores that are kept for each key; null where there are none."""
        hashes = hash_rows([keys], len(keys)).view(np.uint64)
        numbers = _file_numbers(hashes, len(self.files))
        parts, places = [pa.nulls(0, SCORES)], [np.zeros(0, np.int64)]
        for number in np.unique(numbers):
            at = np.flatnonzero(numbers == number)
            parts.append(_find(_open(self.files[number]), hashes[at], keys.take(pa.array(at))))
            places.append(at)
        order = np.argsort(np.concatenate(places))
        return pa.concat_arrays(parts).take(pa.array(order))


@dataclass(frozen=True, slots=True)
class KeptScores:
    """What is kept of the predictions of models, by their numbers."""

    indices: tuple[tuple[int, KeptIndex], ...]

    def join(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Batches of rows with a column for each model of what is kept for their keys."""
        for batch in batches:
            keys = batch.column(KEY_COLUMN)
            for number, index in self.indices:
                batch = batch.append_column(kept_column(number), index.scores_of(keys))
            yield batch


def build_index(rows: Iterable[pa.RecordBatch], folder: Path, count: int) -> KeptIndex:
    """Sorts predictions into files, half a million of them in memory at a time.

    Args:
        rows: the predictions, in any order (`ROWS`).
        folder: where the files are made; it is empty.
        count: about how many there are.
    """
    bits = min((count // FILE_ROWS).bit_length(), _MOST_BITS)
    names = [folder / f"{number}.arrow" for number in range(1 << bits)]
    _spread(rows, names)
    for name in names:
        _sort_file(name)
    return KeptIndex(tuple(map(str, names)))


def _file_numbers(hashes: Hashes, count: int) -> Places:
    """In which file each hash is: by its first bits."""
    if count == 1:
        return np.zeros(len(hashes), np.int64)
    shift = np.uint64(64 - (count.bit_length() - 1))
    return np.asarray((hashes >> shift).astype(np.int64))


def _spread(rows: Iterable[pa.RecordBatch], names: list[Path]) -> None:
    """Puts each row into the file that its hash says."""
    sinks = [pa.OSFile(str(name), "wb") for name in names]
    writers = [pa.ipc.new_file(sink, _HASHED) for sink in sinks]
    try:
        for batch in rows:
            keys = batch.column("key")
            hashes = hash_rows([keys], len(keys)).view(np.uint64)
            hashed = batch.append_column("hash", pa.array(hashes))
            numbers = _file_numbers(hashes, len(names))
            for number in np.unique(numbers):
                part = hashed if len(names) == 1 else hashed.filter(pa.array(numbers == number))
                writers[number].write_batch(part.cast(_HASHED))
    finally:
        for closing in (*writers, *sinks):
            closing.close()


def _sort_file(name: Path) -> None:
    """Sorts a file by hash, and leaves of each key the newest scores, where there are any."""
    with pa.OSFile(str(name)) as source:
        rows = pa.ipc.open_file(source).read_all().combine_chunks()
    hashes, places, times = (rows[column].to_numpy() for column in ("hash", "place", "at"))
    rows = rows.take(pa.array(np.lexsort((times, places, hashes))))
    same = _same_as_next(rows, ["hash"])
    if (same & ~_same_as_next(rows, ["hash", "key"])).any():
        # Two keys have one hash: those of each must come together.
        order = ["hash", "key", "place", "at"]
        rows = rows.sort_by([(column, "ascending") for column in order])
        same = _same_as_next(rows, ["hash", "key"])
    newest = rows.filter(pa.array(np.append(~same, [True])[: rows.num_rows]))
    there = newest.filter(pc.is_valid(newest["scores"])).select(_FOUND.names).combine_chunks()
    name.unlink()
    with pa.OSFile(str(name), "wb") as sink, pa.ipc.new_file(sink, _FOUND) as writer:
        writer.write_table(there)


def _same_as_next(rows: pa.Table, names: list[str]) -> NDArray[np.bool_]:
    """Whether a row has in some columns what the next one has."""
    same = np.ones(max(rows.num_rows - 1, 0), bool)
    for name in names:
        values = rows[name].combine_chunks()
        equal = pc.equal(values.slice(1), values.slice(0, max(len(values) - 1, 0)))
        same &= equal.to_numpy(zero_copy_only=False)
    return same


@lru_cache(maxsize=1 << (_MOST_BITS + 2))
def _open(file: str) -> tuple[Hashes, pa.Array, pa.Array]:
    """The hashes, keys and scores of a file, read where they lie."""
    rows = pa.ipc.open_file(pa.memory_map(file)).read_all()
    if not rows.num_rows:
        return np.zeros(0, np.uint64), pa.nulls(0, pa.string()), pa.nulls(0, SCORES)
    hashes, keys, scores = (rows[name].chunk(0) for name in _FOUND.names)
    return np.asarray(hashes.to_numpy()), keys, scores


def _find(known: tuple[Hashes, pa.Array, pa.Array], hashes: Hashes, keys: pa.Array) -> pa.Array:
    """The scores of some keys in a file; null where it lacks them."""
    there, names, scores = known
    at = np.searchsorted(there, hashes).astype(np.int64)
    answer = np.full(len(hashes), -1, np.int64)
    left = np.arange(len(hashes))
    while len(left):
        left = left[at[left] < len(there)]
        left = left[there[at[left]] == hashes[left]]
        equal = pc.equal(names.take(pa.array(at[left])), keys.take(pa.array(left)))
        same = equal.to_numpy(zero_copy_only=False).astype(bool)
        answer[left[same]] = at[left[same]]
        # Another key of the same hash is the next one.
        left = left[~same]
        at[left] += 1
    return scores.take(pa.array(answer, mask=answer < 0))
