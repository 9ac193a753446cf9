"""`no_worse: true`: only a significant difference to the worse fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.conditions.base import CONDITIONS, ConditionRule, Limit, inconclusive
from engine.conditions.evidence import Decision, Estimate, Evidence, Measurement
from engine.conditions.judging import p_beyond
from engine.conditions.margins import difference_text
from engine.conditions.reasons import number
from engine.core.vocabulary import Condition, Verdict
from engine.metrics import Metric

# It has no limit, and none of the figures that lead to one.
_NO_LIMIT = (np.nan,) * 6


class NoWorseRule(ConditionRule):
    """A margin of 0 in the direction that harms, of which only a significant excess counts.

    That there is none proves nothing.
    """

    key = "no_worse"
    description = "true: fails only when significantly worse than the baseline."
    field = bool
    chance = "significance"
    needs_baseline = True
    unsure = Verdict.PASS

    def read(self, value: bool | None) -> Condition | None:
        return Condition(self.key, 0.0) if value else None

    def write(self, condition: Condition) -> Any:
        return True

    def text(self, condition: Condition) -> str:
        return self.key

    def limits(
        self, condition: Condition, baseline: float | None, better: bool | None
    ) -> Sequence[Limit]:
        return (Limit(0.0, better),)

    def misfit(self, metric: Metric) -> str | None:
        if metric.higher_is_better is None:
            return (
                f"{metric.name!r} is better neither high nor low; expected max_drop or max_rise, "
                "not no_worse"
            )
        return None

    def evidence(
        self, condition: Condition, estimate: Estimate, *, level: float, better: bool | None
    ) -> Evidence | None:
        if estimate.comparison is None:
            return None
        spread = estimate.comparison.spread
        with np.errstate(all="ignore"):
            low, high = spread.interval(level)
            p = p_beyond(spread, 0.0, estimate.bounds, least=better is not False)
        return Evidence(low, high, p, *_NO_LIMIT)

    def decide_by_interval(
        self, condition: Condition, measurement: Measurement, evidence: Evidence
    ) -> Decision:
        higher = measurement.higher_is_better is not False
        low, high, p = evidence.low, evidence.high, evidence.p
        bounds = measurement.difference_slack
        fact = difference_text(measurement, measurement.baseline_number, (low, high))
        if (high + bounds < 0) if higher else (low - bounds > 0):
            return Decision(Verdict.FAIL, f"{fact}, significantly worse", p)
        if high < 0 if higher else low > 0:
            unsure = f"significantly worse but for the error bound of {number(bounds)}"
            return inconclusive(f"{fact}, {unsure}", p)
        return Decision(Verdict.PASS, f"{fact}, not significantly worse", p)

    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        # A value alone is significant however little it is worse.
        margin = "max_rise" if measurement.higher_is_better is False else "max_drop"
        return CONDITIONS.get(margin).decide_by_point(Condition(margin, 0.0), measurement)


CONDITIONS.add("no_worse", NoWorseRule())
