"""The smallest and the largest share of several groups: against loops, and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.statistics import Share
from engine.statistics.disparity import AverageDifference, Shares
from engine.statistics.extremes import ExtremeShare
from tests.fixtures.mid_p import mid_p_interval

counts = st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda pair: sum(pair) > 0)
groups_of_counts = st.lists(counts, min_size=1, max_size=7)


def share_of(hits: Any, trials: Any) -> Share:
    hits, trials = np.broadcast_arrays(np.asarray(hits, float), np.asarray(trials, float))
    return Share(hits, trials, np.full(hits.shape, math.inf))


def of_counts(drawn: list[tuple[int, int]]) -> Share:
    return share_of([hits for hits, _ in drawn], [hits + misses for hits, misses in drawn])


@settings(max_examples=40, deadline=None)
@given(groups_of_counts, st.sampled_from([0.8, 0.95]))
def test_the_ends_are_those_of_the_groups(drawn: Any, level: float) -> None:
    tail = (1 - level) / 2
    rows = [(hits, hits + misses) for hits, misses in drawn]
    each = [mid_p_interval(*row, tail) for row in rows]
    sure = [mid_p_interval(*row, tail / len(rows)) for row in rows]
    smallest = ExtremeShare(of_counts(drawn))
    ends = min(low for low, _ in each), min(high for _, high in sure)
    assert smallest.interval(level) == pytest.approx(ends, abs=1e-9)
    largest = ExtremeShare(of_counts(drawn), largest=True)
    ends = max(low for low, _ in sure), max(high for _, high in each)
    assert largest.interval(level) == pytest.approx(ends, abs=1e-9)
    for spread in (smallest, largest):
        low, high = spread.interval(level)
        assert low <= spread.value <= high


def test_of_a_single_group_it_is_its_own() -> None:
    for largest in (False, True):
        spread = ExtremeShare(share_of([17], [20]), largest)
        own = Share(17.0, 20.0)
        assert spread.interval(0.95) == pytest.approx(own.interval(0.95))
        assert spread.p_below(0.95) == pytest.approx(own.p_below(0.95))
        assert spread.p_above(0.6) == pytest.approx(own.p_above(0.6))


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("tail", [0.2, 0.025, 1e-4])
def test_an_interval_beyond_a_limit_is_a_small_probability(tail: float, largest: bool) -> None:
    spread = ExtremeShare(share_of([30, 36, 52], [60, 50, 60]), largest)
    low, high = spread.interval(1 - 2 * tail)
    assert spread.p_above(low) == pytest.approx(tail, rel=1e-6)
    assert spread.p_below(high) == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize(
    ("truth", "trials"),
    [
        ([0.8] * 10, 30),
        ([0.95, 0.9, 0.6], 40),
        ([0.98] * 5, [20, 50, 100, 500, 1000]),
    ],
)
def test_the_truth_is_covered(truth: Any, trials: Any, largest: bool) -> None:
    rng = np.random.default_rng(0)
    truth = 1 - np.array(truth) if largest else np.array(truth)
    extreme = truth.max() if largest else truth.min()
    draws, missed = 400, 0
    for hits in rng.binomial(trials, truth, (draws, len(truth))):
        low, high = ExtremeShare(share_of(hits, trials), largest).interval(0.95)
        missed += not low <= extreme <= high
    # What 400 draws of 95 % leave open.
    assert missed / draws <= 0.07


def of_kinds(*kinds: tuple[Any, Any]) -> AverageDifference:
    made = []
    for hits, trials in kinds:
        hits, trials = np.broadcast_arrays(np.asarray(hits, float), np.asarray(trials, float))
        made.append(Shares(hits, trials, np.full(hits.shape, math.inf)))
    return AverageDifference(tuple(made))


@pytest.mark.parametrize(
    ("rates", "trials"),
    [
        (([0.3] * 2, [0.7] * 2), (100, 80)),
        (([0.1] * 5, [0.8] * 5), (60, 40)),
        (([0.1, 0.3], [0.9, 0.6]), (100, 80)),
        (([0.2, 0.2, 0.2], [0.9, 0.7, 0.6]), (200, 100)),
    ],
)
def test_the_true_mean_of_gaps_is_covered(rates: Any, trials: Any) -> None:
    rng = np.random.default_rng(0)
    truth = sum(np.ptp(each) for each in rates) / 2
    draws, missed = 300, 0
    for _ in range(draws):
        kinds = [(rng.binomial(n, each), n) for each, n in zip(rates, trials, strict=True)]
        low, high = of_kinds(*kinds).interval(0.95)
        missed += not low <= truth <= high
    assert missed / draws <= 0.07


@pytest.mark.parametrize("tail", [0.2, 0.025, 1e-4])
def test_the_ends_of_a_mean_of_gaps_are_its_probabilities(tail: float) -> None:
    spread = of_kinds(([60, 20], 100), ([90, 60], 120))
    low, high = spread.interval(1 - 2 * tail)
    assert spread.p_above(low) == pytest.approx(tail, rel=0.05)
    assert spread.p_below(high) == pytest.approx(tail, rel=1e-3)
    assert spread.p_below(0.0) == 1.0 and spread.p_below(1.0) == 0.0
    assert spread.p_above(-0.1) == 0.0 and spread.p_above(1.0) == 1.0


def test_the_noise_of_a_mean_of_gaps_is_taken_off() -> None:
    rng = np.random.default_rng(0)
    alike = of_kinds(*((rng.binomial(30, rate, 20), 30) for rate in (0.2, 0.7)))
    assert alike.debiased_value < 0.5 * alike.value
    sure = of_kinds(([6000, 2000], 10_000), ([9000, 6000], 12_000))
    assert sure.debiased_value == pytest.approx(sure.value, rel=0.01)
