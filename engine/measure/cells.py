"""One slice's cells: each test's value on each model, how sure it is, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.matrix import EvaluationPlan
from engine.metrics import METRICS, Comparison, Metric, SliceStates, comparison_of, spread_of
from engine.statistics import Spread, two_sided
from engine.verdicts import Measurement, decide
from engine.vocabulary import Cell, MetricValue, ModelTest, RowCounts, Slice

Failures = Mapping[tuple[int, str], str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a test found of one model on one slice; `failure` is why it found nothing."""

    value: MetricValue
    spread: Spread | None = None
    comparison: Comparison | None = None
    failure: str | None = None


FAILED = MetricValue(None, "failed")


@dataclass(frozen=True, slots=True)
class Judge:
    """Measures and judges the tests of an evaluation, slice by slice."""

    plan: EvaluationPlan
    failures: Failures
    thresholds: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict)

    @property
    def base(self) -> int | None:
        """The place of the baseline among the models."""
        names = [model.name for model in self.plan.models]
        return names.index(self.plan.baseline) if self.plan.baseline in names else None

    def cells(self, where: Slice, states: Mapping[int, SliceStates]) -> Iterator[Cell]:
        """The cells of a slice, from the states of each model by its number."""
        for test in self.plan.tests_on(where.set_name):
            if test.group is None:
                found = {number: self._found(test, number, on) for number, on in states.items()}
                counts = {number: on.rows for number, on in states.items()}
                yield from self.judged(where, test, found, counts)

    def judged(
        self,
        where: Slice,
        test: ModelTest,
        found: Mapping[int, Found],
        counts: Mapping[int, RowCounts],
    ) -> Iterator[Cell]:
        """The cells of a test on a slice, from what it found of each model."""
        metric = METRICS.get(test.metric)
        base = self.base
        baseline = found[base].value if base is not None and base in found else None
        for number, of in found.items():
            rows = counts[number]
            measurement = Measurement(
                of.value,
                rows,
                baseline=None if metric.against else baseline,
                is_baseline=number == base,
                failure=of.failure,
                min_rows=self.plan.min_slice_rows,
                nothing_matched=where.kind == "where" and rows.n + rows.null_labels == 0,
                spread=of.spread,
                comparison=of.comparison,
                has_interval=metric.intervals,
                confidence=self.plan.confidence,
                higher_is_better=metric.higher_is_better,
            )
            yield self._cell(where, test, number, measurement)

    def _found(self, test: ModelTest, number: int, on: SliceStates) -> Found:
        """A metric's value with its spread, or the reason why it could not be computed."""
        if (number, "") in self.failures:
            return Found(FAILED, failure=f"the model failed: {self.failures[number, '']}")
        metric = self._metric(test, number)
        if metric is None:
            assert test.threshold is not None, "only a threshold can be lacking"
            return Found(
                FAILED,
                failure=f"the evaluation {test.threshold.evaluation!r} has no threshold that is "
                f"best for {test.threshold.best} of this model",
            )
        if metric.against and number == self.base:
            return Found(MetricValue(None, "is_baseline"))
        try:
            for family in metric.families(self.plan.problem, compared=metric.against):
                if (number, family.key) in self.failures:
                    reason = self.failures[number, family.key]
                    return Found(FAILED, failure=f"the metric failed: {reason}")
            if metric.against and on.baseline is None:
                return Found(FAILED, failure="the baseline failed, with which this one is compared")
            if metric.against and on.baseline is not None and on.baseline.rows.bad_scores:
                return Found(MetricValue(None, "nan_input", detail="those of the baseline"))
            alone = test.threshold is not None or self._lost(metric, number)
            return self._measured(metric, on, alone=alone)
        except Exception as error:  # a user's own metric costs its own cells only
            reason = f"{type(error).__name__}: {error}"
            return Found(FAILED, failure=f"the metric failed: {reason}")

    def _lost(self, metric: Metric, number: int) -> bool:
        """Whether what compares a model with the baseline failed, of either: none of it is whole.

        The states of other partitions may still be there.
        """
        if not self.failures:
            return False
        families = metric.families(self.plan.problem, compared=True)
        return any(
            (each, of.key) in self.failures for of in families for each in (number, self.base)
        )

    def _metric(self, test: ModelTest, number: int) -> Metric | None:
        """The metric of a test, at the threshold of its model where it takes one."""
        if test.threshold is None:
            return METRICS.get(test.metric)
        chosen = self.thresholds.get(test.threshold.evaluation, {})
        at = chosen.get((test.threshold.best, self.plan.models[number].digest))
        return None if at is None else METRICS.get(test.metric_at(at))

    def _measured(self, metric: Metric, on: SliceStates, *, alone: bool) -> Found:
        problem = self.plan.problem
        value = metric.value(problem, on)
        if value.value is None:
            return Found(value)
        spread = spread_of(metric, problem, on)
        value = with_interval(value, spread, metric.bounds, self.plan.confidence)
        other = on.baseline
        if alone or metric.against or other is None or metric.value(problem, other).value is None:
            return Found(value, spread)
        return Found(value, spread, comparison_of(metric, problem, on))

    def _cell(self, where: Slice, test: ModelTest, number: int, of: Measurement) -> Cell:
        decision = decide(test, of)
        compared = of.baseline is not None and not of.is_baseline
        base = of.baseline.value if of.baseline is not None and compared else None
        value, comparison = of.value.value, of.comparison
        delta = value - base if value is not None and base is not None else None
        low = high = p = None
        if comparison is not None and delta is not None:
            low, high = comparison.spread.interval(of.confidence)
            p = two_sided(comparison.spread)
        return Cell(
            evaluation=self.plan.name,
            model=self.plan.models[number],
            dataset=self.plan.dataset,
            slice=where,
            test=test,
            counts=of.rows,
            measured=of.value,
            verdict=decision.verdict,
            reason=decision.reason,
            baseline_model=self.plan.baseline if compared else None,
            baseline_value=base,
            delta=delta,
            delta_ci_low=low,
            delta_ci_high=high,
            p_value=p,
            violation_p_value=decision.p,
        )


def with_interval(
    value: MetricValue, spread: Spread | None, bounds: tuple[float, float], level: float
) -> MetricValue:
    """The value with its interval, which stays within the metric's bounds."""
    if spread is None:
        return value
    low, high = spread.interval(level)
    return MetricValue(
        value.value,
        value.reason,
        value.error_bound,
        max(low, bounds[0]),
        min(high, bounds[1]),
        value.detail,
    )
