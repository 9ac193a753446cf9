"""Verdicts: what a test says of a value, and what all of them decide together.

A verdict is decided from the value with its bound: what approximation can have cost must not
change it. Undefined never passes. The gate counts what was not decided, and says so.
"""

from __future__ import annotations

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
    "nan_input": "predictions of the slice are NaN, infinite or no probabilities",
    "constant": "the labels or the predictions of the slice are all the same",
    "unknown_class": "the metric names a class that the model does not have",
    "undefined": "the metric is not a number here",
}

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


def number(value: float) -> str:
    """A value as it stands in sentences."""
    return f"{value:.6g}"


def decide(test: ModelTest, of: Measurement) -> Decision:
    """The verdict of a test on one measurement, with the reason in one sentence."""
    error = _error(of)
    if error is not None:
        return Verdict.ERROR, error
    if not test.conditions:
        return Verdict.RECORDED, _recorded(of)
    demands = [
        each for each in test.conditions if not (of.is_baseline and each.needs_baseline)
    ]
    if not demands:
        return Verdict.RECORDED, "the baseline itself, with which the others are compared"
    if of.rows.n < of.min_rows:
        return (
            Verdict.INCONCLUSIVE,
            f"the slice has {of.rows.n} rows, fewer than min_slice_rows ({of.min_rows})",
        )
    if of.value.value is None:
        return Verdict.INCONCLUSIVE, f"undefined: {_undefined(of.value)}"
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
        return f"{rows.unknown_labels} labels of the slice are infinite or unknown to the model"
    if rows.bad_scores:
        return (
            f"{rows.bad_scores} of {rows.n} predictions are NaN, infinite, of an unknown class "
            "or no probabilities"
        )
    return None


def _recorded(of: Measurement) -> str:
    if of.value.value is None:
        return f"undefined: {_undefined(of.value)}"
    return "recorded without a condition"


def _undefined(value: MetricValue) -> str:
    return REASONS.get(value.reason or "undefined", str(value.reason))


def _decide_one(condition: Condition, of: Measurement) -> Decision:
    if not condition.needs_baseline:
        return _absolute(condition, of)
    if of.baseline is None or of.baseline.value is None:
        why = "it has none" if of.baseline is None else _undefined(of.baseline)
        return Verdict.INCONCLUSIVE, f"the baseline's value is undefined: {why}"
    return _against(condition, of, of.baseline.value, of.baseline.error_bound)


def _absolute(condition: Condition, of: Measurement) -> Decision:
    assert of.value.value is not None
    value, slack = of.value.value, of.value.error_bound
    margin = value - condition.bound if condition.kind == "min" else condition.bound - value
    word = "at least" if condition.kind == "min" else "at most"
    if margin >= slack:
        return Verdict.PASS, f"{number(value)} is {word} {number(condition.bound)}"
    if margin < -slack:
        return Verdict.FAIL, f"{number(value)} is not {word} {number(condition.bound)}"
    return Verdict.INCONCLUSIVE, (
        f"{number(value)} is within its error bound ({number(slack)}) of {condition}"
    )


def _against(condition: Condition, of: Measurement, baseline: float, bound: float) -> Decision:
    assert of.value.value is not None
    delta = of.value.value - baseline
    worse = -delta if condition.kind == "max_drop" else delta
    allowed = condition.bound * (abs(baseline) if condition.relative else 1.0)
    slack = of.value.error_bound + bound
    way = "below" if delta < 0 else "above"
    fact = (
        f"{number(of.value.value)} is {number(abs(delta))} {way} the baseline's {number(baseline)}"
    )
    # A drop of exactly the margin is allowed, whatever its last bit says.
    rounding = 1e-12 * max(abs(baseline), abs(of.value.value))
    if worse <= allowed - slack + rounding:
        return Verdict.PASS, f"{fact}; {condition} allowed"
    if worse > allowed + slack:
        return Verdict.FAIL, f"{fact}; only {condition} allowed"
    return Verdict.INCONCLUSIVE, f"{fact}, within the error bound ({number(slack)}) of {condition}"


def gate(cells: Iterable[Cell], *, on_inconclusive: GateRule, on_error: GateRule) -> Gate:
    """What verdicts decide together: errors first, then failures, then what was not decided."""
    counts: Counter[Verdict] = Counter()
    hard: Counter[Verdict] = Counter()
    for cell in cells:
        counts[cell.verdict] += 1
        if cell.test.severity is Severity.FAIL:
            hard[cell.verdict] += 1
    undecided = hard[Verdict.INCONCLUSIVE]
    warnings = counts[Verdict.FAIL] - hard[Verdict.FAIL]
    if on_inconclusive is not GateRule.PASS:
        warnings += counts[Verdict.INCONCLUSIVE]
    if on_error is not GateRule.PASS:
        warnings += counts[Verdict.ERROR] - (hard[Verdict.ERROR] if on_error == "fail" else 0)
    outcome, reason = GateOutcome.PASSED, _passed(counts)
    if on_error is GateRule.FAIL and hard[Verdict.ERROR]:
        outcome = GateOutcome.ERROR
        reason = f"{_cells(hard[Verdict.ERROR])} could not be evaluated"
    elif hard[Verdict.FAIL]:
        outcome, reason = GateOutcome.FAILED, f"{_cells(hard[Verdict.FAIL])} failed"
    elif on_inconclusive is GateRule.FAIL and undecided:
        outcome, reason = GateOutcome.FAILED, f"{_cells(undecided)} could not be decided"
    return Gate(outcome, reason, {verdict: counts[verdict] for verdict in Verdict}, warnings)


def _cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"


def _passed(counts: Counter[Verdict]) -> str:
    decided = counts[Verdict.PASS] + counts[Verdict.FAIL]
    undecided = counts[Verdict.INCONCLUSIVE]
    if decided == 0 and undecided:
        return f"nothing was decided: {_cells(undecided)} inconclusive"
    if decided == 0:
        return "nothing was demanded: no cell has a condition"
    open_ = f", {undecided:,} inconclusive" if undecided else ""
    return f"{counts[Verdict.PASS]:,} of {decided + undecided:,} conditions hold{open_}"
