"""A histogram of scores by label: exact while scores are few, on a fixed monotone grid beyond.

A group with at most `EXACT_SCORES` distinct scores keeps each of them. Beyond, scores are rounded
on a grid that is part of the code, not of the data, so that it does not matter in which order, or
at which step of adding, a group passes the cap: the sum is the same. The grid is relative at both
ends of [0, 1]: within [2^-(j+1), 2^-j] and its mirror image below 1 it has 2^bits equal steps.
It is fine for the value itself and coarse for the buckets, from which only a spread is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from engine.states import codec
from engine.states.base import (
    Bools,
    Family,
    Floats,
    Ints,
    NotInvertible,
    Scored,
    States,
)
from engine.states.distinct_sample import Seen, hashes_of
from engine.states.histogram_build import Ranked, histogram_of, sum_planes
from engine.states.histogram_entries import (
    CELLS,
    NOTHING,
    Entries,
    Grid,
    Rule,
    concat,
    of_keys,
    total,
)
from engine.states.subtract import FOREIGN

EXACT_SCORES = 4096
FINE_BITS = 10
COARSE_BITS = 5


def on_grid(scores: Floats, bits: int) -> Floats:
    """Scores in [0, 1] rounded on the grid: monotone, and idempotent."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(52 - bits)
    upper = scores > 0.5
    mirrored = np.ascontiguousarray(np.where(upper, 1.0 - scores, scores), np.float64)
    rounded = (mirrored.view(np.uint64) & mask).view(np.float64)
    return np.where(upper, 1.0 - rounded, rounded)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHistogram(States):
    """Weights by score, label and bucket.

    `gridded` tells the groups that are on the grid; of their scores `seen` knows how many there
    are at least, so that rows can be taken away.
    """

    kind = "scores"
    grid: ClassVar[Grid] = staticmethod(on_grid)
    # Whether label 1 is no label, but has what the squared weights of label 0 are more.
    squares: ClassVar[bool] = False

    entries: Entries
    gridded: Bools
    seen: Seen
    _rows: list[tuple[list[Ranked], Ranked | None]] = field(
        default_factory=list, init=False, repr=False
    )

    @classmethod
    def rule(cls) -> Rule:
        """When the histogram leaves its exact scores, and for what."""
        return Rule(cls.grid, EXACT_SCORES, FINE_BITS, COARSE_BITS, cls.squares)

    @classmethod
    def none(cls, n_groups: int) -> Self:
        """Of groups without rows."""
        return cls(NOTHING, np.zeros(n_groups, bool), Seen.none(n_groups))

    @property
    def n_groups(self) -> int:
        return len(self.gridded)

    def merge(self, *others: Self) -> Self:
        self.refuse_unlike(*others)
        all_ = (self, *others)
        n_groups = max(states.n_groups for states in all_)
        on = np.zeros(n_groups, bool)
        for states in all_:
            on[: states.n_groups] |= states.gridded
        some = [states for states in all_ if len(states.entries)]
        if len(some) == 1:
            # Nothing is added to one that has all.
            seen = Seen.none(n_groups).merge(some[0].seen, cap=EXACT_SCORES)
            return type(self)(some[0].entries, on, seen)
        pieces = [states._pieces(on) for states in some]
        seens = [sample for states in some for sample in states._samples(on)]
        exact = total(*(piece for piece, _ in pieces))
        beyond = exact.beyond(EXACT_SCORES, n_groups)
        gridded = [piece for _, grids in pieces for piece in grids]
        if beyond.any():
            passing = beyond[exact.group]
            turned = exact.where(passing)
            exact = exact.where(~passing)
            gridded += turned.on_grid(self.rule())
            seens.append(self._sample(turned, n_groups))
        entries = concat(exact, total(*gridded))
        seen = Seen.none(n_groups).merge(*seens, cap=EXACT_SCORES)
        return type(self)(entries, on | beyond, seen)

    def minus(self, other: Self) -> Self:
        self.refuse_unlike(other)
        n_groups = max(self.n_groups, other.n_groups)
        on = np.zeros(n_groups, bool)
        on[: self.n_groups] = self.gridded
        if (other.gridded & ~on[: other.n_groups]).any():
            raise NotInvertible(FOREIGN)
        exact, gridded = other._pieces(on)
        theirs = concat(exact, total(*gridded))
        entries = self.entries.less(theirs, squares=self.squares)
        gone = Seen.none(n_groups).merge(*other._samples(on), cap=EXACT_SCORES)
        seen = Seen.none(n_groups).merge(self.seen, cap=EXACT_SCORES).minus(gone)
        # A group without rows is exact again.
        on &= np.bincount(entries.group, minlength=n_groups) > 0
        touched = np.bincount(theirs.group, minlength=n_groups) > 0
        if (on & touched & ~seen.surely_beyond(EXACT_SCORES)).any():
            raise NotInvertible(f"{self.kind}: too few are left to tell whether all can be kept")
        return type(self)(entries, on, seen.only(on))

    def _pieces(self, on: Bools) -> tuple[Entries, list[Entries]]:
        """The entries of exact groups, and those of the groups `on`, on the grid."""
        entries = self.entries
        if not on.any():
            return entries, []
        to_grid, gridded = on[entries.group], self.gridded[entries.group]
        if gridded.all():
            return NOTHING, [entries]
        turned = entries.where(to_grid & ~gridded)
        grids = turned.on_grid(self.rule()) if len(turned) else ()
        return entries.where(~to_grid), [entries.where(gridded), *grids]

    def _samples(self, on: Bools) -> tuple[Seen, ...]:
        """What is seen of the groups `on`, of which some may be exact here."""
        turning = on[: self.n_groups] & ~self.gridded
        mask = turning[self.entries.group] if turning.any() else turning[:0]
        if not mask.any():
            return (self.seen,)
        return (self.seen, self._sample(self.entries.where(mask), self.n_groups))

    @classmethod
    def _sample(cls, exact: Entries, n_groups: int) -> Seen:
        groups, scores, weights = exact.by_score(label=0 if cls.squares else None)
        levels = np.zeros(n_groups, np.int64)
        return Seen.of(groups, (hashes_of(scores), weights), levels, EXACT_SCORES)

    def take(self, group: int) -> Self:
        return type(self)(
            self.entries.between(group * CELLS, (group + 1) * CELLS),
            np.array([group < self.n_groups and self.gridded[group]]),
            self.seen.take(group),
        )

    def select(self, groups: Ints) -> Self:
        marks = np.append(self.gridded, False)[np.minimum(groups, self.n_groups)]
        return type(self)(self.entries.select(groups), marks, self.seen.select(groups))

    def regroup(self, numbers: Ints, n_groups: int) -> Self:
        planes, gridded = self._as_rows()
        group = self.entries.group
        on = np.zeros(n_groups, bool)
        on[numbers[self.gridded]] = True
        entries, on, seen = sum_planes(planes, self.rule(), numbers[group], on)
        if gridded is not None:
            theirs = gridded.entries(numbers[group[gridded.order]])
            exact = ~on[entries.group]
            entries = concat(entries.where(exact), total(entries.where(~exact), theirs))
            seen = seen.merge(self.seen.move(numbers, n_groups), cap=EXACT_SCORES)
        return type(self)(entries, on, seen)

    def _as_rows(self) -> tuple[list[Ranked], Ranked | None]:
        """The exact entries as rows, in one plane or by their labels, and those on the grid."""
        if not self._rows:
            entries = self.entries
            exact = ~self.gridded[entries.group]
            own = [exact]
            if self.squares:
                excess = (entries.place & 1) == 1
                own = [exact & ~excess, exact & excess]
            planes = [Ranked.of_entries(entries, rows) for rows in own]
            gridded = None if exact.all() else Ranked.of_entries(entries, ~exact)
            self._rows.append((planes, gridded))
        return self._rows[0]

    def encode(self) -> bytes:
        entries = self.entries.drop_unused()
        arrays = {
            "gridded": self.gridded,
            "scores": entries.scores,
            "steps": codec.steps(entries.keys),
            "weights": codec.small(entries.weight),
            **self.seen.arrays(),
        }
        return codec.encode(self.kind, {"grid": self._steps()}, arrays)

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        grid, steps = params.get("grid"), cls._steps()
        codec.refuse_unless(grid == steps, f"grid is {grid}, expected {steps}")
        gridded = codec.array_of(arrays, "gridded", np.bool_)
        scores = codec.array_of(arrays, "scores", np.float64)
        keys = codec.keys_of(arrays, "steps", len(gridded) * CELLS * len(scores))
        weights = codec.weights_of(arrays, "weights")
        codec.refuse_unless(len(keys) == len(weights), "arrays differ in length")
        codec.refuse_unless(not bool((scores[1:] <= scores[:-1]).any()), "scores are out of order")
        return cls(of_keys(scores, keys, weights), gridded, Seen.from_arrays(arrays, len(gridded)))

    @classmethod
    def _steps(cls) -> list[int]:
        rule = cls.rule()
        return [rule.cap, rule.fine, rule.coarse]


@dataclass(frozen=True, slots=True)
class Scores(Family):
    """The score histogram of one class against the others, or of one label's rows and the rest."""

    class_index: int

    @property
    def key(self) -> str:
        return f"scores({self.class_index})"

    def zero(self, n_groups: int = 0) -> ScoreHistogram:
        return ScoreHistogram.none(n_groups)

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> ScoreHistogram:
        if len(batch) == 0:
            return self.zero(n_groups)
        ranked = batch.once(self.key, lambda: self._rank(batch))
        return ScoreHistogram(*histogram_of(ranked, ScoreHistogram.rule(), groups, n_groups))

    def _rank(self, batch: Scored) -> Ranked:
        assert batch.scores is not None, "a score histogram needs scores"
        return Ranked.of(
            batch.scores[:, self.class_index],
            2 * batch.bucket + batch.has_class(self.class_index),
            None if batch.unweighted else batch.weight,
        )


@dataclass(frozen=True, slots=True)
class TopScores(Family):
    """The histogram of the predicted class's score, of the rows that are right and the others."""

    @property
    def key(self) -> str:
        return "scores(top)"

    def zero(self, n_groups: int = 0) -> ScoreHistogram:
        return ScoreHistogram.none(n_groups)

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> ScoreHistogram:
        if len(batch) == 0:
            return self.zero(n_groups)
        ranked = batch.once(self.key, lambda: self._rank(batch))
        return ScoreHistogram(*histogram_of(ranked, ScoreHistogram.rule(), groups, n_groups))

    def _rank(self, batch: Scored) -> Ranked:
        assert batch.scores is not None, "a score histogram needs scores"
        assert batch.predicted is not None, "the predicted class's score needs that class"
        return Ranked.of(
            batch.scores[np.arange(len(batch)), batch.predicted],
            2 * batch.bucket + (batch.truth == batch.predicted),
            None if batch.unweighted else batch.weight,
        )
