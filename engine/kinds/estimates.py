"""What a test found of a model on slices: values with intervals, differences, evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.conditions import Estimate, Evidence, needs_baseline, rule, slack
from engine.core.vocabulary import Condition, MetricValue
from engine.metrics import (
    Comparison,
    Figured,
    Metric,
    Problem,
    Slices,
    change_of,
    compare_changes,
    comparisons_of,
    spreads_of,
)
from engine.states import Bools, Floats
from engine.statistics import Several, Spread, two_sided_p

FAILED = MetricValue(None, "failed")
# The ends of a difference's interval and the p-value of no difference; None where unknown.
Difference = tuple[float | None, float | None, float | None]
NO_DIFFERENCE: Difference = (None, None, None)

EvidenceList = list[Evidence | None]


@dataclass(frozen=True, slots=True)
class SliceEstimate:
    """What a test found of one model on one slice; `failure` is why it found nothing."""

    value: MetricValue
    spread: Spread | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The spreads and comparisons of slices that were measured together, in arrays."""

    size: int
    spread: Several | None = None
    comparison: Comparison | None = None

    def evidence(
        self, condition: Condition, values: Sequence[MetricValue], others: Sequence[MetricValue],
        metric: Metric, level: float,
    ) -> EvidenceList:  # fmt: skip
        """What a condition is held against on each slice; `others` are the baseline's values."""
        spread = self.spread if self.comparison is None else self.comparison.spread
        spread = spread if needs_baseline(condition) else self.spread
        if not isinstance(spread, Several):
            return [None] * self.size
        estimate = Estimate(
            np.array([value.value for value in values], np.float64),
            np.array([slack(value) for value in values]),
            self.spread,
            np.array([slack(value) for value in others]) if others else 0.0,
            self.comparison,
        )
        condition_evidence = rule(condition).evidence(
            condition, estimate, level=level, better=metric.higher_is_better
        )
        if condition_evidence is None:
            return [None] * self.size
        columns = [
            np.broadcast_to(np.asarray(figures), self.size).tolist()
            for figures in condition_evidence
        ]
        return [
            Evidence._make(row) if known else None
            for known, row in zip(spread.is_known.tolist(), zip(*columns, strict=True), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class SliceEstimates:
    """What a test found of one model on many slices, one after the other."""

    values: list[MetricValue]
    failures: list[str | None]
    differences: list[Difference]
    parts: tuple[Part, ...]

    @classmethod
    def repeat_failure(cls, count: int, reason: str) -> SliceEstimates:
        """Slices on which it found nothing."""
        return replace(cls.repeat_value(count, FAILED), failures=[reason] * count)

    @classmethod
    def repeat_value(cls, count: int, value: MetricValue) -> SliceEstimates:
        """Slices of one value that is not defined."""
        return cls([value] * count, [None] * count, [NO_DIFFERENCE] * count, (Part(count),))

    @classmethod
    def of_values(
        cls, values: Sequence[MetricValue], spread: Several | None = None
    ) -> SliceEstimates:
        """Slices of these values, one each; `spread` is how sure they are, where it is known."""
        count = len(values)
        part = Part(count, spread)
        return cls(list(values), [None] * count, [NO_DIFFERENCE] * count, (part,))

    @classmethod
    def concat(cls, parts: Sequence[SliceEstimates]) -> SliceEstimates:
        """The slices of each, one after the other."""
        return cls(
            [value for estimates in parts for value in estimates.values],
            [failure for estimates in parts for failure in estimates.failures],
            [difference for estimates in parts for difference in estimates.differences],
            tuple(part for estimates in parts for part in estimates.parts),
        )

    def evidence(
        self, conditions: Sequence[Condition], others: Sequence[MetricValue], metric: Metric,
        level: float,
    ) -> list[tuple[Evidence | None, ...]]:  # fmt: skip
        """What each condition is held against, for each slice."""
        held: list[EvidenceList] = [[] for _ in conditions]
        first = 0
        for part in self.parts:
            values = self.values[first : first + part.size]
            theirs = others[first : first + part.size]
            for into, condition in zip(held, conditions, strict=True):
                into += part.evidence(condition, values, theirs, metric, level)
            first += part.size
        return list(zip(*held, strict=True))


def estimate_metric(
    metric: Metric, problem: Problem, on: Slices, *, level: float, alone: bool
) -> SliceEstimates:
    """A metric of a model on slices; `alone` without a comparison with the baseline."""
    figured = metric.figures(problem, on)
    spread = spreads_of(metric, problem, on)
    values = _values(figured, spread, metric, level)
    count = len(on)
    comparison = None
    differences = [NO_DIFFERENCE] * count
    if not alone and on.baseline is not None:
        theirs = metric.figures(problem, on.baseline)
        comparison = comparisons_of(metric, problem, on)
        if comparison is not None:
            differences = _differences(comparison, figured.is_defined & theirs.is_defined, level)
    return SliceEstimates(values, [None] * count, differences, (Part(count, spread, comparison),))


def estimate_change(
    metric: Metric, problem: Problem, on: Slices, *, level: float
) -> SliceEstimates:
    """What a variant changes of a metric, beside what it changes of the baseline's: `on.rival`."""
    figured, count = change_of(metric, problem, on), len(on)
    if metric.against:
        spread = spreads_of(metric, problem, on)
    else:
        own = comparisons_of(metric, problem, on)
        spread = own.spread if own is not None and isinstance(own.spread, Several) else None
    low, high = metric.bounds
    around = metric if metric.against else replace(metric, bounds=(low - high, high - low))
    values = _values(figured, spread, around, level)
    if on.rival is None or not metric.intervals:
        return SliceEstimates(
            values, [None] * count, [NO_DIFFERENCE] * count, (Part(count, spread),)
        )
    comparison = compare_changes(metric, problem, on)
    theirs = change_of(metric, problem, on.rival)
    differences = _differences(comparison, figured.is_defined & theirs.is_defined, level)
    return SliceEstimates(values, [None] * count, differences, (Part(count, spread, comparison),))


def _values(
    figured: Figured, spread: Several | None, metric: Metric, level: float
) -> list[MetricValue]:
    """The values with their intervals, which stay within the metric's bounds."""
    if spread is None:
        return list(figured.metric_values())
    low, high = spread.interval(level)
    lows = _optional_floats(np.maximum(low, metric.bounds[0]), spread.is_known)
    highs = _optional_floats(np.minimum(high, metric.bounds[1]), spread.is_known)
    return list(figured.metric_values(lows, highs))


def _optional_floats(figures: Floats, known: Bools) -> list[float | None]:
    """The figures as floats, None where nothing is known."""
    listed: list[float | None] = figures.tolist()
    for place in np.flatnonzero(~known).tolist():
        listed[place] = None
    return listed


def _differences(comparison: Comparison, defined: Bools, level: float) -> list[Difference]:
    assert isinstance(comparison.spread, Several), "the spreads of many slices"
    known = comparison.spread.is_known & defined
    low, high = comparison.spread.interval(level)
    p = two_sided_p(comparison.spread)
    if known.all():
        return list(zip(low.tolist(), high.tolist(), p.tolist(), strict=True))
    columns = (_optional_floats(figures, known) for figures in (low, high, p))
    return list(zip(*columns, strict=True))


def with_interval(
    value: MetricValue, spread: Spread | None, bounds: tuple[float, float], level: float
) -> MetricValue:
    """The value of one slice with its interval, which stays within the metric's bounds."""
    if spread is None:
        return value
    low, high = (float(end) for end in spread.interval(level))
    return replace(value, ci_low=max(low, bounds[0]), ci_high=min(high, bounds[1]))
