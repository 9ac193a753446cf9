"""What Delta does beside reading and writing rows, said in SQL.

Delta's Python API works through Spark Connect only where the server has the plugins of Delta
Connect. SQL and Spark's own `mergeInto` every session with Delta understands, and an update or a
delete takes as long (2.8 s and 2.9 s, 3.3 s and 3.1 s, side by side on two busy cores).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.spark.api import F, errors

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def is_table(spark: SparkSession, path: str) -> bool:
    """Whether a Delta table lies at a path."""
    try:
        # A client finds out what is wrong with a frame only when it asks for its columns.
        return bool(spark.read.format("delta").load(path).columns)
    except errors.AnalysisException:
        return False


class SqlTable:
    """A Delta table, by the statements that the engine needs.

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

    def compact(self) -> None:
        """Puts small files together; the rows stay as they are."""
        self._run(f"OPTIMIZE {self._name}")

    def delete_like(self, rows: DataFrame) -> None:
        """Deletes the rows that have the values of one of `rows`; nulls are alike."""
        quoted = ["`" + name.replace("`", "``") + "`" for name in rows.columns]
        same = " AND ".join(f"t.{name} <=> s.{name}" for name in quoted)
        view = f"evalmatrix_{secrets.token_hex(8)}"
        rows.distinct().createOrReplaceTempView(view)
        try:
            self._run(
                f"MERGE INTO {self._name} AS t USING {view} AS s ON {same} WHEN MATCHED THEN DELETE"
            )
        finally:
            self._spark.catalog.dropTempView(view)

    def _once(self) -> DataFrame:
        """A single row that has nothing: each row of the table that is chosen matches it once."""
        return self._spark.range(1).select(F.lit(True).alias("__once"))

    def _run(self, statement: str) -> DataFrame:
        result = self._spark.sql(statement)
        result.collect()
        return result
