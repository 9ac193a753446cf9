"""Verdicts: what a test says of a value, and what all of them decide together.

A verdict is decided from the value with its bound: what approximation can have cost must not
change it. Undefined never passes. The gate counts what was not decided, and says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from engine.vocabulary import (
    Cell,
    Condition,
    Gate,
    GateOutcome,
    GateRule,
    MetricValue,
    ModelTest,
    RowCounts,
    Severity,
    Verdict,
)

REASONS = {
    "empty": "the slice has no labelled rows",
    "zero_weight": "all weights of the slice are 0",
    "one_class": "the slice lacks rows of a class that the metric needs",
    "no_predicted_positive": "the model predicts the class for no row of the slice",
    "nan_input": "some predictions of the slice are not finite, or not probabilities",
    "constant": "the labels or the predictions of the slice are all the same",
    "unknown_class": "the metric names a class that the model does not have",
    "undefined": "the metric is not a finite number here",
    "failed": "it could not be computed",
}

# Figures are the same on any number of partitions but for their last digits, and so must verdicts
# be: a value that should be exactly at its limit is.
ROUNDING = 1e-12

Decision = tuple[Verdict, str]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a verdict rests on: the value, the rows behind it, and the baseline's value.

    `failure` is why the value could not be computed at all, e.g. the model's own error.
    """

    value: MetricValue
    rows: RowCounts
    baseline: MetricValue | None = None
    is_baseline: bool = False
    failure: str | None = None
    min_rows: int = 1
    nothing_matched: bool = False


def number(value: float, *others: float) -> str:
    """A value as it stands in sentences, with as many digits as tell it from the others."""
    for digits in range(6, 17):
        text = f"{value:.{digits}g}"
        if all(_same(value, other) or text != f"{other:.{digits}g}" for other in others):
            return text
    return repr(value)


def _same(value: float, other: float) -> bool:
    return abs(value - other) <= ROUNDING * max(abs(value), abs(other))


def decide(test: ModelTest, of: Measurement) -> Decision:
    """The verdict of a test on one measurement, with the reason in one sentence."""
    error = _error(of)
    if error is not None:
        return Verdict.ERROR, error
    if not test.conditions:
        return Verdict.RECORDED, _undefined(of.value) or "recorded without a condition"
    demands = [each for each in test.conditions if not (of.is_baseline and each.needs_baseline)]
    if not demands:
        return Verdict.RECORDED, "the baseline itself, with which the others are compared"
    if of.rows.n < of.min_rows:
        rows = f"{of.rows.n:,} labelled row{'' if of.rows.n == 1 else 's'}"
        return Verdict.INCONCLUSIVE, f"the slice has {rows}, expected min_slice_rows {of.min_rows}"
    undefined = _undefined(of.value)
    if undefined is not None:
        return Verdict.INCONCLUSIVE, undefined
    decisions = [_decide_one(condition, of) for condition in demands]
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        reasons = [reason for decided, reason in decisions if decided is verdict]
        if reasons:
            return verdict, "; ".join(reasons)
    return Verdict.PASS, "; ".join(reason for _, reason in decisions)


def _error(of: Measurement) -> str | None:
    rows = of.rows
    if of.failure is not None:
        return of.failure
    if of.nothing_matched:
        return "the slice matched no row of the dataset"
    if rows.unknown_labels:
        return (
            f"{rows.unknown_labels:,} of {rows.n:,} labels are infinite or none of the model's "
            "classes"
        )
    if rows.bad_scores:
        return (
            f"{rows.bad_scores:,} of {rows.n:,} predictions are NaN, infinite, of an unknown class "
            "or not probabilities"
        )
    return None


def _undefined(value: MetricValue) -> str | None:
    """Why there is no finite number; None when there is one."""
    if value.value is not None and math.isfinite(value.value):
        return None
    code = value.reason or "undefined"
    return f"undefined: {REASONS.get(code, code)}"


def _decide_one(condition: Condition, of: Measurement) -> Decision:
    value = of.value.value
    assert value is not None, "a value that is undefined is not compared"
    if not condition.needs_baseline:
        return _absolute(condition, value, _slack(of.value))
    if of.baseline is None:
        return Verdict.INCONCLUSIVE, f"{condition}: the baseline has no value on this slice"
    why = _undefined(of.baseline)
    if of.baseline.value is None or why is not None:
        return Verdict.INCONCLUSIVE, f"{condition}: the baseline's value is {why}"
    share = condition.bound if condition.relative else 0.0
    slack = _slack(of.value) + _slack(of.baseline) * (1 + share)
    return _against(condition, value, of.baseline.value, slack)


def _slack(value: MetricValue) -> float:
    """What approximation can have cost; a bound that is not a number bounds nothing."""
    bound = value.error_bound
    return abs(bound) if bound == bound else float("inf")


def _judge(excess: float, slack: float, rounding: float) -> Verdict:
    """By how far a value is beyond its limit (negative: within it), and how surely."""
    if excess <= rounding - slack:
        return Verdict.PASS
    return Verdict.FAIL if excess > rounding + slack else Verdict.INCONCLUSIVE


def _absolute(condition: Condition, value: float, slack: float) -> Decision:
    bound = condition.bound
    least = condition.kind == "min"
    excess = bound - value if least else value - bound
    verdict = _judge(excess, slack, ROUNDING * max(abs(value), abs(bound)))
    shown, limit = number(value, bound), f"{number(bound, value)}, the {condition.kind}imum"
    if verdict is Verdict.PASS:
        return verdict, f"{shown} is {'at least' if least else 'at most'} {limit}"
    if verdict is Verdict.FAIL:
        return verdict, f"{shown} is {'below' if least else 'above'} {limit}"
    return verdict, f"{shown} is within its error bound of {number(slack)} from {limit}"


def _against(condition: Condition, value: float, baseline: float, slack: float) -> Decision:
    delta = value - baseline
    allowed = condition.bound * (abs(baseline) if condition.relative else 1.0)
    excess = (-delta if condition.kind == "max_drop" else delta) - allowed
    verdict = _judge(excess, slack, ROUNDING * max(abs(baseline), abs(value)))
    if delta == 0:
        fact = f"{number(value)} is the baseline's value"
    else:
        way = "below" if delta < 0 else "above"
        shown, other = number(value, baseline), number(baseline, value)
        fact = f"{shown} is {number(abs(delta), allowed)} {way} the baseline's {other}"
    margin = number(allowed, abs(delta))
    limit = f"{condition} ({margin})" if condition.relative else f"{condition.kind} {margin}"
    if verdict is Verdict.INCONCLUSIVE:
        return verdict, f"{fact}, within the error bound of {number(slack)} from {limit}"
    return verdict, f"{fact}, {'within' if verdict is Verdict.PASS else 'beyond'} {limit}"


def gate(cells: Iterable[Cell], *, on_inconclusive: GateRule, on_error: GateRule) -> Gate:
    """What verdicts decide together: errors first, then failures, then what was not decided.

    `warnings` counts the cells that are told of and do not fail the gate.
    """
    counts: Counter[Verdict] = Counter()
    hard: Counter[Verdict] = Counter()
    for cell in cells:
        counts[cell.verdict] += 1
        if cell.test.severity is Severity.FAIL:
            hard[cell.verdict] += 1
    rules = {
        Verdict.ERROR: on_error,
        Verdict.FAIL: GateRule.FAIL,
        Verdict.INCONCLUSIVE: on_inconclusive,
    }
    failing = {v: hard[v] for v, rule in rules.items() if rule is GateRule.FAIL and hard[v]}
    told = sum(counts[verdict] for verdict, rule in rules.items() if rule is not GateRule.PASS)
    outcome = GateOutcome.FAILED if failing else GateOutcome.PASSED
    if Verdict.ERROR in failing:
        outcome = GateOutcome.ERROR
    reason = ", ".join(f"{_cells(n)} {_WORDS[v]}" for v, n in failing.items()) or _passed(counts)
    by_verdict = {verdict: counts[verdict] for verdict in Verdict}
    return Gate(outcome, reason, by_verdict, told - sum(failing.values()))


_WORDS = {
    Verdict.ERROR: "could not be evaluated",
    Verdict.FAIL: "failed",
    Verdict.INCONCLUSIVE: "could not be decided",
}


def _cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"


def _passed(counts: Counter[Verdict]) -> str:
    """What a gate that passed rests on; that nothing was decided is said."""
    decided = counts[Verdict.PASS] + counts[Verdict.FAIL]
    undecided = counts[Verdict.ERROR] + counts[Verdict.INCONCLUSIVE]
    words = {**_WORDS, Verdict.FAIL: "failed as warnings only"}
    others = [f"{_cells(counts[v])} {text}" for v, text in words.items() if counts[v]]
    if decided == 0:
        nothing = "nothing was decided" if undecided else "nothing was demanded"
        return f"{nothing}: {', '.join(others) or 'no cell has a condition'}"
    held = f"{counts[Verdict.PASS]:,} of {decided + undecided:,} cells pass"
    return ", ".join([held, *others])
