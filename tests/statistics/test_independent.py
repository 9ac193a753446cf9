"""The difference of independent estimates: coverage by simulation, tails and ends are one fact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.statistics import Independent, Several, Share, StudentT

PLACES = np.arange(4)


def several(spread: object) -> Several:
    return Several(4, ((PLACES, spread),))  # type: ignore[arg-type]


def normal() -> Independent:
    one, other = np.array([1.0, 2.0, 0.0, 5.0]), np.array([0.5, 2.5, 0.0, 1.0])
    first, second = (StudentT(v, np.full(4, se)) for v, se in ((one, 0.3), (other, 0.4)))
    return Independent(several(first), several(second), (one, other), PLACES)


def test_of_normal_estimates_variances_add() -> None:
    gap = normal()
    low, high = gap.interval(0.95)
    expected = np.array([0.5, -0.5, 0.0, 4.0])
    assert low == pytest.approx(expected - stats.norm.ppf(0.975) * 0.5)
    assert high == pytest.approx(expected + stats.norm.ppf(0.975) * 0.5)
    for limit in (-1.0, 0.0, 0.3, 1.5):
        z = (expected - limit) / 0.5
        sure = np.abs(z) < 7
        assert gap.p_above(limit)[sure] == pytest.approx(stats.norm.sf(z)[sure], rel=1e-6)
        assert gap.p_below(limit)[sure] == pytest.approx(stats.norm.cdf(z)[sure], rel=1e-6)
    assert gap.p_above(-1.0)[3] < 1e-14


def test_an_end_is_where_the_tail_is_what_the_level_leaves() -> None:
    rng = np.random.default_rng(1)
    hits = np.array([0.0, 3.0, 120.0, 200.0]), rng.integers(0, 90, 4).astype(float)
    trials = np.full(4, 200.0), np.full(4, 90.0)
    first, second = (several(Share(h, t)) for h, t in zip(hits, trials, strict=True))
    values = hits[0] / trials[0], hits[1] / trials[1]
    gap = Independent(first, second, values, PLACES)
    for level in (0.5, 0.9, 0.95, 0.999):
        low, high = gap.interval(level)
        assert gap.p_above(low) == pytest.approx((1 - level) / 2, rel=1e-5)
        assert gap.p_below(high) == pytest.approx((1 - level) / 2, rel=1e-5)
    some = Independent(first, second, values, np.array([2, 0]))
    assert np.array_equal(some.interval(0.9), np.array(gap.interval(0.9))[:, [2, 0]])
    assert some.at(1).interval(0.9)[0] == gap.interval(0.9)[0][0]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.95, 0.9), (1.0, 0.98), (0.99, 0.99)])
def test_it_holds_the_truth_as_often_as_the_level_says(shares: tuple[float, float]) -> None:
    rng, runs = np.random.default_rng(2), 4000
    places = np.arange(runs)
    sizes = 400.0, 150.0
    hits = [rng.binomial(int(n), p, runs).astype(float) for n, p in zip(sizes, shares, strict=True)]
    spreads = [
        Several(runs, ((places, Share(h, np.full(runs, n))),))
        for h, n in zip(hits, sizes, strict=True)
    ]
    values = hits[0] / sizes[0], hits[1] / sizes[1]
    low, high = Independent(spreads[0], spreads[1], values, places).interval(0.95)
    truth = shares[0] - shares[1]
    assert ((low <= truth) & (truth <= high)).mean() > 0.935
    # A share of whole rows cannot leave just as much to each side.
    assert (low > truth).mean() < 0.05 and (high < truth).mean() < 0.05
