"""Distances of counts by scipy's road, and how often their intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from engine.statistics.design_effect import design_effect
from engine.statistics.distances import DISTANCES, Sizes, distance_spread
from engine.statistics.noncentral import NoncentralChi2, noncentrality
from engine.statistics.pushed import GreatestGap, Pushed
from engine.statistics.spread import Spread

BUCKETS = 20
# What 400 draws of a probability of .05 are below in all but one case of 10,000.
MOST_REJECTED = 0.10


def test_noncentrality_is_that_of_scipy() -> None:
    for df in (1.0, 9.0, 99.0):
        for true in (0.0, 1.0, 40.0, 2e3, 5e5):
            for p in (0.025, 0.5, 0.975):
                seen = stats.ncx2.ppf(p, df, true) if true else stats.chi2.ppf(p, df)
                at = float(noncentrality(seen, df, p))
                assert at == pytest.approx(true, rel=1e-6, abs=1e-6)
    assert float(noncentrality(1.0, 9.0, 0.5)) == 0.0


SPREADS: list[Spread] = [
    NoncentralChi2(np.array([30.0]), np.array([9.0]), np.array([500.0])),
    NoncentralChi2(np.array([30.0]), np.array([9.0]), np.array([500.0]), 2),
    NoncentralChi2(np.array([30.0]), np.array([9.0]), np.array([500.0]), 1, np.array([2.5])),
    Pushed(np.array([0.3]), np.array([0.05]), np.array([0.02]), np.array([12.0])),
    GreatestGap(np.array([0.3]), np.array([0.002])),
]


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_an_interval_ends_where_its_tails_are(spread: Spread, level: float) -> None:
    low, high = spread.interval(level)
    assert spread.p_above(low) == pytest.approx((1 - level) / 2, rel=1e-6)
    assert spread.p_below(high) == pytest.approx((1 - level) / 2, rel=1e-6)
    assert spread.p_above(high) > spread.p_above(low)
    one = spread.at(0)
    assert one is not None and one.interval(level) == pytest.approx((low[0], high[0]))


def test_values_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.poisson(20, (50, 7)).astype(float), rng.poisson(25, (50, 7)).astype(float)
    second[:, 3] = 0
    for p, q, *values in zip(
        first, second, *(DISTANCES[name](first, second) for name in DISTANCES), strict=True
    ):
        found = dict(zip(DISTANCES, values, strict=True))
        a, b = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
        assert found["psi"] == pytest.approx(stats.entropy(a, b) + stats.entropy(b, a))
        assert found["js_distance"] == pytest.approx(jensenshannon(p, q, base=2))
        table = np.stack([p, q]).astype(int)
        cramer = stats.contingency.association(table, method="cramer")
        assert found["cramers_v"] == pytest.approx(cramer)


def test_what_has_nothing_in_common_is_as_far_as_can_be() -> None:
    p, q = np.array([[50.0, 0.0]]), np.array([[0.0, 50.0]])
    for name in ("js_distance", "total_variation", "hellinger", "cramers_v"):
        assert DISTANCES[name](p, q) == pytest.approx([1.0])
        assert DISTANCES[name](p, p) == pytest.approx([0.0], abs=1e-12)


def counts(rng: np.random.Generator, n: int, p: np.ndarray, size: int) -> np.ndarray:
    """Counts of 400 samples by bucket: of rows, or of clusters that have 7 of 10 rows alike."""
    of = np.zeros((400, BUCKETS, len(p)))
    for one in of:
        bucket = np.repeat(rng.integers(0, BUCKETS, n // size), size)
        alike = np.repeat(rng.choice(len(p), n // size, p=p), size)
        own = rng.choice(len(p), len(alike), p=p)
        at = np.where(rng.random(len(alike)) < 0.7, alike, own) if size > 1 else own
        np.add.at(one, (bucket, at), 1)
    return of


DECILES = np.full(10, 0.1)
ZIPF = 1 / np.arange(1, 31.0) ** 1.2
ZIPF /= ZIPF.sum()


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize(("n", "m"), [(200, 200), (2000, 200), (2000, 2000)])
@pytest.mark.parametrize("p", [DECILES, ZIPF], ids=["deciles", "zipf"])
def test_intervals_hold_the_truth_with_and_without_drift(
    p: np.ndarray, n: int, m: int, size: int
) -> None:
    rng = np.random.default_rng(n + m + size)
    first = counts(rng, n, p, size)
    for shift in (0.0, 0.3):
        moved = p * np.exp(shift * np.where(np.arange(len(p)) % 2, 0.5, -0.5))
        q = moved / moved.sum()
        second = counts(rng, m, q, size)
        ours, theirs = first.sum(1), second.sum(1)
        worth = [1.0, 1.0] if size == 1 else [design_effect(first), design_effect(second)]
        sizes = Sizes(ours.sum(-1) / worth[0], theirs.sum(-1) / worth[1])
        for name, distance in DISTANCES.items():
            # Cramér's V depends on the sizes of the samples.
            true = float(distance(1e12 * n * p, 1e12 * m * q))
            spread = distance_spread(name, (ours, theirs), sizes)
            low, high = spread.interval(0.95)
            assert ((low <= true + 1e-9) & (true <= high)).mean() >= 0.91, (name, shift)
            assert (spread.p_above(true) < 0.05).mean() <= MOST_REJECTED, (name, shift)


def test_clusters_are_worth_fewer_rows() -> None:
    rng = np.random.default_rng(3)
    alone = design_effect(counts(rng, 2000, DECILES, 1)).mean()
    # Rows of one cluster agree by .7² more than others: 1 + 9 x .49.
    together = design_effect(counts(rng, 2000, DECILES, 10)).mean()
    assert alone == pytest.approx(1.04, abs=0.05) and together == pytest.approx(5.41, abs=0.2)
    few = np.zeros((1, BUCKETS, 3))
    few[0, :4] = 5
    assert np.isnan(design_effect(few)).all()
