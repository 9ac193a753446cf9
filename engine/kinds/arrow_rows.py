"""The rows that a question reads, where this process answers it without Spark.

Columns are Arrow's, of the types that Spark hands to Python, and each row has the number of its
slice. What is alike in a query is alike here: a NaN is a null, and there is one zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.pieces import NotThisWay
from engine.pieces.numbers import Bools
from engine.pieces.row_hash import hash_rows, is_hashable

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SlicedRows:
    """The rows of a table.

    Attributes:
        table: the columns that are read.
        slices: the number of each row's slice; -1 for a row that is in none.
        count: how many slices there are.
    """

    table: pa.Table
    slices: Ints
    count: int

    def column(self, name: str) -> pa.Array:
        """A column in one piece."""
        column = self.table.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            if column.num_chunks > 1:
                raise NotThisWay(f"the column {name!r} is too large")
            column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        return column

    def values(self, names: Sequence[str]) -> list[pa.Array]:
        """Columns as they are compared."""
        return [plain_values(self.column(name)) for name in names]

    def sizes(self) -> list[float]:
        """How many rows each slice has."""
        return self.sums(np.arange(len(self.slices)))

    def sums(self, places: Ints, weights: Any = None) -> list[float]:
        """How many rows of some places each slice has; with `weights` the sum of theirs."""
        slices = self.slices[places]
        inside = slices >= 0
        weights = None if weights is None else np.asarray(weights, np.float64)[inside]
        counts = np.bincount(slices[inside], weights, minlength=self.count)
        return [float(count) for count in counts]


@dataclass(frozen=True, slots=True)
class BadRows:
    """The places of rows that break a rule, and the number of the group of each."""

    places: Ints
    groups: Ints


Finder = Callable[[SlicedRows], BadRows]
# By name a value for each slice, in their order: the rows beside are `reference` and `before`.
Figures = dict[str, list[Any]]
Here = Callable[[SlicedRows, Mapping[str, SlicedRows]], Figures]


def plain_values(column: pa.Array) -> pa.Array:
    """A column whose NaN is null, and whose zeros are one."""
    if not pa.types.is_floating(column.type):
        return column
    column = pc.add(column, pa.scalar(0.0, column.type))
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def are_known(columns: Sequence[pa.Array], rows: int) -> Bools:
    """Which rows have a value in each of some columns."""
    known = np.ones(rows, bool)
    for column in columns:
        if column.null_count:
            known &= column.is_valid().to_numpy(zero_copy_only=False)
    return known


def value_codes(columns: Sequence[pa.Array], rows: int) -> Ints:
    """A number for each row, the same where all values are; a null is a value like others."""
    codes, width = np.zeros(rows, np.int64), 1
    for column in columns:
        encoded = column.dictionary_encode(null_encoding="encode")
        size = max(len(encoded.dictionary), 1)
        if width > 4 * rows + 65536:
            present, codes = np.unique(codes, return_inverse=True)
            width = max(len(present), 1)
        codes = codes * size + encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        width *= size
    _, codes = np.unique(codes, return_inverse=True)
    return np.asarray(codes, np.int64)


def alike_places(columns: Sequence[pa.Array], places: Ints) -> Ints:
    """Of some rows those whose hash of some columns others of them have: all equal ones, and few.

    Raises:
        NotThisWay: for values without a hash.
    """
    if not len(places):
        return places
    for column in columns:
        if not is_hashable(column.type):
            raise NotThisWay(f"values of {column.type} are compared")
    nulls = [column.is_null() for column in columns if column.null_count]
    hashes = hash_rows([*columns, *nulls], len(columns[0]) if columns else int(places.max()) + 1)
    hashes = hashes[places]
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    among = pc.is_in(pa.array(hashes), pa.array(twice))
    return np.asarray(places[np.asarray(among.to_numpy(zero_copy_only=False), bool)])


def take(columns: Sequence[pa.Array], places: Ints) -> list[pa.Array]:
    """Some rows of columns."""
    return [column.take(pa.array(places)) for column in columns]
