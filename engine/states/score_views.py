"""What is read from score histograms: weights by score, of one group or of many at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from engine.states import score_histogram
from engine.states.base import BUCKETS, Floats, Ints, replicate_sums, sums_by_cell
from engine.states.histogram_entries import CELLS, EVERYBODY, Entries, round_scores
from engine.states.score_histogram import ScoreHistogram, on_grid

# From so many on, replicates are coarser than the value.
MANY_SCORES = 1024
# Arrays of so many numbers stay in the processor's cache.
BLOCK = 1 << 17


@dataclass(frozen=True, slots=True)
class ScoresView:
    """Weights of positives and negatives by ascending score: arrays of [replicate, score].

    Of one group there is a single replicate here, that of all rows; `with_replicates` gives the
    others, which take as much room as a histogram for each bucket. Of many groups all have an axis
    of groups before the others, the scores too, with zeros where a group has fewer. `made` is what
    metrics share.
    """

    scores: Floats
    positive: Floats
    negative: Floats
    exact: bool
    state: ScoreHistogram
    made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, states: ScoreHistogram) -> ScoresView:
        """That of the first group alone."""
        return _view([_fine_table(_Group.of(states, 0), 0)], states).at(0)

    def with_replicates(self) -> ScoresView:
        """The same with a replicate for all rows, then one with each bucket left out.

        Of many scores it is on the coarse grid, the first replicate too, so that they compare: only
        a spread is wanted of them.
        """
        return _view([_bucket_table(_Group.of(self.state, 0), 0)], self.state).at(0)

    def at(self, place: int) -> ScoresView:
        """That of one of many groups, which `state` has alone."""
        weights = (self.positive[place], self.negative[place])
        return ScoresView(self.scores[place], *weights, self.exact, self.state)


@dataclass(frozen=True, slots=True)
class ScoreBlock:
    """A view of the scores of the groups `at`: weights [group, replicate, score], zeros at the end.

    `has_values` says that the first replicate is the groups' own; else the replicates are too
    coarse for it, and it has a view of its own, with no other replicate.
    """

    at: Ints
    view: ScoresView
    has_values: bool


def score_blocks(states: ScoreHistogram, first: int, last: int) -> Iterator[ScoreBlock]:
    """The views of the scores of some groups, those of about as many scores together."""
    tables: dict[tuple[int, bool, bool], list[_Table]] = {}
    for group in range(first, last):
        for table in _tables(states, group, group - first):
            kind = (table.weights.shape[0], table.exact, table.has_values)
            tables.setdefault(kind, []).append(table)
    for of_kind in tables.values():
        of_kind.sort(key=lambda table: len(table.scores))
        while of_kind:
            rows = len(of_kind[-1].weights) + 1
            taken = max(BLOCK // (rows * max(len(of_kind[-1].scores), 1)), 1)
            some = of_kind[-taken:]
            places = np.array([table.at for table in some])
            yield ScoreBlock(places, _view(some, states, least=1), some[0].has_values)
            del of_kind[-taken:]


class _Table(NamedTuple):
    """The scores of one group, and its weights by label and score, in rows of buckets or of one."""

    at: int
    scores: Floats
    weights: Floats
    exact: bool
    has_values: bool


class _Group(NamedTuple):
    """The entries of one group: all of them, and those of all its rows at the finest."""

    entries: Entries
    fine: Entries
    exact: bool

    @classmethod
    def of(cls, states: ScoreHistogram, group: int) -> _Group:
        """That of the group with this number."""
        entries = states.entries.between(group * CELLS, (group + 1) * CELLS)
        gridded = group < states.n_groups and bool(states.gridded[group])
        fine = entries.between(EVERYBODY, CELLS) if gridded else entries
        return cls(entries, fine.drop_unused(), not gridded)

    @property
    def has_many(self) -> bool:
        """Whether replicates are coarser than the value."""
        return len(self.fine.scores) > MANY_SCORES


def _tables(states: ScoreHistogram, number: int, at: int) -> Iterator[_Table]:
    """The fine table of a group and the one of its buckets, or a single one that serves as both."""
    group = _Group.of(states, number)
    both = group.exact and not group.has_many
    if not both:
        yield _fine_table(group, at)
    yield _bucket_table(group, at)._replace(has_values=both)


def _fine_table(group: _Group, at: int) -> _Table:
    """The table of all rows together: weights [1, label, score]."""
    scores, rank = group.fine.scores, group.fine.rank
    return _Table(at, scores, _weight_table(group.fine, scores, rank, 1), group.exact, True)


def _bucket_table(group: _Group, at: int) -> _Table:
    """The table of each bucket, of many scores on the coarse grid: weights [bucket, label, score].

    The entries of all rows together hold nothing that those of the buckets do not.
    """
    own = group.fine if group.exact else group.entries.between(0, EVERYBODY).drop_unused()
    scores, rank = own.scores, own.rank
    if group.has_many:
        scores, coarse = round_scores(scores, on_grid, score_histogram.COARSE_BITS)
        rank = coarse[rank]
    return _Table(at, scores, _weight_table(own, scores, rank, BUCKETS), group.exact, False)


def _weight_table(entries: Entries, scores: Floats, rank: Ints, buckets: int) -> Floats:
    """The weights [bucket, label, score], of all rows together where there is one bucket."""
    cell = entries.place if buckets > 1 else entries.place & 1
    sums = sums_by_cell(cell * len(scores) + rank, entries.weight, buckets * 2 * len(scores))
    return sums.reshape(buckets, 2, len(scores))


def _view(tables: list[_Table], states: ScoreHistogram, *, least: int = 0) -> ScoresView:
    """The view of tables of one kind, at least so many scores wide."""
    width = max(least, *(len(table.scores) for table in tables))
    buckets = len(tables[0].weights)
    weights = np.zeros((len(tables), buckets, 2, width))
    scores = np.zeros((len(tables), width))
    for place, table in enumerate(tables):
        count = len(table.scores)
        weights[place, :, :, :count] = table.weights
        scores[place, :count] = table.scores
    if buckets > 1:
        sums = replicate_sums(weights.reshape(len(tables), buckets, 2 * width))
        weights = sums.reshape(len(tables), 1 + buckets, 2, width)
    return ScoresView(scores, weights[:, :, 1], weights[:, :, 0], tables[0].exact, states)
