"""The conditions of `speed`: limits that tell how many calls they rest on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from engine.conditions import CONDITIONS, Decision, Evidence, LimitRule, Measurement
from engine.conditions.base import inconclusive
from engine.conditions.judging import interval_text, judge_interval
from engine.conditions.reasons import number, slack
from engine.core.vocabulary import Condition, Verdict

Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]

RATIOS = ("max_ratio", "min_ratio")


class SpeedRule(LimitRule):
    """A limit of what was measured against a clock: more calls would decide, not more rows."""

    def decide_by_interval(
        self, condition: Condition, measurement: Measurement, evidence: Evidence
    ) -> Decision:
        value, low, high = measurement.number, evidence.low, evidence.high
        limit = condition.bound
        own = slack(measurement.value)
        verdict = judge_interval((low, high), limit, value, own, least=self.least)
        shown, named = number(value, limit), f"{number(limit, value)}, {self.limit_name}"
        if verdict is Verdict.INCONCLUSIVE:
            has_end = math.isfinite(low if self.least else high)
            why = f"includes {named}" if has_end else "has too few calls for a bound"
            told = f"{shown} {interval_text(low, high)} {why}"
            return inconclusive(_with_detail(told, measurement), evidence.p)
        told = f"{shown} {interval_text(low, high)} is {self._side(verdict)} {named}"
        return Decision(verdict, _with_detail(told, measurement), evidence.p)

    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        decision = super().decide_by_point(condition, measurement)
        return replace(decision, reason=_with_detail(decision.reason, measurement))


def _with_detail(told: str, measurement: Measurement) -> str:
    detail = measurement.value.detail
    return f"{told}; {detail}" if detail else told


_RULES = (
    ("max_ratio", "How many times the baseline's figure it may be: 1.1 is 10 % more.", False),
    ("min_ratio", "How many times the baseline's rate it must be: 0.9 is 10 % less.", True),
    ("max_ms", "The most milliseconds that pass, on this machine.", False),
    ("max_mb", "The most megabytes (of 1,000,000 bytes) that pass.", False),
    ("min_rate", "The fewest rows in a second that pass, on this machine.", True),
)
for _key, _description, _least in _RULES:
    CONDITIONS.add(_key, SpeedRule(_key, _description, least=_least, field=Positive))
