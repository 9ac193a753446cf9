"""Slices: named subsets of the rows, found in a worker without a loop over them.

A slice set cuts a batch by the values of columns, by the edges of bins, or by a predicate. Each of
its dimensions is coded once for a batch, crosses are codes of codes, and what comes out is one
group number for each row. Null is a value of its own, and so is NaN.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.core.slice_names import Values, interval_texts, slice_of, value_text
from engine.core.vocabulary import Dimension, Slice, SliceSet
from engine.states import Bools, Ints

OVERALL = SliceSet("overall", "overall")


def where_column(index: int) -> str:
    """The column in which Spark leaves the predicate of the slice set number `index`."""
    return f"\0where {index}"


@dataclass(frozen=True, slots=True)
class Coded:
    """A dimension of a batch: for each row the place of its value in `texts`."""

    codes: Ints
    texts: tuple[str | None, ...]


def code_values(column: pa.Array | pa.ChunkedArray) -> Coded:
    """Codes a column by its distinct values; -0.0 and 0.0 are one value, and so are all NaN."""
    column = plain_column(column)
    if pa.types.is_floating(column.type):
        column = pc.add(column, pa.scalar(0.0, column.type))
    encoded = column.dictionary_encode(null_encoding="encode")
    values = python_values(encoded.dictionary)
    if pa.types.is_float32(column.type):
        # Of a number that was stored in 32 bits, the digits that 64 bits add say nothing.
        values = [None if value is None else float(str(np.float32(value))) for value in values]
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return Coded(codes, tuple(value_text(value) for value in values))


def python_values(array: pa.Array) -> list[Any]:
    """The values of an array; those that Python has no type for as texts.

    Such are years before 1 and after 9999, and a column of text whose bytes are none.
    """
    try:
        values: list[Any] = array.to_pylist()
    except (UnicodeDecodeError, OverflowError, ValueError):
        return [_python_value(scalar) for scalar in array]
    return values


def _python_value(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        raw = value.cast(pa.binary()).as_py()
        # The bytes themselves tell apart what is shown alike.
        return f"{raw.decode('utf-8', 'replace')} ({raw.hex()})"
    except (OverflowError, ValueError):
        text = str(value.cast(pa.string())).replace(" ", "T", 1)
        return text.replace(".000000", "").replace("Z", "+00:00")


def code_bins(column: pa.Array | pa.ChunkedArray, edges: Sequence[float]) -> Coded:
    """Codes a numeric column by the half-open intervals between edges; NaN and null apart."""
    column = plain_column(column)
    texts = (*interval_texts(edges), "NaN", None)
    null = column.is_null().to_numpy(zero_copy_only=False)
    numbers = pc.fill_null(pc.cast(column, pa.float64(), safe=False), 0.0)
    values = numbers.to_numpy(zero_copy_only=False)
    codes = np.digitize(values, np.asarray(edges, np.float64)).astype(np.int64)
    codes[np.isnan(values)] = len(edges) + 1
    codes[null] = len(edges) + 2
    return Coded(codes, texts)


def plain_column(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece, of its values themselves where it is coded by a dictionary."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column


def cross_dimensions(coded: Sequence[Coded]) -> tuple[Ints, list[Values]]:
    """The cross of dimensions: for each row a code, and the values that each code stands for.

    Only crosses that occur get a code, after each dimension, so that codes stay small.
    """
    codes, old_codes = _dense(coded[0].codes, len(coded[0].texts))
    values: list[Values] = [(coded[0].texts[code],) for code in old_codes]
    for dimension in coded[1:]:
        width = len(dimension.texts)
        codes, old_codes = _dense(codes * width + dimension.codes, len(values) * width)
        pairs = (divmod(code, width) for code in old_codes)
        values = [(*values[left], dimension.texts[right]) for left, right in pairs]
    return codes, values


def _dense(codes: Ints, radix: int) -> tuple[Ints, list[int]]:
    """Codes below `radix` numbered anew without gaps, and the old ones in ascending order."""
    if radix > 4 * len(codes) + 65536:
        present, places = np.unique(codes, return_inverse=True)
        return places, present.tolist()
    present = np.flatnonzero(np.bincount(codes, minlength=radix))
    table = np.zeros(radix, np.int64)
    table[present] = np.arange(len(present))
    return table[codes], present.tolist()


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
        codes, keys = cross_dimensions(coded)
        numbers = np.fromiter((self._number(values) for values in keys), np.int64, len(keys))
        return np.asarray(numbers[codes])

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
            for dimension in index.slice_set.dimensions:
                if dimension not in coded:
                    coded[dimension] = _code(batch.column(dimension.column), dimension)
            codes = [coded[dimension] for dimension in index.slice_set.dimensions]
            rows = None
            if index.slice_set.where is not None:
                rows = np.flatnonzero(_true(batch.column(where_column(number))))
                codes = [
                    Coded(coded_column.codes[rows], coded_column.texts) for coded_column in codes
                ]
            count = batch.num_rows if rows is None else len(rows)
            placed.append(Placed(rows, index.groups(codes, count)))
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


def key_values(key: str) -> Values:
    """The values that `slice_key` wrote."""
    return tuple(json.loads(key))


def from_key(slice_sets: Mapping[str, SliceSet], set_name: str, key: str) -> Slice:
    """The slice that states were kept under."""
    return slice_of(slice_sets[set_name], key_values(key))
