"""Score histograms: the cap commutes with adding, the grid is monotone, buckets can be left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.states.score_histogram as ranking
from engine.states import BUCKETS, NotInvertible, Scored, Scores, ScoresView, decode
from engine.states.score_histogram import COARSE_BITS, FINE_BITS, on_grid

unit = st.floats(0, 1)
bits = st.sampled_from([COARSE_BITS, FINE_BITS])


def batch_of(truth: Any, score: Any, *, bucket: Any = 0, weight: Any = 1.0) -> Scored:
    score = np.asarray(score, np.float64)
    n = len(score)
    return Scored(
        np.asarray(truth, np.int64),
        np.broadcast_to(np.asarray(weight, np.float64), n),
        np.broadcast_to(np.asarray(bucket, np.int64), n),
        np.stack([1 - score, score], axis=1),
    )


@given(st.lists(unit, min_size=1), bits)
def test_the_grid_is_monotone_and_idempotent(scores: list[float], bits: int) -> None:
    ordered = np.sort(np.array(scores))
    rounded = on_grid(ordered, bits)
    assert (np.diff(rounded) >= 0).all()
    assert ((rounded >= 0) & (rounded <= 1)).all()
    np.testing.assert_array_equal(on_grid(rounded, bits), rounded)


@given(st.floats(2.0**-1000, 1), bits)
def test_the_grid_is_relative_at_both_ends(score: float, bits: int) -> None:
    near = float(on_grid(np.array([score]), bits)[0])
    assert abs(near - score) <= min(score, 1 - score) * 2.0**-bits


@pytest.mark.parametrize("bits", [COARSE_BITS, FINE_BITS])
def test_the_grid_keeps_neighbours_of_a_half_in_order(bits: int) -> None:
    around = [0.5]
    for _ in range(5):
        around = [np.nextafter(around[0], 0), *around, np.nextafter(around[-1], 1)]
    rounded = on_grid(np.array(around), bits)
    assert (np.diff(rounded) >= 0).all()
    assert on_grid(np.array([0.0, 0.5, 1.0]), bits).tolist() == [0.0, 0.5, 1.0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 30))
def test_it_does_not_matter_when_the_cap_is_passed(seed: int, count: int, cap: int) -> None:
    """Parts below the cap, parts above it, by bytes or in memory: one result."""
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", cap)
        whole = batch_of(
            rng.integers(0, 2, 60),
            rng.choice(rng.random(40), 60),
            bucket=rng.integers(0, BUCKETS, 60),
            weight=rng.choice([0.5, 1.0, 2.0], 60),
        )
        groups = rng.integers(0, 2, 60)
        part = rng.integers(0, count, 60)
        states = [
            Scores(1).of(whole.at(part == each), groups[part == each], 2) for each in range(count)
        ]
        while len(states) > 1:
            left, right = (states.pop(rng.integers(len(states))) for _ in range(2))
            states.append(left.merge(right))
        expected = Scores(1).of(whole, groups, 2)
        np.testing.assert_array_equal(states[0].gridded, expected.gridded)
        for name in ("group", "score", "cell", "weight"):
            np.testing.assert_array_equal(
                getattr(states[0].entries, name), getattr(expected.entries, name), err_msg=name
            )
        again = decode(expected.take(0).encode()).merge(decode(expected.take(0).encode()))
        assert again.gridded[0] == expected.gridded[0]


def test_the_cap_counts_scores_not_rows() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", 3)
        few = batch_of([0, 1] * 50, np.tile([0.1, 0.2, 0.3, 0.2], 25))
        many = batch_of([0, 1], [0.4, 0.1])
        zeros = np.zeros(100, np.int64)
        exact = Scores(1).of(few, zeros, 1)
        assert not exact.gridded.any()
        assert exact.merge(Scores(1).of(many, zeros[:2], 1)).gridded.all()


@pytest.mark.parametrize("cap", [1000, 10], ids=["exact", "on the grid"])
def test_left_out_equals_the_state_without_those_rows(cap: int) -> None:
    rng = np.random.default_rng(3)
    n = 400
    whole = batch_of(
        rng.integers(0, 2, n),
        rng.choice(rng.random(200), n),
        bucket=rng.integers(0, BUCKETS - 1, n),
        weight=rng.random(n),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", cap)
        zeros = np.zeros(n, np.int64)
        replicates = ScoresView.of(Scores(1).of(whole, zeros, 1)).with_replicates()
        assert replicates.exact == (cap == 1000)
        assert len(replicates.positive) == len(replicates.negative) == 1 + BUCKETS
        for b in range(-1, BUCKETS):
            kept = whole.bucket != b
            rest = ScoresView.of(Scores(1).of(whole.at(kept), zeros[kept], 1)).with_replicates()
            for name in ("positive", "negative"):
                ours = getattr(replicates, name)[1 + b]
                has = np.isin(replicates.scores, rest.scores)
                np.testing.assert_allclose(ours[has], getattr(rest, name)[0], rtol=1e-12)
                assert (ours[~has] == 0).all()


def last_digits_off(batch: Scored, rows: Any) -> Scored:
    """The batch of these rows, predicted again: every other score differs in its last digit."""
    again = batch.at(rows)
    again.scores[::2] = np.nextafter(again.scores[::2], 0.5)
    return again


@pytest.mark.parametrize(("cap", "left"), [(1000, 500), (50, 500), (50, 399)])
def test_scores_whose_last_digits_changed_are_taken_away(cap: int, left: int) -> None:
    rng = np.random.default_rng(5)
    n = 600
    whole = batch_of(rng.integers(0, 2, n), rng.random(n), bucket=rng.integers(0, BUCKETS, n))
    zeros = np.zeros(n, np.int64)
    family = Scores(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", cap)
        gone = last_digits_off(whole, np.arange(left, n))
        rest = family.of(whole, zeros, 1).minus(family.of(gone, zeros[left:], 1))
        expected = family.of(whole.at(np.arange(left)), zeros[:left], 1)
        np.testing.assert_array_equal(rest.gridded, expected.gridded)
        np.testing.assert_array_equal(rest.entries.place, expected.entries.place)
        np.testing.assert_allclose(rest.entries.score, expected.entries.score, rtol=1e-13)
        np.testing.assert_array_equal(rest.entries.weight, expected.entries.weight)
        assert rest.seen.surely_beyond(cap)[0] == (cap == 50)
        assert (rest.seen.doubts[0] > 0) == (cap == 50)
        again = decode(rest.encode())
        np.testing.assert_array_equal(again.seen.doubts, rest.seen.doubts)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_scores_that_are_left_on_the_grid_are_surely_more_than_the_cap(weight: float) -> None:
    """Down from three caps: kept while that is sure, refused before it would be wrong."""
    rng = np.random.default_rng(6)
    n = 3 * ranking.EXACT_SCORES
    whole = batch_of(rng.integers(0, 2, n), rng.random(n), weight=weight)
    zeros = np.zeros(n, np.int64)
    states = Scores(1).of(whole, zeros, 1)
    assert states.gridded.all()
    for kept in (n - 100, 5200, 4100, 10):
        gone, rest = np.arange(kept, n), np.arange(kept)
        others = Scores(1).of(whole.at(gone), zeros[gone], 1)
        if kept < 5000:
            with pytest.raises(NotInvertible, match="too few"):
                states.minus(others)
            continue
        left = states.minus(others)
        expected = Scores(1).of(whole.at(rest), zeros[rest], 1)
        np.testing.assert_array_equal(left.gridded, expected.gridded)
        np.testing.assert_array_equal(left.entries.place, expected.entries.place)
        np.testing.assert_array_equal(left.entries.score, expected.entries.score)
        np.testing.assert_allclose(left.entries.weight, expected.entries.weight, rtol=1e-9)
    nothing = states.minus(states)
    assert not nothing.gridded.any()
    assert len(nothing.entries) == len(nothing.seen.weights.keys) == 0


def test_few_scores_on_the_grid_are_counted_to_the_last() -> None:
    """A group that never had twice the cap: all hashes are kept."""
    rng = np.random.default_rng(8)
    cap = ranking.EXACT_SCORES
    whole = batch_of(rng.integers(0, 2, cap + 300), rng.random(cap + 300))
    zeros = np.zeros(len(whole), np.int64)
    states = Scores(1).of(whole, zeros, 1)
    for gone in (290, 300):
        rows = np.arange(gone)
        others = Scores(1).of(whole.at(rows), zeros[rows], 1)
        if gone == 290:
            assert states.minus(others).gridded.all()
        else:
            with pytest.raises(NotInvertible, match="too few"):
                states.minus(others)


def test_the_two_zeros_are_one_score() -> None:
    states = Scores(1).of(batch_of([0, 1], [0.0, -0.0]), np.zeros(2, np.int64), 1)
    assert ScoresView.of(states).scores.tolist() == [0.0]
