"""The rows of files, with the columns that their folders are named for, and each file's mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.data.files import csv_files, parquet
from engine.data.files.decision import Schema
from engine.data.files.facts import Facts
from engine.data.files.listing import File
from engine.data.files.reading import Reading
from engine.data.files.table_state import FILE_COLUMN
from engine.spark.api import F
from engine.spark.tables import column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def own_rows(
    spark: SparkSession,
    files: Mapping[File, Facts],
    schema: Schema,
    reading: Reading | None,
    places: Mapping[File, str],
) -> DataFrame:
    """The rows of files with their own columns, and the path of each row's file.

    `reading` says how CSV is read; None stands for Parquet.
    """
    if reading is not None:
        return csv_files.rows_of(spark, list(files.items()), schema, reading)
    return parquet.rows_of(spark, list(files.items()), schema, places)


def with_folders(
    spark: SparkSession, frame: DataFrame, marks: Mapping[File, str], schema: Schema
) -> DataFrame:
    """The rows with the columns that folders are named for, and with the mark of their file."""
    first = next(iter(marks))
    names = [name for name, _ in first.folders]
    own, kinds = set(frame.columns), dict(schema)
    frame = _by_file(spark, frame, {file: (mark, *_texts(file)) for file, mark in marks.items()})
    for number, name in enumerate(names, 1):
        value = F.col(_about(number)).try_cast(kinds[name])
        if name in own:
            inside = F.col(column(name))
            wrong = F.raise_error(F.lit(csv_files.other_folder(name))).cast(kinds[name])
            value = F.when(inside.eqNullSafe(value), inside).otherwise(wrong)
        frame = frame.withColumn(name, value)
    columns = [F.col(column(name)) for name, _ in schema]
    return frame.select(*columns, F.col(_about(0)).alias(FILE_COLUMN))


def _texts(file: File) -> list[str | None]:
    return [text for _, text in file.folders]


def _about(number: int) -> str:
    return f"__evalmatrix_about_{number}__"


def _by_file(
    spark: SparkSession, frame: DataFrame, texts: Mapping[File, tuple[str | None, ...]]
) -> DataFrame:
    """The rows with texts that are their file's; a row of another file stops the job."""
    width = len(next(iter(texts.values())))
    if len(texts) == 1:
        (values,) = texts.values()
        return frame.withColumns(
            {_about(number): F.lit(text).cast("string") for number, text in enumerate(values)}
        )
    path = _about(width)
    rows = [(*values, csv_files.file_path(file)) for file, values in texts.items()]
    ddl = ", ".join(f"{_about(number)} string" for number in range(width + 1))
    known = F.broadcast(spark.createDataFrame(rows, ddl))
    joined = frame.join(known, F.col(column(csv_files.PATH)) == F.col(path), "left")
    missing = F.raise_error(F.lit("a row is of a file that was not asked for")).cast("string")
    return joined.withColumn(_about(0), F.coalesce(F.col(_about(0)), missing))
