"""What is no state, or no longer one, is refused as a CodecError and as nothing else."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.states.ranking as ranking
from engine.states import BUCKETS, Confusion, Maximum, Mean, Scored, Scores, States, decode
from engine.states.codec import MAGIC, CodecError, encode


def _payloads() -> list[bytes]:
    rng = np.random.default_rng(7)
    batch = Scored(
        rng.integers(0, 3, 50),
        rng.random(50),
        rng.integers(0, BUCKETS, 50),
        rng.random((50, 3)),
        rng.integers(0, 3, 50),
    )
    groups = np.zeros(50, np.int64)
    families = (
        Mean("loss", lambda batch: batch.scores[:, 0]),
        Maximum("loss", lambda batch: batch.scores[:, 0]),
        Confusion(3),
        Scores(1),
    )
    return [family.of(batch, groups, 1).encode() for family in families]


PAYLOADS = _payloads()
payloads = st.sampled_from(PAYLOADS)


def _wrapped(raw: bytes) -> bytes:
    """A payload with a right checksum and anything in it."""
    body = zlib.compress(raw)
    return struct.pack("<4sI", MAGIC, zlib.crc32(body)) + body


@given(payloads, st.data())
def test_a_changed_byte_is_noticed(payload: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(payload) - 1))
    change = data.draw(st.integers(1, 255))
    damaged = bytearray(payload)
    damaged[at] ^= change
    with pytest.raises(CodecError):
        decode(bytes(damaged))


@given(payloads, st.data())
def test_a_cut_or_lengthened_payload_is_noticed(payload: bytes, data: st.DataObject) -> None:
    with pytest.raises(CodecError):
        decode(payload[: data.draw(st.integers(0, len(payload) - 1))])
    with pytest.raises(CodecError):
        decode(payload + data.draw(st.binary(min_size=1)))


@given(st.binary())
def test_foreign_bytes_are_refused(payload: bytes) -> None:
    for foreign in (payload, MAGIC + payload, _wrapped(payload), _wrapped(payload + b"\n")):
        with pytest.raises(CodecError):
            decode(foreign)


@given(payloads, st.data())
def test_a_forged_payload_is_a_state_or_refused(payload: bytes, data: st.DataObject) -> None:
    """Changes before the checksum is made: nothing but CodecError comes out of them."""
    raw = bytearray(zlib.decompress(payload[8:]))
    end = raw.index(b"\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(len(raw), 2 * end) - 1))
        raw[at] = data.draw(st.integers(0, 255) | st.sampled_from(b'0123456789-[]{}",eE.'))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 8, len(raw)]))
    try:
        states = decode(_wrapped(bytes(raw[: len(raw) - cut])))
    except CodecError:
        return
    assert isinstance(states, States)


def _header(kind: str, params: object, arrays: object) -> bytes:
    return json.dumps({"kind": kind, "params": params, "arrays": arrays}).encode() + b"\n"


GRID = [ranking.EXACT_SCORES, ranking.FINE_BITS, ranking.COARSE_BITS]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[]\n", "no readable header"),
        (b"[" * 100_000 + b"\n", "no readable header"),
        (_header("novel", {}, []), "none of"),
        (_header("moments", {}, []), "expected float64 with 2, found none"),
        (_header("moments", {}, [["values", "|O", [0, 0]]]), "dtype"),
        (_header("moments", {}, [["values", "<f8", [-1, 4]]]), "shape"),
        (_header("moments", {}, [["values", "<f8", [2**40, 2**40]]]), "ends before"),
        (_header("moments", {}, [["values", "<f8", [0, 4]]]) + b"x", "1 bytes more"),
        (_header("moments", {}, [["values", "<i8", [0, 4]]]), "found int64"),
        (
            _header("tally", {"width": "many"}, [["keys", "<i8", [0]], ["weights", "<f8", [0]]]),
            "no",
        ),
        (_header("scores", {"grid": [1, 2, 3], "gridded": True}, []), "grid is"),
        (_header("scores", {"grid": GRID, "gridded": 1}, []), "neither true nor false"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode(_wrapped(raw))


def test_cells_out_of_range_are_refused() -> None:
    keys, weights = np.array([3, 2]), np.ones(2)
    for bad in (keys, np.array([-1, 2]), np.array([2, 2]), np.array([2, 180])):
        with pytest.raises(CodecError, match="out of order"):
            decode(encode("tally", {"width": 180}, {"keys": bad, "weights": weights}))
    with pytest.raises(CodecError, match="differ in length"):
        decode(encode("tally", {"width": 180}, {"keys": keys[:1], "weights": weights}))
    arrays = {"score": np.zeros(1), "cell": np.array([42], np.uint8), "weight": np.ones(1)}
    with pytest.raises(CodecError, match="out of range"):
        decode(encode("scores", {"grid": GRID, "gridded": False}, arrays))


def test_an_array_of_objects_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="dtype"):
        encode("sums", {}, {"values": np.array([object()])})


def test_a_payload_of_another_byte_order_is_the_same() -> None:
    values = np.arange(6.0).reshape(2, 3)
    assert encode("sums", {}, {"values": values.astype(">f8")}) == encode(
        "sums", {}, {"values": values}
    )
