"""What conditions share: an interval beside a limit, and what it would take to decide.

An interval that holds the limit decides nothing, and the reason says about how many more rows
would. What approximation can have cost must not change a verdict, so that much is never decided.
"""

from __future__ import annotations

import math

import numpy as np

from engine.conditions.evidence import Evidence, Measurement
from engine.conditions.reasons import ROUNDING, number
from engine.core.vocabulary import Verdict
from engine.statistics import Figures, Interval, Spread, growth_of

MANY_ROWS = 1e9

# The first six figures of `Evidence`.
LimitFigures = tuple[Figures, Figures, Figures, Figures, Figures, Figures]


def p_beyond(spread: Spread, limit: Figures, allowance: Figures, *, least: bool) -> Figures:
    """The probability of a value so far beyond the limit, were the truth at the limit."""
    return spread.p_below(limit - allowance) if least else spread.p_above(limit + allowance)


def limit_figures(
    spread: Spread, ends: Interval, at: tuple[Figures, Figures], bounds: Figures, *, least: bool
) -> LimitFigures:
    """An estimate against a limit, which is first in `at`."""
    limit, here = at
    gap = here - limit
    p = p_beyond(spread, limit, bounds, least=least)
    errors = spread.errors_to(limit + np.copysign(bounds, gap))
    return *ends, p, limit, gap, errors


def judge_interval(
    interval: Interval, limit: float, value: float, bounds: float, *, least: bool
) -> Verdict:
    """Whether an interval lies within a limit by its error bounds, or beyond it, or neither.

    `least` says that the limit is the least that is good.
    """
    low, high = interval
    if not least:
        low, high, limit = -high, -low, -limit
    rounding = ROUNDING * max(abs(limit), abs(value))
    if low - bounds >= limit - rounding:
        return Verdict.PASS
    return Verdict.FAIL if high + bounds < limit - rounding else Verdict.INCONCLUSIVE


def judge_point(excess: float, allowance: float, rounding: float) -> Verdict:
    """By how far a value is beyond its limit (negative: within it), and how surely."""
    if excess <= rounding - allowance:
        return Verdict.PASS
    return Verdict.FAIL if excess > rounding + allowance else Verdict.INCONCLUSIVE


def interval_text(low: float, high: float) -> str:
    """An interval as it stands in sentences."""
    return f"[{low:.4g}, {high:.4g}]"


def rows_to_decide(evidence: Evidence, measurement: Measurement, bounds: float) -> str:
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
