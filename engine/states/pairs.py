"""States of two models on the same rows: what one needs to compare them row by row.

The baseline predicts each batch first; of every other model the states here are made beside its
own. They add up, and are kept, as all states do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from engine.states.base import (
    BUCKETS,
    Bools,
    Floats,
    Ints,
    Scored,
    States,
    sum_by_key,
    sums_by_cell,
)
from engine.states.dense import Loss, Moments, losses_of, moments_of
from engine.states.row_columns import key_part
from engine.states.tally import Tally, cells_of, squares_cells


@dataclass(frozen=True, slots=True)
class Pair:
    """The same rows with the predictions of the baseline and of a candidate.

    `changed` says of which rows a variant changed the input, where a family asks for it.
    """

    baseline: Scored
    candidate: Scored
    changed: Bools | None = None

    def __len__(self) -> int:
        return len(self.candidate)

    def at(self, rows: Ints) -> Pair:
        """The pair of these rows."""
        changed = None if self.changed is None else self.changed[rows]
        return Pair(self.baseline.at(rows), self.candidate.at(rows), changed)


class PairFamily(ABC):
    """A kind of state of pairs; as `Family`, but made of a `Pair`.

    `simple_only` says that it is read only where each row stands for itself alone, without weights
    and clusters; `spare` that what reads it has another way where it is not kept, as in stores
    that were written before it came. `reads_changes` asks which rows a variant changed. `columns`
    are those that it reads of the rows besides.
    """

    simple_only: ClassVar[bool] = False
    reads_changes: ClassVar[bool] = False
    spare: ClassVar[bool] = False
    columns: tuple[str, ...] = ()

    @property
    @abstractmethod
    def key(self) -> str:
        """The family's name with its parameters."""

    @abstractmethod
    def of(self, batch: Pair, groups: Ints, n_groups: int) -> States:
        """The states of a batch whose row i belongs to group `groups[i]`."""

    @abstractmethod
    def zero(self, n_groups: int = 0) -> States:
        """The state of groups without rows."""


@dataclass(frozen=True, slots=True)
class PairedMean(PairFamily):
    """The moments of the difference of a loss, the candidate's less the baseline's."""

    loss: str
    function: Loss = field(compare=False, repr=False)
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"paired_mean({self.loss}{key_part(self.columns)})"

    def zero(self, n_groups: int = 0) -> Moments:
        return Moments(np.zeros((n_groups, BUCKETS, 4)))

    def of(self, batch: Pair, groups: Ints, n_groups: int) -> Moments:
        if len(batch) == 0:
            return self.zero(n_groups)
        ours, theirs = (
            losses_of(self.loss, self.function, side, self.columns)
            for side in (batch.candidate, batch.baseline)
        )
        return moments_of(ours - theirs, batch.candidate, groups, n_groups)


PairNumber = Callable[[Pair], Floats]


@dataclass(frozen=True, slots=True)
class PairMean(PairFamily):
    """The moments of a number of each row that its two predictions give.

    `function` takes the pair and gives float64 [rows]; a row for which it is NaN is left out.
    `name` tells all that the number depends on beside the rows.
    """

    name: str
    function: PairNumber = field(compare=False, repr=False)
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"pair_mean({self.name}{key_part(self.columns)})"

    def zero(self, n_groups: int = 0) -> Moments:
        return Moments(np.zeros((n_groups, BUCKETS, 4)))

    def of(self, batch: Pair, groups: Ints, n_groups: int) -> Moments:
        if len(batch) == 0:
            return self.zero(n_groups)
        numbers = batch.candidate.once(self.key, lambda: self.function(batch))
        known = np.flatnonzero(~np.isnan(numbers))
        if not len(known):
            return self.zero(n_groups)
        return moments_of(numbers[known], batch.candidate.at(known), groups[known], n_groups)


@dataclass(frozen=True, slots=True)
class PairedChange(PairFamily):
    """The moments of a number of each pair, of the rows whose input a variant changed.

    Families of one name are one family, so it must say all that the function depends on.
    """

    reads_changes = True

    name: str
    function: Callable[[Pair], Floats] = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return f"paired_change({self.name})"

    def zero(self, n_groups: int = 0) -> Moments:
        return Moments(np.zeros((n_groups, BUCKETS, 4)))

    def of(self, batch: Pair, groups: Ints, n_groups: int) -> Moments:
        assert batch.changed is not None, "pairs of a variant know which rows it changed"
        rows = np.flatnonzero(batch.changed)
        if not len(rows):
            return self.zero(n_groups)
        numbers = batch.candidate.once(self.key, lambda: self.function(batch))
        return moments_of(numbers[rows], batch.candidate.at(rows), groups[rows], n_groups)


class ChangedRows(PairedChange):
    """The weight of the rows whose input a variant changed: what it left alone is told apart."""

    __slots__ = ()
    spare = True

    def __init__(self) -> None:
        super().__init__("rows", lambda pair: np.zeros(len(pair)))


class PairTally(Tally):
    """Weights by bucket, true class and outcome (`OUTCOMES`), and in a second plane their squares.

    A tally of its own kind, since other figures are read from it.
    """

    kind = "pairs"


BOTH_RIGHT, LOST, GAINED, SAME_WRONG, BOTH_WRONG = OUTCOMES = range(5)


@dataclass(frozen=True, slots=True)
class PairedHits(PairFamily):
    """Weights by true class and by what became of the row's prediction.

    LOST rows the baseline had right and the candidate has wrong, GAINED ones the other way round;
    SAME_WRONG and BOTH_WRONG are wrong with both, with one prediction or two.
    """

    n_classes: int

    @property
    def key(self) -> str:
        return f"paired_hits({self.n_classes})"

    def zero(self, n_groups: int = 0) -> PairTally:
        return PairTally(2 * self._span, n_groups, np.zeros(0, np.int64), np.zeros(0))

    def of(self, batch: Pair, groups: Ints, n_groups: int) -> PairTally:
        width = 2 * self._span
        cells = groups * width + batch.candidate.once(self.key, lambda: self._cells(batch))
        if batch.candidate.unweighted:
            return PairTally(width, n_groups, *sum_by_key(cells, None))
        both = squares_cells(cells, batch.candidate.weight, self._span)
        return PairTally(width, n_groups, *sum_by_key(*both))

    @property
    def _span(self) -> int:
        return BUCKETS * self.n_classes * len(OUTCOMES)

    def _cells(self, batch: Pair) -> Ints:
        truth, bucket = batch.candidate.truth, batch.candidate.bucket
        before, after = batch.baseline.predicted, batch.candidate.predicted
        assert before is not None, "pairs of hits need predicted classes"
        assert after is not None, "pairs of hits need predicted classes"
        was, now = before == truth, after == truth
        wrong = np.where(before == after, SAME_WRONG, BOTH_WRONG)
        outcome = np.select([was & now, was, now], [BOTH_RIGHT, LOST, GAINED], wrong)
        cells: Ints = (bucket * self.n_classes + truth) * len(OUTCOMES) + outcome
        return cells


@dataclass(frozen=True, slots=True)
class PairedHitsOf(PairFamily):
    """`PairedHits` of one class against the others (1 and 0), or of one label of several."""

    class_index: int

    @property
    def key(self) -> str:
        return f"paired_hits_of({self.class_index})"

    def zero(self, n_groups: int = 0) -> PairTally:
        return PairedHits(2).zero(n_groups)

    def of(self, batch: Pair, groups: Ints, n_groups: int) -> PairTally:
        against = batch.candidate.once(self.key, lambda: self._against_others(batch))
        return PairedHits(2).of(against, groups, n_groups)

    def _against_others(self, batch: Pair) -> Pair:
        baseline, candidate = (
            replace(
                side,
                truth=side.has_class(self.class_index).astype(np.int64),
                scores=None,
                predicted=side.says_class(self.class_index).astype(np.int64),
                _cache={},
            )
            for side in (batch.baseline, batch.candidate)
        )
        return Pair(baseline, candidate)


@dataclass(frozen=True, slots=True)
class PairedView:
    """Weights by true class and outcome.

    `by_bucket` is [bucket, class, outcome]; their sum `total` and the sums of squared weights
    `squares` are [class, outcome]. Of many groups all have an axis of groups before the others.
    """

    by_bucket: Floats
    total: Floats
    squares: Floats

    @classmethod
    def of(cls, states: PairTally) -> PairedView:
        """That of the first group alone."""
        return cls.of_groups(states, 0, 1).at(0)

    @classmethod
    def of_groups(cls, states: PairTally, first: int, last: int) -> PairedView:
        """That of the groups from `first` to before `last`."""
        cells, half, count = cells_of(states, first, last), states.width // 2, last - first
        shape = (count, BUCKETS, half // (BUCKETS * len(OUTCOMES)), len(OUTCOMES))
        by_bucket = sums_by_cell(cells.keys, cells.weights, count * half).reshape(shape)
        total = by_bucket.sum(1)
        squares = total
        if len(cells.excess):
            excess = sums_by_cell(cells.excess_keys, cells.excess, count * half)
            squares = squares + excess.reshape(shape).sum(1)
        return cls(by_bucket, total, squares)

    def at(self, place: int) -> PairedView:
        """That of one of many groups."""
        return PairedView(self.by_bucket[place], self.total[place], self.squares[place])
