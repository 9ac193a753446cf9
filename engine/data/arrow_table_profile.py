"""What the columns of a table on this machine are like, found without Spark (`table_profile.py`).

The same figures: values, nulls, ends and keys are equal, spreads but for their last digits. Where
there are more than forty values their number is counted, which Spark estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.arrow_numbers import MOST_DISTINCT, DistinctValues, Floats
from engine.data.source import Source
from engine.data.table_profile import (
    COUNTED,
    MOST_VALUES,
    ColumnProfile,
    Spread,
    TableProfile,
    kind_word,
    mark_unique,
    near_keys,
    shortest,
    with_values,
)
from engine.data.table_rows import TableRows
from engine.pieces import NotThisWay
from engine.pieces.numbers import doubles, percentiles
from engine.pieces.row_hash import hash_rows


def profile_here(source: Source) -> TableProfile:
    """Looks at all columns of a table's version, in one pass and one more for each likely key.

    Raises:
        NotThisWay: where only Spark can read them, or there are too many.
        UnreadableError: for a file that cannot be read here.
    """
    rows = source.rows_here()
    looks = {name: _Column(name, kind) for name, kind in source.schema}
    for batch in rows.batches(list(looks)):
        for name, one in looks.items():
            one.add(batch.column(name))
    columns = {name: one.profile() for name, one in looks.items()}
    return TableProfile(rows.listing.rows, columns | _with_keys(rows, columns))


def spread_here(source: Source, name: str) -> Spread:
    """How far a column's finite numbers lie from their mean, and from their median.

    Raises:
        NotThisWay: where only Spark can read them, or there are too many.
        UnreadableError: for a file that cannot be read here.
    """
    batches = source.rows_here().batches([name], held=1)
    numbers = np.concatenate([np.zeros(0), *(_finite(batch.column(name)) for batch in batches)])
    if not len(numbers):
        return Spread(0.0, 0.0)
    (middle,) = percentiles(numbers, [0.5]) or [0.0]
    with np.errstate(over="ignore", invalid="ignore"):
        return Spread(float(numbers.std()), float(np.abs(numbers - middle).mean()))


def _finite(column: pa.Array) -> Floats:
    numbers = doubles(column)
    return np.asarray(numbers[np.isfinite(numbers)])


class _Column:
    """What is known of a column, batch after batch."""

    def __init__(self, name: str, kind: str) -> None:
        self._name, self._type, self._kind = name, kind, kind_word(kind)
        self._rows = self._nulls = 0
        self._distinct = DistinctValues()
        self._values: dict[Any, int] | None = {} if self._kind in COUNTED else None
        self._ends: tuple[float, float] | None = None

    def add(self, column: pa.Array) -> None:
        """Takes the values of a batch."""
        values = _clean(column)
        self._rows += len(column)
        self._nulls += len(column) - len(values)
        if self._kind not in COUNTED:
            return
        self._distinct.add(values)
        self._count(values)
        if self._kind in ("whole", "number"):
            self._stretch(_finite(values))

    def profile(self) -> ColumnProfile:
        """What is known of all values that were taken."""
        least, greatest = self._ends or (None, None)
        counted = self._distinct.count() if self._kind in COUNTED else 0
        profile = ColumnProfile(
            self._name, self._type, self._kind, self._rows, self._nulls, counted, least, greatest
        )
        return with_values(profile, list(self._values.items())) if self._values else profile

    def _count(self, values: pa.Array) -> None:
        if self._values is None:
            return
        counts = pc.value_counts(values)
        if len(counts) <= MOST_VALUES:
            shown = _as_python(counts.field(0), self._kind)
            for value, rows in zip(shown, counts.field(1).to_pylist(), strict=True):
                self._values[value] = self._values.get(value, 0) + rows
        if max(len(counts), len(self._values)) > MOST_VALUES:
            self._values = None

    def _stretch(self, numbers: Floats) -> None:
        if len(numbers):
            ends = [float(numbers.min()), float(numbers.max()), *(self._ends or ())]
            self._ends = min(ends), max(ends)


def _clean(column: pa.Array) -> pa.Array:
    """The values of a column without nulls and NaN; zeros have no sign."""
    values = column.drop_null()
    if not pa.types.is_floating(values.type):
        return values
    values = values.filter(pc.invert(pc.is_nan(values)))
    return pc.add(values, pa.scalar(0.0, values.type))


def _as_python(values: pa.Array, kind: str) -> list[Any]:
    """Values as Spark's texts of them are read."""
    try:
        shown = values.to_pylist()
    except ValueError as error:  # bytes that are no text
        raise NotThisWay("values are texts that Python does not have") from error
    if pa.types.is_float32(values.type):
        return [shortest(value) for value in shown]
    return [float(value) for value in shown] if kind == "number" else shown


def _with_keys(rows: TableRows, columns: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
    """The columns that may be keys, with whether they are."""
    counted: dict[str, ColumnProfile] = {}
    for profile in near_keys(columns):
        exact = profile.rows <= MOST_DISTINCT
        count = profile.distinct if exact else _count_values(rows, profile.name)
        counted[profile.name] = replace(profile, distinct=count)
        mark_unique(counted, profile.name)
    return counted


def _count_values(rows: TableRows, name: str) -> int:
    """How many different values a column without nulls has, by their hashes of 64 bits."""
    parts = [
        hash_rows([batch.column(name)], batch.num_rows) for batch in rows.batches([name], held=1)
    ]
    hashes = np.sort(np.concatenate(parts))
    return 1 + int((hashes[1:] != hashes[:-1]).sum())
