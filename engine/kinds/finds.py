"""What a test found that nobody listed: a slice of its own, with the figures of its cell."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.vocabulary import MetricValue, RowCounts, Slice

# The kind of such slices, and what stands for their slice set.
DISCOVERED = "discovered"


@dataclass(frozen=True, slots=True)
class Find:
    """A slice that a test found, and what it says there.

    `metric` is what `value` is of, `reason` what is told of it in a sentence. `baseline_value` and
    `delta` with its interval are those of a comparison with the baseline; `p` is one-sided, of the
    slice being no worse, and `q` the same corrected for all slices that were tested.
    """

    where: Slice
    metric: str
    value: MetricValue
    counts: RowCounts
    reason: str
    p: float
    q: float
    baseline_value: float | None = None
    delta: float | None = None
    delta_low: float | None = None
    delta_high: float | None = None
