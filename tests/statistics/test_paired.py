"""The difference of two shares on the same rows: published figures, scipy, and enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from engine.statistics.paired import FEW, PairedShare
from engine.statistics.spread import two_sided_p


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


def score(of: PairedShare, limit: float) -> float:
    """How many standard errors the difference is above `limit`, were it that."""
    gains, losses = likeliest(of, limit)
    error = math.sqrt((gains + losses - limit**2) / of.trials)
    return (of.value - limit) / error


def exact_tail(of: PairedShare, limit: float) -> float:
    """The probability of a difference as low as this, of the likeliest shares, by enumeration."""
    n = int(of.trials)
    gains, losses = likeliest(of, limit)
    gained, lost = np.arange(n + 1)[:, None], np.arange(n + 1)[None, :]
    differing = max(min(gains + losses, 1.0), 1e-300)
    number = gained + lost
    p = stats.binom.pmf(number, n, differing) * stats.binom.pmf(gained, number, gains / differing)
    return float(p[gained - lost <= of.gained - of.lost].sum())


@pytest.mark.parametrize(
    ("of", "level", "expected"),
    [
        # Airway hyper-responsiveness (Bentur 2009) and complete response (Cavo 2012), in chapter 8
        # of Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017).
        (PairedShare(1, 7, 21), 0.95, (-0.517, -0.026)),
        (PairedShare(6, 16, 161), 0.95, (-0.1240, -0.0054)),
        # R's PropCIs: scoreci.mp(25, 28, 618, 0.9), the difference of the second and the first.
        (PairedShare(28, 25, 618), 0.90, (-0.0148, 0.0247)),
    ],
)
def test_published_intervals(of: PairedShare, level: float, expected: tuple[float, float]) -> None:
    digits = len(str(expected[0]).split(".")[1])
    assert of.interval(level) == pytest.approx(expected, abs=0.51 * 10**-digits)


@given(tables())
def test_the_interval_inverts_the_score(of: PairedShare) -> None:
    low, high = of.interval(0.95)
    assert -1 <= low <= of.value <= high <= 1
    if low > -1 + 1e-9:
        assert score(of, low) == pytest.approx(1.959964, rel=1e-4)
    if high < 1 - 1e-9:
        assert score(of, high) == pytest.approx(-1.959964, rel=1e-4)


@pytest.mark.parametrize("n", [30, 200, 10_000])
def test_where_no_row_differs_the_interval_is_that_of_the_score_alone(n: int) -> None:
    """Tango's closed form: z^2 / (n + z^2)."""
    z2 = 1.959964**2
    expected = z2 / (n + z2)
    assert PairedShare(0, 0, n).interval(0.95) == pytest.approx((-expected, expected), rel=1e-6)


@given(st.integers(0, FEW - 1).flatmap(lambda k: st.tuples(st.integers(0, k), st.just(k))))
def test_where_few_differ_no_difference_has_mcnemars_exact_tail(counts: tuple[int, int]) -> None:
    gained, differ = counts
    of = PairedShare(gained, differ - gained, 200)
    expected = 1.0 if differ == 0 else stats.binomtest(gained, differ, alternative="less").pvalue
    assert of.p_below(0.0) == pytest.approx(expected, rel=1e-9)
    both = 1.0 if differ == 0 else stats.binomtest(gained, differ).pvalue
    assert two_sided_p(of) == pytest.approx(both, rel=1e-9)


@given(tables(FEW))
def test_where_many_differ_no_difference_has_mcnemars_chi_square(of: PairedShare) -> None:
    differ = of.gained + of.lost
    chi_square = (of.gained - of.lost) ** 2 / differ
    assert two_sided_p(of) == pytest.approx(stats.chi2.sf(chi_square, 1), rel=1e-6, abs=1e-300)


@given(tables(FEW), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_where_many_differ_interval_and_p_agree_on_no_difference(
    of: PairedShare, level: float
) -> None:
    low, high = of.interval(level)
    small = (1 - level) / 2
    assume(abs(min(of.p_below(0), of.p_above(0)) / small - 1) > 1e-6)
    assert (high < 0) == (of.p_below(0) <= small)
    assert (low > 0) == (of.p_above(0) <= small)


@given(at_limits(1.0, 6.0))
def test_tails_at_a_margin_are_those_of_enumeration(at_limit: tuple[PairedShare, float]) -> None:
    of, limit = at_limit
    assume(score(of, limit) < -1.05)
    expected = exact_tail(of, limit)
    assume(expected > 1e-10)
    # Furthest out, where all rows but a few are lost, it is too large rather than too small.
    assert expected * 0.95 < of.p_below(limit) < expected * (1.1 if expected > 1e-4 else 1.5)


@given(at_limits(-5.0, 1.0))
def test_tails_near_the_margin_are_those_of_the_score(at_limit: tuple[PairedShare, float]) -> None:
    of, limit = at_limit
    z = score(of, limit)
    assume(z > -0.95)
    assert of.p_below(limit) == pytest.approx(stats.norm.cdf(z), rel=1e-3)


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("gains", [0.0, 0.002, 0.02])
@pytest.mark.parametrize("limit", [-0.02, -0.05, 0.0])
def test_the_tails_of_a_true_limit_are_no_smaller_than_they_should_be(
    n: int, gains: float, limit: float
) -> None:
    """With the truth at the limit p <= t has at most the probability t, from 0.1 to 1e-6."""
    losses = gains - limit
    gained = np.arange(int(stats.binom.isf(1e-10, n, gains)) + 1)
    lost = np.arange(int(stats.binom.isf(1e-10, n, losses)) + 1)
    same = 1 - gains - losses
    for side in (PairedShare.p_below, PairedShare.p_above):
        # [gained, lost]: what each table's tail is, and how likely the table is.
        p = np.array([[side(PairedShare(g, k, n), limit) for k in lost] for g in gained])
        odds = stats.binom.pmf(lost[None, :], n, losses) * stats.binom.pmf(
            gained[:, None], n - lost[None, :], gains / (gains + same)
        )
        for t in (0.1, 0.025, 0.005, 1e-3, 1e-4, 5e-5, 1e-5, 1e-6):
            assert odds[p <= t].sum() <= t * 1.02 + 1e-9, (side.__name__, t)


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
    if of.p_below(limit) < 0.15:
        assert unsure.p_below(limit) >= of.p_below(limit) * (1 - 1e-9)


@pytest.mark.parametrize("limit", [-0.02, 0.0, 0.03])
@pytest.mark.parametrize("gained", [2, 30])
def test_far_out_few_degrees_of_freedom_count_for_more_than_the_exact_tail(
    limit: float, gained: float
) -> None:
    of = PairedShare(gained, gained + 20, 200, df=4)
    assert of.p_below(limit) == pytest.approx(stats.t.cdf(score(of, limit), 4), rel=1e-4)
    assert of.p_below(limit) > 1.5 * PairedShare(gained, gained + 20, 200).p_below(limit)


@given(tables(), st.floats(-1, 1), st.floats(0.1, 0.9))
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
    assert (of.p_below(-1), of.p_above(1)) == (1.0, 1.0)
    assert (of.p_below(1), of.p_above(-1)) == (0.0, 0.0)


def test_all_lost_is_as_likely_as_the_likeliest_loss_allows() -> None:
    # At a difference of -0.5 with nothing but losses seen, the likeliest share lost is 0.75.
    assert PairedShare(0, 20, 20).p_below(-0.5) == pytest.approx(0.75**20, rel=1e-9)


def test_one_model_that_only_loses_has_the_binomials_tail() -> None:
    at_limit = PairedShare(0, 30, 200)
    gains, losses = likeliest(at_limit, -0.12)
    assert gains == pytest.approx(0, abs=1e-9)
    expected = stats.binom.sf(29, 200, losses)
    assert at_limit.p_below(-0.12) == pytest.approx(expected, rel=1e-6)


def test_the_interval_is_found_to_the_last_digits() -> None:
    of = PairedShare(40, 20, 160)
    ends = [
        brentq(lambda limit, z=z: score(of, limit) - z, -0.5, 0.9) for z in (1.959964, -1.959964)
    ]
    assert of.interval(0.95) == pytest.approx(ends, abs=1e-6)
