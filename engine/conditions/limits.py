"""`min` and `max`: a limit that a value must not pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.conditions.base import CONDITIONS, ConditionRule, Limit, Mistakes, inconclusive
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
from engine.fields.values import Number
from engine.fields.wording import quote

# A limit that is not on a difference has none of the figures of one.
NO_DIFFERENCE = (math.nan,) * 3


class LimitRule(ConditionRule):
    """A limit on the value itself: the least that passes, or the greatest.

    A kind of test whose limit has another key, like `max_share`, registers one of its own.
    """

    chance = "limit"

    def __init__(self, key: str, description: str, *, least: bool, field: Any = Number) -> None:
        self.key, self.description, self.field = key, description, field
        self.least = least

    @property
    def limit_name(self) -> str:
        """What sentences call the limit."""
        if self.key in ("min", "max"):
            return f"the {self.key}imum"
        return f"the {self.key}"

    def read(self, value: Any) -> Condition | None:
        return None if value is None else Condition(self.key, value)

    def write(self, condition: Condition) -> Any:
        return condition.bound

    def text(self, condition: Condition) -> str:
        return f"{self.key} {condition.bound:g}"

    def limits(
        self, condition: Condition, baseline: float | None, better: bool | None
    ) -> Sequence[Limit]:
        return (Limit(condition.bound, self.least),)

    def harm_is_below(self) -> bool | None:
        return self.least

    def evidence(
        self, condition: Condition, estimate: Estimate, *, level: float, better: bool | None
    ) -> Evidence | None:
        spread = estimate.spread
        if spread is None:
            return None
        at = condition.bound, estimate.value
        with np.errstate(all="ignore"):
            ends = spread.interval(level)
            figures = limit_figures(spread, ends, at, estimate.bound, least=self.least)
        return Evidence(*figures, *NO_DIFFERENCE)

    def decide_by_interval(
        self, condition: Condition, measurement: Measurement, evidence: Evidence
    ) -> Decision:
        value, bound, own = measurement.number, condition.bound, slack(measurement.value)
        low, high, p = evidence.low, evidence.high, evidence.p
        verdict = judge_interval((low, high), bound, value, own, least=self.least)
        shown = f"{number(value, bound)} {interval_text(low, high)}"
        named = f"{number(bound, value)}, {self.limit_name}"
        if verdict is not Verdict.INCONCLUSIVE:
            return Decision(verdict, f"{shown} is {self._side(verdict)} {named}", p)
        holds = "includes" if low <= bound <= high else "is within its error bound of"
        more = rows_to_decide(evidence, measurement, own)
        return inconclusive(f"{shown} {holds} {named}; {more}", p)

    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        value, bound, own = measurement.number, condition.bound, slack(measurement.value)
        excess = bound - value if self.least else value - bound
        verdict = judge_point(excess, own, ROUNDING * max(abs(value), abs(bound)))
        shown, limit = number(value, bound), f"{number(bound, value)}, {self.limit_name}"
        if verdict is not Verdict.INCONCLUSIVE:
            return Decision(verdict, f"{shown} is {self._side(verdict)} {limit}")
        return inconclusive(f"{shown} is within its error bound of {number(own)} from {limit}")

    def _side(self, verdict: Verdict) -> str:
        good, bad = ("at least", "below") if self.least else ("at most", "above")
        return good if verdict is Verdict.PASS else bad


class MinRule(LimitRule):
    """`min`, which must not be above `max` of the same test."""

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        low, high = _number(test.get("min")), _number(test.get("max"))
        if low is not None and high is not None and low > high:
            yield (
                "min",
                f"found min {quote(low)} above max {quote(high)}, expected min of max or less",
            )


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


CONDITIONS.add("min", MinRule("min", "The least value that passes.", least=True))
CONDITIONS.add("max", LimitRule("max", "The greatest value that passes.", least=False))
