"""Verdicts by the plain value: is it within its limit, whatever it rests on?

What approximation can have cost must not change the verdict, so that much is never decided.
"""

from __future__ import annotations

from engine.core.vocabulary import Condition, Verdict
from engine.evaluation.verdicts.evidence import Decision, Measurement
from engine.evaluation.verdicts.reasons import ROUNDING, number, slack, undefined_reason


def decide_by_point(condition: Condition, measurement: Measurement) -> Decision:
    """The verdict on one condition by the value alone; the value must be a number."""
    value = measurement.value.value
    assert value is not None, "a value that is undefined is not compared"
    if not condition.needs_baseline:
        return _decide_limit(condition, value, slack(measurement.value))
    if measurement.baseline is None:
        return _inconclusive(f"{condition}: the baseline has no value on this slice")
    why = undefined_reason(measurement.baseline)
    if measurement.baseline.value is None or why is not None:
        return _inconclusive(f"{condition}: the baseline's value is {why}")
    if condition.kind == "no_worse":
        condition = Condition(
            "max_rise" if measurement.higher_is_better is False else "max_drop", 0.0
        )
    share = condition.bound if condition.relative else 0.0
    allowance = slack(measurement.value) + slack(measurement.baseline) * (1 + share)
    return _decide_margin(condition, value, measurement.baseline.value, allowance)


def _inconclusive(reason: str) -> Decision:
    return Decision(Verdict.INCONCLUSIVE, reason)


def _judge(excess: float, allowance: float, rounding: float) -> Verdict:
    """By how far a value is beyond its limit (negative: within it), and how surely."""
    if excess <= rounding - allowance:
        return Verdict.PASS
    return Verdict.FAIL if excess > rounding + allowance else Verdict.INCONCLUSIVE


def _decide_limit(condition: Condition, value: float, allowance: float) -> Decision:
    bound = condition.bound
    least = condition.kind == "min"
    excess = bound - value if least else value - bound
    verdict = _judge(excess, allowance, ROUNDING * max(abs(value), abs(bound)))
    shown, limit = number(value, bound), f"{number(bound, value)}, the {condition.kind}imum"
    if verdict is Verdict.PASS:
        return Decision(verdict, f"{shown} is {'at least' if least else 'at most'} {limit}")
    if verdict is Verdict.FAIL:
        return Decision(verdict, f"{shown} is {'below' if least else 'above'} {limit}")
    return Decision(
        verdict, f"{shown} is within its error bound of {number(allowance)} from {limit}"
    )


def _decide_margin(
    condition: Condition, value: float, baseline: float, allowance: float
) -> Decision:
    delta = value - baseline
    allowed = condition.bound * (abs(baseline) if condition.relative else 1.0)
    excess = (-delta if condition.kind == "max_drop" else delta) - allowed
    verdict = _judge(excess, allowance, ROUNDING * max(abs(baseline), abs(value)))
    if delta == 0:
        fact = f"{number(value)} is the baseline's value"
    else:
        way = "below" if delta < 0 else "above"
        shown, other = number(value, baseline), number(baseline, value)
        fact = f"{shown} is {number(abs(delta), allowed)} {way} the baseline's {other}"
    margin = number(allowed, abs(delta))
    limit = f"{condition} ({margin})" if condition.relative else f"{condition.kind} {margin}"
    if verdict is Verdict.INCONCLUSIVE:
        return Decision(
            verdict, f"{fact}, within the error bound of {number(allowance)} from {limit}"
        )
    return Decision(verdict, f"{fact}, {'within' if verdict is Verdict.PASS else 'beyond'} {limit}")
