"""Verdicts by the interval: PASS when all of it is within the limit, FAIL when all is beyond.

An interval that holds the limit decides nothing, and the reason says about how many more rows
would. Margins against the baseline are held against the paired difference: a non-inferiority test.
"""

from __future__ import annotations

import math

from engine.metrics import Comparison
from engine.statistics import Spread, growth_to_decide
from engine.verdicts.measurement import Decision, Measurement
from engine.verdicts.words import ROUNDING, number, slack, undefined
from engine.vocabulary import Condition, Verdict

MANY_ROWS = 1e9


def decide_by_interval(condition: Condition, of: Measurement) -> Decision:
    """The verdict on one condition by the interval; the value must be a number."""
    value = of.value.value
    assert value is not None, "a value that is undefined is not compared"
    if not condition.needs_baseline:
        return _absolute(condition, value, of)
    if of.baseline is None:
        return _open(f"{condition}: the baseline has no value on this slice")
    why = undefined(of.baseline)
    if of.baseline.value is None or why is not None:
        return _open(f"{condition}: the baseline's value is {why}")
    if of.comparison is None:
        return _open(
            f"{condition}: too few rows or clusters to say how sure the difference of "
            f"{number(value)} and {number(of.baseline.value)} is"
        )
    if condition.kind == "no_worse":
        return _no_worse(value, of.baseline.value, of.comparison, of)
    return _margin(condition, value, of.comparison, of)


def _open(reason: str, p: float | None = None) -> Decision:
    return Decision(Verdict.INCONCLUSIVE, reason, p)


def _absolute(condition: Condition, value: float, of: Measurement) -> Decision:
    if of.spread is None:
        return _open(f"too few rows or clusters to say how sure {number(value)} is")
    bound, least = condition.bound, condition.kind == "min"
    low, high = of.spread.interval(of.confidence)
    own = slack(of.value)
    ends, limit = ((low, high), bound) if least else ((-high, -low), -bound)
    verdict = _judge(ends, limit, of, own)
    p = _p_beyond(of.spread, bound, own, least=least)
    shown = f"{number(value, bound)} {_interval(low, high)}"
    named = f"{number(bound, value)}, the {condition.kind}imum"
    if verdict is Verdict.PASS:
        return Decision(verdict, f"{shown} is {'at least' if least else 'at most'} {named}", p)
    if verdict is Verdict.FAIL:
        return Decision(verdict, f"{shown} is {'below' if least else 'above'} {named}", p)
    holds = "includes" if low <= bound <= high else "is within its error bound of"
    more = _more(of.spread, (bound, value - bound), of, own)
    return _open(f"{shown} {holds} {named}; {more}", p)


def _both(of: Measurement) -> float:
    """What approximation can have cost a difference to the baseline."""
    return slack(of.value) + (0.0 if of.baseline is None else slack(of.baseline))


def _judge(interval: tuple[float, float], limit: float, of: Measurement, bounds: float) -> Verdict:
    """Whether an interval lies at or above a limit by its error bounds, or below it, or neither."""
    low, high = interval
    rounding = ROUNDING * max(abs(limit), abs(of.value.value or 0.0))
    if low - bounds >= limit - rounding:
        return Verdict.PASS
    return Verdict.FAIL if high + bounds < limit - rounding else Verdict.INCONCLUSIVE


def _p_beyond(spread: Spread, limit: float, allowance: float, *, least: bool) -> float:
    """The probability of a value so far beyond the limit, were the truth at the limit."""
    if least:
        return float(spread.p_below(limit - allowance))
    return float(spread.p_above(limit + allowance))


def _interval(low: float, high: float) -> str:
    return f"[{low:.4g}, {high:.4g}]"


def _more(spread: Spread, at: tuple[float, float], of: Measurement, bounds: float) -> str:
    """What it would take to decide, `at` a limit and how far the value is above it."""
    limit, gap = at
    if bounds > 0 and abs(gap) <= bounds:
        return f"no number of rows would decide, the error bound is {number(bounds)}"
    beyond = limit + math.copysign(bounds, gap)
    if math.isinf(spread.errors_to(beyond)):
        return "no number of rows would decide, the metric has no room beyond the limit"
    more = of.rows.n * (growth_to_decide(spread, beyond, of.confidence) - 1)
    if not more < MANY_ROWS:
        return "it is too close to the limit for any number of rows"
    return f"about {_round_up(max(more, 1)):,} more row{'' if more <= 1 else 's'} would decide"


def _round_up(count: float) -> int:
    """Two digits, upwards: 1,400 of 1,337."""
    step = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return int(math.ceil(count / step) * step)


def _margin(condition: Condition, value: float, compared: Comparison, of: Measurement) -> Decision:
    """A margin on the paired difference, absolute or as a share of the baseline's value."""
    drop, baseline = condition.kind == "max_drop", compared.baseline
    allowed = condition.bound * (abs(baseline) if condition.relative else 1.0)
    spread, limit, here = compared.spread, -allowed if drop else allowed, compared.delta
    difference = spread.interval(of.confidence)
    if condition.relative and compared.se_delta > 0:
        # The margin moves with the baseline's own error: one combination of the two is judged.
        share = 1 + condition.bound * math.copysign(1.0, baseline) * (-1 if drop else 1)
        spread, limit, here = compared.less(share), 0.0, compared.candidate - share * baseline
    low, high = spread.interval(of.confidence)
    bounds = _both(of)
    ends, least = ((low, high), limit) if drop else ((-high, -low), -limit)
    verdict = _judge(ends, least, of, bounds)
    p = _p_beyond(spread, limit, bounds, least=drop)
    fact = _difference(value, compared, difference, allowed)
    margin = number(allowed, abs(compared.delta))
    shown = f"{condition} ({margin})" if condition.relative else f"{condition.kind} {margin}"
    if verdict is not Verdict.INCONCLUSIVE:
        side = "within" if verdict is Verdict.PASS else "beyond"
        return Decision(verdict, f"{fact}, {side} {shown}", p)
    holds = "which includes" if not condition.relative and low <= limit <= high else "too near to"
    return _open(f"{fact}, {holds} {shown}; {_more(spread, (limit, here - limit), of, bounds)}", p)


def _difference(
    value: float, compared: Comparison, interval: tuple[float, float], allowed: float
) -> str:
    delta, baseline = compared.delta, compared.baseline
    between = f"difference {_interval(*interval)}"
    if delta == 0:
        return f"{number(value)} is the baseline's value, {between}"
    way = "below" if delta < 0 else "above"
    shown, other = number(value, baseline), number(baseline, value)
    return f"{shown} is {number(abs(delta), allowed)} {way} the baseline's {other}, {between}"


def _no_worse(value: float, baseline: float, compared: Comparison, of: Measurement) -> Decision:
    """Only a significant difference to the worse fails; that there is none is no proof."""
    higher = of.higher_is_better is not False
    low, high = compared.spread.interval(of.confidence)
    bounds = _both(of)
    p = _p_beyond(compared.spread, 0.0, bounds, least=higher)
    fact = _difference(value, compared, (low, high), baseline)
    if (high + bounds < 0) if higher else (low - bounds > 0):
        return Decision(Verdict.FAIL, f"{fact}, significantly worse", p)
    if high < 0 if higher else low > 0:
        return _open(f"{fact}, significantly worse but for the error bound of {number(bounds)}", p)
    return Decision(Verdict.PASS, f"{fact}, not significantly worse", p)
