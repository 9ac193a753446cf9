"""Samples of tables' rows for probes and contrasts, found without Spark: the rows that Spark takes.

They are those with the smallest hash of the key, and where keys are equal of the columns that are
asked for (`engine.planning.projection.sample_rows`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.table_rows import TableRows
from engine.execution.kernel.contrasts import ORDER, UNIT
from engine.kinds import MOST_CHARACTERS, Contrast
from engine.pieces import NotThisWay
from engine.pieces.json_text import has_json
from engine.pieces.row_hash import hash_rows, is_hashable
from engine.planning import EvaluationPlan

OTHER_TYPES = "its columns have other types in the reference"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How rows are sampled.

    Attributes:
        names: the columns of the sample.
        key: those by whose hash rows are chosen.
        rows: how many are taken.
        unit: the columns of which a text is hashed, as the column `UNIT`; None without it.
        cut: the columns of whose texts only the beginning is read.
    """

    names: tuple[str, ...]
    key: tuple[str, ...]
    rows: int
    unit: tuple[str, ...] | None = None
    cut: frozenset[str] = frozenset()

    @classmethod
    def of_contrast(cls, plan: EvaluationPlan, content: Contrast) -> Sampling:
        """The sample of one table of a contrast; `plan` is that of the table."""
        columns = plan.columns
        single = columns.cluster or columns.query
        unit = (columns.key or content.columns) if single is None else (single,)
        names = tuple(content.columns)
        return cls(names, plan.row_columns, content.rows, tuple(unit), frozenset(names))

    def check(self, rows: TableRows) -> pa.Schema:
        """The columns of the sample; no row is read.

        Raises:
            NotThisWay: where only Spark can take it.
        """
        fields = [(name, rows.type_of(name)) for name in self._read]
        none = pa.schema(fields).empty_table()
        batch = pa.RecordBatch.from_arrays(
            [column.combine_chunks() for column in none.columns], schema=none.schema
        )
        return self._with_hashes(batch).schema

    def take(self, rows: TableRows) -> pa.Table:
        """The sample, in no order: its columns, the unit, and both hashes.

        Raises:
            NotThisWay: where only Spark can take it, or the columns take too many bytes.
            UnreadableError: for a file that cannot be read here.
        """
        chosen = self.check(rows).empty_table()
        for batch in rows.batches(self._read):
            # Only what is among the smallest so far can be among the smallest of all.
            part = self._with_hashes(batch)
            if chosen.num_rows == self.rows:
                most = pc.max(chosen[ORDER[0]])
                part = part.filter(pc.less_equal(part[ORDER[0]], most))
            chosen = _smallest(pa.concat_tables([chosen, part]), self.rows)
        return chosen

    @property
    def _read(self) -> list[str]:
        return list(dict.fromkeys([*self.names, *self.key, *(self.unit or ())]))

    def _with_hashes(self, batch: pa.RecordBatch) -> pa.Table:
        columns = {
            name: _cut_text(batch.column(name)) if name in self.cut else batch.column(name)
            for name in self._read
        }
        rows = batch.num_rows
        sample = {name: columns[name] for name in self.names}
        if self.unit is not None:
            texts = {f"{place}": _text(columns[name]) for place, name in enumerate(self.unit)}
            sample[UNIT] = pa.array(_hashes(texts, list(texts), rows))
        sample[ORDER[0]] = pa.array(_hashes(columns, self.key, rows))
        sample[ORDER[1]] = pa.array(_hashes(columns, self.names, rows))
        return pa.table(sample)


def join_samples(ours: pa.Table, theirs: pa.Table, side: str, names: Sequence[str]) -> pa.Table:
    """Both samples of a contrast, with whether a row is of the reference; in an order of columns.

    Raises:
        NotThisWay: for columns of other types in the two tables.
    """
    tables = []
    for table, is_reference in ((ours, False), (theirs, True)):
        mark = pa.array([is_reference] * table.num_rows, pa.bool_())
        tables.append(table.append_column(side, mark).select(names))
    if tables[0].schema != tables[1].schema:
        raise NotThisWay(OTHER_TYPES)
    return pa.concat_tables(tables)


def _smallest(table: pa.Table, count: int) -> pa.Table:
    if table.num_rows <= count:
        return table
    first, second = (table[name].to_numpy() for name in ORDER)
    return table.take(pa.array(np.lexsort((second, first))[:count]))


def _hashes(
    columns: Mapping[str, pa.Array], names: Sequence[str], rows: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    for name in names:
        if not is_hashable(columns[name].type):
            raise NotThisWay(f"rows are drawn by a hash of the column {name!r}")
    return hash_rows([columns[name] for name in names], rows)


def _text(column: pa.Array) -> pa.Array:
    """A column as Spark casts it to a text."""
    if not has_json(column.type):
        raise NotThisWay(f"what rows belong to is told by values of {column.type}")
    return pc.cast(column, pa.string())


def _cut_text(column: pa.Array) -> pa.Array:
    """A column, of its texts so many characters as a contrast reads."""
    if not pa.types.is_string(column.type):
        return column
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest <= MOST_CHARACTERS:
        return column
    try:
        column.validate(full=True)
    except pa.ArrowException as error:
        raise NotThisWay("long texts are read that Python does not have") from error
    return pc.utf8_slice_codeunits(column, 0, MOST_CHARACTERS)
