"""`between: [low, high]`: a value that may be neither too low nor too high."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from engine.conditions.base import CONDITIONS, ConditionRule, Limit, Mistakes, inconclusive
from engine.conditions.evidence import Decision, Estimate, Evidence, Measurement
from engine.conditions.judging import (
    interval_text,
    judge_interval,
    judge_point,
    limit_figures,
    rows_to_decide,
)
from engine.conditions.limits import NO_DIFFERENCE
from engine.conditions.reasons import ROUNDING, number, slack
from engine.core.vocabulary import Condition, Verdict
from engine.fields.values import Number, expected
from engine.statistics.spread import plain


def _check_order(ends: list[float]) -> list[float]:
    if ends[0] > ends[1]:
        raise expected("two numbers, the lower one first")
    return ends


Ends = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_check_order)]


class BetweenRule(ConditionRule):
    """Both ends belong to what is good.

    A value cannot be below the one and above the other, so the two are one chance of a false
    alarm, like `min` and `max` of one test.
    """

    key = "between"
    description = "The least and the greatest value that pass, as in [0.8, 0.99]."
    field = Ends
    chance = "limit"

    def read(self, value: Any) -> Condition | None:
        return None if value is None else Condition(self.key, value[0], upper=value[1])

    def write(self, condition: Condition) -> Any:
        return list(_ends(condition))

    def text(self, condition: Condition) -> str:
        low, high = _ends(condition)
        return f"between {low:g} and {high:g}"

    def limits(
        self, condition: Condition, baseline: float | None, better: bool | None
    ) -> Sequence[Limit]:
        low, high = _ends(condition)
        return (Limit(low, True), Limit(high, False))

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        if test.get(self.key) is not None:
            for other in ("min", "max"):
                if test.get(other) is not None:
                    yield self.key, f"found between with {other}, expected one of the two"

    def evidence(
        self, condition: Condition, estimate: Estimate, *, level: float, better: bool | None
    ) -> Evidence | None:
        spread = estimate.spread
        if spread is None:
            return None
        with np.errstate(all="ignore"):
            ends = spread.interval(level)
            sides = [
                limit_figures(spread, ends, (end, estimate.value), estimate.bound, least=least)
                for end, least in zip(_ends(condition), (True, False), strict=True)
            ]
            middle = sum(_ends(condition)) / 2
            lower = np.asarray(estimate.value) < middle
            nearer = [np.where(lower, low, high)[()] for low, high in zip(*sides, strict=True)]
            p = plain(np.minimum(sides[0][2], sides[1][2]))
        _, _, _, limit, gap, errors = nearer
        return Evidence(*ends, p, limit, gap, errors, *NO_DIFFERENCE)

    def decide_by_interval(
        self, condition: Condition, measurement: Measurement, evidence: Evidence
    ) -> Decision:
        value, own = measurement.number, slack(measurement.value)
        verdicts = [
            judge_interval((evidence.low, evidence.high), end, value, own, least=least)
            for end, least in zip(_ends(condition), (True, False), strict=True)
        ]
        shown = f"{number(value)} {interval_text(evidence.low, evidence.high)}"
        decision = self._decision(verdicts, condition, shown, evidence.p)
        if decision is not None:
            return decision
        undecided = [
            end
            for end, verdict in zip(_ends(condition), verdicts, strict=True)
            if verdict is Verdict.INCONCLUSIVE
        ]
        more = rows_to_decide(evidence, measurement, own)
        ends = " and ".join(number(end, value) for end in undecided)
        return inconclusive(
            f"{shown} is not surely {self.text(condition)}: it is too near to {ends}; {more}",
            evidence.p,
        )

    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        value, own = measurement.number, slack(measurement.value)
        low, high = _ends(condition)
        verdicts = [
            judge_point(excess, own, ROUNDING * max(abs(value), abs(end)))
            for excess, end in ((low - value, low), (value - high, high))
        ]
        decision = self._decision(verdicts, condition, number(value, low, high), None)
        return decision or inconclusive(
            f"{number(value)} is within its error bound of {number(own)} from an end of "
            f"{self.text(condition)}"
        )

    def _decision(
        self, verdicts: Sequence[Verdict], condition: Condition, shown: str, p: float | None
    ) -> Decision | None:
        """The decision where one is due: both ends kept, or one surely passed."""
        low, high = _ends(condition)
        if verdicts[0] is Verdict.FAIL:
            return Decision(Verdict.FAIL, f"{shown} is below {low:g} of {self.text(condition)}", p)
        if verdicts[1] is Verdict.FAIL:
            return Decision(Verdict.FAIL, f"{shown} is above {high:g} of {self.text(condition)}", p)
        if verdicts == [Verdict.PASS] * 2:
            return Decision(Verdict.PASS, f"{shown} is {self.text(condition)}", p)
        return None


def _ends(condition: Condition) -> tuple[float, float]:
    assert condition.upper is not None, "`read` gives both ends"
    return condition.bound, condition.upper


CONDITIONS.add("between", BetweenRule())
