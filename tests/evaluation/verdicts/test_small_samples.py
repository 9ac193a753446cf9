"""Verdict, interval and p-value are one fact: every small sample on a grid of limits and levels."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from engine.conditions import Estimate, Evidence, Measurement, needs_baseline, rule
from engine.core.vocabulary import Condition, MetricValue, ModelTest, RowCounts, Verdict, Within
from engine.evaluation.verdicts import Correction, correct_verdicts, decide
from engine.metrics import Comparison
from engine.statistics import (
    Mapped,
    Moved,
    PairedShare,
    QuantileOf,
    Share,
    Spread,
    StudentT,
    two_sided_p,
)

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
SIZES = range(1, 9)
# Weighted and clustered rows make parts of rows, and degrees of freedom.
SAMPLINGS = ((1.0, math.inf), (0.7, 3.0), (0.55, 7.5))
# A limit so near to the end of an interval is decided by rounding.
NEAR = 1e-9


Samples = tuple[np.ndarray, Spread]


def shares() -> Samples:
    """All that up to eight rows can bring, and what it is worth of weighted or clustered rows."""
    table = np.array(
        [
            (hits / rows, hits * worth, rows * worth, df)
            for rows, (worth, df) in itertools.product(SIZES, SAMPLINGS)
            for hits in range(rows + 1)
        ]
    )
    return table[:, 0], Share(*table[:, 1:].T)


def pairs() -> Samples:
    """The same of two models: differences."""
    table = np.array(
        [
            ((gained - lost) / rows, gained * worth, lost * worth, rows * worth, df)
            for rows, (worth, df) in itertools.product(SIZES, SAMPLINGS)
            for gained in range(rows + 1)
            for lost in range(rows + 1 - gained)
        ]
    )
    return table[:, 0], PairedShare(*table[:, 1:].T)


def means(bounds: tuple[float, float]) -> Samples:
    """Means of up to eight rows."""
    table = np.array(list(itertools.product((0.1, 0.45, 0.9), (0.02, 0.3), range(1, 8))))
    return table[:, 0], StudentT(*table.T, bounds)


def hold(
    condition: Condition, samples: Samples, level: float, *, higher: bool = True, bound: float = 0.0
) -> None:
    """FAIL exactly where the tail beyond is what the level leaves, PASS where the other one is."""
    values, spread = samples
    comparison = None
    limit, least = condition.bound, condition.kind in ("min", "max_drop")
    if needs_baseline(condition):
        comparison = Comparison(0.5 + values, 0.5, spread, 0.2, math.inf, lambda: (0.1, 0.1))
        limit = -limit if condition.kind == "max_drop" else limit
        least = least or (condition.kind == "no_worse" and higher)
        values = 0.5 + values
    tails = spread.p_below(limit - bound), spread.p_above(limit + bound)
    if not least:
        tails = spread.p_above(limit + bound), spread.p_below(limit - bound)
    estimate = Estimate(values, bound, spread, 0.0, comparison)
    evidence = rule(condition).evidence(condition, estimate, level=level, better=higher)
    assert evidence is not None
    columns = [np.broadcast_to(column, values.shape).tolist() for column in evidence]
    test, rest = ModelTest("t", "accuracy", (condition,)), (1 - level) / 2
    for value, beyond, within, *row in zip(values.tolist(), *tails, *columns, strict=True):
        decision = decide(
            test,
            Measurement(
                MetricValue(value, error_bound=bound), RowCounts(8, 8.0), MetricValue(0.5),
                spread=spread, comparison=comparison, confidence=level, higher_is_better=higher,
                evidence=[Evidence._make(row)],
            ),
        )  # fmt: skip
        if min(abs(beyond - rest), abs(within - rest)) <= NEAR:
            continue
        assert decision.p == pytest.approx(beyond, abs=1e-12)
        passes = condition.kind == "no_worse" or within <= rest
        expected = Verdict.PASS if passes else Verdict.INCONCLUSIVE
        expected = Verdict.FAIL if beyond <= rest else expected
        assert decision.verdict is expected, (condition, level, row)


def agree(spread: Spread, limits: np.ndarray, level: float) -> None:
    """An end of the interval is where the tail is what the level leaves."""
    (low, high), rest = spread.interval(level), (1 - level) / 2
    for limit in limits.tolist():
        below, above = spread.p_below(limit), spread.p_above(limit)
        told = np.minimum(np.abs(below - rest), np.abs(above - rest)) > NEAR
        assert not np.any(told & ((high < limit) != (below <= rest))), (level, limit)
        assert not np.any(told & ((low > limit) != (above <= rest))), (level, limit)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["min", "max"])
def test_limits_of_shares_and_means(kind: str, level: float) -> None:
    reals, above, between = (-math.inf, math.inf), (0.0, math.inf), (0.0, 1.0)
    for samples in (shares(), means(reals), means(above), means(between)):
        for limit in np.linspace(0.05, 0.95, 25).tolist():
            hold(Condition(kind, limit), samples, level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["max_drop", "max_rise"])
def test_margins_of_paired_differences(kind: str, level: float) -> None:
    for margin in (0.0, 0.02, 0.1, 0.3, 0.5, 0.625):
        hold(Condition(kind, margin), pairs(), level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("higher", [True, False])
def test_no_worse_of_paired_differences(higher: bool, level: float) -> None:
    hold(Condition("no_worse", 0.0), pairs(), level, higher=higher)


@pytest.mark.parametrize("level", LEVELS)
def test_two_sided_p_values_and_intervals(level: float) -> None:
    _, spread = pairs()
    (low, high), p = spread.interval(level), two_sided_p(spread)
    told = np.abs(p - (1 - level)) > NEAR
    assert not np.any(told & (((low > 0) | (high < 0)) != (p <= 1 - level)))


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_made_of_others(level: float) -> None:
    limits = np.linspace(-0.95, 0.95, 39)
    for _, spread in (shares(), pairs()):
        agree(spread, limits, level)
        agree(Mapped(spread, lambda v: 1 - v, lambda v: 1 - v, rising=False), limits, level)
        agree(Moved(spread, -1.0, 2.0), limits, level)
    agree(Mapped(shares()[1], lambda j: 2 * j / (1 + j), lambda f: f / (2 - f)), limits, level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_quantiles(share: float, level: float) -> None:
    for rows, (worth, df) in itertools.product(SIZES, SAMPLINGS):
        low, up_to = np.arange(rows, dtype=np.float64), np.arange(1, rows + 1) / rows
        for width in (0.0, 0.4):
            quantile = Share(share * rows * worth, rows * worth, df)
            spread = QuantileOf(quantile, low, low + width, up_to)
            agree(spread, np.linspace(-0.7, 8.3, 16), level)


@pytest.mark.parametrize("kind", ["min", "max"])
def test_an_error_bound_moves_the_interval_and_p_alike(kind: str) -> None:
    for limit in (0.25, 0.7):
        hold(Condition(kind, limit), shares(), 0.9, bound=0.06)


@pytest.mark.parametrize("method", list(Within))
def test_a_correction_at_the_intervals_own_level_changes_nothing(method: Within) -> None:
    """Of one slice the corrected p-value is the p-value itself."""
    level, (values, spread) = 0.9, shares()
    for limit in (0.3, 0.625):
        test = ModelTest("t", "accuracy", (Condition("min", limit),))
        for place, value in enumerate(values.tolist()):
            measurement = Measurement(
                MetricValue(value), RowCounts(8, 8.0), spread=spread.at(place), confidence=level
            )
            decision = decide(test, measurement)
            cell = SimpleNamespace(
                test=test, model=SimpleNamespace(name="m"), p_value=None, verdict=decision.verdict,
                violation_q_value=None,
                violation_p_value=decision.p, reason=decision.reason, **dict.fromkeys(REST),
            )  # fmt: skip
            how = Correction(method, (1 - level) / 2)
            (corrected,) = correct_verdicts([cell], how).cells  # type: ignore[list-item]
            assert decision.p is not None
            assert corrected.violation_q_value == pytest.approx(decision.p)
            if abs(decision.p - how.level) > NEAR:
                assert corrected.verdict is decision.verdict


REST = (
    "evaluation", "dataset", "slice", "counts", "measured", "baseline_model", "baseline_value",
    "delta", "delta_ci_low", "delta_ci_high", "variant",
)  # fmt: skip


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("rows", SIZES)
def test_a_share_errs_as_often_as_its_level_leaves(rows: int, level: float) -> None:
    """On each side at most twice that at the worst share, and on average not more."""
    truths, rest = np.linspace(0.001, 0.999, 499), (1 - level) / 2
    hits = np.arange(rows + 1)
    ways = np.array([math.comb(rows, int(hit)) for hit in hits])
    odds = ways * truths[:, None] ** hits * (1 - truths[:, None]) ** (rows - hits)
    low, high = Share(hits.astype(np.float64), np.full(rows + 1, float(rows))).interval(level)
    for missed in (high < truths[:, None], low > truths[:, None]):
        errs = (odds * missed).sum(1)
        assert errs.max() <= 2 * rest + 1e-12 and errs.mean() <= rest
