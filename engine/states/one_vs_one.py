"""The score histogram of one class against a single other: what one-against-one metrics read.

All the pairs of K classes are K (K - 1) histograms. Each row is in 2 (K - 1) of them, where it is
in K histograms of one class against all others: some twice the work and room, and as many more
arrays as there are more pairs than classes. For hundreds of classes that is much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.states.base import Family, Ints, Scored
from engine.states.score_histogram import ScoreHistogram, Scores


@dataclass(frozen=True, slots=True)
class PairScores(Family):
    """The score histogram of a class, of its own rows and those of one other class."""

    class_index: int
    other: int

    @property
    def key(self) -> str:
        return f"scores({self.class_index}|{self.other})"

    def zero(self, n_groups: int = 0) -> ScoreHistogram:
        return Scores(self.class_index).zero(n_groups)

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> ScoreHistogram:
        rows, of_pair = batch.once(self.key, lambda: self._rows(batch))
        return Scores(self.class_index).of(of_pair, groups[rows], n_groups)

    def _rows(self, batch: Scored) -> tuple[Ints, Scored]:
        rows = np.flatnonzero((batch.truth == self.class_index) | (batch.truth == self.other))
        return rows, batch.at(rows)
