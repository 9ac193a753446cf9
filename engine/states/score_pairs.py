"""The scores of two models on the same rows, by label: what a difference of areas spreads by.

An area under the ROC curve depends on the order of scores alone, so each score is kept as a whole
number that is in the same order, with the digits of single precision and as fine next to 1 as it is
next to 0. The pairs of a candidate's and a baseline's number are counted, as long as a label has
few of them. Of more, a sample of the distinct pairs is kept whose size is bounded, in the manner of
the adaptive sampling of Wegman (Flajolet, 1990): at level l the pairs whose hash begins with l
zeros, at the last level that has more than `LEAST`. Which these are depends on the pairs alone, not
on the order in which rows came, so that a sum is the same on every way to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from engine.states import codec
from engine.states.base import Floats, Ints, NotInvertible, Scored, States
from engine.states.distinct_sample import HASH_BITS, HASHES, depths_of, hashes_of, levels_of
from engine.states.histogram_build import Ranked
from engine.states.histogram_entries import (
    CELLS,
    NOTHING,
    Entries,
    of_keys,
    on_one_table,
    total,
)
from engine.states.pairs import Pair, PairFamily
from engine.states.subtract import FOREIGN, Sparse, remainder

LEAST = 1024
"""Of up to so many distinct pairs of a label all are kept, of more a sample of more than these."""

LABELS = 2
# The bits of one half in single precision: where the numbers of scores are mirrored.
_HALF = int(np.float32(0.5).view(np.uint32))
_BITS = 31
# Pairs begin at 2.0, read as a double: smaller ones would be numbers that some processors take
# for 0, larger ones than the last would be none.
_FIRST = 1 << 62
_LAST = _FIRST + (2 * _HALF << _BITS) + 2 * _HALF


def order_of(scores: Floats) -> Ints:
    """A whole number below 2^31 for each score in [0, 1], in the order of the scores."""
    # + 0.0 makes one zero of -0.0 and 0.0.
    small = (np.minimum(scores, 1.0 - scores) + 0.0).astype(np.float32)
    bits = small.view(np.int32)
    numbers: Ints = np.where(scores > 0.5, 2 * _HALF - bits, bits).astype(np.int64)
    return numbers


@dataclass(frozen=True, slots=True)
class ScorePairsView:
    """Rows with the scores of both models, of many groups; a cell is 2 * group + label.

    `cell`, `candidate`, `baseline` and `weight` are arrays [pair] of the pairs that are kept; the
    scores are whole numbers in their order. `levels` and `totals` are arrays [cell]: of each pair
    of a label 2^-level are kept, and `totals` has the weight of all rows.
    """

    cell: Ints
    candidate: Ints
    baseline: Ints
    weight: Floats
    levels: Ints
    totals: Floats

    @classmethod
    def of_groups(cls, states: ScorePairs, first: int, last: int) -> ScorePairsView:
        """That of the groups from `first` to before `last`."""
        entries = states.entries.between(first * CELLS, last * CELLS)
        pairs = np.ascontiguousarray(entries.score).view(np.int64) - _FIRST
        some = slice(LABELS * first, LABELS * last)
        return cls(
            cells_of(entries),
            pairs >> _BITS,
            pairs & (2**_BITS - 1),
            entries.weight,
            states.levels[some],
            states.totals[some],
        )


@dataclass(frozen=True, slots=True, eq=False)
class ScorePairs(States):
    """Weights by group, label and pair of scores.

    Attributes:
        entries: the weights that are kept. Of an entry the cell is the label, and the score the
            pair: its bits, read as a number of double precision, which ascend as the pairs do.
        levels: int64 [LABELS * group + label], of which level the sample is; 0 has all pairs.
        totals: float64 [LABELS * group + label], the weight of all rows.
    """

    kind: ClassVar[str] = "score_pairs"

    entries: Entries
    levels: Ints
    totals: Floats

    @classmethod
    def none(cls, n_groups: int) -> Self:
        """Of groups without rows."""
        cells = LABELS * n_groups
        return cls(NOTHING, np.zeros(cells, np.int64), np.zeros(cells))

    @property
    def n_groups(self) -> int:
        return len(self.levels) // LABELS

    def merge(self, *others: Self) -> Self:
        self.refuse_unlike(*others)
        all_ = (self, *others)
        n_groups = max(states.n_groups for states in all_)
        zero = type(self).none(n_groups)
        levels, totals = zero.levels, zero.totals
        for states in all_:
            some = slice(len(states.levels))
            np.maximum(levels[some], states.levels, out=levels[some])
            totals[some] += states.totals
        kept = [states.sample(levels) for states in all_ if len(states.entries)]
        entries = kept[0] if len(kept) == 1 else total(*kept)
        return type(self)(*raise_levels(entries, levels), totals)

    def minus(self, other: Self) -> Self:
        self.refuse_unlike(other)
        zero = type(self).none(max(self.n_groups, other.n_groups))
        ours = zero.merge(self)
        if (other.levels > ours.levels[: len(other.levels)]).any():
            raise NotInvertible(FOREIGN)
        theirs = other.sample(ours.levels)
        gone = np.append(other.totals, np.zeros(len(ours.totals) - len(other.totals)))
        totals = remainder(ours.totals, gone)
        if totals.min(initial=0.0) < 0:
            raise NotInvertible(FOREIGN)
        entries = _less(ours.entries, theirs)
        counts = np.bincount(cells_of(entries), minlength=len(totals))
        # Without rows there is nothing that a sample lacks.
        levels = np.where(totals > 0, ours.levels, 0)
        if ((levels > 0) & (counts <= LEAST)).any():
            raise NotInvertible(f"{self.kind}: too few are left of a sample to be all that it was")
        return type(self)(entries, levels, totals)

    def sample(self, levels: Ints) -> Entries:
        """The entries that are in the samples of these levels, none of them below ours."""
        levels = levels[: len(self.levels)]
        if (levels == self.levels).all():
            return self.entries
        depths = depths_of(hashes_of(self.entries.scores))[self.entries.rank]
        return self.entries.where(depths >= levels[cells_of(self.entries)])

    def take(self, group: int) -> Self:
        return self.select(np.array([group], np.int64))

    def select(self, groups: Ints) -> Self:
        at = np.minimum(groups, self.n_groups)
        padded = (np.append(column, [0, 0]) for column in (self.levels, self.totals))
        levels, totals = (column.reshape(-1, LABELS)[at].reshape(-1) for column in padded)
        return type(self)(self.entries.select(groups), levels, totals)

    def encode(self) -> bytes:
        entries = self.entries.drop_unused()
        arrays = {
            "levels": self.levels.astype(np.uint8),
            "totals": codec.small(self.totals),
            "pairs": np.ascontiguousarray(entries.scores).view(np.int64),
            "steps": codec.steps(entries.keys),
            "weights": codec.small(entries.weight),
        }
        return codec.encode(self.kind, {"least": LEAST}, arrays)

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        least = params.get("least")
        codec.refuse_unless(least == LEAST, f"least sample is {least}, expected {LEAST}")
        levels = codec.array_of(arrays, "levels", np.uint8).astype(np.int64)
        totals = codec.weights_of(arrays, "totals")
        pairs = codec.array_of(arrays, "pairs", np.int64)
        one_each = len(levels) == len(totals) and len(levels) % LABELS == 0
        codec.refuse_unless(one_each, "levels and totals are not one for each label of a group")
        codec.refuse_unless(int(levels.max(initial=0)) <= HASH_BITS, "levels are out of range")
        inside = bool(((pairs >= _FIRST) & (pairs <= _LAST)).all())
        ascend = bool((pairs[1:] > pairs[:-1]).all())
        codec.refuse_unless(inside and ascend, "pairs are out of order or of range")
        keys = codec.keys_of(arrays, "steps", len(levels) // LABELS * CELLS * len(pairs))
        weights = codec.weights_of(arrays, "weights")
        codec.refuse_unless(len(keys) == len(weights), "pairs and weights differ in length")
        entries = of_keys(pairs.view(np.float64), keys, weights)
        codec.refuse_unless(int(entries.cell.max(initial=0)) < LABELS, "labels are out of range")
        return cls(entries, levels, totals)


def cells_of(entries: Entries) -> Ints:
    """LABELS * group + label of each entry."""
    return LABELS * entries.group + entries.cell


def raise_levels(entries: Entries, levels: Ints) -> tuple[Entries, Ints]:
    """The entries, which are all those of `levels`, at the last levels with more than `LEAST`."""
    cells = cells_of(entries)
    many = np.bincount(cells, minlength=len(levels)) > LEAST
    if not many.any():
        return entries, levels
    at = np.flatnonzero(many[cells])
    depths = depths_of(hashes_of(entries.score[at]))
    raised = np.maximum(levels, last_levels(cells[at], depths, len(levels)))
    if (raised == levels).all():
        return entries, levels
    kept = np.ones(len(entries), bool)
    kept[at] = depths >= raised[cells[at]]
    return entries.where(kept), raised


def last_levels(cells: Ints, depths: Ints, n_cells: int) -> Ints:
    """The last level at which each cell has more than `LEAST` of these, 0 where none has."""
    return np.maximum(levels_of(cells, depths, n_cells, LEAST) - 1, 0)


def _less(ours: Entries, theirs: Entries) -> Entries:
    """What is left of entries without others, which are all among them."""
    if not len(theirs):
        return ours
    scores, both = on_one_table(ours, theirs)
    if len(both) < 2:
        raise NotInvertible(FOREIGN)
    left, right = (Sparse(entries.keys, entries.weight) for entries in both)
    return of_keys(scores, *left.less(right))


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a batch: pairs of scores, their hashes, and labels."""

    pairs: Floats
    hashes: Ints
    label: Ints
    weight: Floats | None

    def levels(self, cells: Ints, counts: Ints) -> Ints:
        """The last levels with more than `LEAST` rows: those of pairs, where no two are alike.

        `counts` are the rows of each cell.
        """
        many = counts > LEAST
        if not many.any():
            return np.zeros(len(counts), np.int64)
        # Levels that are low enough leave few hashes to be counted, some twice too many.
        low = np.where(many, np.log2(np.maximum(counts / LEAST, 1.0)).astype(np.int64) - 1, 0)
        low = np.maximum(low, 0)
        at = np.flatnonzero(many[cells] & (self.hashes < (HASHES >> low)[cells]))
        last = last_levels(cells[at], depths_of(self.hashes[at]), len(counts))
        return np.where(many, np.maximum(last, low), 0)

    def rank(self, rows: Ints | None = None) -> Ranked:
        """All rows, or some, in the order of their pairs."""
        if rows is None:
            return Ranked.of(self.pairs, self.label, self.weight)
        weight = None if self.weight is None else self.weight[rows]
        return Ranked.of(self.pairs[rows], self.label[rows], weight)


@dataclass(frozen=True, slots=True)
class PairedScores(PairFamily):
    """The scores of one class, or label, with both models, of its rows and of the others."""

    class_index: int
    simple_only: ClassVar[bool] = True
    spare: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return f"paired_scores({self.class_index})"

    def zero(self, n_groups: int = 0) -> ScorePairs:
        return ScorePairs.none(n_groups)

    def of(self, batch: Pair, groups: Ints, n_groups: int) -> ScorePairs:
        if len(batch) == 0:
            return self.zero(n_groups)
        every = batch.candidate.once(self.key, lambda: self._rows(batch))
        cells = LABELS * groups + every.label
        counts = np.bincount(cells, minlength=LABELS * n_groups)
        levels = every.levels(cells, counts)
        entries = self._entries(batch.candidate, every, groups, levels)
        kept = np.bincount(cells_of(entries), minlength=len(levels))
        low = (levels > 0) & (kept <= LEAST)
        if low.any():
            # Of many rows the pairs are the same.
            levels = np.where(low, 0, levels)
            entries = self._entries(batch.candidate, every, groups, levels)
            entries, levels = raise_levels(entries, levels)
        totals = counts if every.weight is None else np.bincount(cells, every.weight, len(levels))
        return ScorePairs(entries, levels, totals.astype(np.float64))

    def _entries(self, batch: Scored, every: _Rows, groups: Ints, levels: Ints) -> Entries:
        """The entries of the rows that are in the samples of these levels."""
        if not levels.any():
            ranked = batch.once((self.key, "ranked"), every.rank)
            return ranked.entries(groups[ranked.order])
        kept = every.hashes < (HASHES >> levels)[LABELS * groups + every.label]
        if 2 * np.count_nonzero(kept) > len(kept):
            ranked = batch.once((self.key, "ranked"), every.rank)
            return ranked.entries(groups[ranked.order], kept[ranked.order])
        rows = np.flatnonzero(kept)
        ranked = every.rank(rows)
        return ranked.entries(groups[rows][ranked.order])

    def _rows(self, batch: Pair) -> _Rows:
        ours, theirs = (side.scores for side in (batch.candidate, batch.baseline))
        assert ours is not None, "pairs of scores need scores"
        assert theirs is not None, "pairs of scores need scores"
        candidate, baseline = (order_of(scores[:, self.class_index]) for scores in (ours, theirs))
        pairs = (_FIRST + (candidate << _BITS) + baseline).view(np.float64)
        label = batch.candidate.has_class(self.class_index).astype(np.int64)
        weight = None if batch.candidate.unweighted else batch.candidate.weight
        return _Rows(pairs, hashes_of(pairs), label, weight)
