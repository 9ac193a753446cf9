"""Verdicts by the interval: where it lies decides, and what decides nothing says what would."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.conditions import Measurement
from engine.core.vocabulary import Condition, MetricValue, ModelTest, RowCounts, Verdict
from engine.evaluation.verdicts import decide
from engine.metrics import Comparison
from engine.statistics import PairedShare, Share, StudentT

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
MIN, MAX = Condition("min", 0.85), Condition("max", 0.2)
DROP, RISE = Condition("max_drop", 0.02), Condition("max_rise", 0.02)


def of_share(hits: float, rows: int, **more: object) -> Measurement:
    value = MetricValue(hits / rows)
    made = Measurement(value, RowCounts(rows, float(rows)), spread=Share(hits, rows))
    return replace(made, **more)  # type: ignore[arg-type]


def compared(
    gained: int, lost: int, rows: int = 1000, base: float = 0.9, **more: object
) -> Measurement:
    """A candidate that has `gained` rows right and `lost` wrong that the baseline had not."""
    value = base + (gained - lost) / rows
    own, other = (math.sqrt(each * (1 - each) / rows) for each in (value, base))
    differing = (gained + lost) / rows - ((gained - lost) / rows) ** 2
    pair = Comparison(
        value, base, PairedShare(gained, lost, rows), math.sqrt(differing / rows), math.inf,
        lambda: (own, other),
    )  # fmt: skip
    made = Measurement(
        MetricValue(value),
        RowCounts(rows, float(rows)),
        MetricValue(base),
        spread=Share(value * rows, rows),
        comparison=pair,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def judged(of: Measurement, *conditions: Condition) -> tuple[Verdict, str]:
    decision = decide(ModelTest("t", "accuracy", conditions), of)
    return decision.verdict, decision.reason


@pytest.mark.parametrize(
    ("of", "condition", "verdict", "reason"),
    [
        (of_share(950, 1000), MIN, PASS, "0.95 [0.9351, 0.9623] is at least 0.85, the minimum"),
        (of_share(800, 1000), MIN, FAIL, "0.8 [0.7743, 0.8239] is below 0.85, the minimum"),
        (of_share(100, 1000), MAX, PASS, "0.1 [0.08254, 0.1198] is at most 0.2, the maximum"),
        (of_share(300, 1000), MAX, FAIL, "0.3 [0.2722, 0.329] is above 0.2, the maximum"),
        (
            of_share(871, 1000),
            MIN,
            OPEN,
            "0.871 [0.8491, 0.8907] includes 0.85, the minimum; about 120 more rows would decide",
        ),
        (
            of_share(850, 1000),
            MIN,
            OPEN,
            "0.85 [0.8268, 0.8711] includes 0.85, the minimum; it is too close to the limit for "
            "any number of rows",
        ),
        # With few rows a perfect value proves little.
        (of_share(10, 10), MIN, OPEN, None),
        (of_share(100, 100), MIN, PASS, None),
    ],
)
def test_absolute_limits(
    of: Measurement, condition: Condition, verdict: Verdict, reason: str | None
) -> None:
    found = judged(of, condition)
    assert found[0] is verdict
    assert reason is None or found[1] == reason


@pytest.mark.parametrize(
    ("of", "condition", "verdict"),
    [
        (compared(10, 10), DROP, PASS),
        (compared(10, 60), DROP, FAIL),
        (compared(10, 30), DROP, OPEN),
        (compared(0, 0), DROP, PASS),
        (compared(0, 0, rows=30), DROP, OPEN),
        (compared(10, 10), Condition("max_drop", 0.03, relative=True), PASS),
        (compared(10, 90), Condition("max_drop", 0.03, relative=True), FAIL),
        (compared(10, 37), Condition("max_drop", 0.03, relative=True), OPEN),
        (compared(60, 10), RISE, FAIL),
        (compared(10, 10), RISE, PASS),
    ],
)
def test_margins_are_held_against_the_paired_difference(
    of: Measurement, condition: Condition, verdict: Verdict
) -> None:
    assert judged(of, condition)[0] is verdict


def test_a_margin_says_difference_interval_and_what_would_decide() -> None:
    verdict, reason = judged(compared(10, 30), DROP)
    assert verdict is OPEN
    assert re.fullmatch(
        r"0\.88 is 0\.02 below the baseline's 0\.9, difference \[-0\.03328, -0\.007876\], which "
        r"includes max_drop 0\.02; it is too close to the limit for any number of rows",
        reason,
    ), reason
    assert judged(compared(10, 22), DROP)[1].endswith("more rows would decide")


def test_no_worse_asks_for_significance_only() -> None:
    worse = Condition("no_worse", 0.0)
    assert judged(compared(10, 60), worse) == (
        FAIL,
        "0.85 is 0.05 below the baseline's 0.9, difference [-0.06711, -0.03451], significantly "
        "worse",
    )
    verdict, reason = judged(compared(10, 15), worse)
    assert (verdict, reason.rsplit(", ", 1)[1]) == (PASS, "not significantly worse")
    # A rise is worse where less is better.
    assert judged(compared(60, 10, higher_is_better=False), worse)[0] is FAIL
    assert judged(compared(10, 60, higher_is_better=False), worse)[0] is PASS


def test_a_relative_margin_moves_with_the_baseline() -> None:
    """An equal model is never judged by how large the baseline's own error is."""
    share = Condition("max_drop", 0.01, relative=True)
    exact = Comparison(10.0, 10.0, StudentT(0.0, 0.0, 99), 0.0, 99, lambda: (1.0, 1.0))
    same = compared(0, 0, comparison=exact, value=MetricValue(10.0), baseline=MetricValue(10.0))
    assert judged(same, share)[0] is PASS
    # Both models have large errors, all of it common: the difference is known to a hair.
    near = Comparison(9.7, 10.0, StudentT(-0.3, 0.01, 99), 0.01, 99, lambda: (1.0, 1.01))
    of = compared(0, 0, comparison=near, value=MetricValue(9.7), baseline=MetricValue(10.0))
    assert judged(of, share)[0] is FAIL


@pytest.mark.parametrize("condition", [MIN, MAX, DROP, RISE, Condition("no_worse", 0.0)])
def test_without_a_spread_nothing_is_decided(condition: Condition) -> None:
    of = replace(compared(10, 10), spread=None, comparison=None)
    verdict, reason = judged(of, condition)
    assert verdict is OPEN
    assert "too few rows or clusters to say how sure" in reason


def test_a_metric_without_intervals_is_decided_by_its_value() -> None:
    of = replace(of_share(900, 1000), spread=None, has_interval=False)
    assert judged(of, MIN) == (PASS, "0.9 is at least 0.85, the minimum")


def test_what_approximation_cost_widens_the_interval() -> None:
    sure = of_share(950, 1000)
    assert judged(sure, MIN)[0] is PASS
    rough = replace(sure, value=MetricValue(0.95, error_bound=0.2))
    verdict, reason = judged(rough, MIN)
    assert verdict is OPEN
    assert "the error bound is 0.2" in reason


@given(
    st.integers(2, 100_000),
    st.floats(0, 1),
    st.floats(0.01, 0.99),
    st.sampled_from(["min", "max"]),
    st.sampled_from([0.5, 0.9, 0.95, 0.999]),
)
def test_verdict_interval_and_p_agree(
    rows: int, share: float, limit: float, kind: str, confidence: float
) -> None:
    hits = float(round(share * rows))
    of = of_share(hits, rows, confidence=confidence)
    decision = decide(ModelTest("t", "accuracy", (Condition(kind, limit),)), of)
    low, high = Share(hits, rows).interval(confidence)
    good, bad = (low >= limit, high < limit) if kind == "min" else (high <= limit, low > limit)
    assert decision.verdict is (PASS if good else FAIL if bad else OPEN)
    assert decision.p is not None
    tail = (1 - confidence) / 2
    # Rounding decides where they meet.
    if min(abs(decision.p - tail), abs(1 - decision.p - tail)) > 1e-9 * tail:
        assert bad == (decision.p <= tail)
        assert good == (1 - decision.p <= tail)


@given(st.integers(50, 5000), st.floats(0.5, 0.99), st.floats(0.5, 0.99))
@example(rows=83, share=0.84375, limit=0.9053413219655473)
def test_as_many_rows_more_as_it_says_would_decide(rows: int, share: float, limit: float) -> None:
    hits = round(share * rows)
    verdict, reason = judged(of_share(hits, rows), Condition("min", limit))
    found = re.search(r"about ([\d,]+) more", reason)
    if verdict is not OPEN or found is None:
        return
    total = rows + int(found[1].replace(",", ""))
    decided, _ = judged(
        of_share(hits / rows * total * 1.2, round(total * 1.2)), Condition("min", limit)
    )
    assert decided is not OPEN, reason


@given(st.floats(0.5, 0.999), st.floats(0.5, 0.999))
def test_more_confidence_never_decides_more(one: float, other: float) -> None:
    less, more = sorted([one, other])
    for hits in (830, 850, 861, 880, 900):
        loose = judged(of_share(hits, 1000, confidence=less), MIN)[0]
        strict = judged(of_share(hits, 1000, confidence=more), MIN)[0]
        assert strict in (loose, OPEN)


@pytest.mark.parametrize(("hits", "condition"), [(100, ("min", 1.0)), (0, ("max", 0.0))])
def test_a_limit_at_the_end_of_the_metric_is_out_of_reach(
    hits: int, condition: tuple[str, float]
) -> None:
    verdict, reason = judged(of_share(hits, 100), Condition(*condition))
    assert verdict is OPEN
    assert reason.endswith(
        "no number of rows would decide, the metric has no room beyond the limit"
    )


def test_what_the_baseline_may_be_off_by_is_no_matter_of_an_absolute_limit() -> None:
    unsure = MetricValue(0.9, error_bound=0.5)
    assert judged(of_share(950, 1000, baseline=unsure), MIN)[0] is PASS


@pytest.mark.parametrize("bound", [0.2, math.inf, math.nan])
def test_approximation_does_not_clear_what_is_significantly_worse(bound: float) -> None:
    worse = compared(0, 100)
    assert judged(worse, Condition("no_worse", 0.0))[0] is FAIL
    unsure = replace(worse, value=replace(worse.value, error_bound=bound))
    verdict, reason = judged(unsure, Condition("no_worse", 0.0))
    assert verdict is OPEN
    assert "significantly worse but for the error bound" in reason


def test_an_interval_includes_a_limit_only_where_it_does() -> None:
    value = MetricValue(0.95, error_bound=0.2)
    verdict, reason = judged(of_share(950, 1000, value=value), MIN)
    assert verdict is OPEN
    assert "is within its error bound of 0.85" in reason
