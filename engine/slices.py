"""Slices: named subsets of the rows, found in a worker without a loop over them.

A slice set cuts a batch by the values of columns, by the edges of bins, or by a predicate. Each of
its dimensions is coded once for a batch, crosses are codes of codes, and what comes out is one
group number for each row. Null is a value of its own, and so is NaN.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.states import Bools, Ints
from engine.vocabulary import Dimension, Slice, SliceSet

NULL = "<null>"
OVERALL = SliceSet("overall", "overall")

Values = tuple[str | None, ...]


def where_column(index: int) -> str:
    """The column in which Spark leaves the predicate of the slice set number `index`."""
    return f"__where_{index}"


def value_text(value: Any) -> str | None:
    """How a column's value is written in results: None for null, true, 1.5, 2026-11-23."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "NaN" if value != value else repr(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def edge_text(edge: float) -> str:
    """An edge as short as it can be written exactly."""
    return str(int(edge)) if float(edge).is_integer() and abs(edge) < 1e15 else repr(float(edge))


def interval_texts(edges: Sequence[float]) -> list[str]:
    """The names of the intervals between edges: `< 18`, `[18, 30)`, `>= 30`.

    Edges are written with six digits where that keeps them apart; the rows are cut exactly.
    """
    texts = [f"{edge:.6g}" for edge in edges]
    if len(set(texts)) < len(texts) or any("e" in text for text in texts):
        texts = [edge_text(edge) for edge in edges]
    inner = [f"[{low}, {high})" for low, high in zip(texts[:-1], texts[1:], strict=True)]
    return [f"< {texts[0]}", *inner, f">= {texts[-1]}"]


def _quoted(value: str | None) -> str:
    """A value as it stands in a slice's name; quoted where it could be read as something else."""
    if value is None:
        return NULL
    odd = value == "" or value == NULL or value != value.strip() or not value.isprintable()
    return json.dumps(value, ensure_ascii=False) if odd or set(value) & set('&="') else value


def slice_of(slice_set: SliceSet, values: Values) -> Slice:
    """The slice of a set that has these values of its dimensions.

    >>> slice_of(SliceSet("country", "by", (Dimension("country"),)), ("DE",)).name
    'country=DE'
    """
    if not slice_set.dimensions:
        return Slice(slice_set.name, slice_set.kind, slice_set.name)
    parts = []
    for dimension, value in zip(slice_set.dimensions, values, strict=True):
        if dimension.edges is None or value is None or value == "NaN":
            parts.append(f"{dimension.column}={_quoted(value)}")
        else:
            joint = " in " if value.startswith("[") else " "
            parts.append(f"{dimension.column}{joint}{value}")
    columns = [dimension.column for dimension in slice_set.dimensions]
    named = tuple(zip(columns, values, strict=True))
    return Slice(" & ".join(parts), slice_set.kind, slice_set.name, named)


@dataclass(frozen=True, slots=True)
class Coded:
    """A dimension of a batch: for each row the place of its value in `texts`."""

    codes: Ints
    texts: tuple[str | None, ...]


def code_values(column: pa.Array) -> Coded:
    """Codes a column by its distinct values; -0.0 and 0.0 are one value, and so are all NaN."""
    if pa.types.is_floating(column.type):
        column = pc.add(column, pa.scalar(0.0, column.type))
    encoded = pc.dictionary_encode(column, null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    texts = tuple(value_text(value) for value in encoded.dictionary.to_pylist())
    return Coded(encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), texts)


def code_bins(column: pa.Array, edges: Sequence[float]) -> Coded:
    """Codes a numeric column by the half-open intervals between edges; NaN and null apart."""
    texts = (*interval_texts(edges), "NaN", None)
    null = column.is_null().to_numpy(zero_copy_only=False)
    numbers = pc.fill_null(pc.cast(column, pa.float64(), safe=False), 0.0)
    values = numbers.to_numpy(zero_copy_only=False)
    codes = np.digitize(values, np.asarray(edges, np.float64)).astype(np.int64)
    codes[np.isnan(values)] = len(edges) + 1
    codes[null] = len(edges) + 2
    return Coded(codes, texts)


@dataclass(slots=True)
class SliceIndex:
    """The slices of one set that a worker has met, numbered in the order it met them."""

    slice_set: SliceSet
    keys: list[Values] = field(default_factory=list)
    _numbers: dict[Values, int] = field(default_factory=dict)

    def groups(self, coded: Sequence[Coded], rows: int) -> Ints:
        """The number of the slice of each row of a batch."""
        if not coded:
            return np.full(rows, self._number(()), np.int64)
        code, radix = coded[0].codes, len(coded[0].texts)
        for dimension in coded[1:]:
            code = code * len(dimension.texts) + dimension.codes
            radix *= len(dimension.texts)
        if radix > 4 * rows + 65536:
            present, place = np.unique(code, return_inverse=True)
            return self._numbers_of(present, coded)[place]
        present = np.flatnonzero(np.bincount(code, minlength=radix))
        table = np.zeros(radix, np.int64)
        table[present] = self._numbers_of(present, coded)
        numbers: Ints = table[code]
        return numbers

    def _numbers_of(self, codes: Ints, coded: Sequence[Coded]) -> Ints:
        places = []
        for dimension in reversed(coded):
            codes, place = np.divmod(codes, len(dimension.texts))
            places.append([dimension.texts[each] for each in place])
        found = zip(*reversed(places), strict=True)
        return np.fromiter((self._number(values) for values in found), np.int64)

    def _number(self, values: Values) -> int:
        number = self._numbers.get(values)
        if number is None:
            number = self._numbers[values] = len(self.keys)
            self.keys.append(values)
        return number


@dataclass(frozen=True, slots=True)
class Placed:
    """The rows of a batch that lie in a slice set, and the slice of each; None means all rows."""

    rows: Ints | None
    groups: Ints


class Slicer:
    """Places the rows of batch after batch in the slices of all the sets of an evaluation."""

    def __init__(self, slice_sets: Sequence[SliceSet]) -> None:
        self.indices = [SliceIndex(slice_set) for slice_set in slice_sets]

    def place(self, batch: pa.RecordBatch) -> list[Placed]:
        """One placement for each slice set; each dimension is coded once for all of them."""
        coded: dict[Dimension, Coded] = {}
        placed = []
        for number, index in enumerate(self.indices):
            if index.slice_set.where is not None:
                mask = _true(batch.column(where_column(number)))
                rows = np.flatnonzero(mask)
                placed.append(Placed(rows, index.groups((), len(rows))))
                continue
            for dimension in index.slice_set.dimensions:
                if dimension not in coded:
                    coded[dimension] = _code(batch.column(dimension.column), dimension)
            codes = [coded[dimension] for dimension in index.slice_set.dimensions]
            placed.append(Placed(None, index.groups(codes, batch.num_rows)))
        return placed


def _code(column: pa.Array, dimension: Dimension) -> Coded:
    if dimension.edges is None:
        return code_values(column)
    return code_bins(column, dimension.edges)


def _true(column: pa.Array) -> Bools:
    """A predicate's rows: null is not true."""
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), bool)


def slice_key(values: Values) -> str:
    """The text under which the states of a slice are kept: the JSON list of its values."""
    return json.dumps(list(values), ensure_ascii=False)


def from_key(slice_sets: Mapping[str, SliceSet], set_name: str, key: str) -> Slice:
    """The slice that states were kept under."""
    return slice_of(slice_sets[set_name], tuple(json.loads(key)))
