"""The signed ranks against scipy's exact test, and how often the interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from engine.statistics import Mapped, Several, SignedRanks, pairs_needed
from engine.statistics.signed_ranks import rank_tail


@pytest.mark.parametrize("pairs", [1, 2, 5, 6, 13, 40])
@pytest.mark.parametrize("limit", [-0.7, 0.0, 0.3])
def test_the_tails_are_those_of_the_exact_test(pairs: int, limit: float) -> None:
    values = np.random.default_rng(pairs).normal(0.2, 1, pairs)
    ranks = SignedRanks(tuple(values))
    for side, p in (("greater", ranks.p_above(limit)), ("less", ranks.p_below(limit))):
        expected = wilcoxon(values - limit, alternative=side, method="exact").pvalue
        assert p == pytest.approx(expected, abs=1e-12), side


@pytest.mark.parametrize("pairs", [6, 11, 30])
@pytest.mark.parametrize(("level", "slack"), [(0.9, 0.0), (0.95, 0.0), (0.95, 0.01)])
def test_the_interval_has_what_the_tails_do_not_reject(
    pairs: int, level: float, slack: float
) -> None:
    values = np.random.default_rng(pairs).standard_t(2, pairs)
    ranks = SignedRanks(tuple(values), slack)
    low, high = ranks.interval(level)
    assert low < ranks.middle < high
    for inside, outside, tail in (
        (low + 1e-9, low - 1e-9, ranks.p_above),
        (high - 1e-9, high + 1e-9, ranks.p_below),
    ):
        assert tail(inside) > (1 - level) / 2 >= tail(outside)


def test_few_pairs_have_no_interval() -> None:
    assert pairs_needed(0.95) == 6
    assert SignedRanks((0.1,) * 5).interval(0.95) == (-math.inf, math.inf)
    assert SignedRanks((0.1,) * 6).interval(0.95) == (0.1, 0.1)
    assert rank_tail(3).tolist() == [1 / 8, 2 / 8, 3 / 8, 5 / 8, 6 / 8, 7 / 8, 1.0]


@pytest.mark.parametrize("pairs", [6, 20])
def test_the_interval_holds_the_middle_of_what_is_symmetric(pairs: int) -> None:
    rng = np.random.default_rng(3)
    draws = rng.standard_t(2, (1000, pairs)) + 1.5
    ends = np.array([SignedRanks(tuple(values)).interval(0.95) for values in draws])
    held = ((ends[:, 0] <= 1.5) & (ends[:, 1] >= 1.5)).mean()
    assert 0.94 <= held <= 0.985


def test_it_stands_among_several_and_behind_a_function() -> None:
    ranks = SignedRanks(tuple(np.random.default_rng(5).normal(0.1, 0.1, 20)))
    ratio = Mapped(ranks, math.exp, math.log)
    several = Several(2, ((np.array([1]), ratio),))
    low, high = several.interval(0.95)
    assert np.isnan(low[0]) and high[1] == math.exp(ranks.interval(0.95)[1])
    assert several.p_above(1.0)[1] == ranks.p_above(0.0)
    assert several.at(1) == ratio and several.errors_to(1.0)[1] > 0
