"""What a test says of one cell."""

from __future__ import annotations

from engine.conditions import (
    Decision,
    Measurement,
    decide_by_interval,
    decide_by_point,
    needs_baseline,
    rule,
    undefined_reason,
)
from engine.core.vocabulary import DecideBy, ModelTest, Verdict


def decide(test: ModelTest, measurement: Measurement) -> Decision:
    """The verdict of a test on one measurement, before it is corrected for many slices."""
    error = _error(measurement)
    if error is not None:
        return Decision(Verdict.ERROR, error)
    if not test.conditions:
        return Decision(Verdict.RECORDED, _record_text(measurement))
    demands = test.conditions
    if measurement.is_baseline:
        demands = tuple(demand for demand in demands if not needs_baseline(demand))
    if not demands or (measurement.is_baseline and measurement.value.reason == "is_baseline"):
        return Decision(Verdict.RECORDED, "the baseline itself, with which the others are compared")
    if measurement.rows.n < measurement.min_rows:
        rows = f"{measurement.rows.n:,} labelled row{'' if measurement.rows.n == 1 else 's'}"
        reason = f"the slice has {rows}, expected min_slice_rows {measurement.min_rows}"
        return Decision(Verdict.INCONCLUSIVE, reason)
    why = undefined_reason(measurement.value)
    if why is not None:
        return Decision(Verdict.INCONCLUSIVE, why)
    if is_decided_by_point(test, has_interval=measurement.has_interval):
        decisions = [decide_by_point(condition, measurement) for condition in demands]
    else:
        decisions = [
            decide_by_interval(condition, measurement, place)
            for place, condition in enumerate(test.conditions)
            if not (measurement.is_baseline and needs_baseline(condition))
        ]
    if len(decisions) == 1:
        return decisions[0]
    chances = len({rule(condition).chance for condition in demands})
    return _combine(decisions, chances)


def _record_text(measurement: Measurement) -> str:
    why, detail = undefined_reason(measurement.value), measurement.value.detail
    if why is not None:
        return why
    return "recorded without a condition" + (f": {detail}" if detail else "")


def is_decided_by_point(test: ModelTest, *, has_interval: bool) -> bool:
    """Whether a test is decided by the plain value."""
    return test.decide is DecideBy.POINT or not has_interval


def _combine(decisions: list[Decision], chances: int) -> Decision:
    """One decision of several: the worst verdict, and the smallest p for as many chances."""
    known = [decision.p for decision in decisions if decision.p is not None]
    p = min(1.0, min(known) * chances) if known else None
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        reasons = [decision.reason for decision in decisions if decision.verdict is verdict]
        if reasons:
            return Decision(verdict, "; ".join(reasons), p)
    return Decision(Verdict.PASS, "; ".join(decision.reason for decision in decisions), p)


def _error(measurement: Measurement) -> str | None:
    rows = measurement.rows
    if measurement.failure is not None:
        return measurement.failure
    if measurement.nothing_matched:
        return "the slice matched no row of the dataset"
    if rows.unknown_labels:
        return (
            f"{rows.unknown_labels:,} of {rows.n:,} labels are infinite or none of the model's "
            "classes"
        )
    if rows.bad_scores:
        causes = measurement.unusable or "NaN, infinite, of an unknown class or not probabilities"
        return f"{rows.bad_scores:,} of {rows.n:,} predictions are {causes}"
    return None
