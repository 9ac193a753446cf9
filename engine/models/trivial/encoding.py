"""From the columns of rows to the numbers that a trivial model reads.

A number that is missing is filled with the training data's median, and all are scaled to mean 0 and
variance 1 there; a column of texts becomes one column for each frequent value. What scikit-learn's
`SimpleImputer`, `StandardScaler` and `OneHotEncoder` have learned is all that is kept of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

# Of a text so many characters count, so that a document is no value of its own.
TEXT_CHARACTERS = 100
# Numbers further from the mean than so many deviations count as this far: all stay finite.
FARTHEST = 1e6


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of numbers or truth values: what fills it, and how it is scaled."""

    name: str
    fill: float
    mean: float
    scale: float

    @property
    def width(self) -> int:
        """How many columns it becomes."""
        return 1

    def encode(self, column: pa.ChunkedArray) -> np.ndarray:
        """The scaled numbers of rows: [rows, 1]."""
        values = read_numbers(column)
        scaled = (np.where(np.isfinite(values), values, self.fill) - self.mean) / self.scale
        return np.clip(scaled, -FARTHEST, FARTHEST)[:, None]


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of texts: its frequent values, null among them, and whether others are one more."""

    name: str
    values: tuple[str | None, ...]
    rare: bool

    @property
    def width(self) -> int:
        """How many columns it becomes."""
        return len(self.values) + self.rare

    def encode(self, column: pa.ChunkedArray) -> np.ndarray:
        """A 1 in the column of each row's value: [rows, width]."""
        places = {value: place for place, value in enumerate(self.values)}
        other = len(self.values) if self.rare else -1
        codes, texts = code_texts(column)
        by_code = np.array([places.get(text, other) for text in texts], np.int64)
        place = by_code[codes]
        ones = np.zeros((len(place), self.width))
        rows = np.flatnonzero(place >= 0)
        ones[rows, place[rows]] = 1.0
        return ones


InputColumn = NumberColumn | TextColumn


def encode(table: pa.Table, columns: Sequence[InputColumn]) -> np.ndarray:
    """The numbers of rows, [rows, the widths of all columns]."""
    parts = [column.encode(table.column(column.name)) for column in columns]
    return np.hstack(parts) if parts else np.empty((table.num_rows, 0))


def to_json(columns: Sequence[InputColumn]) -> list[dict[str, Any]]:
    """The columns as JSON has them."""
    return [asdict(column) for column in columns]


def from_json(items: Sequence[Mapping[str, Any]]) -> list[InputColumn]:
    """The columns that `to_json` wrote."""
    return [
        NumberColumn(item["name"], item["fill"], item["mean"], item["scale"])
        if "fill" in item
        else TextColumn(item["name"], tuple(item["values"]), item["rare"])
        for item in items
    ]


def read_numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers or truth values as float64, NaN where it is null."""
    values = _plain(column)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    numbers = values.cast(pa.float64(), safe=False).fill_null(np.nan)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def code_texts(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str | None]]:
    """For each row a code, and the text that each code stands for: the first characters of it."""
    encoded = _plain(column).dictionary_encode(null_encoding="encode")
    # By their bytes: what a table has for texts need not be any.
    raw = encoded.dictionary.cast(pa.large_binary()).to_pylist()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), [
        None if text is None else _first_characters(text) for text in raw
    ]


def _first_characters(text: bytes) -> str:
    # No character has more than four bytes.
    return text[: 4 * TEXT_CHARACTERS].decode("utf-8", "replace")[:TEXT_CHARACTERS]


def _plain(column: pa.ChunkedArray) -> pa.Array:
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values
