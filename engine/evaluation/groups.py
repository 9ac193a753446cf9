"""Cells of tests that compare groups: one for each slice, from the states of its groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce

from engine.core.redaction import redacted_message
from engine.core.slice_names import Values, group_text, slice_of
from engine.core.vocabulary import Cell, ModelTest, RowCounts, Slice, SliceSet
from engine.evaluation.cells import Judge
from engine.kinds.estimates import FAILED, SliceEstimate, with_interval
from engine.metrics import METRICS, Slices, measure_groups

Groups = dict[str, Slices]


@dataclass(slots=True)
class GroupedSlice:
    """A slice with the states of its groups, by the number of the model."""

    slice_set: SliceSet
    parent: SliceSet
    values: Values
    groups: dict[int, Groups] = field(default_factory=dict)

    def add(self, values: Values, states: Mapping[int, Slices]) -> None:
        """Adds the states of one group, whose value is the last of `values`."""
        name = group_text(self.slice_set.dimensions[-1].column, values[-1])
        for number, on in states.items():
            self.groups.setdefault(number, {})[name] = on

    @property
    def where(self) -> Slice:
        return slice_of(self.parent, self.values)

    def cells(self, judge: Judge) -> Iterator[Cell]:
        """The cells of the tests that compare these groups."""
        for test in judge.plan.tests_reading(self.slice_set):
            about = {
                number: on
                for number, on in self.groups.items()
                if judge.plan.is_about(test, judge.subjects[number])
            }
            estimates = {number: _estimate(judge, test, number, on) for number, on in about.items()}
            counts = {number: _total_counts(on) for number, on in about.items()}
            yield from judge.group_cells(self.where, test, estimates, counts)


def _estimate(judge: Judge, test: ModelTest, number: int, groups: Groups) -> SliceEstimate:
    plan, metric = judge.plan, METRICS.get(test.metric)
    keys = ["", *(family.key for family in metric.families(plan.problem, compared=False))]
    for key in keys:
        if (number, key) in judge.failures:
            what = "metric" if key else "model"
            return SliceEstimate(
                FAILED, failure=f"the {what} failed: {judge.failures[number, key]}"
            )
    try:
        measured = measure_groups(test.metric, plan.problem, groups)
        value = with_interval(measured.value, measured.spread, metric.bounds, plan.confidence)
    except Exception as error:  # a user's own rate costs its own cells only
        return SliceEstimate(FAILED, failure=f"the metric failed: {redacted_message(error)}")
    return SliceEstimate(value, measured.spread)


def _total_counts(groups: Groups) -> RowCounts:
    """The rows of all groups."""
    return reduce(
        lambda left, right: RowCounts(
            left.n + right.n,
            left.weight_sum + right.weight_sum,
            left.null_labels + right.null_labels,
            left.bad_scores + right.bad_scores,
            left.unknown_labels + right.unknown_labels,
        ),
        (on.counts[0] for on in groups.values()),
    )
