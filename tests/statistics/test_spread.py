"""Intervals and tails of shares, means and what is made of them, against scipy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from engine.statistics.spread import (
    REALS,
    Interval,
    Mapped,
    Share,
    Spread,
    StudentT,
    quantile,
    tail,
)
from tests.fixtures.mid_p import mid_p_interval

LEVELS = st.sampled_from([0.5, 0.8, 0.95, 0.999])
COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def close(found: Interval, expected: Interval, rel: float = 1e-9) -> None:
    assert found == pytest.approx(tuple(expected), rel=rel, abs=1e-12)


@given(LEVELS, st.floats(1, 500))
def test_quantile_and_tail_are_those_of_student_and_normal(level: float, df: float) -> None:
    assert quantile(level) == pytest.approx(stats.norm.ppf((1 + level) / 2), rel=1e-9)
    assert quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-7)
    assert tail(-quantile(level)) == pytest.approx((1 - level) / 2, rel=1e-9)
    assert tail(-2.5, df) == pytest.approx(stats.t.cdf(-2.5, df), rel=1e-9)


# Shares


@given(COUNTS, LEVELS)
def test_interval_of_a_share_has_the_shares_that_mid_p_does_not_reject(
    counts: tuple[int, int], level: float
) -> None:
    close(Share(*counts).interval(level), mid_p_interval(*counts, (1 - level) / 2), 1e-6)


@given(COUNTS, st.floats(0.001, 0.999))
def test_tails_of_a_share_are_the_binomials_with_half_of_what_was_seen(
    counts: tuple[int, int], limit: float
) -> None:
    hits, n = counts
    half = stats.binom.pmf(hits, n, limit) / 2
    less, greater = stats.binom.cdf(hits, n, limit), stats.binom.sf(hits - 1, n, limit)
    assert Share(hits, n).p_below(limit) == pytest.approx(less - half, rel=1e-6, abs=1e-280)
    assert Share(hits, n).p_above(limit) == pytest.approx(greater - half, rel=1e-6, abs=1e-280)


def test_published_interval_of_a_share() -> None:
    # Agresti and Gottard (2007), of no hit among so many: 1 - level^(1 / n).
    for n in (1, 2, 25):
        assert Share(0, n).interval(0.95) == pytest.approx((0.0, 1 - 0.05 ** (1 / n)), rel=1e-12)


def test_beyond_all_digits_a_tail_goes_on_falling() -> None:
    far = [Share(1000, 10_000, 3.0).p_above(limit) for limit in (0.03, 0.02, 0.01, 0.002)]
    assert far == sorted(far, reverse=True) and 0 < far[-1] < far[0] < 1e-4


@given(COUNTS, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_parts_of_a_hit_lie_between_whole_ones(
    counts: tuple[int, int], part: float, limit: float
) -> None:
    hits, n = counts
    assume(hits < n)
    less, between, more = Share(hits, n), Share(hits + part, n), Share(hits + 1, n)
    below = [each.p_below(limit) for each in (less, between, more)]
    above = [each.p_above(limit) for each in (less, between, more)]
    # What is next to nothing is rounded.
    assume(min(below + above) > 1e-300)
    assert below == sorted(below) and above == sorted(above, reverse=True)
    for ends in zip(*(each.interval(0.95) for each in (less, between, more)), strict=True):
        assert list(ends) == sorted(ends)


def test_a_limit_that_no_share_can_break_is_not_broken() -> None:
    share = Share(3, 10)
    assert (share.p_below(0.0), share.p_below(-0.1)) == (1.0, 1.0)
    assert (share.p_above(1.0), share.p_above(1.1)) == (1.0, 1.0)
    # Of a share above 1, or below 0, none of this could have come.
    assert (share.p_below(1.0), share.p_above(0.0)) == (0.0, 0.0)


@pytest.mark.parametrize(("hits", "end"), [(0.0, 0), (7.3, 1)])
def test_of_none_and_of_all_one_end_is_exact(hits: float, end: int) -> None:
    interval = Share(hits, 7.3).interval(0.95)
    assert interval[end] == end
    assert 0.2 < abs(interval[1 - end] - end) < 0.5


@given(COUNTS, st.floats(3, 60), st.floats(0.02, 0.98))
def test_where_rows_are_estimated_a_share_is_less_sure(
    counts: tuple[int, int], df: float, limit: float
) -> None:
    hits, n = counts
    sure, unsure = Share(hits, n), Share(hits, n, df)
    inner, outer = sure.interval(0.95), unsure.interval(0.95)
    assert outer[0] <= inner[0] <= hits / n <= inner[1] <= outer[1]
    for p_of in (Share.p_below, Share.p_above):
        assert p_of(unsure, limit) >= min(p_of(sure, limit), 0.5) * (1 - 1e-9)


# Means


@given(st.floats(-5, 5), st.floats(0.01, 3), st.floats(1, 200), LEVELS)
def test_interval_of_a_mean_is_students(value: float, se: float, df: float, level: float) -> None:
    close(StudentT(value, se, df).interval(level), stats.t.interval(level, df, value, se), 1e-7)
    close(StudentT(value, se).interval(level), stats.norm.interval(level, value, se))


@pytest.mark.parametrize("limit", [-1.0, 0.3, 0.5, 2.0])
def test_tails_of_a_mean_are_those_of_the_t_test(limit: float) -> None:
    rows = np.random.default_rng(4).normal(0.5, 2, 35)
    mean = StudentT(float(rows.mean()), float(rows.std(ddof=1) / math.sqrt(35)), 34)
    less = stats.ttest_1samp(rows, limit, alternative="less").pvalue
    greater = stats.ttest_1samp(rows, limit, alternative="greater").pvalue
    assert mean.p_below(limit) == pytest.approx(less, rel=1e-9)
    assert mean.p_above(limit) == pytest.approx(greater, rel=1e-9)


SCALES: dict[Interval, tuple[Callable[[float], float], Callable[[float], float]]] = {
    (0.0, 1.0): (lambda v: math.log(v / (1 - v)), lambda s: 1 / (1 + math.exp(-s))),
    (-1.0, 1.0): (lambda v: 2 * math.atanh(v), lambda s: math.tanh(s / 2)),
    (2.0, math.inf): (lambda v: math.log(v - 2), lambda s: 2 + math.exp(s)),
    (-math.inf, 1.0): (lambda v: -math.log(1 - v), lambda s: 1 - math.exp(-s)),
    REALS: (lambda v: v, lambda s: s),
}


def inside(bounds: Interval, share: float) -> float:
    """A value some way from one bound to the other, or as far from the only one."""
    low, high = bounds
    if math.isinf(low) and math.isinf(high):
        return 4 * share - 2
    if math.isinf(high):
        return low + 2 * share
    return high - 2 * share if math.isinf(low) else low + (high - low) * share


@pytest.mark.parametrize("bounds", list(SCALES))
@pytest.mark.parametrize("share", [0.05, 0.5, 0.93])
def test_between_bounds_the_interval_is_students_on_a_free_scale(
    bounds: Interval, share: float
) -> None:
    forth, back = SCALES[bounds]
    value, se, df, step = inside(bounds, share), 0.02, 19, 1e-6
    # The standard error on the free scale is the slope there times that of the value.
    slope = (forth(value + step) - forth(value - step)) / (2 * step)
    expected = stats.t.interval(0.95, df, forth(value), slope * se)
    low, high = StudentT(value, se, df, bounds).interval(0.95)
    assert (low, high) == pytest.approx((back(expected[0]), back(expected[1])), rel=1e-6)
    assert bounds[0] < low < value < high < bounds[1]


@given(
    st.sampled_from(list(SCALES)),
    st.floats(0.02, 0.98),
    st.floats(0.001, 0.5),
    st.floats(0.01, 0.99),
    st.tuples(st.floats(2, 100) | st.just(math.inf), LEVELS),
)
def test_a_limit_outside_the_interval_has_a_small_tail_and_the_other_way_round(
    bounds: Interval, share: float, se: float, where: float, sureness: tuple[float, float]
) -> None:
    df, level = sureness
    spread = StudentT(inside(bounds, share), se, df, bounds)
    agree(spread, inside(bounds, where), level)


def agree(spread: Spread, limit: float, level: float) -> None:
    """An interval wholly beyond a limit and a small tail are one fact."""
    low, high = spread.interval(level)
    small = (1 - level) / 2
    below, above = spread.p_below(limit), spread.p_above(limit)
    # Rounding decides where they meet.
    assume(min(abs(below / small - 1), abs(above / small - 1)) > 1e-6)
    assert (high < limit) == (below <= small)
    assert (low > limit) == (above <= small)
    assert below + above == pytest.approx(1)


def test_limits_at_the_bounds_are_kept_or_broken_for_certain() -> None:
    auc = StudentT(0.8, 0.05, 19, (0.0, 1.0))
    assert (auc.p_below(0.0), auc.p_above(0.0)) == (1.0, 0.0)
    assert (auc.p_below(1.0), auc.p_above(1.0)) == (0.0, 1.0)


def test_without_spread_a_limit_is_kept_or_broken_for_certain() -> None:
    fixed = StudentT(0.5, 0.0, 19, (0.0, 1.0))
    assert fixed.interval(0.95) == (0.5, 0.5)
    assert (fixed.p_below(0.6), fixed.p_above(0.6)) == (0.0, 1.0)
    assert (fixed.p_below(0.4), fixed.p_above(0.4)) == (1.0, 0.0)
    assert (fixed.p_below(0.5), fixed.p_above(0.5)) == (1.0, 1.0)


def test_a_very_unsure_estimate_reaches_from_bound_to_bound() -> None:
    assert StudentT(0.5, 1e4, 19, (0.0, 1.0)).interval(0.95) == (0.0, 1.0)
    assert StudentT(2.0, 1e4, 19, (0.0, math.inf)).interval(0.95) == (0.0, math.inf)


# What is made of another estimate


def test_mapped_is_the_function_of_the_interval() -> None:
    inner = StudentT(4.0, 0.5, 30, (0.0, math.inf))
    low, high = inner.interval(0.9)
    root = Mapped(inner, math.sqrt, lambda v: v * v)
    close(root.interval(0.9), (math.sqrt(low), math.sqrt(high)))
    assert root.p_below(2.5) == inner.p_below(6.25)
    assert root.p_above(2.5) == inner.p_above(6.25)


def test_a_falling_function_turns_the_ends_round() -> None:
    inner = Share(12, 40)
    error = Mapped(inner, lambda v: 1 - v, lambda v: 1 - v, rising=False)
    close(error.interval(0.95), Share(28, 40).interval(0.95))
    assert error.p_below(0.8) == pytest.approx(Share(28, 40).p_below(0.8))
    assert error.p_above(0.8) == pytest.approx(Share(28, 40).p_above(0.8))


@given(st.booleans(), st.floats(0.05, 0.95), st.floats(0.01, 0.2), st.floats(0.02, 0.98), LEVELS)
def test_mapped_intervals_and_tails_agree(
    rising: bool, value: float, se: float, limit: float, level: float
) -> None:
    """F1 of Jaccard rises with it; a distance falls with a likeness."""
    inner = StudentT(value, se, 19, (0.0, 1.0))
    if rising:
        agree(Mapped(inner, lambda j: 2 * j / (1 + j), lambda f: f / (2 - f)), limit, level)
    else:
        agree(Mapped(inner, lambda v: 1 - v, lambda v: 1 - v, rising=False), limit, level)
