"""A Delta table by way of Spark, with the methods that a table on this machine has without it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine.core.locks import sole_writer
from engine.delta.filters import Filter
from engine.spark import tables
from engine.spark.api import F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


class SparkTable:
    """A table at a path, at a URI or in a catalog, which need not be there yet."""

    def __init__(self, spark: SparkSession, name: str) -> None:
        self.spark = spark
        self.name = name

    def exists(self) -> bool:
        return tables.exists(self.spark, self.name)

    def columns(self) -> list[str]:
        """The names of its columns."""
        return list(self.frame().columns)

    def frame(self) -> DataFrame:
        """Its rows."""
        return tables.read(self.spark, self.name)

    def rows(self, columns: Sequence[str] | None = None, where: Sequence[Filter] = ()) -> pa.Table:
        """The rows that pass, in no order; of `columns` those that the table has."""
        frame = self.frame()
        chosen = [name for name in frame.columns if columns is None or name in columns]
        if where:
            frame = frame.where(condition(where))
        return frame.select(*chosen).toArrow()

    def size(self) -> tuple[int, int]:
        """How many files its newest version has, and their bytes."""
        about = tables.delta_table(self.spark, self.name).detail()
        row = about.select("numFiles", "sizeInBytes").first()
        assert row is not None, "a table has a description"
        return int(row.numFiles), int(row.sizeInBytes)

    def append_once(
        self, rows: pa.Table, *, token: str, properties: Mapping[str, str] | None = None
    ) -> None:
        """Appends rows unless an append with the same token has been made."""
        # A file for each write: a table that grows for years is read file by file.
        frame = self.spark.createDataFrame(rows).coalesce(1)
        # A store of an older version gets the columns that have come since.
        options = {"mergeSchema": "true", **(properties or {})}
        tables.append_once(frame, self.name, token=token, options=options)

    def update(self, where: Sequence[Filter], values: Mapping[str, Any]) -> None:
        """Sets columns of the rows that pass to one value each."""
        schema = self.frame().schema
        columns = {name: _lit(value).cast(schema[name].dataType) for name, value in values.items()}
        tables.update_rows(self.spark, self.name, where=condition(where), values=columns)

    def revise(self, where: Sequence[Filter], change: Callable[[pa.Table], pa.Table]) -> None:
        """Puts what `change` makes of the rows that pass in their place, in one commit."""
        with sole_writer(tables.folder_of(self.name)):
            rows = self.rows(where=where)
            if rows.num_rows:
                frame = self.spark.createDataFrame(change(rows))
                tables.overwrite(frame, self.name, where=_sql(where))

    def delete(self, where: Sequence[Filter]) -> None:
        """Deletes the rows that pass."""
        tables.delete_rows(self.spark, self.name, where=condition(where))

    def delete_like(self, rows: pa.Table) -> None:
        """Deletes the rows that have the values of one of `rows`; nulls are alike."""
        if rows.num_rows:
            tables.delete_rows_like(self.spark, self.name, self.spark.createDataFrame(rows))

    def compact(self) -> None:
        """Puts small files together; the rows stay as they are."""
        tables.compact(self.spark, self.name)

    def vacuum(self, hours: float | None = None) -> None:
        """Removes files that no version of the last `hours` needs; None: the table's retention."""
        tables.vacuum(self.spark, self.name, hours)


def _sql(where: Sequence[Filter]) -> str:
    """Filters of texts as Spark's SQL."""
    parts = []
    for name, operator, value in where:
        values = list(value) if operator == "in" else [value]
        texts = ", ".join(_quote(text) for text in values)
        parts.append(f"{tables.column(name)} {'IN' if operator == 'in' else operator} ({texts})")
    return " AND ".join(parts)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def condition(where: Sequence[Filter]) -> Column:
    """Filters as a column; null passes none."""
    every = F.lit(True)
    for name, operator, value in where:
        every = every & _compare(F.col(tables.column(name)), operator, value)
    return every


def _compare(column: Column, operator: str, value: Any) -> Column:
    if operator == "in":
        return column.isin(list(value))
    wanted = _lit(value)
    comparisons: dict[str, Column] = {
        "=": column == wanted,
        "!=": column != wanted,
        "<": column < wanted,
        "<=": column <= wanted,
        ">": column > wanted,
        ">=": column >= wanted,
    }
    return comparisons[operator]


def _lit(value: Any) -> Column:
    if isinstance(value, dt.datetime):
        return F.lit(value).cast("timestamp")
    if isinstance(value, Mapping):
        return F.create_map(*[F.lit(part) for item in value.items() for part in item])
    return F.lit(value)
