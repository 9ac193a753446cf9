"""One codec for all states: named arrays to bytes and back, typed, versioned and checksummed.

Layout: magic `EMS2`, CRC-32 of what follows, then a JSON header line (the kind, its parameters, and
of each array the dtype, the shape and the lengths of its planes), then the planes. A plane has of
all numbers of an array the same byte: the first of all, then the second, and so on, little-endian,
since the high bytes are mostly alike. It is a zlib stream if that is shorter, else the bytes. No
pickle, so a foreign payload can be refused but cannot run.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EvalMatrixError

MAGIC = b"EMS2"
_DTYPES = frozenset({"<f8", "<i8", "<u4", "<u2", "|u1", "|b1"})
_COUNTS = (np.uint8, np.uint16, np.uint32)
# So much of a plane is tried first.
_SAMPLE = 4096
_HEAD = struct.Struct("<4sI")


_PACKS: ContextVar[bool] = ContextVar("packs", default=True)


@contextmanager
def loose_planes() -> Iterator[None]:
    """Leaves the planes of states that are encoded in the block as they are.

    Those that are on their way to a sum are read once: what packing them costs, it does not spare.
    """
    token = _PACKS.set(False)
    try:
        yield
    finally:
        _PACKS.reset(token)


class CodecError(EvalMatrixError):
    """A payload that is no state of this version, or was changed since it was written."""


def encode(kind: str, params: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a state.

    Raises:
        ValueError: for an array of a dtype that the codec does not carry.
    """
    described, parts = [], []
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<").str
        if dtype not in _DTYPES:
            raise ValueError(f"array {name!r} has dtype {array.dtype}, expected one of {_DTYPES}")
        planes = _planes(np.ascontiguousarray(array, dtype))
        described.append([name, dtype, list(array.shape), [len(plane) for plane in planes]])
        parts += planes
    header = json.dumps({"kind": kind, "params": dict(params), "arrays": described})
    body = b"".join([header.encode(), b"\n", *parts])
    return _HEAD.pack(MAGIC, zlib.crc32(body)) + body


def decode(payload: bytes) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
    """The kind, parameters and arrays of a payload; the arrays cannot be written to.

    Raises:
        CodecError: when the payload is not one of this version, or damaged.
    """
    if len(payload) < _HEAD.size:
        raise CodecError(f"a state of {len(payload)} bytes is too short to be one")
    magic, checksum = _HEAD.unpack_from(payload)
    if magic != MAGIC:
        raise CodecError(f"a state begins with {magic!r}, expected {MAGIC!r}")
    if zlib.crc32(memoryview(payload)[_HEAD.size :]) != checksum:
        raise CodecError("a state does not match its checksum: it was damaged since it was written")
    # A payload with a right checksum can still come from elsewhere, with anything in it.
    try:
        end = payload.index(b"\n", _HEAD.size)
        header = json.loads(payload[_HEAD.size : end])
        kind, params = str(header["kind"]), dict(header["params"])
        described = [
            Described(str(name), str(dtype), tuple(shape), tuple(lengths))
            for name, dtype, shape, lengths in header["arrays"]
        ]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CodecError(f"a state has no readable header: {type(error).__name__}") from error
    return kind, params, _arrays(described, payload, end + 1)


@dataclass(frozen=True, slots=True)
class Described:
    """What a header says of an array."""

    name: str
    dtype: str
    shape: tuple[Any, ...]
    lengths: tuple[Any, ...]


def _arrays(described: Sequence[Described], payload: bytes, offset: int) -> dict[str, NDArray[Any]]:
    arrays = {}
    for entry in described:
        if entry.dtype not in _DTYPES:
            raise CodecError(f"a state holds an array of dtype {entry.dtype!r}")
        if not all(
            type(length) is int and length >= 0 for length in (*entry.shape, *entry.lengths)
        ):
            raise CodecError(f"a state holds an array of shape {entry.shape!r}")
        dtype, end = np.dtype(entry.dtype), offset + sum(entry.lengths)
        if end > len(payload) or len(entry.lengths) != dtype.itemsize:
            raise CodecError(
                f"a state ends before its array {entry.name!r} of shape {entry.shape!r} does"
            )
        planes, count = [], prod(entry.shape)
        for length in entry.lengths:
            planes.append(_plane(payload[offset : offset + length], count))
            offset += length
        arrays[entry.name] = _from_planes(planes, dtype).reshape(entry.shape)
    if offset != len(payload):
        raise CodecError(f"a state has {len(payload) - offset} bytes more than its arrays take")
    return arrays


def _planes(array: NDArray[Any]) -> list[bytes]:
    """The first bytes of all numbers, then the second ones, and so on, each as short as it gets."""
    table = array.reshape(-1).view(np.uint8).reshape(array.size, array.dtype.itemsize)
    return [_compress(plane.tobytes()) for plane in table.T]


def _compress(plane: bytes) -> bytes:
    """A plane as a zlib stream, if that is shorter.

    Whether it is, a sample says: most of the time goes into what does not get shorter.
    """
    if not _PACKS.get():
        return plane
    sample = plane[len(plane) // 3 :][:_SAMPLE]
    if len(plane) > _SAMPLE and len(zlib.compress(sample, 1)) > 0.9 * len(sample):
        return plane
    packed = zlib.compress(plane, 1)
    return packed if len(packed) < len(plane) else plane


def _plane(packed: bytes, count: int) -> bytes:
    if len(packed) == count:
        return packed
    try:
        stream = zlib.decompressobj()
        plane = stream.decompress(packed, count + 1)
    except zlib.error as error:
        raise CodecError(f"a state has an array that cannot be loose_planes: {error}") from error
    if len(plane) != count or not stream.eof or stream.unused_data:
        raise CodecError(f"a state has an array of other than {count} numbers")
    return plane


def _from_planes(planes: Sequence[bytes], dtype: np.dtype[Any]) -> NDArray[Any]:
    table = np.frombuffer(b"".join(planes), np.uint8).reshape(dtype.itemsize, -1)
    if dtype.kind == "b" and table.max(initial=0) > 1:
        raise CodecError("a state holds marks that are neither true nor false")
    array = np.ascontiguousarray(table.T).reshape(-1).view(dtype)
    array.flags.writeable = False
    return array


def array_of(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: type[np.generic], *, ndim: int = 1
) -> NDArray[Any]:
    """The array `name` of a decoded payload.

    Raises:
        CodecError: when it is missing, or of another type or number of axes.
    """
    array = arrays.get(name)
    if array is None or array.dtype != dtype or array.ndim != ndim:
        actual = "none" if array is None else f"{array.dtype} with {array.ndim} axes"
        expected = f"{np.dtype(dtype)} with {ndim}"
        raise CodecError(f"the array {name!r} of a state: expected {expected}, found {actual}")
    return array


def refuse_unless(holds: bool, what: str) -> None:
    """Raises CodecError when a decoded payload is not what its kind demands."""
    if not holds:
        raise CodecError(f"a state's {what}")


def small(weights: NDArray[np.float64]) -> NDArray[Any]:
    """The weights in the smallest type that has them exactly: counts in few bytes."""
    if len(weights) and (weights.min() < 0 or not weights.max() < 2**32):
        return weights
    for dtype in _COUNTS:
        counts = weights.astype(np.uint32).astype(dtype)
        if np.array_equal(counts, weights):
            return counts
    return weights


def weights_of(arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float64]:
    """The array that `small` made smaller.

    Raises:
        CodecError: when it is missing, or of another type or number of axes.
    """
    return _one_of(arrays, name, (*_COUNTS, np.float64)).astype(np.float64)


def steps(keys: NDArray[np.int64]) -> NDArray[Any]:
    """Ascending keys as the steps from one to the next, in the smallest type that has them."""
    differences = np.diff(keys, prepend=0)
    most = differences.max(initial=0)
    for dtype in _COUNTS:
        if most <= np.iinfo(dtype).max:
            return differences.astype(dtype)
    return differences


def keys_of(arrays: Mapping[str, NDArray[Any]], name: str, end: int) -> NDArray[np.int64]:
    """The keys that `steps` made steps of: ascending, distinct, from 0 to less than `end`.

    Raises:
        CodecError: when they are anything else.
    """
    differences = _one_of(arrays, name, (*_COUNTS, np.int64)).astype(np.int64)
    # A sum beyond the largest number would become negative.
    keys = np.cumsum(differences)
    ascend = (
        (differences[1:] > 0).all() and keys.min(initial=0) >= 0 and int(keys.max(initial=-1)) < end
    )
    refuse_unless(bool(ascend), "cells are out of order")
    return keys


def count_of(params: Mapping[str, Any], name: str) -> int:
    """The parameter `name`, a number that is not negative.

    Raises:
        CodecError: when it is anything else.
    """
    count: Any = params.get(name)
    refuse_unless(type(count) is int and count >= 0, f"{name} is no count: {count!r}")
    return int(count)


def _one_of(
    arrays: Mapping[str, NDArray[Any]], name: str, dtypes: tuple[type[np.generic], ...]
) -> NDArray[Any]:
    for dtype in dtypes:
        if name in arrays and arrays[name].dtype == dtype:
            return array_of(arrays, name, dtype)
    return array_of(arrays, name, dtypes[-1])
