"""Weights by the leading bits of codes: as many bits as keep a group's cells above a number.

At level l a group has the codes of its rows without their last l bits. The level is the last one at
which there are more than `least` distinct ones, or 0, where none has more. It can only rise when
rows come, whatever the order, so sums are the same on every way to them; and as long as more than
`least` are left when rows go, it is what it was. A cell is that of at most two cells a level
before, so that a group never has more than 2 * `least`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from engine.states import codec
from engine.states.base import (
    Bools,
    Floats,
    Ints,
    NotInvertible,
    runs,
    stable_order,
    sum_by_key,
    sums_by_cell,
)
from engine.states.bit_codes import (
    LEVELS,
    UInts,
    drop_bits,
    first_differences,
    order_of_codes,
    split_pairs,
)
from engine.states.subtract import FOREIGN, remainder

# A prediction may differ in its last digits with the rows that were predicted beside it: keys that
# differ by so little, some 2^-43 of the number, are one where rows are taken away.
TWINS = np.uint64(1 << 10)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of weight, sorted by group and code; without `weight` each has 1."""

    group: Ints
    high: UInts
    low: UInts
    bucket: Ints
    weight: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class PrefixTable:
    """Weights by group, code and bucket, ascending and distinct.

    Attributes:
        width: how many buckets there are.
        levels: int64 [group], how many of the last bits the codes of each group lack.
    """

    width: int
    group: Ints
    high: UInts
    low: UInts
    bucket: Ints
    weight: Floats
    levels: Ints

    def __len__(self) -> int:
        return len(self.group)

    @property
    def n_groups(self) -> int:
        return len(self.levels)

    @classmethod
    def none(cls, width: int, n_groups: int) -> Self:
        """Of groups without rows."""
        nothing, codes = np.zeros(0, np.int64), np.zeros(0, np.uint64)
        return cls(width, nothing, codes, codes, nothing, np.zeros(0), np.zeros(n_groups, np.int64))

    @classmethod
    def of_rows(cls, width: int, rows: Rows, levels: Ints, least: int) -> Self:
        """That of rows, in no group below its one of `levels`."""
        if not len(rows.group):
            return cls.none(width, len(levels))
        group = rows.group
        differences = first_differences(rows.high, rows.low)
        same_group = group[1:] == group[:-1]
        inside = np.where(same_group, differences, -1)
        levels = np.maximum(levels, _last_levels(group, inside, len(levels), least))
        new = np.r_[True, ~same_group | (differences >= levels[group[1:]])]
        first, cell = np.flatnonzero(new), np.cumsum(new) - 1
        keys, weight = sum_by_key(cell * width + rows.bucket, rows.weight)
        at = first[keys // width]
        high, low = drop_bits(rows.high[at], rows.low[at], levels[group[at]])
        return cls(width, group[at], high, low, keys % width, weight, levels)

    @classmethod
    def total(cls, tables: Sequence[Self], n_groups: int, least: int) -> Self:
        """The sum of tables of one width, of which some may have fewer groups."""
        levels = np.zeros(n_groups, np.int64)
        for table in tables:
            some = slice(table.n_groups)
            np.maximum(levels[some], table.levels, out=levels[some])
        width, some_rows = tables[0].width, [table for table in tables if len(table)]
        if len(some_rows) == 1:
            # Nothing is added to one that has all.
            return replace(some_rows[0], levels=levels)
        if not some_rows:
            return cls.none(width, n_groups)
        columns = zip(*(table._columns() for table in some_rows), strict=True)
        group, high, low, bucket, weight = (np.concatenate(column) for column in columns)
        rows = sort_rows(Rows(group, high, low, bucket, weight))
        return cls.of_rows(width, rows, levels, least)

    def minus(self, other: Self, least: int) -> Self:
        """What is left without `other`, whose rows are all among ours.

        Raises:
            NotInvertible: when they are not, or too few are left to tell the level.
        """
        if (other.levels > self.levels[: other.n_groups]).any():
            raise NotInvertible(FOREIGN)
        if not len(other):
            return self
        high, low = drop_bits(other.high, other.low, self.levels[other.group])
        taken = Rows(other.group, high, low, other.bucket, other.weight)
        at = self._places(taken)
        gone = sums_by_cell(at, other.weight, len(self))
        left = self.weight.copy()
        touched = gone > 0
        left[touched] = remainder(left[touched], gone[touched])
        if left.min(initial=0.0) < 0:
            raise NotInvertible(FOREIGN)
        rest = replace(self, weight=left).where(left > 0)
        counts = rest.cell_counts()
        if ((rest.levels > 0) & (counts > 0) & (counts <= least)).any():
            raise NotInvertible("rank_pairs: too few cells are left to tell how fine they may be")
        # A group without rows is exact again.
        return replace(rest, levels=rest.levels * (counts > 0))

    def _places(self, rows: Rows) -> Ints:
        """Where the cell of each of some rows is among ours, or its twin.

        Raises:
            NotInvertible: when one has neither.
        """
        ours = self._columns()[:4]
        theirs = (rows.group, rows.high, rows.low, rows.bucket)
        columns = [np.concatenate(pair) for pair in zip(ours, theirs, strict=True)]
        order = np.lexsort(columns[::-1])
        new = np.zeros(len(order), bool)
        for column in columns:
            ordered = column[order]
            new[1:] |= ordered[1:] != ordered[:-1]
        rank = np.empty(len(order), np.int64)
        rank[order] = np.cumsum(new)
        place = np.full(len(order), -1, np.int64)
        place[rank[: len(self)]] = np.arange(len(self))
        at = place[rank[len(self) :]]
        lacking = np.flatnonzero(at < 0)
        if len(lacking):
            at[lacking] = self._twins([column[lacking] for column in theirs])
        return at

    def _twins(self, lacking: Sequence[Any]) -> Ints:
        """The places of our cells that differ from some in the last digits of the prediction.

        Raises:
            NotInvertible: when one has none.
        """
        ours = (self.group, self.bucket, *split_pairs(self.high, self.low))
        theirs = (lacking[0], lacking[3], *split_pairs(lacking[1], lacking[2]))
        columns = [np.concatenate(pair) for pair in zip(ours, theirs, strict=True)]
        order = np.lexsort(columns[::-1])
        spot = np.empty(len(order), np.int64)
        spot[order] = np.arange(len(order))
        is_ours = order < len(self)
        before = np.maximum.accumulate(np.where(is_ours, np.arange(len(order)), 0))
        after = np.where(is_ours, np.arange(len(order)), len(order) - 1)
        after = np.minimum.accumulate(after[::-1])[::-1]
        asked = np.arange(len(self), len(order))
        twins = np.full(len(asked), -1, np.int64)
        least = np.full(len(asked), TWINS)
        for nearest in (before, after):
            near = order[nearest[spot[asked]]]
            alike = near < len(self)
            for column in columns[:3]:
                alike &= column[near] == column[asked]
            one, other = columns[3][near], columns[3][asked]
            gap = np.maximum(one, other) - np.minimum(one, other)
            alike &= gap <= least
            twins[alike], least[alike] = near[alike], gap[alike]
        if (twins < 0).any():
            raise NotInvertible(FOREIGN)
        return twins

    def cell_counts(self) -> Ints:
        """How many cells each group has, whatever the buckets."""
        if not len(self):
            return np.zeros(self.n_groups, np.int64)
        return np.bincount(self.group[self.begins()], minlength=self.n_groups)

    def begins(self) -> Bools:
        """Which entries are the first ones of their cell."""
        changes = (self.group[1:] != self.group[:-1]) | (self.high[1:] != self.high[:-1])
        begins: Bools = np.append(True, changes | (self.low[1:] != self.low[:-1]))
        return begins[: len(self)]

    def where(self, mask: Bools) -> Self:
        """Some of the entries, at the same levels."""
        group, high, low, bucket, weight = (column[mask] for column in self._columns())
        return type(self)(self.width, group, high, low, bucket, weight, self.levels)

    def only(self, groups: Bools) -> Self:
        """The same of some groups; of the others nothing."""
        some = self if groups.all() else self.where(groups[self.group])
        return replace(some, levels=self.levels * groups)

    def select(self, groups: Ints) -> Self:
        """The entries of these groups, which are numbered in this order; none beyond the last."""
        first, end = (np.searchsorted(self.group, edges) for edges in (groups, groups + 1))
        number = np.repeat(np.arange(len(groups)), end - first)
        _, high, low, bucket, weight = (column[runs(first, end)] for column in self._columns())
        levels = np.append(self.levels, 0)[np.minimum(groups, self.n_groups)]
        return type(self)(self.width, number, high, low, bucket, weight, levels)

    def _columns(self) -> tuple[Any, ...]:
        return self.group, self.high, self.low, self.bucket, self.weight

    def arrays(self, name: str) -> dict[str, Any]:
        """The arrays of a payload, whose names begin with `name`."""
        return {
            f"{name}_levels": self.levels.astype(np.uint8),
            f"{name}_counts": np.bincount(self.group, minlength=self.n_groups).astype(np.uint32),
            f"{name}_high": self.high.view(np.int64),
            f"{name}_low": self.low.view(np.int64),
            f"{name}_buckets": self.bucket.astype(np.uint8),
            f"{name}_weights": codec.small(self.weight),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], name: str, width: int) -> Self:
        """What `arrays` gave.

        Raises:
            CodecError: when it is anything else.
        """
        levels = codec.array_of(arrays, f"{name}_levels", np.uint8).astype(np.int64)
        counts = codec.array_of(arrays, f"{name}_counts", np.uint32).astype(np.int64)
        high, low = (
            codec.array_of(arrays, f"{name}_{half}", np.int64).view(np.uint64)
            for half in ("high", "low")
        )
        bucket = codec.array_of(arrays, f"{name}_buckets", np.uint8).astype(np.int64)
        weight = codec.weights_of(arrays, f"{name}_weights")
        alike = all(len(column) == counts.sum() for column in (high, low, bucket, weight))
        codec.refuse_unless(alike and len(levels) == len(counts), "cells differ in length")
        codec.refuse_unless(int(levels.max(initial=0)) < LEVELS, "levels are out of range")
        codec.refuse_unless(int(bucket.max(initial=0)) < width, "buckets are out of range")
        group = np.repeat(np.arange(len(counts)), counts)
        table = cls(width, group, high, low, bucket, weight, levels)
        codec.refuse_unless(table._is_in_order(), "cells are out of order")
        return table

    def _is_in_order(self) -> bool:
        """Whether the entries ascend and are distinct, and their codes lack what they should."""
        rising = np.zeros(max(len(self) - 1, 0), bool)
        for column in (self.bucket, self.low, self.high, self.group):
            rising = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & rising)
        high, low = drop_bits(self.high, self.low, self.levels[self.group])
        whole = np.array_equal(high, self.high) and np.array_equal(low, self.low)
        return bool(rising.all()) and whole


def sort_rows(rows: Rows) -> Rows:
    """The rows in the order of their group and code."""
    order = order_of_codes(rows.high, rows.low)
    order = order[stable_order(rows.group[order])]
    weight = None if rows.weight is None else rows.weight[order]
    return Rows(rows.group[order], rows.high[order], rows.low[order], rows.bucket[order], weight)


def _last_levels(group: Ints, differences: Ints, n_groups: int, least: int) -> Ints:
    """The last level at which each group has more than `least` cells, 0 where none has.

    `differences` are the bits in which each row differs from the one before it in its group.
    """
    many = np.flatnonzero(np.bincount(group, minlength=n_groups) > least)
    levels = np.zeros(n_groups, np.int64)
    if not len(many):
        return levels
    number = np.full(n_groups, -1, np.int64)
    number[many] = np.arange(len(many))
    some = (differences >= 0) & (number[group[1:]] >= 0)
    keys = number[group[1:]][some] * LEVELS + differences[some]
    counts = np.bincount(keys, minlength=len(many) * LEVELS).reshape(-1, LEVELS)
    cells = 1 + counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    levels[many] = np.maximum((cells > least).sum(axis=1) - 1, 0)
    return levels
