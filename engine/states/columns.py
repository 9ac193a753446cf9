"""States of columns rather than of predictions: what a table holds, by slice, without a model.

They add up like all others, are kept, and are brought up to date when rows come and go.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.states.base import BUCKETS, Bools, Floats, Ints, Scored, States, sums_by_cell
from engine.states.dense import Moments, RowFlags, Sums, moments_of, rows_of


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Rows of a table as they are, with the bucket of each; every row counts 1.

    Attributes:
        rows: the columns that states are made of.
        bucket: int64 [n] in [0, BUCKETS).
    """

    rows: pa.RecordBatch
    bucket: Ints

    def at(self, places: Ints) -> ColumnBatch:
        """The batch of these rows."""
        return ColumnBatch(self.rows.take(pa.array(places)), self.bucket[places])

    def count(self, groups: Ints, n_groups: int) -> Sums:
        """How many rows each group has, in the columns of rows that models are evaluated on."""
        none = np.zeros(len(groups), bool)
        cells = groups * BUCKETS + self.bucket
        return rows_of(np.ones(len(groups)), RowFlags(none, none, none), cells, n_groups)


class ColumnFamily(ABC):
    """A kind of state of one column, with its parameters.

    `key` is its name in the states table, e.g. `column mean(is_null:age)`.
    """

    column: str

    @property
    @abstractmethod
    def key(self) -> str:
        """The family's name with its parameters."""

    @abstractmethod
    def of(self, batch: ColumnBatch, groups: Ints, n_groups: int) -> States:
        """The states of a batch whose row i belongs to group `groups[i]`."""

    @abstractmethod
    def zero(self, n_groups: int = 0) -> States:
        """The state of groups without rows."""


RowNumber = Callable[[pa.Array], Floats]


@dataclass(frozen=True, slots=True)
class ColumnMean(ColumnFamily):
    """The moments of a number of each row that a column gives, such as 1 where it is null.

    `function` takes the column and gives float64 [rows]; a row for which it is NaN is left out.
    """

    column: str
    name: str
    function: RowNumber = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return f"column mean({self.name}:{self.column})"

    def zero(self, n_groups: int = 0) -> Moments:
        return Moments(np.zeros((n_groups, BUCKETS, 4)))

    def of(self, batch: ColumnBatch, groups: Ints, n_groups: int) -> Moments:
        numbers = np.asarray(self.function(batch.rows.column(self.column)), np.float64)
        known = np.flatnonzero(~np.isnan(numbers))
        if not len(known):
            return self.zero(n_groups)
        numbers = numbers[known]
        # As the losses of rows that weigh 1 each.
        rows = Scored(numbers, np.ones(len(known)), batch.bucket[known], unweighted=True)
        return moments_of(numbers, rows, groups[known], n_groups)


@dataclass(frozen=True, slots=True)
class ColumnHistogram(ColumnFamily):
    """How many rows of a numeric column lie between given edges.

    The columns of the sums are what is below the first edge, what lies in [e0, e1), ..., what is at
    or above the last, then nulls and NaN.
    """

    column: str
    edges: tuple[float, ...]

    @property
    def key(self) -> str:
        return f"column histogram({','.join(map(repr, self.edges))}:{self.column})"

    @property
    def width(self) -> int:
        """How many numbers the sums have for each group and bucket."""
        return len(self.edges) + 3

    def zero(self, n_groups: int = 0) -> Sums:
        return Sums(np.zeros((n_groups, BUCKETS, self.width)))

    def of(self, batch: ColumnBatch, groups: Ints, n_groups: int) -> Sums:
        numbers, null = numbers_of(batch.rows.column(self.column))
        place = np.searchsorted(np.asarray(self.edges), numbers, side="right")
        place[np.isnan(numbers)] = self.width - 1
        place[null] = self.width - 2
        cells = (groups * BUCKETS + batch.bucket) * self.width + place
        counts = sums_by_cell(cells, None, n_groups * BUCKETS * self.width)
        return Sums(counts.reshape(n_groups, BUCKETS, self.width))


@dataclass(frozen=True, slots=True)
class ColumnCategories(ColumnFamily):
    """How many rows have each of some values: texts, booleans or numbers.

    The columns of the sums are the values in their order, then all other values, then nulls and
    NaN.
    """

    column: str
    values: tuple[str | float | bool, ...]

    @property
    def key(self) -> str:
        return f"column categories({_digest(self.values)}:{self.column})"

    @property
    def width(self) -> int:
        """How many numbers the sums have for each group and bucket."""
        return len(self.values) + 2

    def zero(self, n_groups: int = 0) -> Sums:
        return Sums(np.zeros((n_groups, BUCKETS, self.width)))

    def of(self, batch: ColumnBatch, groups: Ints, n_groups: int) -> Sums:
        place = self._places(batch.rows.column(self.column))
        cells = (groups * BUCKETS + batch.bucket) * self.width + place
        counts = sums_by_cell(cells, None, n_groups * BUCKETS * self.width)
        return Sums(counts.reshape(n_groups, BUCKETS, self.width))

    def _places(self, column: pa.Array) -> Ints:
        """The bin of each row."""
        null = column.is_null(nan_is_null=pa.types.is_floating(column.type))
        if pa.types.is_boolean(column.type) or is_text(column.type):
            known = pa.array(list(self.values), column.type)
        else:
            column = pa.array(numbers_of(column)[0])
            known = pa.array([float(value) for value in self.values], pa.float64())
            # -0.0 and 0.0 are one number and two values.
            column, known = (pc.add(numbers, 0.0) for numbers in (column, known))
        place = pc.fill_null(pc.index_in(column, known), len(self.values))
        numbers = np.array(place.to_numpy(zero_copy_only=False), np.int64)
        numbers[null.to_numpy(zero_copy_only=False)] = len(self.values) + 1
        return numbers


@dataclass(frozen=True, slots=True)
class ColumnSums(ColumnFamily):
    """How many rows of a numeric column lie between edges, and how far from the edges in sum.

    The bins are what is below the first edge, what lies in [e0, e1), ..., what is at or above the
    last. The columns of the sums are the rows of each bin, then the sum of their distances to an
    edge, from the first edge down and from the lower edge of all others up; at last the rows
    without a finite number.
    """

    column: str
    edges: tuple[float, ...]

    @property
    def key(self) -> str:
        return f"column sums({_digest(self.edges)}:{self.column})"

    @property
    def bins(self) -> int:
        return len(self.edges) + 1

    @property
    def width(self) -> int:
        """How many numbers the sums have for each group and bucket."""
        return 2 * self.bins + 1

    def zero(self, n_groups: int = 0) -> Sums:
        return Sums(np.zeros((n_groups, BUCKETS, self.width)))

    def of(self, batch: ColumnBatch, groups: Ints, n_groups: int) -> Sums:
        numbers, _ = numbers_of(batch.rows.column(self.column))
        edges = np.asarray(self.edges, np.float64)
        finite = np.isfinite(numbers)
        start = (groups * BUCKETS + batch.bucket) * self.width
        size = n_groups * BUCKETS * self.width
        numbers, own = numbers[finite], start[finite]
        place = np.searchsorted(edges, numbers, side="right")
        distance = np.abs(numbers - edges[np.maximum(place - 1, 0)]) if len(edges) else numbers * 0
        total = sums_by_cell(own + place, None, size)
        total += sums_by_cell(own + self.bins + place, distance, size)
        total += sums_by_cell(start[~finite] + self.width - 1, None, size)
        return Sums(total.reshape(n_groups, BUCKETS, self.width))


def numbers_of(column: pa.Array) -> tuple[Floats, Bools]:
    """A numeric column as float64, NaN where it is null, and which rows are null.

    Dates are days since 1970, timestamps microseconds.
    """
    null = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_date32(column.type):
        column = pc.cast(column, pa.int32())
    elif pa.types.is_timestamp(column.type):
        column = pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz)), pa.int64())
    numbers = pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan)
    return numbers.to_numpy(zero_copy_only=False), null


def null_indicator(column: pa.Array) -> Floats:
    """1 where a column is null or NaN."""
    nan_too = pa.types.is_floating(column.type)
    null = column.is_null(nan_is_null=nan_too).to_numpy(zero_copy_only=False)
    return np.asarray(null, np.float64)


def column_nulls(column: str) -> ColumnMean:
    """The share of a column's rows that are null or NaN."""
    return ColumnMean(column, "is_null", null_indicator)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _digest(bins: Sequence[Any]) -> str:
    """A name for bins, in which no value stands."""
    return hashlib.sha256(json.dumps(list(bins), ensure_ascii=False).encode()).hexdigest()[:24]
