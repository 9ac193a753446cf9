"""One codec for all states: named arrays to bytes and back, typed, versioned and checksummed.

Layout: magic `EMS1`, CRC-32 of what follows, then the zlib stream of a JSON header line (the kind,
its parameters, and the dtype and shape of each array) and the arrays' little-endian bytes. No
pickle, so a foreign payload can be refused but cannot run.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EvalMatrixError

MAGIC = b"EMS1"
_DTYPES = frozenset({"<f8", "<i8", "<i4", "<i2", "|u1", "|b1"})
_HEAD = struct.Struct("<4sI")


class CodecError(EvalMatrixError):
    """A payload that is no state of this version, or was changed since it was written."""


def encode(
    kind: str,
    params: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    compress: bool = True,
) -> bytes:
    """The bytes of a state; `compress` is for what does, as it takes most of the time.

    Raises:
        ValueError: for an array of a dtype that the codec does not carry.
    """
    described, parts = [], []
    for name, array in arrays.items():
        array = np.ascontiguousarray(array)
        dtype = array.dtype.newbyteorder("<").str
        if dtype not in _DTYPES:
            raise ValueError(f"array {name!r} has dtype {array.dtype}, expected one of {_DTYPES}")
        described.append([name, dtype, list(array.shape)])
        parts.append(array.astype(dtype, copy=False).tobytes())
    header = json.dumps({"kind": kind, "params": dict(params), "arrays": described})
    raw = b"".join([header.encode(), b"\n", *parts])
    body = zlib.compress(raw, 1 if compress else 0)
    return _HEAD.pack(MAGIC, zlib.crc32(body)) + body


def decode(payload: bytes) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
    """The kind, parameters and arrays of a payload; the arrays cannot be written to.

    Raises:
        CodecError: when the payload is not one of this version, or damaged.
    """
    if len(payload) < _HEAD.size:
        raise CodecError(f"a state of {len(payload)} bytes is too short to be one")
    magic, checksum = _HEAD.unpack_from(payload)
    body = memoryview(payload)[_HEAD.size :]
    if magic != MAGIC:
        raise CodecError(f"a state begins with {magic!r}, expected {MAGIC!r}")
    if zlib.crc32(body) != checksum:
        raise CodecError("a state does not match its checksum: it was damaged since it was written")
    # A payload with a right checksum can still come from elsewhere, with anything in it.
    try:
        raw = zlib.decompress(body)
        end = raw.index(b"\n")
        header = json.loads(raw[:end])
        kind, params = str(header["kind"]), dict(header["params"])
        described = [
            (str(name), str(dtype), tuple(shape)) for name, dtype, shape in header["arrays"]
        ]
    except (zlib.error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CodecError(f"a state has no readable header: {type(error).__name__}") from error
    return kind, params, _arrays(described, raw, end + 1)


def _arrays(
    described: list[tuple[str, str, tuple[Any, ...]]], raw: bytes, offset: int
) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, dtype, shape in described:
        if dtype not in _DTYPES:
            raise CodecError(f"a state holds an array of dtype {dtype!r}")
        if not all(type(length) is int and length >= 0 for length in shape):
            raise CodecError(f"a state holds an array of shape {shape!r}")
        size = prod(shape)
        if size * np.dtype(dtype).itemsize > len(raw) - offset:
            raise CodecError(f"a state ends before its array {name!r} of shape {shape!r} does")
        arrays[name] = np.frombuffer(raw, dtype, size, offset).reshape(shape)
        offset += arrays[name].nbytes
    if offset != len(raw):
        raise CodecError(f"a state has {len(raw) - offset} bytes more than its arrays take")
    return arrays


def array_of(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: type[np.generic], *, ndim: int = 1
) -> NDArray[Any]:
    """The array `name` of a decoded payload.

    Raises:
        CodecError: when it is missing, or of another type or number of axes.
    """
    array = arrays.get(name)
    if array is None or array.dtype != dtype or array.ndim != ndim:
        found = "none" if array is None else f"{array.dtype} with {array.ndim} axes"
        expected = f"{np.dtype(dtype)} with {ndim}"
        raise CodecError(f"the array {name!r} of a state: expected {expected}, found {found}")
    return array


def refuse_unless(holds: bool, what: str) -> None:
    """Raises CodecError when a decoded payload is not what its kind demands."""
    if not holds:
        raise CodecError(f"a state's {what}")
