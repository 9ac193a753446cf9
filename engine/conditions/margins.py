"""`max_drop` and `max_rise`: how far a value may be from the baseline's, on the same rows.

Margins are held against the paired difference: a non-inferiority test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.conditions.base import CONDITIONS, ConditionRule, Limit, inconclusive
from engine.conditions.evidence import Decision, Estimate, Evidence, Measurement
from engine.conditions.judging import (
    interval_text,
    judge_interval,
    judge_point,
    limit_figures,
    rows_to_decide,
)
from engine.conditions.reasons import ROUNDING, number, slack
from engine.core.vocabulary import Condition, Verdict
from engine.fields.values import Margin, MarginField, percent
from engine.metrics import Comparison, Metric
from engine.statistics import Figures
from engine.statistics.spread import plain


class MarginRule(ConditionRule):
    """How far the value may lie below the baseline's, or above it."""

    field = MarginField
    chance = "margin"
    needs_baseline = True

    def __init__(self, key: str, description: str, *, drop: bool) -> None:
        self.key, self.description = key, description
        self.drop = drop

    def read(self, value: Margin | None) -> Condition | None:
        return None if value is None else Condition(self.key, value.bound, value.relative)

    def write(self, condition: Condition) -> Any:
        return percent(condition.bound) if condition.relative else condition.bound

    def text(self, condition: Condition) -> str:
        amount = f"{condition.bound * 100:g}%" if condition.relative else f"{condition.bound:g}"
        return f"{self.key} {amount}"

    def limits(
        self, condition: Condition, baseline: float | None, better: bool | None
    ) -> Sequence[Limit]:
        if condition.relative and baseline is None:
            return ()
        size = condition.bound * (abs(baseline or 0.0) if condition.relative else 1.0)
        return (Limit(-size if self.drop else size, self.drop),)

    def harm_is_below(self) -> bool | None:
        return self.drop

    def misfit(self, metric: Metric) -> str | None:
        if self.drop and metric.higher_is_better is False:
            return (
                f"{metric.name!r} is better when lower, so a drop is no harm; did you mean "
                "'max_rise'?"
            )
        if not self.drop and metric.higher_is_better:
            return (
                f"{metric.name!r} is better when higher, so a rise is no harm; did you mean "
                "'max_drop'?"
            )
        return None

    def evidence(
        self, condition: Condition, estimate: Estimate, *, level: float, better: bool | None
    ) -> Evidence | None:
        comparison = estimate.comparison
        if comparison is None:
            return None
        with np.errstate(all="ignore"):
            return self._evidence(condition, comparison, estimate.bounds, level)

    def _evidence(
        self, condition: Condition, comparison: Comparison, bounds: Figures, level: float
    ) -> Evidence:
        """The paired difference beside a margin, absolute or a share of the baseline's value."""
        baseline = comparison.baseline
        allowed = condition.bound * (np.abs(baseline) if condition.relative else 1.0)
        limit = -allowed if self.drop else allowed
        shown = comparison.spread.interval(level)
        at: tuple[Figures, Figures] = (limit, comparison.delta)
        figures = limit_figures(comparison.spread, shown, at, bounds, least=self.drop)
        if condition.relative and np.any(comparison.se_delta > 0):
            # The margin moves with the baseline's own error: one combination of the two is judged.
            share = 1 + condition.bound * np.copysign(1.0, baseline) * (-1 if self.drop else 1)
            spread = comparison.less(share)
            at = (np.zeros(np.shape(share)), comparison.candidate - share * baseline)
            moving = limit_figures(spread, spread.interval(level), at, bounds, least=self.drop)
            which = comparison.se_delta > 0
            known = ~np.isnan(shown[0])
            low, high, p, limit, gap, errors = (
                plain(np.where(known, np.where(which, ours, fixed), math.nan))
                for ours, fixed in zip(moving, figures, strict=True)
            )
            figures = low, high, p, limit, gap, errors
        return Evidence(*figures, *shown, allowed)

    def decide_by_interval(
        self, condition: Condition, measurement: Measurement, evidence: Evidence
    ) -> Decision:
        low, high, p, limit = evidence.low, evidence.high, evidence.p, evidence.limit
        bounds, allowed = measurement.difference_slack, evidence.allowed
        verdict = judge_interval((low, high), limit, measurement.number, bounds, least=self.drop)
        fact = difference_text(measurement, allowed, (evidence.shown_low, evidence.shown_high))
        shown = self._margin_text(condition, measurement, allowed)
        if verdict is not Verdict.INCONCLUSIVE:
            return Decision(verdict, f"{fact}, {_side(verdict)} {shown}", p)
        inside = not condition.relative and low <= limit <= high
        holds = "which includes" if inside else "too near to"
        more = rows_to_decide(evidence, measurement, bounds)
        return inconclusive(f"{fact}, {holds} {shown}; {more}", p)

    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        value, baseline = measurement.number, measurement.baseline_number
        assert measurement.baseline is not None, "it has a number"
        share = condition.bound if condition.relative else 0.0
        allowance = slack(measurement.value) + slack(measurement.baseline) * (1 + share)
        allowed = condition.bound * (abs(baseline) if condition.relative else 1.0)
        delta = value - baseline
        excess = (-delta if self.drop else delta) - allowed
        verdict = judge_point(excess, allowance, ROUNDING * max(abs(baseline), abs(value)))
        fact = difference_text(measurement, allowed)
        limit = self._margin_text(condition, measurement, allowed)
        if verdict is not Verdict.INCONCLUSIVE:
            return Decision(verdict, f"{fact}, {_side(verdict)} {limit}")
        return inconclusive(f"{fact}, within the error bound of {number(allowance)} from {limit}")

    def _margin_text(self, condition: Condition, measurement: Measurement, allowed: float) -> str:
        margin = number(allowed, abs(measurement.number - measurement.baseline_number))
        return (
            f"{self.text(condition)} ({margin})" if condition.relative else f"{self.key} {margin}"
        )


def difference_text(
    measurement: Measurement, allowed: float, interval: tuple[float, float] | None = None
) -> str:
    """A value beside the baseline's, as it stands in sentences."""
    value, baseline = measurement.number, measurement.baseline_number
    between = "" if interval is None else f", difference {interval_text(*interval)}"
    delta = value - baseline
    if delta == 0:
        return f"{number(value)} is {measurement.other}'s value{between}"
    way = "below" if delta < 0 else "above"
    shown, other = number(value, baseline), number(baseline, value)
    return f"{shown} is {number(abs(delta), allowed)} {way} {measurement.other}'s {other}{between}"


def _side(verdict: Verdict) -> str:
    return "within" if verdict is Verdict.PASS else "beyond"


CONDITIONS.add(
    "max_drop",
    MarginRule(
        "max_drop",
        "How far below the baseline the value may be: a number, or like '1%'.",
        drop=True,
    ),
)
CONDITIONS.add(
    "max_rise",
    MarginRule(
        "max_rise",
        "How far above the baseline the value may be: a number, or like '1%'.",
        drop=False,
    ),
)
