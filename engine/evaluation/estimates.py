"""What a test found of a model on slices: values with intervals, differences, evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.core.vocabulary import Condition, MetricValue
from engine.evaluation.verdicts import Evidence, Weighed, slack, weigh
from engine.metrics import Comparison, Figured, Metric, Slices, comparisons_of, spreads_of
from engine.planning import EvaluationPlan
from engine.states import Bools, Floats
from engine.statistics import Several, Spread, two_sided

FAILED = MetricValue(None, "failed")
# An undefined value of one reason is one object, however many cells have it.
_UNDEFINED: dict[str, MetricValue] = {}

# The ends of a difference's interval and the p-value of no difference; None where unknown.
Difference = tuple[float | None, float | None, float | None]
NO_DIFFERENCE: Difference = (None, None, None)

Held = list[Evidence | None]


@dataclass(frozen=True, slots=True)
class Found:
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
    ) -> Held:  # fmt: skip
        """What a condition is held against on each slice; `others` are the baseline's values."""
        spread = self.spread if self.comparison is None else self.comparison.spread
        spread = spread if condition.needs_baseline else self.spread
        if not isinstance(spread, Several):
            return [None] * self.size
        of = Weighed(
            np.array([each.value for each in values], np.float64),
            np.array([slack(each) for each in values]),
            self.spread,
            np.array([slack(each) for each in others]) if others else 0.0,
            self.comparison,
        )
        found = weigh(condition, of, level=level, higher_is_better=metric.higher_is_better)
        if found is None:
            return [None] * self.size
        columns = [np.broadcast_to(np.asarray(each), self.size).tolist() for each in found]
        return [
            Evidence._make(each) if known else None
            for known, each in zip(spread.known.tolist(), zip(*columns, strict=True), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Many:
    """What a test found of one model on many slices, one after the other."""

    values: list[MetricValue]
    failures: list[str | None]
    differences: list[Difference]
    parts: tuple[Part, ...]

    @classmethod
    def failed(cls, count: int, reason: str) -> Many:
        """Slices on which it found nothing."""
        return replace(cls.undefined(count, FAILED), failures=[reason] * count)

    @classmethod
    def undefined(cls, count: int, value: MetricValue) -> Many:
        """Slices of one value that is not defined."""
        return cls([value] * count, [None] * count, [NO_DIFFERENCE] * count, (Part(count),))

    @classmethod
    def joined(cls, parts: Sequence[Many]) -> Many:
        """The slices of each, one after the other."""
        return cls(
            [value for each in parts for value in each.values],
            [failure for each in parts for failure in each.failures],
            [difference for each in parts for difference in each.differences],
            tuple(part for each in parts for part in each.parts),
        )

    def without(self, places: Iterable[int], value: MetricValue) -> Many:
        """The same with a value that is not defined at some places."""
        values = list(self.values)
        for at in places:
            values[at] = value
        return replace(self, values=values)

    def evidence(
        self, conditions: Sequence[Condition], others: Sequence[MetricValue], metric: Metric,
        level: float,
    ) -> list[tuple[Evidence | None, ...]]:  # fmt: skip
        """What each condition is held against, for each slice."""
        held: list[Held] = [[] for _ in conditions]
        first = 0
        for part in self.parts:
            values = self.values[first : first + part.size]
            theirs = others[first : first + part.size]
            for into, condition in zip(held, conditions, strict=True):
                into += part.evidence(condition, values, theirs, metric, level)
            first += part.size
        return list(zip(*held, strict=True))


def found_of(metric: Metric, plan: EvaluationPlan, on: Slices, *, alone: bool) -> Many:
    """A metric of a model on slices; `alone` without a comparison with the baseline."""
    figured = on.figured(metric, plan.problem)
    spread = spreads_of(metric, plan.problem, on)
    values = list(_values(figured, spread, metric, plan.confidence))
    count = len(on)
    comparison = None
    differences = [NO_DIFFERENCE] * count
    if not alone and on.baseline is not None:
        theirs = on.baseline.figured(metric, plan.problem)
        comparison = comparisons_of(metric, plan.problem, on)
        if comparison is not None:
            differences = _differences(comparison, figured.defined & theirs.defined, plan)
    return Many(values, [None] * count, differences, (Part(count, spread, comparison),))


def _values(
    of: Figured, spread: Several | None, metric: Metric, level: float
) -> Iterator[MetricValue]:
    """The values with their intervals, which stay within the metric's bounds."""
    count = len(of)
    lows: list[float | None] = [None] * count
    highs: list[float | None] = [None] * count
    if spread is not None:
        low, high = spread.interval(level)
        lows = _known(np.maximum(low, metric.bounds[0]), spread.known)
        highs = _known(np.minimum(high, metric.bounds[1]), spread.known)
    details = of.details or [None] * count
    for value, reason, bound, low_, high_, detail in zip(
        of.values.tolist(), of.reasons, of.bounds.tolist(), lows, highs, details, strict=True
    ):
        if reason is None:
            yield MetricValue(value, None, bound, low_, high_)
        elif detail is not None:
            yield MetricValue(None, reason, detail=detail)
        else:
            yield _UNDEFINED.setdefault(reason, MetricValue(None, reason))


def _known(figures: Floats, known: Bools) -> list[float | None]:
    """The figures as floats, None where nothing is known."""
    listed: list[float | None] = figures.tolist()
    for place in np.flatnonzero(~known).tolist():
        listed[place] = None
    return listed


def _differences(of: Comparison, defined: Bools, plan: EvaluationPlan) -> list[Difference]:
    assert isinstance(of.spread, Several), "the spreads of many slices"
    known = of.spread.known & defined
    low, high = of.spread.interval(plan.confidence)
    p = two_sided(of.spread)
    if known.all():
        return list(zip(low.tolist(), high.tolist(), p.tolist(), strict=True))
    columns = (_known(each, known) for each in (low, high, p))
    return list(zip(*columns, strict=True))


def with_interval(
    value: MetricValue, spread: Spread | None, bounds: tuple[float, float], level: float
) -> MetricValue:
    """The value of one slice with its interval, which stays within the metric's bounds."""
    if spread is None:
        return value
    low, high = (float(end) for end in spread.interval(level))
    return replace(value, ci_low=max(low, bounds[0]), ci_high=min(high, bounds[1]))
