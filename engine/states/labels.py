"""States of a multilabel task: of each label, the rows that have it and those predicted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.states.base import (
    BUCKETS,
    Family,
    Floats,
    Ints,
    Scored,
    sum_by_key,
    sums_by_cell,
    with_left_out,
)
from engine.states.tally import Tally

HIT, MISSED, FALSE = OUTCOMES = range(3)


class LabelTally(Tally):
    """Weights by bucket, label and outcome (`OUTCOMES`).

    A tally of its own kind, since other figures are read from it. Rows that neither have a label
    nor are predicted to are most of all, and are not counted.
    """

    kind = "labels"
    squared = False


@dataclass(frozen=True, slots=True)
class Labels(Family):
    """Weights by label and outcome.

    HIT rows have the label and are predicted to, MISSED ones have it, FALSE ones are predicted to.
    """

    n_labels: int

    @property
    def key(self) -> str:
        return f"labels({self.n_labels})"

    def zero(self, n_groups: int = 0) -> LabelTally:
        return LabelTally(self._width, n_groups, np.zeros(0, np.int64), np.zeros(0))

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> LabelTally:
        rows, cell = batch.once(self.key, lambda: self._cells(batch))
        weight = None if batch.unweighted else batch.weight[rows]
        cells = groups[rows] * self._width + cell
        return LabelTally(self._width, n_groups, *sum_by_key(cells, weight))

    @property
    def _width(self) -> int:
        return BUCKETS * self.n_labels * len(OUTCOMES)

    def _cells(self, batch: Scored) -> tuple[Ints, Ints]:
        """The rows and the cells of all that is true or predicted."""
        assert batch.predicted is not None, "labels need predictions"
        has, predicted = batch.truth != 0, batch.predicted != 0
        rows, label = np.nonzero(has | predicted)
        has, predicted = has[rows, label], predicted[rows, label]
        outcome = np.select([has & predicted, has], [HIT, MISSED], FALSE)
        return rows, (batch.bucket[rows] * self.n_labels + label) * len(OUTCOMES) + outcome


@dataclass(frozen=True, slots=True)
class LabelsView:
    """Weights by label, over all buckets and with each left out: [replicate, label].

    `hits` is the weight of the rows that have the label and are predicted to, `actual` of those
    that have it, `predicted` of those predicted to.
    """

    hits: Floats
    actual: Floats
    predicted: Floats

    @classmethod
    def of(cls, states: LabelTally) -> LabelsView:
        sums = sums_by_cell(states.keys, states.weights, states.width)
        counts = with_left_out(sums.reshape(BUCKETS, -1, len(OUTCOMES)))
        hits, missed, false = np.moveaxis(counts, -1, 0)
        return cls(hits, hits + missed, hits + false)
