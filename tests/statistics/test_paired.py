"""The difference of two shares on the same rows: published figures, scipy, and enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar

from engine.statistics.paired import PairedShare
from engine.statistics.spread import two_sided_p
from tests.fixtures.mid_p import mid_p


@st.composite
def tables(draw: st.DrawFn, least: int = 0) -> PairedShare:
    """At least so many of the rows differ."""
    n = draw(st.integers(max(least, 1), 300))
    gained = draw(st.integers(0, n))
    return PairedShare(gained, draw(st.integers(max(0, least - gained), n - gained)), n)


@st.composite
def at_limits(draw: st.DrawFn, nearest: float, furthest: float) -> tuple[PairedShare, float]:
    """A table, and a limit so many rough standard errors above its difference."""
    n = draw(st.integers(40, 150))
    of = PairedShare(draw(st.integers(0, n // 4)), draw(st.integers(0, n // 2)), n)
    error = math.sqrt(of.gained + of.lost + 1) / n
    limit = of.value + draw(st.floats(nearest, furthest)) * error
    assume(1e-3 < abs(limit) < 0.7)
    return of, limit


def likeliest(of: PairedShare, limit: float) -> tuple[float, float]:
    """The likeliest shares of gains and of losses that differ by `limit`, by search."""
    same = of.trials - of.gained - of.lost

    def minus_log(lost: float) -> float:
        shares = np.array([lost + limit, lost, 1 - 2 * lost - limit])
        counts = np.array([of.gained, of.lost, same])
        return -float((counts * np.log(np.maximum(shares, 1e-300)))[counts > 0].sum())

    low, high = max(0.0, -limit), (1 - limit) / 2
    found = minimize_scalar(minus_log, bounds=(low, high), options={"xatol": 1e-12})
    lost = min((low, high, found.x), key=minus_log)
    return lost + limit, lost


def exact_tail(of: PairedShare, limit: float) -> float:
    """The mid-p of a difference as low as this, of the likeliest shares, by enumeration."""
    n = int(of.trials)
    gains, losses = likeliest(of, limit)
    gained, lost = np.arange(n + 1)[:, None], np.arange(n + 1)[None, :]
    differing = max(min(gains + losses, 1.0), 1e-300)
    number = gained + lost
    p = stats.binom.pmf(number, n, differing) * stats.binom.pmf(gained, number, gains / differing)
    seen = of.gained - of.lost
    return float(p[gained - lost < seen].sum() + p[gained - lost == seen].sum() / 2)


@pytest.mark.parametrize(
    ("of", "level", "tango"),
    [
        # Airway hyper-responsiveness (Bentur 2009) and complete response (Cavo 2012), in chapter 8
        # of Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017).
        (PairedShare(1, 7, 21), 0.95, (-0.517, -0.026)),
        (PairedShare(6, 16, 161), 0.95, (-0.1240, -0.0054)),
        # R's PropCIs: scoreci.mp(25, 28, 618, 0.9), the difference of the second and the first.
        (PairedShare(28, 25, 618), 0.90, (-0.0148, 0.0247)),
    ],
)
def test_the_interval_is_near_the_published_ones_of_the_score(
    of: PairedShare, level: float, tango: tuple[float, float]
) -> None:
    assert of.interval(level) == pytest.approx(tango, abs=0.02 * (tango[1] - tango[0]))


@given(tables(), st.sampled_from([0.5, 0.8, 0.95, 0.99]), st.just(math.inf) | st.floats(3, 60))
def test_the_interval_inverts_the_tails(of: PairedShare, level: float, df: float) -> None:
    of = PairedShare(of.gained, of.lost, of.trials, df)
    low, high = of.interval(level)
    assert -1 <= low < high <= 1
    if low > -1 + 1e-9:
        assert of.p_above(low) == pytest.approx((1 - level) / 2, rel=1e-6)
    if high < 1 - 1e-9:
        assert of.p_below(high) == pytest.approx((1 - level) / 2, rel=1e-6)


@pytest.mark.parametrize("n", [30, 200, 10_000])
def test_where_no_row_differs_the_interval_is_that_of_no_hit(n: int) -> None:
    """Half of (1 - limit)^n is what the level leaves."""
    expected = 1 - 0.05 ** (1 / n)
    assert PairedShare(0, 0, n).interval(0.95) == pytest.approx((-expected, expected), rel=1e-6)


@pytest.mark.parametrize("differ", [10, 24, 25, 60])
def test_no_difference_has_nearly_mcnemars_tail(differ: int) -> None:
    """Further out it is larger: McNemar takes as known how many rows differ."""
    for gained in range(differ + 1):
        of, mid = PairedShare(gained, differ - gained, 400), mid_p(gained, differ, 0.5)
        if 0.01 < mid < 0.99:
            assert of.p_below(0.0) == pytest.approx(mid, rel=0.2)
        if mid < 0.01:
            assert of.p_below(0.0) > mid
        assert two_sided_p(of) == pytest.approx(2 * min(of.p_below(0.0), of.p_above(0.0)))


@given(tables(), st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_limit_is_never_less_surely_missed(
    of: PairedShare, one: float, other: float
) -> None:
    low, high = sorted([one, other])
    assert of.p_below(low) >= of.p_below(high) and of.p_above(low) <= of.p_above(high)
    assert of.p_below(low) + of.p_above(low) == pytest.approx(1.0)


@given(at_limits(-6.0, 6.0))
def test_tails_at_a_margin_are_those_of_enumeration(at_limit: tuple[PairedShare, float]) -> None:
    of, limit = at_limit
    expected = exact_tail(of, limit)
    assume(1e-10 < expected < 1 - 1e-10)
    # Furthest out, where all rows but a few are lost, it is too large rather than too small.
    assert expected * 0.9 < of.p_below(limit) < expected * (1.1 if expected > 1e-4 else 1.5)


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("gains", [0.0, 0.002, 0.02])
@pytest.mark.parametrize("limit", [-0.02, -0.05, 0.0])
def test_the_tails_of_a_true_limit_are_as_small_as_they_should_be(
    n: int, gains: float, limit: float
) -> None:
    """With the truth at the limit p <= t has about the probability t, from 0.1 to 1e-6.

    Counts come in steps, of which a mid-p is as often too small as too large: at most twice.
    """
    losses = gains - limit
    gained = np.arange(int(stats.binom.isf(1e-10, n, gains)) + 1)
    lost = np.arange(int(stats.binom.isf(1e-10, n, losses)) + 1)
    same = 1 - gains - losses
    # [gained, lost]: what each table's tail is, and how likely the table is.
    tables = PairedShare(gained[:, None] * 1.0, lost[None, :] * 1.0, float(n))
    odds = stats.binom.pmf(lost[None, :], n, losses) * stats.binom.pmf(
        gained[:, None], n - lost[None, :], gains / (gains + same)
    )
    for p in (tables.p_below(limit), tables.p_above(limit)):
        sizes = [odds[p <= t].sum() / t for t in (0.1, 0.025, 0.005, 1e-3, 1e-4, 5e-5, 1e-5, 1e-6)]
        assert max(sizes) <= 2.0 and np.mean(sizes) <= 1.1


@given(tables(), st.floats(-1.1, 1.1), st.floats(3, 100) | st.just(math.inf))
def test_the_other_model_sees_the_mirror_image(of: PairedShare, limit: float, df: float) -> None:
    this = PairedShare(of.gained, of.lost, of.trials, df)
    other = PairedShare(of.lost, of.gained, of.trials, df)
    assert this.value == -other.value
    assert this.p_above(limit) == pytest.approx(other.p_below(-limit), rel=1e-9)
    low, high = this.interval(0.9)
    assert (-high, -low) == pytest.approx(other.interval(0.9), abs=1e-9)


@given(tables(), st.floats(-0.95, 0.95), st.floats(2, 60))
def test_where_rows_are_estimated_it_is_less_sure(of: PairedShare, limit: float, df: float) -> None:
    unsure = PairedShare(of.gained, of.lost, of.trials, df)
    inner, outer = of.interval(0.95), unsure.interval(0.95)
    assert outer[0] <= inner[0] + 1e-9 and inner[1] <= outer[1] + 1e-9
    if of.p_below(limit) < 0.5:
        assert unsure.p_below(limit) >= of.p_below(limit) * (1 - 1e-9)


@pytest.mark.parametrize("limit", [-0.02, 0.0, 0.03])
@pytest.mark.parametrize("gained", [2, 30])
def test_few_degrees_of_freedom_make_students_tail_of_the_normal_one(
    limit: float, gained: float
) -> None:
    sure = PairedShare(gained, gained + 20, 200).p_below(limit)
    unsure = PairedShare(gained, gained + 20, 200, df=4).p_below(limit)
    assert unsure == pytest.approx(stats.t.cdf(stats.norm.ppf(sure), 4), rel=1e-6)
    assert unsure > 1.5 * sure


@given(tables(), st.floats(-1, 1), st.floats(0.1, 0.9))
@example(PairedShare(1, 0, 2), math.nextafter(-1, 0), 0.5)  # shares without digits
def test_tails_are_probabilities_of_parts_of_rows_too(
    of: PairedShare, limit: float, part: float
) -> None:
    parts = PairedShare(of.gained * part, of.lost * part, of.trials * part)
    for each in (of, parts):
        for p in (each.p_below(limit), each.p_above(limit), two_sided_p(each, limit)):
            assert 0 <= p <= 1


@pytest.mark.parametrize(
    ("gained", "lost", "value"), [(0, 0, 0.0), (200, 0, 1.0), (0, 200, -1.0), (100, 100, 0.0)]
)
def test_the_ends_of_what_there_can_be(gained: float, lost: float, value: float) -> None:
    of = PairedShare(gained, lost, 200)
    low, high = of.interval(0.95)
    assert of.value == value and low <= value <= high
    assert (low == -1) == (value == -1) and (high == 1) == (value == 1)
    # Of what can only be seen there half is counted.
    assert (of.p_below(-1), of.p_above(1)) == (0.5 if value == -1 else 1, 0.5 if value == 1 else 1)
    assert (of.p_below(1), of.p_above(-1)) == (1 - of.p_above(1), 1 - of.p_below(-1))
    assert (of.p_below(-1.1), of.p_above(-1.1), of.p_below(1.1), of.p_above(1.1)) == (1, 0, 0, 1)


def test_all_lost_is_as_likely_as_the_likeliest_loss_allows() -> None:
    # At a difference of -0.5 with nothing but losses seen, the likeliest share lost is 0.75.
    assert PairedShare(0, 20, 20).p_below(-0.5) == pytest.approx(0.75**20 / 2, rel=1e-9)


def test_one_model_that_only_loses_has_the_binomials_tail() -> None:
    at_limit = PairedShare(0, 30, 200)
    gains, losses = likeliest(at_limit, -0.12)
    assert gains == pytest.approx(0, abs=1e-9)
    expected = stats.binom.sf(30, 200, losses) + stats.binom.pmf(30, 200, losses) / 2
    assert at_limit.p_below(-0.12) == pytest.approx(expected, rel=0.01)
