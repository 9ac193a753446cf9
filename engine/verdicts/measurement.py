"""What a verdict rests on, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

from engine.metrics import Comparison
from engine.statistics import Spread
from engine.vocabulary import MetricValue, RowCounts, Verdict


@dataclass(frozen=True, slots=True)
class Measurement:
    """The value, how sure it is, the rows behind it, and the baseline's value.

    `spread` and `comparison` are None where nothing is known of them. `has_interval` is False for
    a metric that has none by its nature, which is decided by its value. `failure` is why the value
    could not be computed at all, e.g. the model's own error.
    """

    value: MetricValue
    rows: RowCounts
    baseline: MetricValue | None = None
    is_baseline: bool = False
    failure: str | None = None
    min_rows: int = 1
    nothing_matched: bool = False
    spread: Spread | None = None
    comparison: Comparison | None = None
    has_interval: bool = True
    confidence: float = 0.95
    higher_is_better: bool | None = True


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its reason in one sentence.

    `p` is how likely a value as far beyond the limit would be if the condition were just met; None
    where the verdict does not rest on an interval.
    """

    verdict: Verdict
    reason: str
    p: float | None = None
