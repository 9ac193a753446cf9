"""What is no state, or no longer one, is refused as a CodecError and as nothing else."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.states.score_histogram as ranking
from engine.states import (
    BUCKETS,
    Confusion,
    Maximum,
    Mean,
    Ranks,
    Scored,
    Scores,
    States,
    decode,
)
from engine.states.codec import MAGIC, CodecError, encode, loose_planes
from engine.states.distinct_sample import Seen


def _payloads() -> list[bytes]:
    rng = np.random.default_rng(7)
    batch = Scored(
        rng.integers(0, 3, 50),
        rng.random(50),
        rng.integers(0, BUCKETS, 50),
        rng.random((50, 3)),
        rng.integers(0, 3, 50),
    )
    groups = rng.integers(0, 3, 50)
    families = (
        Mean("loss", lambda batch: batch.scores[:, 0]),
        Maximum("loss", lambda batch: batch.scores[:, 0]),
        Confusion(3),
        Scores(1),
    )
    numbers = Scored(rng.random(50), batch.weight, batch.bucket, rng.random(50))
    ranks = Ranks().of(numbers, groups, 4).encode()
    return [*(family.of(batch, groups, 4).encode() for family in families), ranks]


PAYLOADS = _payloads()
payloads = st.sampled_from(PAYLOADS)


def _wrapped(body: bytes) -> bytes:
    """A payload with a right checksum and anything in it."""
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


def test_a_state_on_its_way_to_a_sum_is_not_packed() -> None:
    state = Scores(0).zero(300)
    with loose_planes():
        loose = state.encode()
    packed = state.encode()
    assert len(loose) > len(packed)
    assert decode(loose).encode() == decode(packed).encode() == packed


@given(payloads, st.data())
def test_a_forged_payload_is_a_state_or_refused(payload: bytes, data: st.DataObject) -> None:
    """Changes before the checksum is made: nothing but CodecError comes out of them."""
    raw = bytearray(payload[8:])
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
        (_header("moments", {}, []), "expected float64 with 3, found none"),
        (_header("moments", {}, [["values", "|O", [0, 0], []]]), "dtype"),
        (_header("moments", {}, [["values", "<f8", [-1, 4], 8 * [0]]]), "shape"),
        (_header("moments", {}, [["values", "<f8", [2**40, 2**40], 8 * [9]]]), "ends before"),
        (
            _header("moments", {}, [["values", "<f8", [1, 1, 1], 7 * [1]]]) + b"1234567",
            "ends before",
        ),
        (_header("moments", {}, [["values", "<f8", [2**60], 8 * [2]]]) + 8 * b"xx", "loose_planes"),
        (_header("moments", {}, [["values", "<f8", [0], 8 * [2.0]]]), "shape"),
        (_header("moments", {}, [["values", "<f8", [0, 4], 8 * [0]]]) + b"x", "1 bytes more"),
        (_header("moments", {}, [["values", "<i8", [0, 4], 8 * [0]]]), "found int64"),
        (_header("tally", {"width": "many", "groups": 1}, []), "width is no count: 'many'"),
        (_header("tally", {"width": True, "groups": 1}, []), "width is no count: True"),
        (_header("tally", {"width": 180, "groups": -1}, []), "groups is no count: -1"),
        (_header("tally", {"width": 180}, []), "groups is no count: None"),
        (
            _header("tally", {"width": 180, "groups": 1}, [["steps", "<f8", [0], 8 * [0]]]),
            "'steps'",
        ),
        (_header("scores", {"grid": [1, 2, 3]}, []), "grid is"),
        (_header("scores", {"grid": GRID}, []), "expected bool with 1, found none"),
        (_header("scores", {"grid": GRID}, [["gridded", "|b1", [1], [1]]]) + b"\2", "neither true"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode(_wrapped(raw))


@pytest.mark.parametrize("count", [2, 4, 2**40])
@pytest.mark.parametrize("more", [b"", b"x"])
def test_a_plane_of_other_than_its_numbers_is_refused(count: int, more: bytes) -> None:
    packed = zlib.compress(b"abc") + more
    header = _header("labels", {}, [["steps", "|u1", [count], [len(packed)]]])
    with pytest.raises(CodecError, match=f"other than {count} numbers"):
        decode(_wrapped(header + packed))


def _tally(keys: list[int], weights: list[float]) -> bytes:
    steps = np.diff(np.array(keys), prepend=0)
    arrays = {"steps": steps, "weights": np.array(weights)}
    return encode("tally", {"width": 60, "groups": 3}, arrays)


def test_cells_out_of_range_are_refused() -> None:
    assert decode(_tally([0, 179], [1.0, 2.0])).take(2).keys.tolist() == [59]
    for bad in ([3, 2], [-1, 2], [2, 2], [2, 180]):
        with pytest.raises(CodecError, match="out of order"):
            decode(_tally(bad, [1.0, 2.0]))
    with pytest.raises(CodecError, match="differ in length"):
        decode(_tally([3], [1.0, 2.0]))


def test_steps_beyond_the_largest_number_are_refused() -> None:
    steps = np.array([5, 2**63 - 1, 2**63 - 1, 10])
    params, arrays = {"width": 2**40, "groups": 2**40}, {"steps": steps, "weights": np.ones(4)}
    with pytest.raises(CodecError, match="out of order"):
        decode(encode("tally", params, arrays))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, ""),
        ({"steps": np.array([0, 42])}, "out of order"),
        ({"steps": np.array([0, 0])}, "out of order"),
        ({"scores": np.array([0.5, 0.5])}, "cells are out of order|scores are out of order"),
        ({"gridded": np.zeros(0, bool)}, "out of order"),
        ({"weights": np.ones(3)}, "differ in length"),
        ({"seen_levels": np.zeros(2, np.uint8)}, "one for each group"),
        ({"seen_levels": np.full(1, 25, np.uint8)}, "levels are out of range"),
        ({"seen_weights": np.ones(1)}, "hashes and weights"),
        ({"seen_steps": np.array([2**24])}, "out of order"),
    ],
)
def test_entries_out_of_range_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    arrays = {
        "gridded": np.zeros(1, bool),
        "scores": np.array([0.5]),
        "steps": np.array([0, 41]),
        "weights": np.ones(2),
        **Seen.none(1).arrays(),
    }
    payload = encode("scores", {"grid": GRID}, {**arrays, **change})
    if not message:
        assert decode(payload).entries.cell.tolist() == [0, 41]
    else:
        with pytest.raises(CodecError, match=message):
            decode(payload)


def test_payloads_of_many_groups_are_small() -> None:
    """Counts, and steps between cells, take a byte or two where they can."""
    rng = np.random.default_rng(11)
    n = 20_000
    batch = Scored(
        rng.integers(0, 2, n),
        np.ones(n),
        rng.integers(0, BUCKETS, n),
        rng.random((n, 2)),
        rng.integers(0, 2, n),
        unweighted=True,
    )
    groups = rng.integers(0, 10, n)
    tally = Confusion(2).of(batch, groups, 10)
    assert len(tally.encode()) < 3 * len(tally.keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", 100)
        histogram = Scores(1).of(batch, groups, 10)
        assert histogram.gridded.all()
        assert len(histogram.encode()) < 3 * len(histogram.entries.score)


def test_an_array_of_objects_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="dtype"):
        encode("sums", {}, {"values": np.array([object()])})


def test_a_payload_of_another_byte_order_is_the_same() -> None:
    values = np.arange(6.0).reshape(2, 3)
    assert encode("sums", {}, {"values": values.astype(">f8")}) == encode(
        "sums", {}, {"values": values}
    )
