"""Spark's `xxhash64` of Arrow columns, in vectors: the hash that puts a row into its bucket.

A row's hash is that of its first column with the seed 42, which seeds that of the second, and so
on; a null leaves it as it is. It is XXH64 (Yann Collet, https://github.com/Cyan4973/xxHash), as
`org.apache.spark.sql.catalyst.expressions.XXH64` applies it to Spark's own layout of values: so
rows are in the same buckets whoever reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SEED = 42
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)
_STRIPE, _WORD, _HALF = 32, 8, 4
_LONG_DIGITS = 18

Hashes = NDArray[np.uint64]


def is_hashable(kind: pa.DataType) -> bool:
    """Whether there is a hash of values of a type."""
    types = pa.types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_string(kind)
        or types.is_binary(kind)
        or types.is_date32(kind)
        or types.is_timestamp(kind)
        or types.is_decimal128(kind)
    )


def hash_rows(columns: Iterable[pa.Array], rows: int) -> NDArray[np.int64]:
    """The hash of each row of some columns.

    Args:
        columns: columns of types that `is_hashable`; timestamps in microseconds.
        rows: how many rows they have.

    Returns:
        int64 of shape (rows,): what `xxhash64` gives, where zeros have no sign and all NaN are one.
    """
    hashes = np.full(rows, SEED, np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            hashed = _hash_column(column, hashes)
            if column.null_count:
                there = column.is_valid().to_numpy(zero_copy_only=False)
                hashed = np.where(there, hashed, hashes)
            hashes = hashed
    return hashes.view(np.int64)


def as_stored(column: pa.Array) -> pa.Array:
    """A column as Spark hashes it: numbers of 32 bits as these bits, with one zero and one NaN."""
    if not pa.types.is_float32(column.type):
        return column
    numbers = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False) + np.float32(0)
    numbers = np.where(np.isnan(numbers), np.float32(np.nan), numbers)
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    return pa.array(numbers.view(np.int32), mask=nulls)


def _hash_column(column: pa.Array, seeds: Hashes) -> Hashes:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _hash_bytes(column, seeds)
    if pa.types.is_decimal128(kind):
        if kind.precision > _LONG_DIGITS:
            return _hash_bytes(_unscaled_bytes(column), seeds)
        # The low half of 128 bits, which holds all of so few digits.
        words = np.frombuffer(column.buffers()[1], np.uint64)
        return _hash_longs(words[0::2][column.offset : column.offset + len(column)], seeds)
    if pa.types.is_floating(kind):
        numbers = _numbers(column, pa.float64(), 0.0) + 0.0
        numbers = np.where(np.isnan(numbers), np.nan, numbers)
        return _hash_longs(numbers.view(np.uint64), seeds)
    if pa.types.is_timestamp(kind):
        column = column.view(pa.int64()) if kind.unit == "us" else column.cast(_micros(kind))
        return _hash_longs(_numbers(column.view(pa.int64()), pa.int64(), 0).view(np.uint64), seeds)
    if pa.types.is_date32(kind):
        column = column.view(pa.int32())
    if kind == pa.int64():
        return _hash_longs(_numbers(column, pa.int64(), 0).view(np.uint64), seeds)
    return _hash_ints(_numbers(column, pa.int32(), 0).view(np.uint32), seeds)


def _micros(kind: pa.TimestampType) -> pa.DataType:
    return pa.timestamp("us", kind.tz)


def _numbers(column: pa.Array, kind: pa.DataType, instead: float) -> NDArray[Any]:
    """The numbers of a column in a type, with another in the place of nulls."""
    values = pc.fill_null(pc.cast(column, kind, safe=False), instead)
    return np.ascontiguousarray(values.to_numpy(zero_copy_only=False))


def _rotate(values: Hashes, bits: int) -> Hashes:
    return np.asarray((values << np.uint64(bits)) | (values >> np.uint64(64 - bits)))


def _finish(hashes: Hashes) -> Hashes:
    """The avalanche at the end of a hash."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * _P2
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _P3
    return np.asarray(hashes ^ (hashes >> np.uint64(32)))


def _add_word(hashes: Hashes, words: Hashes) -> Hashes:
    mixed = hashes ^ (_rotate(words * _P2, 31) * _P1)
    return np.asarray(_rotate(mixed, 27) * _P1 + _P4)


def _add_half(hashes: Hashes, halves: NDArray[np.uint32]) -> Hashes:
    mixed = hashes ^ (halves.astype(np.uint64) * _P1)
    return np.asarray(_rotate(mixed, 23) * _P2 + _P3)


def _add_byte(hashes: Hashes, single: NDArray[np.uint8]) -> Hashes:
    mixed = hashes ^ (single.astype(np.uint64) * _P5)
    return np.asarray(_rotate(mixed, 11) * _P1)


def _hash_longs(words: Hashes, seeds: Hashes) -> Hashes:
    return _finish(_add_word(seeds + (_P5 + np.uint64(_WORD)), words))


def _hash_ints(halves: NDArray[np.uint32], seeds: Hashes) -> Hashes:
    return _finish(_add_half(seeds + (_P5 + np.uint64(_HALF)), halves))


def _hash_bytes(column: pa.Array, seeds: Hashes) -> Hashes:
    """The hashes of texts or bytes of any lengths: a step for each word of the longest."""
    starts, lengths, memory = _memory(column)
    hashes = seeds + _P5
    long = np.flatnonzero(lengths >= _STRIPE)
    if len(long):
        hashes[long] = _hash_stripes(starts[long], lengths[long], memory, seeds[long])
    hashes += lengths.astype(np.uint64)
    at = starts + (lengths // _STRIPE) * _STRIPE
    left = lengths % _STRIPE
    words, halves = _view(memory, np.uint64), _view(memory, np.uint32)
    for size, view, add in (
        (_WORD, words, _add_word),
        (_HALF, halves, _add_half),
        (1, memory, _add_byte),
    ):
        rows = np.flatnonzero(left >= size)
        while len(rows):
            hashes[rows] = add(hashes[rows], view[at[rows]])
            at[rows] += size
            left[rows] -= size
            rows = rows[left[rows] >= size]
    return _finish(hashes)


def _hash_stripes(
    starts: NDArray[np.int64], lengths: NDArray[np.int64], memory: NDArray[np.uint8], seeds: Hashes
) -> Hashes:
    """The hashes of the whole 32 bytes of values that have any."""
    words = _view(memory, np.uint64)
    lanes: list[Hashes] = [seeds + _P1 + _P2, seeds + _P2, seeds.copy(), seeds - _P1]
    rows, at = np.arange(len(starts)), starts.copy()
    left = lengths // _STRIPE
    while len(rows):
        for place, lane in enumerate(lanes):
            word: Hashes = words[at[rows] + place * _WORD]
            lane[rows] = _rotate(lane[rows] + word * _P2, 31) * _P1
        at[rows] += _STRIPE
        left[rows] -= 1
        rows = rows[left[rows] > 0]
    hashes = np.zeros(len(starts), np.uint64)
    for number, bits in enumerate((1, 7, 12, 18)):
        hashes += _rotate(np.asarray(lanes[number], np.uint64), bits)
    for lane in lanes:
        hashes = (hashes ^ (_rotate(lane * _P2, 31) * _P1)) * _P1 + _P4
    return hashes


def _memory(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Where the values of a column begin, how long they are, and the memory that they lie in."""
    stored = np.frombuffer(column.buffers()[1], np.int32)
    offsets = stored[column.offset : column.offset + len(column) + 1].astype(np.int64)
    data = column.buffers()[2]
    first, last = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    # Some bytes more, so that a word can be read at each place.
    memory = np.zeros(last - first + _WORD, np.uint8)
    if data is not None and last > first:
        memory[: last - first] = np.frombuffer(data, np.uint8)[first:last]
    lengths: NDArray[np.int64] = np.diff(offsets)
    if column.null_count:
        lengths[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return offsets[:-1] - first, lengths, memory


def _view(memory: NDArray[np.uint8], kind: type[np.generic]) -> NDArray[Any]:
    """The memory as words that begin at each of its bytes."""
    size = np.dtype(kind).itemsize
    return np.ndarray((len(memory) - size + 1,), kind, memory, strides=(1,))


def _unscaled_bytes(column: pa.Array) -> pa.Array:
    """Decimals as the bytes of their whole numbers: two's complement, no longer than needed."""
    words = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, 16)
    words = words[column.offset : column.offset + len(column)]
    numbers = (int.from_bytes(word.tobytes(), "little", signed=True) for word in words)
    raw = [n.to_bytes((n + (n < 0)).bit_length() // 8 + 1, "big", signed=True) for n in numbers]
    return pa.array(raw, pa.binary())
