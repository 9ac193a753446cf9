"""What Delta does beside reading and writing rows, said in SQL.

A Spark Connect server offers Delta's Python API only where it has the plugins of Delta Connect.
SQL and Spark's own `mergeInto` every server with Delta understands.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F


def is_table(spark: SparkSession, path: str) -> bool:
    """Whether a Delta table lies at a path."""
    try:
        # A client finds out what is wrong with a frame only when it asks for its columns.
        return bool(spark.read.format("delta").load(path).columns)
    except AnalysisException:
        return False


class SqlTable:
    """A Delta table with the part of `delta.tables.DeltaTable` that the engine uses.

    Raises:
        AnalysisException: when there is no such table.
    """

    def __init__(self, spark: SparkSession, table: str, *, catalog: bool) -> None:
        self._spark = spark
        self._name = table if catalog else "delta.`" + table.replace("`", "``") + "`"
        spark.table(self._name).schema  # noqa: B018

    def history(self, limit: int | None = None) -> DataFrame:
        """The commits, the newest first; of them `limit`, if given."""
        last = f" LIMIT {limit}" if limit is not None else ""
        return self._spark.sql(f"DESCRIBE HISTORY {self._name}{last}")

    def detail(self) -> DataFrame:
        """One row about the table: its id, format, location, properties, ..."""
        return self._spark.sql(f"DESCRIBE DETAIL {self._name}")

    def update(self, condition: Column, set: Mapping[str, Column]) -> None:
        """Sets columns of the rows that a condition chooses."""
        self._once().mergeInto(self._name, condition).whenMatched().update(dict(set)).merge()

    def delete(self, condition: Column) -> None:
        """Deletes the rows that a condition chooses."""
        self._once().mergeInto(self._name, condition).whenMatched().delete().merge()

    def vacuum(self, hours: float | None = None) -> DataFrame:
        """Removes files that no version of the last `hours` needs; None: the table's retention."""
        kept = f" RETAIN {hours} HOURS" if hours is not None else ""
        return self._run(f"VACUUM {self._name}{kept}")

    def optimize(self) -> SqlTable:
        """Begins an OPTIMIZE, of which `executeCompaction` is the only kind."""
        return self

    def executeCompaction(self) -> DataFrame:  # noqa: N802
        """Puts small files together."""
        return self._run(f"OPTIMIZE {self._name}")

    def alias(self, name: str) -> SqlTable:
        """The table under a name that a merge's condition uses."""
        named = object.__new__(SqlTable)
        named._spark, named._name = self._spark, f"{self._name} AS {name}"
        return named

    def merge(self, source: DataFrame, condition: str) -> SqlMerge:
        """Begins a merge; `source` has the alias `s`."""
        return SqlMerge(self._spark, self._name, source, condition)

    def _once(self) -> DataFrame:
        """A single row that has nothing: each row of the table that is chosen matches it once."""
        return self._spark.range(1).select(F.lit(True).alias("__once"))

    def _run(self, statement: str) -> DataFrame:
        result = self._spark.sql(statement)
        result.collect()
        return result


class SqlMerge:
    """A merge that deletes what matches, as Delta's merge builder has it."""

    def __init__(self, spark: SparkSession, target: str, source: DataFrame, condition: str) -> None:
        self._spark, self._target = spark, target
        self._source, self._condition = source, condition

    def whenMatchedDelete(self) -> SqlMerge:  # noqa: N802
        """Says that rows which match are deleted, the only kind there is."""
        return self

    def execute(self) -> None:
        """Runs the merge."""
        view = f"evalmatrix_{secrets.token_hex(8)}"
        self._source.createOrReplaceTempView(view)
        try:
            self._spark.sql(
                f"MERGE INTO {self._target} USING {view} AS s ON {self._condition} "
                "WHEN MATCHED THEN DELETE"
            ).collect()
        finally:
            self._spark.catalog.dropTempView(view)
