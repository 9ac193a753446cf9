"""What a verdict rests on, and what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.conditions.reasons import slack
from engine.core.vocabulary import MetricValue, RowCounts, Verdict
from engine.metrics import Comparison
from engine.statistics import Figures, Spread


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values of one slice or of many, the spreads, and what approximation can have cost."""

    value: Figures
    bound: Figures
    spread: Spread | None
    baseline_bound: Figures = 0.0
    comparison: Comparison | None = None

    @property
    def bounds(self) -> Figures:
        """What approximation can have cost a difference to the baseline."""
        return self.bound + self.baseline_bound


class Evidence(NamedTuple):
    """What a condition is held against, in figures of one slice or in arrays of many.

    `low` and `high` are the ends of the interval that is judged, of the value or of a difference,
    and `p` how likely it would be if the condition were just met. `limit` is what they are held
    against, `gap` how far the estimate is above it, and `errors` by how many standard errors it is
    away from where approximation can no longer change the verdict. `shown` has the ends of the
    difference as the reason shows them, and `allowed` the margin. NaN where nothing is known.
    """

    low: Figures
    high: Figures
    p: Figures
    limit: Figures
    gap: Figures
    errors: Figures
    shown_low: Figures
    shown_high: Figures
    allowed: Figures


# Not frozen: one is made for each of millions of cells, and freezing costs more than the rest.
@dataclass(slots=True)
class Measurement:
    """The value, how sure it is, the rows behind it, and the baseline's value.

    `spread` and `comparison` are None where nothing is known of them. `has_interval` is False for
    a metric that has none by its nature, which is decided by its value. `failure` is why the value
    could not be computed at all, e.g. the model's own error. `evidence` is what the conditions of
    the test are held against, by their place, where it was computed for many slices at once.
    `other` is what sentences call that with which the value is compared, `unusable` what is wrong
    with predictions that cannot be used, where it was seen.
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
    evidence: Sequence[Evidence | None] | None = None
    other: str = "the baseline"
    unusable: str = ""

    @property
    def number(self) -> float:
        """The value, which must be one."""
        assert self.value.value is not None, "a value that is undefined is not compared"
        return self.value.value

    @property
    def baseline_number(self) -> float:
        """The baseline's value, which must be one."""
        assert self.baseline is not None and self.baseline.value is not None, "it was looked at"
        return self.baseline.value

    @property
    def difference_slack(self) -> float:
        """What approximation can have cost a difference to the baseline."""
        return slack(self.value) + (0.0 if self.baseline is None else slack(self.baseline))


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its reason in one sentence.

    `p` is how likely a value as far beyond the limit would be if the condition were just met; None
    where the verdict does not rest on an interval.
    """

    verdict: Verdict
    reason: str
    p: float | None = None
