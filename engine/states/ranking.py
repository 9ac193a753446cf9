"""A histogram of scores by label: exact while scores are few, on a fixed monotone grid beyond.

A group with at most `EXACT_SCORES` distinct scores keeps each of them. Beyond, scores are rounded
on a grid that is part of the code, not of the data, so that it does not matter in which order, or
at which step of adding, a group passes the cap: the sum is the same. The grid is relative at both
ends of [0, 1]: within [2^-(j+1), 2^-j] and its mirror image below 1 it has 2^bits equal steps.
It is fine for the value itself and coarse for the buckets, from which only a spread is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.states import codec
from engine.states.base import (
    BUCKETS,
    Bools,
    Family,
    Floats,
    Ints,
    Scored,
    States,
    sum_by_key,
    sums_by_cell,
    with_left_out,
)

EXACT_SCORES = 4096
FINE_BITS = 10
COARSE_BITS = 5
# From so many on, replicates are coarser than the value.
MANY_SCORES = 1024
CELLS = 2 * (BUCKETS + 1)  # label x bucket; the last bucket holds all rows, on the fine grid

Grid = Callable[[Floats, int], Floats]


def on_grid(scores: Floats, bits: int) -> Floats:
    """Scores in [0, 1] rounded on the grid: monotone, and idempotent."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(52 - bits)
    upper = scores > 0.5
    mirrored = np.ascontiguousarray(np.where(upper, 1.0 - scores, scores), np.float64)
    rounded = (mirrored.view(np.uint64) & mask).view(np.float64)
    return np.where(upper, 1.0 - rounded, rounded)


@dataclass(frozen=True, slots=True)
class Entries:
    """Weights by (group, cell, score), ascending and distinct; cell = 2 * bucket + label."""

    group: Ints
    score: Floats
    cell: Ints
    weight: Floats

    def where(self, mask: Bools) -> Entries:
        return Entries(self.group[mask], self.score[mask], self.cell[mask], self.weight[mask])

    def plus(self, *others: Entries) -> Entries:
        """All the entries together, those of the same place added."""
        all_ = (self, *others)
        group = np.concatenate([entries.group for entries in all_])
        score = np.concatenate([entries.score for entries in all_])
        cell = np.concatenate([entries.cell for entries in all_])
        weight = np.concatenate([entries.weight for entries in all_])
        if len(group) == 0:
            return self
        key = _pairs(group * CELLS + cell, score)
        # Stable, because that sort merges what is sorted already in a single pass.
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
        first = order[starts]
        sums = np.add.reduceat(weight[order], starts)
        return Entries(group[first], score[first], cell[first], sums)

    def on_grid(self, grid: Grid) -> Entries:
        """The same weights on the fine grid for all rows, on the coarse one by bucket."""
        everybody = Entries(
            self.group,
            grid(self.score, FINE_BITS),
            2 * BUCKETS + (self.cell & 1),
            self.weight,
        )
        by_bucket = Entries(self.group, grid(self.score, COARSE_BITS), self.cell, self.weight)
        return everybody.plus(by_bucket)

    def beyond_cap(self, n_groups: int) -> Bools:
        """Which groups have more than `EXACT_SCORES` distinct scores."""
        beyond = np.bincount(self.group, minlength=n_groups) > EXACT_SCORES
        if beyond.any():
            of = beyond[self.group]
            distinct = np.unique(_pairs(self.group[of], self.score[of])).real.astype(np.int64)
            beyond = np.bincount(distinct, minlength=n_groups) > EXACT_SCORES
        return np.asarray(beyond, bool)


def _pairs(first: Ints, second: Floats) -> NDArray[np.complex128]:
    """Pairs as complex numbers, which sort by their real part and then by the imaginary one.

    Sorting by one key of two numbers is many times faster than by two keys.
    """
    pairs = np.empty(len(first), np.complex128)
    pairs.real, pairs.imag = first, second
    return pairs


NOTHING = Entries(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHistogram(States):
    """Weights by score, label and bucket; `gridded` tells the groups that are on the grid."""

    kind = "scores"
    grid: ClassVar[Grid] = staticmethod(on_grid)

    entries: Entries
    gridded: Bools

    @property
    def n_groups(self) -> int:
        return len(self.gridded)

    @classmethod
    def capped(cls, exact: Entries, gridded: Entries, on: Bools) -> Self:
        """Exact entries of any groups and gridded ones of the groups `on`, put together."""
        on = on | exact.beyond_cap(len(on))
        if not on.any():
            return cls(exact, on)
        to_grid = on[exact.group]
        together = exact.where(~to_grid).plus(gridded, exact.where(to_grid).on_grid(cls.grid))
        return cls(together, on)

    def merge(self, *others: Self) -> Self:
        self.refuse_unlike(*others)
        all_ = (self, *others)
        on = np.zeros(max(each.n_groups for each in all_), bool)
        exact, gridded = [], []
        for states in all_:
            on[: states.n_groups] |= states.gridded
            mask = states.gridded[states.entries.group]
            exact.append(states.entries.where(~mask))
            gridded.append(states.entries.where(mask))
        return self.capped(exact[0].plus(*exact[1:]), gridded[0].plus(*gridded[1:]), on)

    def take(self, group: int) -> Self:
        low, high = np.searchsorted(self.entries.group, [group, group + 1])
        of = slice(low, high)
        entries = self.entries
        single = Entries(
            np.zeros(high - low, np.int64),
            entries.score[of],
            entries.cell[of],
            entries.weight[of],
        )
        return type(self)(single, np.array([group < self.n_groups and self.gridded[group]]))

    def encode(self) -> bytes:
        weight = self.entries.weight
        # Most weights are counts of a few rows.
        counts = len(weight) and weight.max() < 256 and weight.min() >= 0
        small = weight.astype(np.uint8) if counts else weight
        arrays: dict[str, NDArray[Any]] = {
            "score": self.entries.score,
            "cell": self.entries.cell.astype(np.uint8),
            "weight": small if np.array_equal(small, weight) else weight,
        }
        params = {
            "gridded": bool(self.gridded[0]),
            "grid": [EXACT_SCORES, FINE_BITS, COARSE_BITS],
        }
        # On the grid the same scores recur in many cells; exact ones are all digits.
        return codec.encode(self.kind, params, arrays, compress=bool(self.gridded[0]))

    @classmethod
    def decoded(cls, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        grid, gridded = params.get("grid"), params.get("gridded")
        expected = [EXACT_SCORES, FINE_BITS, COARSE_BITS]
        codec.refuse_unless(grid == expected, f"grid is {grid}, expected {expected}")
        codec.refuse_unless(type(gridded) is bool, "mark of the grid is neither true nor false")
        score = codec.array_of(arrays, "score", np.float64)
        cell = codec.array_of(arrays, "cell", np.uint8).astype(np.int64)
        counts = "weight" in arrays and arrays["weight"].dtype == np.uint8
        weight = codec.array_of(arrays, "weight", np.uint8 if counts else np.float64)
        weight = weight.astype(np.float64)
        codec.refuse_unless(len(score) == len(cell) == len(weight), "arrays differ in length")
        codec.refuse_unless(bool((cell < CELLS).all()), "cells are out of range")
        return cls(
            Entries(np.zeros(len(score), np.int64), score, cell, weight), np.array([gridded])
        )


H = TypeVar("H", bound=ScoreHistogram)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows by the rank of their score among `scores`, which ascend."""

    scores: Floats
    rank: Ints
    cell: Ints

    def at(self, rows: Bools) -> Ranked:
        return Ranked(self.scores, self.rank[rows], self.cell[rows])

    def gridded(self, grid: Grid) -> tuple[Ranked, Ranked]:
        """All rows on the fine grid, and the rows by bucket on the coarse one."""
        return (
            self._on_grid(grid(self.scores, FINE_BITS), 2 * BUCKETS + (self.cell & 1)),
            self._on_grid(grid(self.scores, COARSE_BITS), self.cell),
        )

    def _on_grid(self, rounded: Floats, cell: Ints) -> Ranked:
        scores, rank = np.unique(rounded, return_inverse=True)
        return Ranked(scores, rank[self.rank], cell)

    def entries(self, groups: Ints, weight: Floats | None) -> Entries:
        count = len(self.scores)
        keys, weights = sum_by_key((groups * CELLS + self.cell) * count + self.rank, weight)
        place, rank = np.divmod(keys, count)
        group, cell = np.divmod(place, CELLS)
        return Entries(group, self.scores[rank], cell, weights)

    def beyond_cap(self, groups: Ints, weight: Floats | None, n_groups: int) -> Bools:
        """Which groups have more than `EXACT_SCORES` distinct scores."""
        count = len(self.scores)
        rows = np.bincount(groups, minlength=n_groups)
        if min(count, rows.max(initial=0)) <= EXACT_SCORES:
            return np.zeros(n_groups, bool)
        keys, _ = sum_by_key(groups * count + self.rank, weight)
        return np.asarray(np.bincount(keys // count, minlength=n_groups) > EXACT_SCORES, bool)


def histogram_of(
    kind: type[H],
    ranked: Ranked,
    gridded: Callable[[], tuple[Ranked, Ranked]],
    weight: Floats | None,
    place: tuple[Ints, int],
) -> H:
    """The histogram of rows whose groups, and how many groups there are, `place` says.

    `gridded` gives `ranked.gridded`, which not every batch needs.
    """
    groups, n_groups = place
    on = ranked.beyond_cap(groups, weight, n_groups)
    if not on.any():
        return kind(ranked.entries(groups, weight), on)
    # The same as `Entries.on_grid`, from the rows: no exact entries are made to be rounded.
    to_grid = on[groups]
    near, far = (
        (groups[rows], None if weight is None else weight[rows]) for rows in (~to_grid, to_grid)
    )
    fine, coarse = gridded()
    parts = (
        ranked.at(~to_grid).entries(*near),
        fine.at(to_grid).entries(*far),
        coarse.at(to_grid).entries(*far),
    )
    return kind(parts[0].plus(*parts[1:]), on)


@dataclass(frozen=True, slots=True)
class Scores(Family):
    """The score histogram of one class against the others."""

    class_index: int

    @property
    def key(self) -> str:
        return f"scores({self.class_index})"

    def zero(self, n_groups: int = 0) -> ScoreHistogram:
        return ScoreHistogram(NOTHING, np.zeros(n_groups, bool))

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> ScoreHistogram:
        if len(batch) == 0:
            return self.zero(n_groups)
        ranked = batch.once(self.key, lambda: self._ranked(batch))
        return histogram_of(
            ScoreHistogram,
            ranked,
            lambda: batch.once((self.key, "grid"), lambda: ranked.gridded(on_grid)),
            None if batch.unweighted else batch.weight,
            (groups, n_groups),
        )

    def _ranked(self, batch: Scored) -> Ranked:
        assert batch.scores is not None, "a score histogram needs scores"
        # + 0.0 makes one zero of -0.0 and 0.0, which differ in their bytes.
        scores, rank = np.unique(batch.scores[:, self.class_index] + 0.0, return_inverse=True)
        return Ranked(scores, rank, 2 * batch.bucket + (batch.truth == self.class_index))


@dataclass(frozen=True, slots=True)
class ScoresView:
    """Weights of positives and negatives by ascending score: arrays of [replicate, score].

    There is a single replicate here, that of all rows; `left_out` gives the others, which take as
    much room as a histogram for each bucket.
    """

    scores: Floats
    positive: Floats
    negative: Floats
    exact: bool
    state: ScoreHistogram

    @classmethod
    def of(cls, states: ScoreHistogram) -> ScoresView:
        entries, gridded = states.entries, bool(states.gridded[0])
        if gridded:
            entries = entries.where(entries.cell >= 2 * BUCKETS)
        scores, code = np.unique(entries.score, return_inverse=True)
        cells = (entries.cell & 1) * len(scores) + code
        negative, positive = sums_by_cell(cells, entries.weight, 2 * len(scores)).reshape(2, 1, -1)
        return cls(scores, positive, negative, not gridded, states)

    def left_out(self) -> ScoresView:
        """The same with a replicate for all rows, then one with each bucket left out.

        Of many scores it is on the coarse grid, the first replicate too, so that they compare: only
        a spread is wanted of them.
        """
        entries = self.state.entries
        entries = entries.where(entries.cell < 2 * BUCKETS)
        many = len(self.scores) > MANY_SCORES
        score = on_grid(entries.score, COARSE_BITS) if many else entries.score
        scores, code = np.unique(score, return_inverse=True)
        cells = entries.cell * len(scores) + code
        table = sums_by_cell(cells, entries.weight, 2 * BUCKETS * len(scores))
        replicates = with_left_out(table.reshape(BUCKETS, 2, len(scores)))
        return ScoresView(scores, replicates[:, 1], replicates[:, 0], self.exact, self.state)
