"""Levels of tests in an endless sequence: by hand, by their invariants, and by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr, zeta

from engine.statistics.online_fdr import METHODS, Judged, lord_gamma, next_level, saffron_gamma

LEVEL = 0.05
P = st.floats(0, 1) | st.floats(0, 1e-4) | st.sampled_from([0.0, 0.5, 1.0])


def run(p_values: list[float], method: str, level: float = LEVEL) -> list[Judged]:
    """The sequence judged from its start."""
    past: list[Judged] = []
    for p in p_values:
        alpha = next_level(past, level=level, method=method)
        past.append(Judged(p, alpha, p <= alpha))
    return past


def hit(alpha: float = 0.001) -> Judged:
    return Judged(0.0, alpha, True)


def miss(p: float = 0.9) -> Judged:
    return Judged(p, 0.001, False)


def test_shares_of_the_budget_sum_to_one() -> None:
    terms = 10**6
    t = np.arange(1, terms + 1)
    after = zeta(1.6, terms + 1) / zeta(1.6)
    assert saffron_gamma(t).sum() + after == pytest.approx(1, abs=1e-12)
    # The rest of LORD's lies between the integrals from `terms` and from one further.
    scale = lord_gamma(np.array([1]))[0] / math.log(2)
    rest = [
        scale * quad(lambda v: 2 * v**3 * math.exp(-v), math.sqrt(math.log(n)), 60)[0]
        for n in (terms, terms + 1)
    ]
    whole = lord_gamma(t).sum()
    assert whole + rest[1] - 1e-9 <= 1 <= whole + rest[0] + 1e-9


@pytest.mark.parametrize("gamma", [lord_gamma, saffron_gamma])
def test_shares_of_the_budget_fall(gamma: Callable[..., np.ndarray]) -> None:
    shares = gamma(np.arange(1, 2000))
    assert (np.diff(shares) < 0).all() and (shares > 0).all()


def lord(t: int) -> float:
    """The share at time t by hand; 1 / 0.0790820 is the sum of the shape over all t."""
    return 0.07908197 * math.log(max(t, 2)) / (t * math.exp(math.sqrt(math.log(t))))


def saffron(t: int) -> float:
    """The share at time t by hand; 2.2857657 is Riemann's zeta of 1.6."""
    return t**-1.6 / 2.2857657


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([], 0.025 * lord(1)),
        ([miss()], 0.025 * lord(2)),
        ([miss()] * 99, 0.025 * lord(100)),
        ([hit()], 0.025 * lord(2) + 0.025 * lord(1)),
        ([miss(), hit(), miss()], 0.025 * lord(4) + 0.025 * lord(2)),
        ([hit(), miss(), hit()], 0.025 * lord(4) + 0.025 * lord(3) + 0.05 * lord(1)),
    ],
)
def test_lord_by_hand(past: list[Judged], expected: float) -> None:
    assert next_level(past, level=LEVEL, method="lord") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([], 0.0125 * saffron(1)),
        ([miss()], 0.0125 * saffron(2)),
        # A candidate that is not rejected costs nothing.
        ([miss(0.3)], 0.0125 * saffron(1)),
        ([miss(0.5)], 0.0125 * saffron(1)),
        ([hit()], 0.0125 * saffron(1) + 0.0125 * saffron(1)),
        ([miss(), hit(), miss()], 0.0125 * saffron(3) + 0.0125 * saffron(2)),
        (
            [hit(), miss(), hit(), miss(0.2), miss()],
            0.0125 * saffron(3) + 0.0125 * saffron(3) + 0.025 * saffron(2),
        ),
    ],
)
def test_saffron_by_hand(past: list[Judged], expected: float) -> None:
    assert next_level(past, level=LEVEL, method="saffron") == pytest.approx(expected, rel=1e-6)


def test_saffron_judges_no_test_above_the_candidates_threshold() -> None:
    assert next_level([hit()] * 200, level=0.99, method="saffron") == 0.5


@given(st.lists(P, max_size=60), st.sampled_from([0.01, 0.05, 0.3]))
def test_lord_stays_within_its_budget_at_every_time(p: list[float], level: float) -> None:
    spent, rejections = 0.0, 0
    for each in run(p, "lord", level):
        spent += each.alpha
        # With what was known before this test: its own rejection must not be needed.
        assert spent <= level * max(1, rejections) * (1 + 1e-12)
        rejections += each.rejected


@given(st.lists(P, max_size=60), st.sampled_from([0.01, 0.05, 0.3]))
def test_saffron_stays_within_its_budget_at_every_time(p: list[float], level: float) -> None:
    spent, rejections = 0.0, 0
    for each in run(p, "saffron", level):
        assert spent + each.alpha / (1 - 0.5) <= level * max(1, rejections) * (1 + 1e-12)
        spent += each.alpha / (1 - 0.5) if each.p > 0.5 else 0.0
        rejections += each.rejected


@given(st.lists(P, min_size=1, max_size=40), st.data())
def test_a_rejection_more_never_lowers_a_later_level(p: list[float], data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(p) - 1))
    more = [*p[:where], 0.0, *p[where + 1 :]]
    for method in METHODS:
        before, after = run(p, method), run(more, method)
        assert all(b.alpha <= a.alpha * (1 + 1e-12) for b, a in zip(before, after, strict=True))
        ends = [next_level(past, level=LEVEL, method=method) for past in (before, after)]
        assert ends[0] <= ends[1] * (1 + 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_past_is_only_read(method: str) -> None:
    past = [miss(), hit(), miss(0.2)]
    first = next_level(past, level=LEVEL, method=method)
    assert next_level(tuple(past), level=LEVEL, method=method) == first
    assert past == [miss(), hit(), miss(0.2)]


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, math.nan])
def test_levels_outside_0_and_1_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"level in \(0, 1\)"):
        next_level([], level=level, method="lord")


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown online method 'lond'"):
        next_level([], level=LEVEL, method="lond")


@pytest.mark.parametrize("method", METHODS)
def test_false_discovery_rate_is_held_with_a_fifth_of_real_effects(method: str) -> None:
    rng = np.random.default_rng(20)
    shares, found = [], []
    for _ in range(150):
        real = rng.random(150) < 0.2
        p = ndtr(-(rng.standard_normal(150) + 3.0 * real))
        rejected = np.array([each.rejected for each in run(p.tolist(), method)])
        shares.append((rejected & ~real).sum() / max(rejected.sum(), 1))
        found.append((rejected & real).sum() / max(real.sum(), 1))
    assert np.mean(shares) <= LEVEL
    assert np.mean(found) > 0.2


@pytest.mark.parametrize("method", METHODS)
def test_where_nothing_is_wrong_few_sequences_ever_reject(method: str) -> None:
    rng = np.random.default_rng(21)
    any_rejection = [
        any(each.rejected for each in run(p.tolist(), method)) for p in rng.random((400, 60))
    ]
    assert np.mean(any_rejection) <= LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / 400)
