"""The states of `discover`: the losses of rows by the values of some columns at a time.

All pairs of columns, or all triples, are cut by their values at once, and of each cell of these
tables the rows and the sums of their losses are kept: they add up, so that a slice that nobody
listed is measured in the scan that is made anyway. What fewer columns cut is the sum of cells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.states import (
    BUCKETS,
    Family,
    Floats,
    Ints,
    Mean,
    Pair,
    PairFamily,
    RowColumns,
    Scored,
    Sums,
)
from engine.states.dense import losses_of

Value = str | float | int | bool
# A place on an axis: the number of the axis, and that of the value or bin on it.
Place = tuple[int, int]
Conditions = tuple[Place, ...]

# What is kept of a cell: its rows, then the sums of their weights, of weight times loss, of squared
# weights, of these times the loss and times its square, and of the weights times another loss.
ROWS, WEIGHT, LOSS, SQUARES, SQUARES_LOSS, SQUARES_LOSS2, OTHER = TERMS = range(7)


@dataclass(frozen=True, slots=True)
class Axis:
    """A column that cuts rows: by some of its values, or by the edges of bins.

    The places on it are the values and then all others, or the bins from the lowest to the highest;
    the last is of rows without a value, null or NaN.
    """

    column: str
    values: tuple[Value, ...] = ()
    edges: tuple[float, ...] | None = None

    @property
    def size(self) -> int:
        """How many places there are."""
        return len(self.values if self.edges is None else self.edges) + 2

    @property
    def is_named(self) -> NDArray[np.bool_]:
        """Which places can be said in a few words: all but that of all other values."""
        named = np.ones(self.size, bool)
        if self.edges is None:
            named[-2] = False
        return named

    def codes(self, columns: RowColumns) -> Ints:
        """The place of each row."""
        column = columns[self.column]
        if self.edges is not None:
            places = np.array(np.searchsorted(self.edges, column, side="right"), np.int64)
            places[np.isnan(column)] = self.size - 1
            return places
        if column.dtype == object:
            texts = pa.array(column, pa.string())
            known = pc.index_in(texts, pa.array([str(value) for value in self.values], pa.string()))
            null = texts.is_null().to_numpy(zero_copy_only=False)
        else:
            # Another zero is the same number.
            known = pc.index_in(
                pa.array(column + 0.0), pa.array([float(v) for v in self.values], pa.float64())
            )
            null = np.isnan(column)
        known = pc.fill_null(known, self.size - 2).to_numpy(zero_copy_only=False)
        places = np.array(known, np.int64)
        places[null] = self.size - 1
        return places


@dataclass(frozen=True, slots=True)
class Lattice:
    """Tables of some columns at a time, one behind the other in an array of `size` cells."""

    axes: tuple[Axis, ...]
    depth: int

    @property
    def tables(self) -> list[tuple[int, ...]]:
        """The axes of each table, in order."""
        return list(combinations(range(len(self.axes)), min(self.depth, len(self.axes))))

    def shape(self, table: Sequence[int]) -> tuple[int, ...]:
        """How many places each axis of a table has."""
        return tuple(self.axes[axis].size for axis in table)

    @property
    def size(self) -> int:
        return sum(prod(self.shape(table)) for table in self.tables)

    @property
    def digest(self) -> str:
        """A name for all that the cells depend on, in which no value stands."""
        about = [[axis.column, axis.values, axis.edges] for axis in self.axes]
        text = json.dumps([self.depth, about], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def add_up(self, columns: RowColumns, terms: Sequence[Floats | None], cells: Ints,
               count: int) -> Floats:  # fmt: skip
        """The sums of numbers of the rows in each of `count` parts of them: [part, cell, term].

        Args:
            columns: the columns of the rows.
            terms: numbers of each row; None counts them.
            cells: the part of each row, below `count`.
            count: how many parts there are.
        """
        size, start = self.size, 0
        codes = [columns.derive(axis, axis.codes) for axis in self.axes]
        total = np.empty((count, size, len(terms)))
        for table in self.tables:
            shape = self.shape(table)
            width = prod(shape)
            place = cells
            for axis, length in zip(table, shape, strict=True):
                place = place * length + codes[axis]
            for number, term in enumerate(terms):
                sums = np.bincount(place, term, count * width)
                total[:, start : start + width, number] = sums.reshape(count, width)
            start += width
        return total


@dataclass(frozen=True, slots=True)
class LossTerms:
    """Which sums of losses are kept: of weighted rows more are needed than of others.

    `loss` gives the loss of each row; `parts` is into how many parts the rows go by their buckets:
    the half that finds and the half that confirms, or where rows come in clusters all buckets.
    """

    lattice: Lattice
    loss: Mean
    parts: int
    weighted: bool

    @property
    def key(self) -> str:
        weighted = ",weighted" if self.weighted else ""
        return f"{self.lattice.digest},{self.loss.key},{self.parts}{weighted}"

    @property
    def columns(self) -> tuple[str, ...]:
        names = [axis.column for axis in self.lattice.axes]
        return tuple(dict.fromkeys([*names, *self.loss.columns]))

    def losses(self, batch: Scored) -> Floats:
        """The loss of each row."""
        return losses_of(self.loss.loss, self.loss.function, batch, self.loss.columns)

    def sums(self, batch: Scored, losses: Floats, other: Floats | None, groups: Ints,
             n_groups: int) -> Sums:  # fmt: skip
        """The sums of groups of rows; `other` is a second loss of each row."""
        parts = groups * self.parts + batch.bucket * self.parts // BUCKETS
        terms: list[Floats | None] = [None, losses, losses * losses]
        if self.weighted:
            squares = batch.weight * batch.weight
            loss = [batch.weight, batch.weight * losses]
            terms = [None, *loss, squares, squares * losses, squares * losses * losses]
        if other is not None:
            terms.append(other * batch.weight if self.weighted else other)
        count = n_groups * self.parts
        totals = self.lattice.add_up(batch.columns, terms, parts, count)
        return Sums(totals.reshape(n_groups, self.parts, -1))

    def zero(self, n_groups: int, more: int) -> Sums:
        terms = (6 if self.weighted else 3) + more
        return Sums(np.zeros((n_groups, self.parts, self.lattice.size * terms)))

    def read(self, values: Floats) -> Floats:
        """The sums of one group, [part, cell x term], as [part, cell, `TERMS`]."""
        kept = values.reshape(self.parts, self.lattice.size, -1)
        terms = np.zeros((*kept.shape[:2], len(TERMS)))
        if self.weighted:
            terms[..., : kept.shape[-1]] = kept
            return terms
        rows, loss, squares = np.moveaxis(kept[..., :3], -1, 0)
        for term, sums in ((ROWS, rows), (WEIGHT, rows), (LOSS, loss), (SQUARES, rows),
                           (SQUARES_LOSS, loss), (SQUARES_LOSS2, squares)):  # fmt: skip
            terms[..., term] = sums
        if kept.shape[-1] > 3:
            terms[..., OTHER] = kept[..., 3]
        return terms


@dataclass(frozen=True, slots=True)
class LatticeLosses(Family):
    """The losses of a model by the cells of a lattice."""

    terms: LossTerms
    columns: tuple[str, ...] = field(default=())

    @classmethod
    def of_terms(cls, terms: LossTerms) -> LatticeLosses:
        return cls(terms, terms.columns)

    @property
    def key(self) -> str:
        return f"lattice({self.terms.key})"

    def zero(self, n_groups: int = 0) -> Sums:
        return self.terms.zero(n_groups, 0)

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> Sums:
        if len(batch) == 0:
            return self.zero(n_groups)
        return self.terms.sums(batch, self.terms.losses(batch), None, groups, n_groups)


@dataclass(frozen=True, slots=True)
class PairedLatticeLosses(PairFamily):
    """By how much more a model loses than the baseline, by the cells of a lattice.

    The loss is the difference, the other one the model's own.
    """

    terms: LossTerms
    columns: tuple[str, ...] = field(default=())

    @classmethod
    def of_terms(cls, terms: LossTerms) -> PairedLatticeLosses:
        return cls(terms, terms.columns)

    @property
    def key(self) -> str:
        return f"paired_lattice({self.terms.key})"

    def zero(self, n_groups: int = 0) -> Sums:
        return self.terms.zero(n_groups, 1)

    def of(self, batch: Pair, groups: Ints, n_groups: int) -> Sums:
        if len(batch) == 0:
            return self.zero(n_groups)
        ours, theirs = self.terms.losses(batch.candidate), self.terms.losses(batch.baseline)
        return self.terms.sums(batch.candidate, ours - theirs, ours, groups, n_groups)


@dataclass(frozen=True)
class LatticeView:
    """What is known of a lattice: the sums of all that its columns cut, [part, cell, term]."""

    lattice: Lattice
    sums: Floats

    @cached_property
    def whole(self) -> Floats:
        """The sums of all rows: [part, term]."""
        first = prod(self.lattice.shape(self.lattice.tables[0]))
        total: Floats = self.sums[:, :first].sum(axis=1)
        return total

    def table(self, axes: Sequence[int]) -> Floats:
        """The sums by the places on some axes, in ascending order: [part, place, ..., term].

        Raises:
            KeyError: for more axes than the lattice is deep.
        """
        wanted = tuple(axes)
        if wanted not in self._tables:
            table, start = self._holders[wanted]
            shape = self.lattice.shape(table)
            cells = self.sums[:, start : start + prod(shape)].reshape(-1, *shape, len(TERMS))
            away = tuple(at + 1 for at, axis in enumerate(table) if axis not in wanted)
            self._tables[wanted] = cells.sum(axis=away) if away else cells
        return self._tables[wanted]

    def at(self, conditions: Conditions) -> Floats | None:
        """The sums of the rows at these places: [part, term]; None of more axes than it has."""
        if len(conditions) > self.lattice.depth:
            return None
        if not conditions:
            return self.whole
        table: Any = self.table([axis for axis, _ in conditions])
        return np.asarray(table[(slice(None), *(place for _, place in conditions))])

    @cached_property
    def _tables(self) -> dict[tuple[int, ...], Floats]:
        return {}

    @cached_property
    def _holders(self) -> dict[tuple[int, ...], tuple[tuple[int, ...], int]]:
        """For some axes the first table that has them all, and where it starts."""
        holders: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {}
        start = 0
        for table in self.lattice.tables:
            for size in range(1, len(table) + 1):
                for axes in combinations(table, size):
                    holders.setdefault(axes, (table, start))
            start += prod(self.lattice.shape(table))
        return holders
