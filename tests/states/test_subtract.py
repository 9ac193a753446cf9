"""What is taken away leaves no residue, no share of a little less than all, and no lost digits."""

from __future__ import annotations

import numpy as np
import pytest

from engine.states import BUCKETS, Confusion, Mean, MomentsView, NotInvertible, Scored, Sums
from engine.states.subtract import remainder


def batch_of(loss: np.ndarray, weight: np.ndarray | float = 1.0) -> Scored:
    n = len(loss)
    weights = np.broadcast_to(np.asarray(weight, np.float64), n)
    return Scored(np.zeros(n, np.int64), weights, np.arange(n) % BUCKETS, np.asarray(loss))


MEAN = Mean("loss", lambda batch: batch.scores)


def left_of(loss: np.ndarray, gone: np.ndarray, weight: np.ndarray | float = 1.0) -> MomentsView:
    """The moments of rows of which some are taken away."""
    batch = batch_of(loss, weight)
    zeros = np.zeros(len(loss), np.int64)
    some = np.flatnonzero(gone)
    taken = MEAN.of(batch.at(some), zeros[some], 1)
    return MomentsView.of(MEAN.of(batch, zeros, 1).minus(taken))


def test_a_whole_remainder_is_exact_and_a_residue_vanishes() -> None:
    was = np.array([2e9, 0.1 + 0.2, 0.3, 5.0, 1.0, 7.0])
    taken = np.array([2e9 - 1, 0.3, 0.3, 5.0, 1.0 - 1e-6, 0.0])
    assert remainder(was, taken).tolist() == [1.0, 0.0, 0.0, 0.0, 1.0 - (1.0 - 1e-6), 7.0]


@pytest.mark.parametrize("weight", [1.0, 0.1, 0.7])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_all_is_all(share: float, weight: float) -> None:
    """Rows that miss are taken away: what is left is no little less than 1."""
    rng = np.random.default_rng(1)
    loss = (rng.random(5000) < 0.3).astype(np.float64)
    left = left_of(loss, loss != share, weight)
    assert (left.mean == share).all()
    assert (left.m2 == 0).all()


def test_rows_that_are_alike_have_no_spread() -> None:
    rng = np.random.default_rng(2)
    loss = np.where(rng.random(2000) < 0.4, 0.1, rng.normal(size=2000))
    left = left_of(loss, loss != 0.1, rng.random(2000))
    assert left.m2[0] <= left.weight[0] * (8 * np.finfo(np.float64).eps * 0.1) ** 2
    np.testing.assert_allclose(left.mean, 0.1, rtol=1e-14)


def test_a_spread_whose_digits_are_lost_is_refused() -> None:
    rng = np.random.default_rng(3)
    loss = np.r_[1e-6 * rng.random(1000), 1e3 * rng.random(1000)]
    with pytest.raises(NotInvertible, match="too little spread"):
        left_of(loss, loss > 1)
    loss[:1000] *= 1e6
    left = left_of(loss, np.arange(2000) >= 1000)
    expected = MomentsView.of(MEAN.of(batch_of(loss[:1000]), np.zeros(1000, np.int64), 1))
    np.testing.assert_allclose(left.m2, expected.m2, rtol=1e-9)
    np.testing.assert_allclose(left.mean, expected.mean, rtol=1e-12)


def test_a_cell_without_rows_has_no_squares() -> None:
    """Squared weights may add up to less than weights, or to a residue of either sign."""
    rng = np.random.default_rng(4)
    n = 3000
    weight = rng.choice([0.1, 0.3, 1.7, 2.9], n)
    batch = Scored(
        rng.integers(0, 2, n),
        weight,
        rng.integers(0, BUCKETS, n),
        predicted=rng.integers(0, 2, n),
    )
    zeros = np.zeros(n, np.int64)
    of = Confusion(2)
    gone = np.flatnonzero((batch.truth == 0) | (batch.bucket > 3))
    kept = np.setdiff1d(np.arange(n), gone)
    left = of.of(batch, zeros, 1).minus(of.of(batch.at(gone), zeros[gone], 1))
    expected = of.of(batch.at(kept), zeros[kept], 1)
    np.testing.assert_array_equal(left.keys, expected.keys)
    np.testing.assert_allclose(left.weights, expected.weights, rtol=1e-9)


def test_more_rows_than_there_are_cannot_be_taken_away() -> None:
    one, two = (Sums(np.full((1, BUCKETS, 2), number)) for number in (1.0, 2.0))
    assert (two.minus(one).values == 1).all()
    with pytest.raises(NotInvertible, match="never added"):
        one.minus(two)
    with pytest.raises(ValueError, match="unlike parameters"):
        one.minus(Sums(np.zeros((1, BUCKETS, 3))))
