"""Bounds of distances between distribution functions hold scipy's, and intervals the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.statistics.distances import Sizes
from engine.statistics.histogram_distances import (
    BinSums,
    cumulative_effect,
    gap_spread,
    kolmogorov_smirnov,
    wasserstein,
    wasserstein_spread,
)

BUCKETS = 20


def sums(x: np.ndarray, bucket: np.ndarray, edges: np.ndarray) -> BinSums:
    place = np.searchsorted(edges, x, side="right")
    away = np.abs(x - edges[np.maximum(place - 1, 0)])
    width = len(edges) + 1
    cells, size = bucket * width + place, BUCKETS * width
    rows = np.bincount(cells, minlength=size).reshape(1, BUCKETS, width)
    distances = np.bincount(cells, weights=away, minlength=size).reshape(1, BUCKETS, width)
    return BinSums(edges, rows.astype(float), distances)


def greatest_gap(x: list[float], y: list[float]) -> float:
    """The Kolmogorov-Smirnov statistic, whose p-value scipy cannot always compute."""
    return max(abs(np.mean(np.array(x) <= v) - np.mean(np.array(y) <= v)) for v in x + y)


VALUES = st.lists(st.sampled_from([-3.0, -1.0, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 9.0]), min_size=1)
EDGES = st.lists(st.sampled_from([-1.0, 0.0, 0.3, 1.0, 2.0]), min_size=1, unique=True)


@given(x=VALUES, y=VALUES, edges=EDGES)
def test_the_distances_of_scipy_lie_between_the_bounds(
    x: list[float], y: list[float], edges: list[float]
) -> None:
    cuts = np.array(sorted(edges))
    one, other = (sums(np.array(side), np.arange(len(side)) % BUCKETS, cuts) for side in (x, y))
    for bounds, exact in (
        (kolmogorov_smirnov(one, other), greatest_gap(x, y)),
        (wasserstein(one, other), stats.wasserstein_distance(x, y)),
    ):
        (least,), (most,) = bounds
        assert least - 1e-12 <= exact <= most + 1e-12


def test_they_are_exact_where_each_value_is_an_edge() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 300).astype(float), rng.integers(1, 8, 200).astype(float)
    values = np.unique(np.concatenate([x, y]))
    edges = np.unique(np.concatenate([values, np.nextafter(values, np.inf)]))
    one, other = (sums(side, np.arange(len(side)) % BUCKETS, edges) for side in (x, y))
    least, most = kolmogorov_smirnov(one, other)
    assert least == most == pytest.approx([stats.ks_2samp(x, y).statistic])
    least, most = wasserstein(one, other)
    assert least == pytest.approx(most, rel=1e-9)
    assert least == pytest.approx([stats.wasserstein_distance(x, y)])


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize(("n", "m"), [(200, 200), (2000, 500)])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_intervals_hold_the_truth(n: int, m: int, size: int, shift: float) -> None:
    rng = np.random.default_rng(n + m + size)
    edges = stats.norm.ppf(np.linspace(0.001, 0.999, 200))
    truths = (2 * stats.norm.cdf(shift / 2) - 1, shift)
    held = np.zeros(2)
    beyond = np.zeros(2)

    def draw(rows: int, by: float) -> BinSums:
        of_cluster = np.repeat(rng.normal(size=rows // size), size)
        own = rng.normal(size=rows)
        x = by + (np.sqrt(0.5) * (of_cluster + own) if size > 1 else own)
        return sums(x, np.repeat(rng.integers(0, BUCKETS, rows // size), size), edges)

    draws = 200
    for _ in range(draws):
        one, other = draw(n, 0.0), draw(m, shift)
        effects = [cumulative_effect(s) if size > 1 else np.ones(1) for s in (one, other)]
        sizes = Sizes(n / effects[0], m / effects[1])
        for at, bounds in enumerate((kolmogorov_smirnov(one, other), wasserstein(one, other))):
            middle, off = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
            spread = (
                gap_spread(middle, sizes)
                if at == 0
                else wasserstein_spread((one, other), middle, sizes)
            )
            low, high = spread.interval(0.95)
            held[at] += bool(low - off <= truths[at] <= high + off)
            beyond[at] += bool(spread.p_above(truths[at] + off) < 0.05)
    assert (held / draws >= 0.91).all(), held / draws
    assert (beyond / draws <= 0.10).all(), beyond / draws
