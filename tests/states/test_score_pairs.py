"""Pairs of scores: numbers in the scores' order, samples of a size, and what cannot be less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.states.score_pairs as pairing
from engine.states import NotInvertible, Pair, PairedScores, Scored, ScorePairs, decode
from engine.states.codec import CodecError, encode
from engine.states.distinct_sample import depths_of, hashes_of
from engine.states.score_pairs import LABELS, cells_of, order_of

FAMILY = PairedScores(1)
unit = st.floats(0, 1)


def states_of(truth: Any, own: Any, other: Any, groups: Any = 0, count: int = 1) -> ScorePairs:
    truth = np.asarray(truth, np.int64)
    n = len(truth)
    both = [
        Scored(truth, np.ones(n), np.zeros(n, np.int64), np.stack([1 - s, s], 1), unweighted=True)
        for s in (np.asarray(other, np.float64), np.asarray(own, np.float64))
    ]
    return FAMILY.of(Pair(*both), np.broadcast_to(np.asarray(groups, np.int64), n), count)


@given(st.lists(unit, min_size=1))
def test_the_numbers_are_in_the_order_of_the_scores(scores: list[float]) -> None:
    ordered = np.sort(np.array(scores))
    numbers = order_of(ordered)
    assert (np.diff(numbers) >= 0).all()
    assert numbers.min() >= 0 and numbers.max() < 2**31


@given(st.floats(2.0**-30, 1 - 2.0**-30))
def test_scores_that_differ_by_a_millionth_of_the_distance_to_an_end_differ(score: float) -> None:
    other = score + 1e-6 * min(score, 1 - score)
    first, second = order_of(np.array([score, other]))
    assert first < second


def test_zero_is_one_zero_and_the_middle_has_no_gap() -> None:
    assert order_of(np.array([0.0, -0.0])).tolist() == [0, 0]
    around = order_of(np.array([np.nextafter(0.5, 0), 0.5, np.nextafter(0.5, 1)]))
    assert np.ptp(around) == 0


def test_numbers_of_the_last_digits_are_one() -> None:
    """A score may differ in its last digits with the rows that were predicted beside it."""
    scores = np.array([0.5, 0.25, 0.75, 1 / 3, 0.1, 0.9, 1e-9])
    near = order_of(np.nextafter(scores, 1))
    np.testing.assert_array_equal(near, order_of(scores))


def test_pairs_are_numbers_that_no_processor_rounds() -> None:
    states = states_of([1] * 4, [0, 0, 1, 1], [0, 1, 0, 1])
    pairs = states.entries.scores
    assert np.isfinite(pairs).all() and (np.abs(pairs) >= np.finfo(np.float64).tiny).all()
    view = pairing.ScorePairsView.of_groups(states, 0, 1)
    top = int(order_of(np.array([1.0]))[0])
    assert view.candidate.tolist() == [0, 0, top, top]
    assert view.baseline.tolist() == [0, top, 0, top]


def test_a_sample_has_the_pairs_of_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another road: the level is the last of which there are more than `LEAST`."""
    monkeypatch.setattr(pairing, "LEAST", 50)
    rng = np.random.default_rng(1)
    n, groups = 3000, 3
    truth, group = (rng.random(n) < 0.2).astype(int), rng.choice(groups, n, p=[0.8, 0.17, 0.03])
    own, other = np.round(rng.random((2, n)), 2)
    states = states_of(truth, own, other, group, groups)
    every = states_of_all(monkeypatch, truth, own, other, group, groups)
    assert set(states.levels.tolist()) > {0, 1}
    for cell in range(LABELS * groups):
        mine = cells_of(every.entries) == cell
        depths = depths_of(hashes_of(every.entries.score[mine]))
        counts = [int((depths >= level).sum()) for level in range(25)]
        level = max([0, *(at for at, count in enumerate(counts) if count > 50)])
        assert states.levels[cell] == level
        kept = states.entries.score[cells_of(states.entries) == cell]
        np.testing.assert_array_equal(kept, every.entries.score[mine][depths >= level])
        assert states.totals[cell] == ((truth == cell % 2) & (group == cell // 2)).sum()


def states_of_all(patch: pytest.MonkeyPatch, *rows: Any) -> ScorePairs:
    with patch.context() as inner:
        inner.setattr(pairing, "LEAST", 10**6)
        return states_of(*rows)


def test_a_sample_is_bounded_however_many_rows_there_are() -> None:
    rng = np.random.default_rng(2)
    total = FAMILY.zero(1)
    for _ in range(4):
        truth, own, other = rng.integers(0, 2, 100_000), *rng.random((2, 100_000))
        total = total.merge(states_of(truth, own, other))
    assert len(total.entries) < 2 * 2 * pairing.LEAST * 1.2
    assert total.levels.min() >= 5
    assert len(total.encode()) < 80_000
    assert total.totals.sum() == 400_000


def test_what_is_left_of_a_sample_is_that_of_the_rows_that_are_left() -> None:
    rng = np.random.default_rng(3)
    truth, own, other = rng.integers(0, 2, 40_000), *rng.random((2, 40_000))
    whole = states_of(truth, own, other)
    assert whole.levels.tolist() == [4, 4]

    def part(some: slice) -> ScorePairs:
        return states_of(truth[some], own[some], other[some])

    left = whole.minus(part(slice(36_000, None)))
    expected = part(slice(36_000))
    np.testing.assert_array_equal(left.entries.score, expected.entries.score)
    np.testing.assert_array_equal(left.levels, expected.levels)
    # With half of the rows, twice as many of their pairs would be kept: they are not there.
    with pytest.raises(NotInvertible, match="too few"):
        whole.minus(part(slice(18_000, None)))
    nothing = whole.minus(whole)
    assert not nothing.levels.any() and not len(nothing.entries)


def test_a_batch_of_few_distinct_pairs_has_all_of_them() -> None:
    """Many rows, so that a sample is tried first."""
    rng = np.random.default_rng(4)
    truth, own, other = rng.integers(0, 2, 50_000), *np.round(rng.random((2, 50_000)), 1)
    states = states_of(truth, own, other)
    assert not states.levels.any()
    assert states.entries.weight.sum() == 50_000
    assert len(states.entries) == 2 * 11 * 11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": np.array([1, 25], np.uint8)}, "out of range"),
        ({"levels": np.zeros(3, np.uint8)}, "one for each label"),
        ({"pairs": np.array([5, 6], np.int64)}, "out of order or of range"),
        ({"pairs": np.array([2**62 + 1, 2**62], np.int64)}, "out of order or of range"),
        ({"weights": np.ones(3)}, "differ in length"),
        ({"steps": np.array([0, 5], np.uint8)}, "labels are out of range"),
        ({"least": 7}, "least sample is 7"),
    ],
)
def test_what_is_no_such_state_is_refused(change: dict[str, Any], message: str) -> None:
    arrays: dict[str, Any] = {
        "levels": np.zeros(2, np.uint8),
        "totals": np.array([1, 1], np.uint8),
        "pairs": np.array([2**62, 2**62 + 1], np.int64),
        "steps": np.array([0, 3], np.uint8),
        "weights": np.array([1, 1], np.uint8),
    }
    good = encode("score_pairs", {"least": pairing.LEAST}, arrays)
    assert len(decode(good).entries) == 2
    least = change.pop("least", pairing.LEAST)
    with pytest.raises(CodecError, match=message):
        decode(encode("score_pairs", {"least": least}, {**arrays, **change}))
