"""Verdicts by the interval: PASS when all of it is within the limit, FAIL when all is beyond.

An interval that holds the limit decides nothing, and the reason says about how many more rows
would. Margins against the baseline are held against the paired difference: a non-inferiority test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.core.vocabulary import Condition, Verdict
from engine.evaluation.verdicts.evidence import Decision, Evidence, Measurement
from engine.evaluation.verdicts.reasons import ROUNDING, number, slack, undefined_reason
from engine.metrics import Comparison
from engine.statistics import Figures, Interval, Spread, growth_of
from engine.statistics.spread import plain

MANY_ROWS = 1e9


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values of one slice or of many, the spreads, and what approximation can have cost."""

    value: Figures
    bound: Figures
    spread: Spread | None
    baseline_bound: Figures = 0.0
    comparison: Comparison | None = None


def evidence_for(
    condition: Condition, estimate: Estimate, *, level: float, higher_is_better: bool | None
) -> Evidence | None:
    """What a condition is held against, in figures or in arrays; None where nothing is known."""
    with np.errstate(all="ignore"):
        if not condition.needs_baseline:
            return (
                None
                if estimate.spread is None
                else _value_evidence(condition, estimate, estimate.spread, level)
            )
        if estimate.comparison is None:
            return None
        bounds = estimate.bound + estimate.baseline_bound
        if condition.kind == "no_worse":
            spread = estimate.comparison.spread
            low, high = spread.interval(level)
            p = _p_beyond(spread, 0.0, bounds, least=higher_is_better is not False)
            return Evidence(low, high, p, *_NOTHING_MORE)
        return _margin_evidence(condition, estimate.comparison, bounds, level)


# A condition of no limit has none of the figures that lead to one.
_NOTHING_MORE = (math.nan,) * 6


def _value_evidence(
    condition: Condition, estimate: Estimate, spread: Spread, level: float
) -> Evidence:
    low, high = spread.interval(level)
    limit = condition.bound
    gap = estimate.value - limit
    p = _p_beyond(spread, limit, estimate.bound, least=condition.kind == "min")
    errors = spread.errors_to(limit + np.copysign(estimate.bound, gap))
    return Evidence(low, high, p, limit, gap, errors, math.nan, math.nan, math.nan)


def _margin_evidence(
    condition: Condition, comparison: Comparison, bounds: Figures, level: float
) -> Evidence:
    """A margin on the paired difference, absolute or as a share of the baseline's value."""
    drop, baseline = condition.kind == "max_drop", comparison.baseline
    allowed = condition.bound * (np.abs(baseline) if condition.relative else 1.0)
    limit = -allowed if drop else allowed
    shown = comparison.spread.interval(level)
    figures = _limit_figures(comparison.spread, shown, (limit, comparison.delta), bounds, drop=drop)
    if condition.relative and np.any(comparison.se_delta > 0):
        # The margin moves with the baseline's own error: one combination of the two is judged.
        share = 1 + condition.bound * np.copysign(1.0, baseline) * (-1 if drop else 1)
        spread = comparison.less(share)
        at = (np.zeros(np.shape(share)), comparison.candidate - share * baseline)
        moving = _limit_figures(spread, spread.interval(level), at, bounds, drop=drop)
        which = comparison.se_delta > 0
        known = ~np.isnan(shown[0])
        figures = tuple(
            plain(np.where(known, np.where(which, ours, fixed), math.nan))
            for ours, fixed in zip(moving, figures, strict=True)
        )
    low, high, p, at_limit, gap, errors = figures
    return Evidence(low, high, p, at_limit, gap, errors, *shown, allowed)


def _limit_figures(
    spread: Spread,
    ends: Interval,
    at: tuple[Figures, Figures],
    bounds: Figures,
    *,
    drop: bool,
) -> tuple[Figures, ...]:
    """An estimate against a limit, both `at`: the first figures of `Evidence`."""
    limit, here = at
    gap = here - limit
    p = _p_beyond(spread, limit, bounds, least=drop)
    errors = spread.errors_to(limit + np.copysign(bounds, gap))
    return *ends, p, limit, gap, errors


def _p_beyond(spread: Spread, limit: Figures, allowance: Figures, *, least: bool) -> Figures:
    """The probability of a value so far beyond the limit, were the truth at the limit."""
    return spread.p_below(limit - allowance) if least else spread.p_above(limit + allowance)


def decide_by_interval(condition: Condition, measurement: Measurement, place: int = 0) -> Decision:
    """The verdict on one condition by the interval; the value must be a number.

    `place` is that of the condition in the measurement's evidence.
    """
    value, baseline = measurement.value.value, measurement.baseline
    assert value is not None, "a value that is undefined is not compared"
    if condition.needs_baseline:
        if baseline is None:
            return _inconclusive(f"{condition}: the baseline has no value on this slice")
        why = undefined_reason(baseline)
        if baseline.value is None or why is not None:
            return _inconclusive(f"{condition}: the baseline's value is {why}")
    evidence = (
        _slice_evidence(condition, measurement)
        if measurement.evidence is None
        else measurement.evidence[place]
    )
    if not condition.needs_baseline:
        if evidence is None:
            return _inconclusive(f"too few rows or clusters to say how sure {number(value)} is")
        return _decide_limit(condition, value, evidence, measurement)
    assert baseline is not None and baseline.value is not None, "it was looked at above"
    if evidence is None:
        return _inconclusive(
            f"{condition}: too few rows or clusters to say how sure the difference of "
            f"{number(value)} and {number(baseline.value)} is"
        )
    if condition.kind == "no_worse":
        return _decide_no_worse((value, baseline.value), evidence, measurement)
    return _decide_margin(condition, (value, baseline.value), evidence, measurement)


def _slice_evidence(condition: Condition, measurement: Measurement) -> Evidence | None:
    """The evidence of a slice by itself."""
    assert measurement.value.value is not None, "a value that is undefined is not compared"
    other = 0.0 if measurement.baseline is None else slack(measurement.baseline)
    estimate = Estimate(
        measurement.value.value,
        slack(measurement.value),
        measurement.spread,
        other,
        measurement.comparison,
    )
    return evidence_for(
        condition,
        estimate,
        level=measurement.confidence,
        higher_is_better=measurement.higher_is_better,
    )


def _inconclusive(reason: str, p: float | None = None) -> Decision:
    return Decision(Verdict.INCONCLUSIVE, reason, p)


def _decide_limit(
    condition: Condition, value: float, evidence: Evidence, measurement: Measurement
) -> Decision:
    bound, least = condition.bound, condition.kind == "min"
    low, high, p = evidence.low, evidence.high, evidence.p
    own = slack(measurement.value)
    ends, limit = ((low, high), bound) if least else ((-high, -low), -bound)
    verdict = _judge(ends, limit, value, own)
    shown = f"{number(value, bound)} {_interval(low, high)}"
    named = f"{number(bound, value)}, the {condition.kind}imum"
    if verdict is Verdict.PASS:
        return Decision(verdict, f"{shown} is {'at least' if least else 'at most'} {named}", p)
    if verdict is Verdict.FAIL:
        return Decision(verdict, f"{shown} is {'below' if least else 'above'} {named}", p)
    holds = "includes" if low <= bound <= high else "is within its error bound of"
    return _inconclusive(
        f"{shown} {holds} {named}; {_rows_to_decide(evidence, measurement, own)}", p
    )


def _total_slack(measurement: Measurement) -> float:
    """What approximation can have cost a difference to the baseline."""
    return slack(measurement.value) + (
        0.0 if measurement.baseline is None else slack(measurement.baseline)
    )


def _judge(interval: tuple[float, float], limit: float, value: float, bounds: float) -> Verdict:
    """Whether an interval lies at or above a limit by its error bounds, or below it, or neither."""
    low, high = interval
    rounding = ROUNDING * max(abs(limit), abs(value))
    if low - bounds >= limit - rounding:
        return Verdict.PASS
    return Verdict.FAIL if high + bounds < limit - rounding else Verdict.INCONCLUSIVE


def _interval(low: float, high: float) -> str:
    return f"[{low:.4g}, {high:.4g}]"


def _rows_to_decide(evidence: Evidence, measurement: Measurement, bounds: float) -> str:
    """What it would take to decide."""
    if bounds > 0 and abs(evidence.gap) <= bounds:
        return f"no number of rows would decide, the error bound is {number(bounds)}"
    if math.isinf(evidence.errors):
        return "no number of rows would decide, the metric has no room beyond the limit"
    more = measurement.rows.n * (growth_of(evidence.errors, measurement.confidence) - 1)
    if not more < MANY_ROWS:
        return "it is too close to the limit for any number of rows"
    return f"about {_round_up(max(more, 1)):,} more row{'' if more <= 1 else 's'} would decide"


def _round_up(count: float) -> int:
    """Two digits, upwards: 1,400 of 1,337."""
    step = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return int(math.ceil(count / step) * step)


def _decide_margin(
    condition: Condition, values: tuple[float, float], evidence: Evidence, measurement: Measurement
) -> Decision:
    """A margin on the difference to the baseline's value, which is the second of the two."""
    drop = condition.kind == "max_drop"
    low, high, p, limit = evidence.low, evidence.high, evidence.p, evidence.limit
    bounds, allowed = _total_slack(measurement), evidence.allowed
    ends, least = ((low, high), limit) if drop else ((-high, -low), -limit)
    verdict = _judge(ends, least, values[0], bounds)
    fact = _difference(values, (evidence.shown_low, evidence.shown_high), allowed)
    margin = number(allowed, abs(values[0] - values[1]))
    shown = f"{condition} ({margin})" if condition.relative else f"{condition.kind} {margin}"
    if verdict is not Verdict.INCONCLUSIVE:
        side = "within" if verdict is Verdict.PASS else "beyond"
        return Decision(verdict, f"{fact}, {side} {shown}", p)
    holds = "which includes" if not condition.relative and low <= limit <= high else "too near to"
    return _inconclusive(
        f"{fact}, {holds} {shown}; {_rows_to_decide(evidence, measurement, bounds)}", p
    )


def _difference(values: tuple[float, float], interval: tuple[float, float], allowed: float) -> str:
    value, baseline = values
    delta = value - baseline
    between = f"difference {_interval(*interval)}"
    if delta == 0:
        return f"{number(value)} is the baseline's value, {between}"
    way = "below" if delta < 0 else "above"
    shown, other = number(value, baseline), number(baseline, value)
    return f"{shown} is {number(abs(delta), allowed)} {way} the baseline's {other}, {between}"


def _decide_no_worse(
    values: tuple[float, float], evidence: Evidence, measurement: Measurement
) -> Decision:
    """Only a significant difference to the worse fails; that there is none is no proof."""
    higher = measurement.higher_is_better is not False
    low, high, p = evidence.low, evidence.high, evidence.p
    bounds = _total_slack(measurement)
    fact = _difference(values, (low, high), values[1])
    if (high + bounds < 0) if higher else (low - bounds > 0):
        return Decision(Verdict.FAIL, f"{fact}, significantly worse", p)
    if high < 0 if higher else low > 0:
        return _inconclusive(
            f"{fact}, significantly worse but for the error bound of {number(bounds)}", p
        )
    return Decision(Verdict.PASS, f"{fact}, not significantly worse", p)
