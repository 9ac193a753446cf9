"""Pairs of targets and predictions: codes in their order, grids of a size, and what is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.states.rank_pairs as ranks
from engine.states import BUCKETS, NotInvertible, RankPairs, Ranks, Scored, decode
from engine.states.bit_codes import (
    ZERO_KEY,
    drop_bits,
    first_differences,
    interleave,
    keys_of,
    order_of_codes,
    split_pairs,
)
from engine.states.codec import CodecError, encode

FAMILY = Ranks()
whole_numbers = st.integers(0, 2**64 - 1)


def states_of(truth: Any, scores: Any, groups: Any = 0, count: int = 1, **more: Any) -> RankPairs:
    truth = np.asarray(truth, np.float64)
    n = len(truth)
    bucket = more.get("bucket", np.arange(n) % BUCKETS)
    batch = Scored(truth, np.ones(n), bucket, np.asarray(scores, np.float64), None, True)
    return FAMILY.of(batch, np.broadcast_to(np.asarray(groups, np.int64), n), count)


def uints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_keys_ascend_as_the_numbers_do(numbers: list[float]) -> None:
    ordered = np.sort(np.array(numbers))
    keys = keys_of(ordered)
    tiny = np.abs(ordered) < 2.0**-1000
    flat = np.where(tiny, 0.0, ordered)
    np.testing.assert_array_equal(keys[1:] > keys[:-1], flat[1:] > flat[:-1])
    np.testing.assert_array_equal(keys == ZERO_KEY, tiny)


@given(whole_numbers, whole_numbers)
def test_codes_have_the_bits_in_turn(first: int, second: int) -> None:
    high, low = interleave(uints(first), uints(second))
    code = (int(high[0]) << 64) + int(low[0])
    for place in range(64):
        assert (code >> (2 * place)) & 1 == (first >> place) & 1
        assert (code >> (2 * place + 1)) & 1 == (second >> place) & 1
    assert [int(key[0]) for key in split_pairs(high, low)] == [first, second]


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1), st.integers(0, 127))
def test_bits_are_dropped_and_compared(one: int, other: int, level: int) -> None:
    halves = (1 << 64) - 1
    high, low = uints(one >> 64, other >> 64), uints(one & halves, other & halves)
    assert first_differences(high, low).tolist() == [(one ^ other).bit_length() - 1]
    dropped = drop_bits(high, low, np.array([level, level]))
    for place, code in enumerate((one, other)):
        assert (int(dropped[0][place]) << 64) + int(dropped[1][place]) == code >> level << level


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))))
def test_codes_are_sorted_by_both_halves(codes: list[tuple[int, int]]) -> None:
    high, low = (np.array([code[half] for code in codes], np.uint64) for half in (0, 1))
    order = order_of_codes(high, low)
    assert sorted(order.tolist()) == list(range(len(codes)))
    assert [codes[at] for at in order] == sorted(codes)


def cells_at(truth: np.ndarray, scores: np.ndarray, level: int) -> int:
    """By another road: the distinct cells of a grid, in Python's own whole numbers."""
    keys = [[int(key) for key in keys_of(each)] for each in (truth, scores)]
    lacking = ((level + 1) // 2, level // 2)
    return len({(y >> lacking[0], x >> lacking[1]) for y, x in zip(*keys, strict=True)})


@pytest.mark.parametrize("shape", ["normal", "counts", "constant", "wide"])
def test_a_grid_is_the_last_with_more_cells_than_the_least(
    monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    monkeypatch.setattr(ranks, "LEAST", 50)
    monkeypatch.setattr(ranks, "LEAST_BY_BUCKET", 20)
    monkeypatch.setattr(ranks, "LEAST_ALONE", 10)
    rng = np.random.default_rng(1)
    n = 400
    truth = {"normal": rng.normal(size=n), "counts": rng.poisson(3, n).astype(float),
             "constant": np.ones(n), "wide": 10.0 ** rng.uniform(-99, 99, n)}[shape]  # fmt: skip
    scores = truth + rng.normal(size=n)
    states = states_of(truth, scores)
    zero = np.zeros(n)
    for table, least, pair in (
        (states.buckets, 20, (truth, scores)),
        (states.whole["pairs"], 50, (truth, scores)),
        (states.whole["targets"], 10, (truth, zero)),
        (states.whole["predictions"], 10, (zero, scores)),
    ):
        counts = [cells_at(*pair, level) for level in range(128)]
        level = max([0, *(at for at, count in enumerate(counts) if count > least)])
        assert table.levels.tolist() == [level]
        (cells,) = table.cell_counts().tolist()
        assert cells == counts[level]
        assert cells <= 2 * least
        assert table.weight.sum() == n


def test_a_state_is_bounded_however_many_rows_there_are() -> None:
    rng = np.random.default_rng(2)
    total = FAMILY.zero(1)
    for _ in range(3):
        truth = rng.normal(size=100_000)
        total = total.merge(states_of(truth, truth + rng.normal(size=100_000)))
    assert len(total.whole["pairs"]) <= 2 * ranks.LEAST
    assert len(total.buckets) <= 2 * ranks.LEAST_BY_BUCKET * BUCKETS
    assert max(len(total.whole[name]) for name in ("targets", "predictions")) <= 2048
    assert len(total.encode()) < 100_000


def test_groups_of_few_pairs_have_them_once() -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 300, 9000)
    states = states_of(*rng.normal(size=(2, 9000)), groups, 300)
    assert len(states.buckets) == 9000
    assert not any(len(table) for table in states.whole.values())


def same(left: RankPairs, right: RankPairs) -> None:
    assert left.encode() == right.encode()


def test_what_is_left_is_that_of_the_rows_that_are_left() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(size=30_000)
    scores = truth + rng.normal(size=30_000)

    def part(some: slice) -> RankPairs:
        return states_of(truth[some], scores[some], bucket=np.arange(30_000)[some] % BUCKETS)

    whole = part(slice(None))
    assert whole.whole["pairs"].levels[0] > 0
    few, most = slice(29_900, None), slice(29_900)
    same(whole.minus(part(few)), part(most))
    same(part(most).merge(part(few)), whole)
    same(whole.minus(whole), FAMILY.zero(1))
    with pytest.raises(NotInvertible, match="too few cells"):
        whole.minus(part(slice(2000, None)))
    with pytest.raises(NotInvertible, match="never added"):
        part(few).minus(whole)


def test_predictions_that_differ_in_their_last_digits_are_taken_away() -> None:
    """As of a model whose sums depend on the rows that were predicted beside."""
    rng = np.random.default_rng(5)
    for n in (300, 3000):
        truth, scores = rng.normal(size=(2, n))
        last = np.arange(n)[-100:]
        whole = states_of(truth, scores)
        nudged = np.nextafter(scores[last], rng.choice([-9.0, 9.0], 100))
        gone = states_of(truth[last], nudged, bucket=last % BUCKETS)
        left = whole.minus(gone)
        expected = states_of(truth[:-100], scores[:-100])
        same(left, expected)
    other = states_of(truth[last] + 1e-15, scores[last], bucket=last % BUCKETS)
    with pytest.raises(NotInvertible, match="never added"):
        whole.minus(other)
    far = states_of(truth[last], scores[last] * (1 + 1e-6), bucket=last % BUCKETS)
    with pytest.raises(NotInvertible, match="never added"):
        states_of(truth[last], scores[last], bucket=last % BUCKETS).minus(far)


def test_a_payload_of_other_sizes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = states_of([1.0, 2.0], [3.0, 4.0]).encode()
    monkeypatch.setattr(ranks, "LEAST", 9)
    with pytest.raises(CodecError, match="least is"):
        decode(payload)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("buckets_levels", lambda a: a + 130, "levels are out of range"),
        ("buckets_buckets", lambda a: a + 20, "buckets are out of range"),
        ("buckets_high", lambda a: a[::-1], "cells are out of order"),
        ("buckets_counts", lambda a: a + 1, "cells differ in length"),
        ("buckets_levels", lambda a: a + 3, "cells are out of order"),
        ("pairs_levels", lambda a: a[:0], "cells differ in length"),
    ],
)
def test_a_damaged_payload_is_refused(name: str, change: Any, message: str) -> None:
    states = states_of([1.0, 1.0, 2.0], [3.0, 3.1, 4.0], bucket=np.zeros(3, np.int64))
    arrays = states.buckets.arrays("buckets")
    for each, table in states.whole.items():
        arrays.update(table.arrays(each))
    sizes = [ranks.LEAST, ranks.LEAST_BY_BUCKET, ranks.LEAST_ALONE]
    assert decode(encode("rank_pairs", {"least": sizes}, arrays)).n_groups == 1
    arrays[name] = change(arrays[name])
    with pytest.raises(CodecError, match=message):
        decode(encode("rank_pairs", {"least": sizes}, arrays))
