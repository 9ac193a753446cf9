"""Quantiles against the binomial distribution and order statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from engine.statistics import QuantileOf, Share
from tests.fixtures.mid_p import mid_p


def quantile_of(values: np.ndarray, share: float) -> QuantileOf:
    """Of rows without weights, each value exact."""
    distinct, counts = np.unique(values, return_counts=True)
    rows = len(values)
    return QuantileOf(Share(share * rows, rows), distinct, distinct, np.cumsum(counts) / rows)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("rows", [30, 200, 1000])
def test_the_interval_is_between_two_order_statistics(rows: int, share: float) -> None:
    values = np.sort(np.random.default_rng(rows).normal(size=rows))
    # The fewest rows below the truth that are not too few, the most that are not too many.
    mid_p = binom.cdf(np.arange(rows + 1), rows, share)
    mid_p -= binom.pmf(np.arange(rows + 1), rows, share) / 2
    first, last = int((mid_p <= 0.025).sum()), int((mid_p < 0.975).sum()) - 1
    assert quantile_of(values, share).interval(0.95) == (
        values[first - 1] if first > 0 else -math.inf,
        values[last] if last < rows else math.inf,
    )
    # It covers when the number of rows below the truth is within.
    covers = binom.cdf(last, rows, share) - binom.cdf(first - 1, rows, share)
    assert 0.93 <= covers <= 0.975


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=40), st.floats(0.05, 0.95), st.integers(-1, 7)
)
def test_probabilities_are_the_binomials(values: list[int], share: float, limit: int) -> None:
    drawn = np.array(values, np.float64)
    of, rows = quantile_of(drawn, share), len(values)
    below, up_to = (drawn < limit).sum(), (drawn <= limit).sum()
    assert of.p_below(limit) == pytest.approx(1 - mid_p(below, rows, share), rel=1e-9)
    assert of.p_above(limit) == pytest.approx(mid_p(up_to, rows, share), rel=1e-9)


def test_rows_in_the_bin_of_the_limit_count_for_what_surprises_less() -> None:
    of = QuantileOf(
        Share(5.0, 10.0), np.array([0.0, 1.0]), np.array([1.0, 2.0]), np.array([0.3, 1.0])
    )
    assert of.p_below(1.5) == pytest.approx(1 - mid_p(3, 10, 0.5))
    assert of.p_above(1.5) == pytest.approx(mid_p(10, 10, 0.5))
    # Nine of ten may be anywhere between 1 and 2.
    assert of.interval(0.95) == (0.0, 2.0)


def test_ends_are_infinite_where_no_value_is_far_enough_out() -> None:
    of = quantile_of(np.arange(10.0), 0.05)
    assert of.interval(0.95)[0] == -math.inf
    assert math.isfinite(of.interval(0.95)[1])
