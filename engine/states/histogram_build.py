"""From the rows of a batch to the entries of a histogram: rows sorted once, for all slice sets.

The rows are put in the order of their scores once. For each slice set they are then sorted by
place alone, which keeps that order within each place, and places are small numbers: such a sort
takes a tenth of the time of one by place and score.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from engine.states.base import Bools, Floats, Ints, is_dense, stable_order, sum_by_key
from engine.states.distinct_sample import HASHES, HashTally, Seen, depths_of, hashes_of, levels_of
from engine.states.histogram_entries import (
    CELLS,
    EVERYBODY,
    Entries,
    Grid,
    Rule,
    concat,
    round_scores,
)

V = TypeVar("V")


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Rows in the order of their scores, of which `scores` has the distinct ones.

    `order` are the rows in that order; rank, cell and weight are of the rows so ordered. Without
    `weight` all are 1.
    """

    scores: Floats
    order: Ints
    rank: Ints
    cell: Ints
    weight: Floats | None
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of `make`, computed once whatever the number of slice sets."""
        if key not in self._cache:
            self._cache[key] = make()
        value: V = self._cache[key]
        return value

    @classmethod
    def of(cls, scores: Floats, cell: Ints, weight: Floats | None) -> Ranked:
        # + 0.0 makes one zero of -0.0 and 0.0, which differ in their bytes.
        scores = scores + 0.0
        order = np.argsort(scores)
        ordered = scores[order]
        new = np.r_[True, ordered[1:] != ordered[:-1]][: len(order)]
        of_row = None if weight is None else weight[order]
        return cls(ordered[new], order, np.cumsum(new) - 1, cell[order], of_row)

    @classmethod
    def of_entries(cls, entries: Entries, rows: Bools) -> Ranked:
        """Some entries as rows, whose numbers are those of all entries."""
        own = entries.drop_unused()
        chosen = np.flatnonzero(rows)
        order = chosen[stable_order(own.rank[chosen])]
        weight = own.weight[order]
        of_row = None if (weight == 1).all() else weight
        return cls(own.scores, order, own.rank[order], own.cell[order], of_row)

    def squares(self) -> Ranked:
        """The same rows with what their squared weights are more, in label 1."""
        assert self.weight is not None, "rows of weight 1 have no more squares than weights"
        excess = self.weight * (self.weight - 1)
        return Ranked(self.scores, self.order, self.rank, self.cell + 1, excess)

    def by_hash(self) -> tuple[Ranked, Ints]:
        """The same rows by the hashes of their scores, and the depths of the distinct hashes."""
        hashes = hashes_of(self.scores)[self.rank]
        order = stable_order(hashes)
        hashes = hashes[order]
        new = np.r_[True, hashes[1:] != hashes[:-1]][: len(order)]
        weight = None if self.weight is None else self.weight[order]
        rows = Ranked(
            hashes[new].astype(np.float64),
            self.order[order],
            np.cumsum(new) - 1,
            self.cell[order],
            weight,
        )
        return rows, depths_of(hashes[new])

    def on_grid(self, rule: Rule) -> tuple[Ranked, Ranked]:
        """All rows on the fine grid, and the rows by bucket on the coarse one."""
        everybody = EVERYBODY + (self.cell & 1)
        return (
            self._round(rule.grid, rule.fine, everybody),
            self._round(rule.grid, rule.coarse, self.cell),
        )

    def _round(self, grid: Grid, bits: int, cell: Ints) -> Ranked:
        scores, rank = round_scores(self.scores, grid, bits)
        return Ranked(scores, self.order, rank[self.rank], cell, self.weight)

    def entries(self, groups: Ints, rows: Bools | None = None) -> Entries:
        """The entries of rows, whose groups come in our order; of all rows or of some."""
        # Only the cells that rows are in are numbered: on the fine grid those are two.
        first = int(self.cell.min(initial=CELLS))
        width = int(self.cell.max(initial=first)) - first + 1
        part, rank, weight = self.distinct(groups * width + (self.cell - first), rows)
        group = part // width
        return Entries(self.scores, part + group * (CELLS - width) + first, rank, weight)

    def distinct(self, parts: Ints, rows: Bools | None = None) -> tuple[Ints, Ints, Floats]:
        """The pairs of a part and a rank that rows have, ascending, and their weights."""
        rank, weight, count = self.rank, self.weight, max(len(self.scores), 1)
        if rows is not None:
            parts, rank = parts[rows], rank[rows]
            weight = None if weight is None else weight[rows]
        if is_dense((int(parts.max(initial=0)) + 1) * count, len(parts)):
            keys, sums = sum_by_key(parts * count + rank, weight)
            part = keys // count
            return part, keys - part * count, sums
        # The rows come by their rank, and a stable sort by part leaves them so within each.
        order = stable_order(parts)
        part, rank = parts[order], rank[order]
        changes = (part[1:] != part[:-1]) | (rank[1:] != rank[:-1])
        new = np.flatnonzero(np.r_[True, changes][: len(order)])
        if weight is None:
            return part[new], rank[new], np.diff(new, append=len(order)).astype(np.float64)
        if not len(new):
            return part, rank, np.zeros(0)
        sums = np.add.reduceat(weight[order], new)
        new, sums = new[sums != 0], sums[sums != 0]
        return part[new], rank[new], sums


def histogram_of(
    ranked: Ranked, rule: Rule, groups: Ints, n_groups: int
) -> tuple[Entries, Bools, Seen]:
    """The entries of rows, the groups that are on the grid, and what is seen of these."""
    planes = [ranked]
    if rule.squares and ranked.weight is not None:
        planes.append(ranked.once("squares", ranked.squares))
    return sum_planes(planes, rule, groups, np.zeros(n_groups, bool))


def sum_planes(
    planes: Sequence[Ranked], rule: Rule, of_row: Ints, forced: Bools
) -> tuple[Entries, Bools, Seen]:
    """The same of rows in several planes, of which the first tells how many scores there are.

    Args:
        planes: some or all of the rows each; no two have the same cells.
        rule: when and how scores are rounded.
        of_row: int64 [row], the group of each row, in the rows' own order.
        forced: bool [group], which groups are on the grid however few scores they have.
    """
    first, n_groups = planes[0], len(forced)
    on = np.bincount(of_row[first.order], minlength=n_groups) > rule.cap
    on &= len(first.scores) > rule.cap
    on |= forced
    seen = Seen.none(n_groups)
    if on.any():
        on, seen = _sample_groups(first, rule.cap, of_row, (on, forced))
    pieces = []
    for plane in planes:
        groups = of_row[plane.order]
        # The same as `Entries.on_grid`, from the rows: no exact entries are made to be rounded.
        far = on[groups]
        every, some = bool(far.all()), bool(far.any())
        if not every or not len(far):
            pieces.append(plane.entries(groups, ~far if some else None))
        if some:
            grids = plane.once("grid", partial(plane.on_grid, rule))
            pieces += [on_grid.entries(groups, None if every else far) for on_grid in grids]
    return concat(*pieces), on, seen


def _sample_groups(
    ranked: Ranked, cap: int, of_row: Ints, beyond: tuple[Bools, Bools]
) -> tuple[Bools, Seen]:
    """Which groups have more scores than the cap, and what is seen of them.

    `of_row` has the group of each row, in the rows' own order; `beyond` are those groups that have
    rows enough for it, and those that count as if they had.
    """
    candidates, forced = beyond
    n_groups = len(candidates)
    hashed, depths = ranked.once("hashed", ranked.by_hash)
    groups = of_row[hashed.order]
    rows = None if candidates.all() else candidates[groups]
    group, rank, weight = hashed.distinct(groups, rows)
    on = np.bincount(group, minlength=n_groups) > cap
    on |= forced
    unsure = candidates & ~on
    if unsure.any():
        # Of some scores the hashes are the same.
        groups = of_row[ranked.order]
        exact, _, _ = ranked.distinct(groups, unsure[groups])
        on |= np.bincount(exact, minlength=n_groups) > cap
    depth = depths[rank]
    levels = levels_of(group, depth, n_groups, 2 * cap) * on
    kept = np.flatnonzero((depth >= levels[group]) & on[group])
    keys = group[kept] * HASHES + hashed.scores[rank[kept]].astype(np.int64)
    tally = HashTally(HASHES, n_groups, keys, weight[kept])
    return on, Seen(tally, levels, np.zeros(n_groups, np.int64))
