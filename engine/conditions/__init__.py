"""Conditions: what a test demands of a value. One class for each, which says all there is to say.

A verdict is decided by the value's interval, its error bound included: what chance or
approximation can have cost must not change it. A new condition is a file here that registers its
rule, and a test of it.
"""

from __future__ import annotations

from engine.conditions import between, limits, margins, no_worse  # noqa: F401
from engine.conditions.base import (
    CONDITIONS,
    ConditionRule,
    Limit,
    condition_text,
    decide_by_interval,
    decide_by_point,
    demand_text,
    needs_baseline,
    rule,
)
from engine.conditions.evidence import Decision, Estimate, Evidence, Measurement
from engine.conditions.limits import LimitRule
from engine.conditions.reasons import number, slack, undefined_reason

__all__ = [
    "CONDITIONS",
    "ConditionRule",
    "Decision",
    "Estimate",
    "Evidence",
    "Limit",
    "LimitRule",
    "Measurement",
    "condition_text",
    "decide_by_interval",
    "decide_by_point",
    "demand_text",
    "needs_baseline",
    "number",
    "rule",
    "slack",
    "undefined_reason",
]
