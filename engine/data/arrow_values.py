"""The values of columns for tests that put one in the place of another, found without Spark.

The same values as `column_values.py` finds: of large tables by the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.data.column_values import (
    MOST,
    QUANTILES,
    RAREST,
    SAMPLE_ROWS,
    VALUES,
    Frequent,
    asked_columns,
    choose_values,
)
from engine.data.columns import is_number
from engine.data.table_rows import TableRows
from engine.kinds import ColumnValues
from engine.pieces import NotThisWay
from engine.pieces.numbers import doubles, percentiles
from engine.pieces.row_hash import as_stored, hash_rows, is_hashable
from engine.suite import Evaluation

# As many different values as are counted of a column, and their bytes.
MOST_COUNTED, MOST_BYTES = 4_000_000, 256 << 20
_GATHERED = 1 << 20


def values_here(rows: TableRows, evaluation: Evaluation, count: int) -> dict[str, ColumnValues]:
    """The values of columns of a known type, by `VALUES` and the name.

    Args:
        rows: the rows.
        evaluation: what is asked of them.
        count: how many there are.

    Raises:
        NotThisWay: where only Spark can tell them.
        UnreadableError: for a file that cannot be read here.
    """
    kinds = {name: rows.listing.columns[name].type for name in rows.columns}
    names = [
        name for name in asked_columns(evaluation, rows.columns)
        if is_number(kinds.get(name, "")) or kinds.get(name) in ("string", "boolean")
    ]  # fmt: skip
    if not names:
        return {}
    types = {name: rows.type_of(name) for name in names}
    whole = {name for name in names if pa.types.is_integer(types[name])}
    numbers = [name for name in names if is_number(kinds[name])]
    listed = [name for name in names if name in whole or name not in numbers]
    counts = {name: ValueCounts() for name in listed}
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in numbers}
    hashed = [*evaluation.dataset.key, *listed, *numbers] if count >= 2 * SAMPLE_ROWS else []
    for batch in _sample(rows, names, hashed, count // SAMPLE_ROWS):
        for name in listed:
            counts[name].add(batch.column(name))
        for name in numbers:
            values = doubles(batch.column(name))
            drawn[name].append(values[np.isfinite(values)])
    chosen: dict[str, ColumnValues] = {}
    for name in dict.fromkeys([*listed, *numbers]):
        frequent = counts[name].frequent() if name in counts else []
        quantiles = _quantiles(drawn.get(name, []))
        choice = choose_values(frequent, quantiles, whole=name in whole)
        read = int if name in whole else _read_truth if kinds[name] == "boolean" else _as_is
        chosen[f"{VALUES}{name}"] = [[read(value), weight] for value, weight in choice]
    return chosen


def _read_truth(text: str) -> bool:
    return text == "true"


def _as_is(value: Any) -> Any:
    return value


def _sample(
    rows: TableRows, names: Sequence[str], hashed: Sequence[str], every: int
) -> Iterator[pa.RecordBatch]:
    """All rows, or where columns are hashed about one of so many."""
    plain = [name for name in dict.fromkeys(hashed) if not pa.types.is_list(rows.type_of(name))]
    for batch in rows.batches(list(dict.fromkeys([*names, *plain]))):
        if not plain:
            yield batch
            continue
        columns = [as_stored(batch.column(name)) for name in plain]
        if not all(is_hashable(column.type) for column in columns):
            raise NotThisWay("the key is of values that have no hash")
        hashes = hash_rows(columns, batch.num_rows)
        yield batch.filter(pa.array(hashes % every == 0))


def _quantiles(drawn: Sequence[NDArray[np.float64]]) -> Sequence[float]:
    """The middles of equal parts of numbers."""
    if not drawn:
        return ()
    shares = [(part + 0.5) / QUANTILES for part in range(QUANTILES)]
    return tuple(percentiles(np.concatenate(drawn), shares) or ())


class ValueCounts:
    """How often a column has each of its values."""

    def __init__(self) -> None:
        self._known: pa.Table | None = None
        self._waiting: list[pa.Table] = []
        self._gathered = 0

    def add(self, column: pa.Array) -> None:
        """Takes the values of a batch.

        Raises:
            NotThisWay: where there are too many.
        """
        counted = pc.value_counts(column.drop_null())
        self._waiting.append(pa.table([counted.field(0), counted.field(1)], ["v", "n"]))
        self._gathered += len(counted)
        if self._gathered > _GATHERED:
            self._throw_together()

    def frequent(self) -> Frequent:
        """The frequent values as texts, with their rows and those of all values."""
        self._throw_together()
        if self._known is None or not self._known.num_rows:
            return []
        every = int(pc.sum(self._known["n"]).as_py())
        enough = self._known.filter(pc.greater_equal(self._known["n"], RAREST * every))
        try:
            values, rows = enough["v"].to_pylist(), enough["n"].to_pylist()
        except ValueError as error:  # bytes that are no text
            raise NotThisWay("values are texts that Python does not have") from error
        pairs = [(_text(value), int(n)) for value, n in zip(values, rows, strict=True)]
        # In the order of their bytes, in which Spark has texts.
        pairs.sort(key=lambda pair: (-pair[1], pair[0].encode("utf-8", "surrogatepass")))
        return [(text, n, every) for text, n in pairs[:MOST]]

    @property
    def is_empty(self) -> bool:
        """Whether there was no value at all."""
        self._throw_together()
        return self._known is None or not self._known.num_rows

    def _throw_together(self) -> None:
        parts = [*([] if self._known is None else [self._known]), *self._waiting]
        self._waiting, self._gathered = [], 0
        if not parts:
            return
        joined = pa.concat_tables(parts).group_by("v", use_threads=False)
        known = joined.aggregate([("n", "sum")])
        self._known = pa.table([known["v"], known["n_sum"]], ["v", "n"])
        if known.num_rows > MOST_COUNTED or known.nbytes > MOST_BYTES:
            raise NotThisWay("a column has too many values to count them here")


def _text(value: Any) -> str:
    """A value as Spark casts it to a text."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
