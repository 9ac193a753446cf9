"""The bins of a reference's columns, found without Spark (see `reference_bins.py`).

Quantiles are those of half a million rows at most, and exact of these. Of a larger reference Spark
draws other rows. They choose the bins, and are no figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.data.arrow_numbers import Moments
from engine.data.arrow_values import ValueCounts
from engine.data.columns import is_number
from engine.data.table_rows import TableRows
from engine.kinds import Bins
from engine.kinds.drift import PARTS, bins_of_numbers, bins_of_values
from engine.pieces import NotThisWay
from engine.pieces.numbers import are_null, doubles

# Of so many rows quantiles are taken, about.
SAMPLE_ROWS, SEED = 500_000, 20_261_130
# Of so many columns numbers are held at a time.
COLUMNS = 16
_UTC = (None, "UTC", "Etc/UTC")


def bins_here(rows: TableRows, names: Sequence[str]) -> dict[str, Bins]:
    """The bins of columns of a table; nothing of one that has none.

    Raises:
        NotThisWay: where only Spark can tell them.
        UnreadableError: for a file that cannot be read here.
    """
    known = {name: rows.listing.columns[name].type for name in names if name in rows.columns}
    if rows.zone not in _UTC and "timestamp_ntz" in known.values():
        # Spark puts them into the session's zone.
        raise NotThisWay(f"times without a zone are in {rows.zone}")
    bins: dict[str, Bins] = {name: {} for name in names}
    listed = [name for name, kind in known.items() if kind in ("string", "boolean")]
    numbers = [name for name, kind in known.items() if _has_numbers(kind)]
    for part in _in_parts(listed):
        bins |= _bins_of_values(rows, part)
    for part in _in_parts(numbers):
        bins |= _bins_of_numbers(rows, part)
    return bins


def _has_numbers(kind: str) -> bool:
    return is_number(kind) or kind in ("date", "timestamp", "timestamp_ntz")


def _in_parts(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), COLUMNS):
        yield list(names[start : start + COLUMNS])


def _bins_of_values(rows: TableRows, names: Sequence[str]) -> dict[str, Bins]:
    """The bins of texts and truth values; nothing where no value is frequent."""
    counts = {name: ValueCounts() for name in names}
    for batch in rows.batches(names):
        for name in names:
            counts[name].add(batch.column(name))
    bins = {}
    for name, counted in counts.items():
        values = counted.frequent()
        if pa.types.is_boolean(rows.type_of(name)):
            values = [(text == "true", n, every) for text, n, every in values]
        if values or counted.is_empty:
            bins[name] = bins_of_values(values)
    return bins


class _Numbers:
    """The ends, the spread and some of the numbers of a column, infinite ones left out."""

    def __init__(self) -> None:
        self._moments, self._ends = Moments(), (np.inf, -np.inf)
        self._drawn: list[NDArray[np.float64]] = []

    def add(self, numbers: NDArray[np.float64], drawn: NDArray[np.bool_]) -> None:
        finite = np.isfinite(numbers)
        whole = numbers[finite]
        if not len(whole):
            return
        self._moments.add(whole)
        least, most = self._ends
        self._ends = min(least, float(whole.min())), max(most, float(whole.max()))
        self._drawn.append(numbers[finite & drawn])

    def bins(self) -> Bins:
        count, _, squares = self._moments.sums
        if not count or squares is None:
            return bins_of_numbers([], None)
        drawn = np.sort(np.concatenate(self._drawn))
        inner: list[float] = []
        if len(drawn):
            shares = np.arange(1, PARTS) / PARTS
            places = np.ceil(shares * len(drawn)).astype(np.int64) - 1
            inner = drawn[np.maximum(places, 0)].tolist()
        deviation = float(np.sqrt(squares / (count - 1))) if count > 1 else None
        return bins_of_numbers([self._ends[0], *inner, self._ends[1]], deviation)


def _bins_of_numbers(rows: TableRows, names: Sequence[str]) -> dict[str, Bins]:
    every = sum(piece.file.live for piece in rows.pieces)
    rng, share = np.random.default_rng(SEED), SAMPLE_ROWS / max(every, 1)
    columns = {name: _Numbers() for name in names}
    for batch in rows.batches(names):
        drawn = rng.random(batch.num_rows) < share
        for name in names:
            columns[name].add(_numbers(batch.column(name)), drawn)
    return {name: column.bins() for name, column in columns.items()}


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    """A column as the numbers that states make of it: days of dates, microseconds of times."""
    kind, nulls = column.type, are_null(column)
    if pa.types.is_date32(kind):
        column = column.view(pa.int32())
    elif pa.types.is_timestamp(kind):
        column = column.view(pa.int64())
    return np.where(nulls, np.nan, doubles(column))
