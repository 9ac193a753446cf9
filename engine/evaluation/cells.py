"""The cells of slices: each test's value on each model, how sure it is, and the verdict.

Values, intervals and comparisons of a hundred slices are computed in one go, and only verdicts and
their reasons one by one. A metric that fails costs the cells of the slices it fails on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engine.conditions import Evidence, Measurement
from engine.core.redaction import redacted_message
from engine.core.vocabulary import Cell, MetricValue, ModelTest, RowCounts, Slice
from engine.evaluation.estimates import (
    NO_DIFFERENCE,
    Difference,
    SliceEstimate,
    SliceEstimates,
    estimate_metric,
)
from engine.evaluation.verdicts import decide, is_decided_by_point
from engine.metrics import METRICS, Metric, Slices
from engine.planning import EvaluationPlan

__all__ = ["Failures", "Judge", "SliceEstimate"]

Failures = Mapping[tuple[int, str], str]

# So many slices at once: enough to share what numpy's calls cost, few enough for their views.
AT_ONCE = 128
# Numbers in a confusion of all of them.
MOST_CELLS = 4_000_000


@dataclass(frozen=True)
class Judge:
    """Measures and judges the tests of an evaluation, many slices at once."""

    plan: EvaluationPlan
    failures: Failures
    thresholds: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict)

    @cached_property
    def base(self) -> int | None:
        """The place of the baseline among the models."""
        return self.plan.base

    @cached_property
    def at_once(self) -> int:
        """How many slices are judged at once."""
        return max(1, min(AT_ONCE, MOST_CELLS // max(self.plan.problem.n_classes, 1) ** 2))

    def block(self, slices: Sequence[Slice], states: Mapping[int, Slices]) -> Iterator[Cell]:
        """The cells of slices of one set, from the states of each model by its number.

        They come by slice, test and model. The states of all models have the same slices; those
        of the baseline are found among them.
        """
        base = self.base if self.base in states and (self.base, "") not in self.failures else None
        for first in range(0, len(slices), self.at_once):
            last = min(first + self.at_once, len(slices))
            other = None if base is None else states[base].some(first, last)
            some = {
                number: other
                if other is not None and number == base
                else model_states.some(first, last, other)
                for number, model_states in states.items()
            }
            yield from self._judge_slices(slices[first:last], some)

    def _judge_slices(self, slices: Sequence[Slice], states: Mapping[int, Slices]) -> list[Cell]:
        tests = [test for test in self.plan.tests_on(slices[0].set_name) if test.group is None]
        columns: dict[tuple[int, int], list[Cell]] = {}
        of_base: dict[int, SliceEstimates] = {}
        # The others are compared with the baseline, so it goes first.
        for number in sorted(states, key=lambda number: number != self.base):
            for place, test in enumerate(tests):
                estimates = self._estimate(test, number, states[number])
                if number == self.base:
                    of_base[place] = estimates
                baseline, counts = of_base.get(place), states[number].counts
                column = self._column(test, number)
                cells = self._cells(column, slices, estimates, baseline, counts)
                columns[place, number] = list(cells)
            states[number].forget_views()
        listed = [columns[place, number] for place in range(len(tests)) for number in states]
        return [cell for of_slice in zip(*listed, strict=True) for cell in of_slice]

    def group_cells(
        self,
        where: Slice,
        test: ModelTest,
        estimates: Mapping[int, SliceEstimate],
        counts: Mapping[int, RowCounts],
    ) -> Iterator[Cell]:
        """The cells of a test on a slice, from what it found of each model by itself."""
        base_estimate = None if self.base is None else estimates.get(self.base)
        baseline = None if base_estimate is None else base_estimate.value
        for number, estimate in estimates.items():
            column = self._column(test, number)
            base = None if column.metric.against else baseline
            measurement = column.measurement(
                where, counts[number], estimate.value, base, estimate.failure
            )
            measurement.spread = estimate.spread
            yield column.cell(where, measurement, NO_DIFFERENCE)

    def _estimate(self, test: ModelTest, number: int, on: Slices) -> SliceEstimates:
        """A test's figures on slices, or for each the reason why it could not be computed."""
        count = len(on)
        if (number, "") in self.failures:
            return SliceEstimates.repeat_failure(
                count, f"the model failed: {self.failures[number, '']}"
            )
        metric = self._metric(test, number)
        if metric is None:
            assert test.threshold is not None, "only a threshold can be lacking"
            return SliceEstimates.repeat_failure(
                count,
                f"the evaluation {test.threshold.evaluation!r} has no threshold that is "
                f"best for {test.threshold.best} of this model",
            )
        if metric.against and number == self.base:
            return SliceEstimates.repeat_value(count, MetricValue(None, "is_baseline"))
        try:
            return self._estimate_metric(test, number, metric, on)
        except Exception as error:  # a user's own metric costs its own cells only
            if count == 1:
                return SliceEstimates.repeat_failure(
                    1, f"the metric failed: {redacted_message(error)}"
                )
        # Of many slices some may have a value: each is tried by itself.
        return SliceEstimates.concat([self._estimate(test, number, one) for one in on.slices])

    def _estimate_metric(
        self, test: ModelTest, number: int, metric: Metric, on: Slices
    ) -> SliceEstimates:
        for family in metric.families(self.plan.problem, compared=metric.against):
            if (number, family.key) in self.failures:
                reason = self.failures[number, family.key]
                return SliceEstimates.repeat_failure(len(on), f"the metric failed: {reason}")
        if metric.against and on.baseline is None:
            reason = "the baseline failed, with which this one is compared"
            return SliceEstimates.repeat_failure(len(on), reason)
        alone = (
            metric.against or test.threshold is not None or self._is_comparison_lost(metric, number)
        )
        return estimate_metric(metric, self.plan, on, alone=alone)

    def _is_comparison_lost(self, metric: Metric, number: int) -> bool:
        """Whether what compares a model with the baseline failed, of either: none of it is whole.

        The states of other partitions may still be there.
        """
        if not self.failures:
            return False
        families = metric.families(self.plan.problem, compared=True)
        return any(
            (model_number, family.key) in self.failures
            for family in families
            for model_number in (number, self.base)
        )

    def _metric(self, test: ModelTest, number: int) -> Metric | None:
        """The metric of a test, at the threshold of its model where it takes one."""
        if test.threshold is None:
            return METRICS.get(test.metric)
        chosen = self.thresholds.get(test.threshold.evaluation, {})
        at = chosen.get((test.threshold.best, self.plan.models[number].digest))
        return None if at is None else METRICS.get(test.metric_at(at))

    def _column(self, test: ModelTest, number: int) -> Column:
        return Column(self.plan, test, number, METRICS.get(test.metric), number == self.base)

    def _cells(
        self, column: Column, slices: Sequence[Slice], estimates: SliceEstimates,
        baseline: SliceEstimates | None, counts: Sequence[RowCounts],
    ) -> Iterator[Cell]:  # fmt: skip
        """The cells of a test of a model on slices."""
        test, metric = column.test, column.metric
        others: Sequence[MetricValue | None] = [None] * len(slices)
        evidence: Sequence[Sequence[Evidence | None] | None] = [None] * len(slices)
        values = [] if baseline is None or metric.against else baseline.values
        if values:
            others = values
        if test.conditions and not is_decided_by_point(test, has_interval=metric.intervals):
            evidence = estimates.evidence(test.conditions, values, metric, self.plan.confidence)
        for where, rows, value, other, failure, difference, slice_evidence in zip(
            slices, counts, estimates.values, others, estimates.failures, estimates.differences,
            evidence, strict=True,
        ):  # fmt: skip
            measurement = column.measurement(where, rows, value, other, failure)
            measurement.evidence = slice_evidence
            yield column.cell(where, measurement, difference)


@dataclass(frozen=True, slots=True)
class Column:
    """A test of one model: what all of its cells have in common."""

    plan: EvaluationPlan
    test: ModelTest
    number: int
    metric: Metric
    is_baseline: bool

    def measurement(
        self, where: Slice, rows: RowCounts, value: MetricValue, baseline: MetricValue | None,
        failure: str | None,
    ) -> Measurement:  # fmt: skip
        """What the verdict on a slice rests on."""
        return Measurement(
            value, rows, baseline, self.is_baseline, failure, self.plan.min_slice_rows,
            where.kind == "where" and rows.n + rows.null_labels == 0,
            None, None, self.metric.intervals, self.plan.confidence,
            self.metric.higher_is_better,
        )  # fmt: skip

    def cell(self, where: Slice, measurement: Measurement, difference: Difference) -> Cell:
        """The cell of a slice with its verdict."""
        decision = decide(self.test, measurement)
        plan, name, base, delta = self.plan, None, None, None
        if measurement.baseline is not None and not self.is_baseline:
            name, base = plan.baseline, measurement.baseline.value
            if base is not None and measurement.value.value is not None:
                delta = measurement.value.value - base
        low, high, p = NO_DIFFERENCE if delta is None else difference
        return Cell(
            plan.name, plan.models[self.number], plan.dataset, where, self.test, measurement.rows,
            measurement.value, decision.verdict, decision.reason, name, base, delta, low, high, p,
            None, decision.p,
        )  # fmt: skip
