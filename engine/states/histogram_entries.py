"""What a histogram holds: weights by group, cell and score, as two whole numbers and a weight.

The distinct scores stand in a table, and an entry has its rank there: whole numbers are sorted,
added and stored for less than pairs of a cell and a score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.states.base import (
    BUCKETS,
    Bools,
    Floats,
    Ints,
    NotInvertible,
    runs,
    stable_order,
    sum_by_key,
)
from engine.states.subtract import FOREIGN, Sparse

CELLS = 2 * (BUCKETS + 1)  # label x bucket; the last bucket holds all rows, on the fine grid
EVERYBODY = 2 * BUCKETS

# Numbers of double precision that differ in their last digits, by this share of them.
TWINS = 2.0**-43

# As many marks are made at once.
_MARKS = 2**24

Grid = Callable[[Floats, int], Floats]


@dataclass(frozen=True, slots=True)
class Rule:
    """When and how a histogram rounds scores.

    A group with more than `cap` distinct scores goes on the grid, with the bits of the fine one for
    all rows and of the coarse one by bucket. With `squares`, label 1 is no label, but has what the
    squared weights of label 0 are more.
    """

    grid: Grid
    cap: int
    fine: int
    coarse: int
    squares: bool


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Weights by (group, cell, score), ascending and distinct; cell = 2 * bucket + label.

    Entry i is of the place `place[i]`, group * CELLS + cell, and of the score `scores[rank[i]]`.
    The scores ascend; not every one need be used.
    """

    scores: Floats
    place: Ints
    rank: Ints
    weight: Floats

    def __len__(self) -> int:
        return len(self.place)

    @property
    def group(self) -> Ints:
        return self.place // CELLS

    @property
    def cell(self) -> Ints:
        return self.place % CELLS

    @property
    def score(self) -> Floats:
        return self.scores[self.rank]

    @property
    def keys(self) -> Ints:
        """The place and the rank in one number, which ascends as they do."""
        keys: Ints = self.place * len(self.scores) + self.rank
        return keys

    def where(self, mask: Bools) -> Entries:
        return Entries(self.scores, self.place[mask], self.rank[mask], self.weight[mask])

    def between(self, low: int, high: int) -> Entries:
        """The entries of the places from `low` to less than `high`, whose number begins at 0."""
        start, end = self.place.searchsorted((low, high))
        return Entries(
            self.scores, self.place[start:end] - low, self.rank[start:end], self.weight[start:end]
        )

    def select(self, groups: Ints) -> Entries:
        """The entries of these groups, which are numbered in this order."""
        low, high = (self.place.searchsorted(edges * CELLS) for edges in (groups, groups + 1))
        at = runs(low, high)
        moved = np.repeat((np.arange(len(groups)) - groups) * CELLS, high - low)
        return Entries(self.scores, self.place[at] + moved, self.rank[at], self.weight[at])

    def drop_unused(self) -> Entries:
        """The same, with no score in the table that no entry has."""
        count = len(self.scores)
        if count <= 4 * len(self):
            marks = np.zeros(count, bool)
            marks[self.rank] = True
            if marks.all():
                return self
            kept = np.flatnonzero(marks)
            rank = (np.cumsum(marks) - 1)[self.rank]
        else:
            kept, rank = np.unique(self.rank, return_inverse=True)
        return Entries(self.scores[kept], self.place, rank, self.weight)

    def on_grid(self, rule: Rule) -> tuple[Entries, Entries]:
        """The same weights on the fine grid for all rows, on the coarse one by bucket.

        In no order, and with some places and scores twice.
        """
        ours = self.drop_unused()
        fine, coarse = (
            round_scores(ours.scores, rule.grid, bits) for bits in (rule.fine, rule.coarse)
        )
        everybody = self.group * CELLS + EVERYBODY + (self.place & 1)
        return (
            Entries(fine[0], everybody, fine[1][ours.rank], self.weight),
            Entries(coarse[0], self.place, coarse[1][ours.rank], self.weight),
        )

    def beyond(self, cap: int, n_groups: int) -> Bools:
        """Which groups have more than `cap` distinct scores."""
        ends = self.place.searchsorted(np.arange(n_groups + 1) * CELLS)
        beyond = np.diff(ends) > cap
        candidates = np.flatnonzero(beyond)
        step = max(_MARKS // max(len(self.scores), 1), 1)
        for start in range(0, len(candidates), step):
            groups = candidates[start : start + step]
            few = self.select(groups)
            marks = np.zeros((len(groups), len(self.scores)), bool)
            marks[few.group, few.rank] = True
            beyond[groups] = marks.sum(axis=1) > cap
        return np.asarray(beyond, bool)

    def by_score(self, *, label: int | None) -> tuple[Ints, Floats, Floats]:
        """The pairs of a group and a score, and the weights of each; of one label or of all.

        The entries are none of those on a grid.
        """
        entries = self if label is None else self.where((self.place & 1) == label)
        keys, weights = sum_by_key(
            entries.group * len(entries.scores) + entries.rank, entries.weight
        )
        group = keys // max(len(entries.scores), 1)
        return group, entries.scores[keys - group * len(entries.scores)], weights

    def less(self, other: Entries, *, squares: bool) -> Entries:
        """The entries that are left without those of `other`.

        With `squares`, label 1 has what the squared weights of label 0 are more. The last digits of
        a score may depend on the rows that were predicted with it: where `other` is not found to
        the digit, scores are the same that are next to each other but for `TWINS`.

        Raises:
            NotInvertible: when `other` has what is not here.
        """
        if not len(other):
            return self
        _, both = on_one_table(self, other)
        if len(both) < 2:
            raise NotInvertible(FOREIGN)
        try:
            return _less(both, squares)
        except NotInvertible:
            return _less([entries.without_twins() for entries in both], squares)

    def without_twins(self) -> Entries:
        """The same with scores that are neighbours in the table, but for `TWINS`, made one."""
        new = np.r_[True, np.diff(self.scores) > TWINS * np.abs(self.scores[1:])]
        scores = self.scores[new]
        keys = self.place * len(scores) + (np.cumsum(new) - 1)[self.rank]
        return of_keys(scores, *sum_by_key(keys, self.weight))


def _less(both: Sequence[Entries], squares: bool) -> Entries:
    """What is left of the first without the second, which have one table."""
    scores = both[0].scores
    ours, theirs = (
        Sparse(entries.keys, entries.weight, (entries.place & 1) == 1, len(scores))
        if squares
        else Sparse(entries.keys, entries.weight)
        for entries in both
    )
    return of_keys(scores, *ours.less(theirs))


def of_keys(scores: Floats, keys: Ints, weights: Floats) -> Entries:
    """The entries of numbers as of `Entries.keys`."""
    place = keys // max(len(scores), 1)
    return Entries(scores, place, keys - place * len(scores), weights)


NOTHING = of_keys(np.zeros(0), np.zeros(0, np.int64), np.zeros(0))


def total(*pieces: Entries) -> Entries:
    """The sum of entries, which may come in any order and repeat."""
    scores, some = on_one_table(*pieces)
    if not some:
        return NOTHING
    keys = np.concatenate([piece.keys for piece in some])
    return of_keys(scores, *sum_by_key(keys, np.concatenate([piece.weight for piece in some])))


def concat(*pieces: Entries) -> Entries:
    """The entries together, of which no place is in two pieces; each is in order for itself."""
    scores, some = on_one_table(*pieces)
    if len(some) <= 1:
        return some[0] if some else NOTHING
    place, rank, weight = (
        np.concatenate(column)
        for column in zip(*((piece.place, piece.rank, piece.weight) for piece in some), strict=True)
    )
    order = stable_order(place)
    return Entries(scores, place[order], rank[order], weight[order])


def on_one_table(*pieces: Entries) -> tuple[Floats, list[Entries]]:
    """The pieces that have entries, with the ranks in one table, and that table."""
    some = [piece.drop_unused() for piece in pieces if len(piece)]
    if not some:
        return NOTHING.scores, []
    first = some[0].scores
    if all(piece.scores is first or np.array_equal(piece.scores, first) for piece in some):
        return first, some
    every = np.concatenate([piece.scores for piece in some])
    # Stable, because that sort merges what is sorted already.
    order = np.argsort(every, kind="stable")
    ordered = every[order]
    new = np.r_[True, ordered[1:] != ordered[:-1]]
    ranks = np.empty(len(every), np.int64)
    ranks[order] = np.cumsum(new) - 1
    ends = np.cumsum([len(piece.scores) for piece in some])[:-1]
    scores = ordered[new]
    return scores, [
        Entries(scores, piece.place, own[piece.rank], piece.weight)
        for piece, own in zip(some, np.split(ranks, ends), strict=True)
    ]


def round_scores(scores: Floats, grid: Grid, bits: int) -> tuple[Floats, Ints]:
    """The distinct scores on a grid, which is monotone, and the rank among them of each score."""
    on = grid(scores, bits)
    new = np.r_[True, on[1:] != on[:-1]][: len(on)]
    return on[new], np.cumsum(new) - 1
