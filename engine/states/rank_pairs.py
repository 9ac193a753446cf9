"""Targets and predictions together, from which rank correlations are read.

A group keeps the weight of each pair of a target and a prediction while these are few. Of more it
keeps how many lie in each cell of a grid, which is as fine as the number of cells allows: see
`bit_codes` for the grids and `prefix_table` for how fine. The pairs of all rows are kept finer than
those by bucket, of which only a spread is wanted; the targets alone and the predictions alone finer
still, since ties among them are no matter of the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from engine.states import codec
from engine.states.base import (
    BUCKETS,
    Bools,
    Family,
    Floats,
    Ints,
    Scored,
    States,
    stable_order,
    sums_by_cell,
    with_left_out,
)
from engine.states.bit_codes import (
    TARGETS,
    ZERO_BITS,
    ZERO_KEY,
    UInts,
    interleave,
    keys_of,
    order_of_codes,
    split_pairs,
)
from engine.states.prefix_table import PrefixTable, Rows, sort_rows

Sums = Callable[[Floats], Floats]

LEAST = 8192
"""Of up to so many distinct pairs of a group all are kept, of more a grid of more cells."""

LEAST_BY_BUCKET = 512
LEAST_ALONE = 1024

_PREDICTIONS = ~TARGETS
# The bits that each table of all rows has of a code.
_MASKS = {"pairs": ~np.uint64(0), "targets": TARGETS, "predictions": _PREDICTIONS}


def _least(name: str) -> int:
    return LEAST if name == "pairs" else LEAST_ALONE


@dataclass(frozen=True, slots=True, eq=False)
class RankPairs(States):
    """Weights by pair of a target and a prediction.

    Attributes:
        buckets: the weights by bucket, too.
        whole: those of all rows, by `pairs`, `targets` and `predictions`: of the groups only whose
            pairs by bucket are on a grid, since else nothing is in them that is not there.
    """

    kind: ClassVar[str] = "rank_pairs"

    buckets: PrefixTable
    whole: Mapping[str, PrefixTable]

    @classmethod
    def none(cls, n_groups: int) -> Self:
        """Of groups without rows."""
        whole = {name: PrefixTable.none(1, n_groups) for name in _MASKS}
        return cls(PrefixTable.none(BUCKETS, n_groups), whole)

    @property
    def n_groups(self) -> int:
        return self.buckets.n_groups

    def merge(self, *others: Self) -> Self:
        self.refuse_unlike(*others)
        all_ = (self, *others)
        n_groups = max(states.n_groups for states in all_)
        tables = [states.buckets for states in all_]
        buckets = PrefixTable.total(tables, n_groups, LEAST_BY_BUCKET)
        on = buckets.levels > 0
        whole = {
            name: PrefixTable.total(
                [table for states in all_ for table in states._tables(name, on)],
                n_groups,
                _least(name),
            )
            for name in _MASKS
        }
        return type(self)(buckets, whole)

    def minus(self, other: Self) -> Self:
        self.refuse_unlike(other)
        n_groups = max(self.n_groups, other.n_groups)
        ours = type(self).none(n_groups).merge(self)
        buckets = ours.buckets.minus(other.buckets, LEAST_BY_BUCKET)
        was, on = ours.buckets.levels > 0, buckets.levels > 0
        whole = {}
        for name, table in ours.whole.items():
            gone = PrefixTable.total(other._tables(name, was), n_groups, _least(name))
            whole[name] = table.only(on).minus(gone.only(on), _least(name))
        return type(self)(buckets, whole)

    def _tables(self, name: str, on: Bools) -> tuple[PrefixTable, ...]:
        """A table of all rows of the groups `on`, of which some may have only those by bucket."""
        turning = on[: self.n_groups] & (self.buckets.levels == 0)
        mask = turning[self.buckets.group] if turning.any() else turning[:0]
        if not mask.any():
            return (self.whole[name],)
        some = self.buckets.where(mask)
        high, low = some.high & _MASKS[name], some.low & _MASKS[name]
        rows = sort_rows(Rows(some.group, high, low, np.zeros_like(some.group), some.weight))
        levels = np.zeros(self.n_groups, np.int64)
        return (self.whole[name], PrefixTable.of_rows(1, rows, levels, _least(name)))

    def take(self, group: int) -> Self:
        return self.select(np.array([group], np.int64))

    def select(self, groups: Ints) -> Self:
        whole = {name: table.select(groups) for name, table in self.whole.items()}
        return type(self)(self.buckets.select(groups), whole)

    def encode(self) -> bytes:
        arrays = self.buckets.arrays("buckets")
        for name, table in self.whole.items():
            arrays.update(table.arrays(name))
        return codec.encode(self.kind, {"least": _leasts()}, arrays)

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        least = params.get("least")
        codec.refuse_unless(least == _leasts(), f"least is {least}, expected {_leasts()}")
        buckets = PrefixTable.from_arrays(arrays, "buckets", BUCKETS)
        whole = {name: PrefixTable.from_arrays(arrays, name, 1) for name in _MASKS}
        on = buckets.levels > 0
        for name, table in whole.items():
            fits = table.n_groups == buckets.n_groups and bool(on[table.group].all())
            codec.refuse_unless(fits, f"{name} are of other groups")
        return cls(buckets, whole)


def _leasts() -> list[int]:
    return [LEAST, LEAST_BY_BUCKET, LEAST_ALONE]


@dataclass(frozen=True, slots=True)
class Ranks(Family):
    """The pairs of a row's target and prediction, in the order of each."""

    @property
    def key(self) -> str:
        return "ranks"

    def zero(self, n_groups: int = 0) -> RankPairs:
        return RankPairs.none(n_groups)

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> RankPairs:
        coded = batch.once(self.key, lambda: _Coded.of(batch))
        none = np.zeros(n_groups, np.int64)
        by_bucket = PrefixTable.of_rows(BUCKETS, coded.rows("pairs", groups), none, LEAST_BY_BUCKET)
        on = by_bucket.levels > 0
        whole = {name: PrefixTable.none(1, n_groups) for name in _MASKS}
        if on.any():
            some = on[groups]
            for name in _MASKS:
                rows = coded.rows(name, groups, some, by_bucket=False)
                whole[name] = PrefixTable.of_rows(1, rows, none, _least(name))
        return RankPairs(by_bucket, whole)


@dataclass(frozen=True, slots=True, eq=False)
class _Coded:
    """Rows of a batch that have weight, with their codes; and their orders, by table."""

    at: Ints
    codes: tuple[UInts, UInts]
    bucket: Ints
    weight: Floats | None
    orders: dict[str, Ints]

    @classmethod
    def of(cls, batch: Scored) -> Self:
        assert batch.scores is not None, "rank correlations need predicted values"
        at = np.flatnonzero(batch.weight > 0)
        codes = interleave(keys_of(batch.truth[at].astype(np.float64)), keys_of(batch.scores[at]))
        weight = None if batch.unweighted else batch.weight[at]
        return cls(at, codes, batch.bucket[at], weight, {})

    def rows(
        self, name: str, groups: Ints, some: Bools | None = None, *, by_bucket: bool = True
    ) -> Rows:
        """All rows, or some of a batch, for a table, by their group and code."""
        high, low = (half & _MASKS[name] for half in self.codes)
        if name not in self.orders:
            self.orders[name] = order_of_codes(high, low)
        order = self.orders[name]
        if some is not None:
            order = order[some[self.at[order]]]
        order = order[stable_order(groups[self.at[order]])]
        bucket = self.bucket[order] if by_bucket else np.zeros(len(order), np.int64)
        weight = None if self.weight is None else self.weight[order]
        return Rows(groups[self.at[order]], high[order], low[order], bucket, weight)


@dataclass(frozen=True, slots=True, eq=False)
class Margin:
    """The targets of a group by the rows of its grid, or the predictions by its columns.

    Attributes:
        cells: the weights of the finest cells that are known.
        values: the weights of those of them that have a single number.
        row: the row of the grid that each of `values` is in.
    """

    cells: Floats
    values: Floats
    row: Ints


@dataclass(frozen=True, slots=True, eq=False)
class RankPairsView:
    """Weights by pair: of the target's place among the distinct ones, and of the prediction's.

    `row`, `column` are arrays [cell] of places, ascending by row and then by column; `weight` is
    [replicate, cell]. On a grid, a place is that of a row or a column of the grid. There is a
    single replicate here, that of all rows; `with_replicates` gives the others.
    """

    row: Ints
    column: Ints
    weight: Floats
    exact: bool
    margins: tuple[Margin, Margin]
    state: RankPairs

    @classmethod
    def of(cls, states: RankPairs) -> RankPairsView:
        """That of the first group alone."""
        by_bucket = states.buckets
        table = by_bucket if by_bucket.levels[0] == 0 else states.whole["pairs"]
        return cls._of(
            table,
            states,
            lambda weights: with_left_out(weights)[:1] if len(weights) > 1 else weights,
        )

    def with_replicates(self) -> RankPairsView:
        """The same with a replicate for all rows, then one with each bucket left out.

        Of many pairs it is on the coarse grid, the first replicate too, so that they compare.
        """
        return self._of(self.state.buckets, self.state, with_left_out)

    @classmethod
    def _of(cls, table: PrefixTable, states: RankPairs, sums: Sums) -> RankPairsView:
        begins = table.begins()
        cell = np.cumsum(begins) - 1
        count = int(begins.sum())
        places = table.bucket * count + cell
        weights = sums_by_cell(places, table.weight, table.width * count)
        keys = split_pairs(table.high[begins], table.low[begins])
        rows, columns = (np.unique(key, return_inverse=True) for key in keys)
        order = np.lexsort((columns[1], rows[1]))
        margins = tuple(
            _margin(states, name, firsts)
            for name, (firsts, _) in zip(("targets", "predictions"), (rows, columns), strict=True)
        )
        return cls(
            rows[1][order],
            columns[1][order],
            sums(weights.reshape(table.width, count)[:, order]),
            bool(table.levels[0] == 0),
            (margins[0], margins[1]),
            states,
        )


def _margin(states: RankPairs, name: str, firsts: UInts) -> Margin:
    """What is known of the numbers in the rows or the columns of a grid, by their first keys."""
    table, of_target = states.whole[name], name == "targets"
    keys = split_pairs(table.high, table.low)[0 if of_target else 1]
    lacking = (int(table.levels[0]) + of_target) // 2
    known = np.full(len(keys), lacking == 0)
    if lacking <= ZERO_BITS:
        known |= keys == ZERO_KEY
    row = np.searchsorted(firsts, keys[known], side="right") - 1
    return Margin(table.weight, table.weight[known], row)
