"""CSV files: what is seen in their columns, and their rows, each column in the type decided on.

Every field is read as text, and becomes a number, a date or a boolean afterwards: Spark's own
guess would make 1067 of `01067`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.paths import is_folder
from engine.data.files.facts import Facts
from engine.data.files.listing import File, is_packed, place
from engine.data.files.reading import Reading
from engine.data.files.values import class_of
from engine.errors import DataError, EvalMatrixError
from engine.spark.api import F, sql
from engine.spark.error_messages import first_line
from engine.spark.tables import column, escape_glob

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


OPTIONS = {"header": "true", "mode": "FAILFAST", "multiLine": "true", "escape": '"'}
UNREADABLE = re.compile(r"MALFORMED_RECORD|MALFORMED_CSV|CANNOT_READ_FILE|FAILED_READ_FILE")
PATH = "path of the file"


def look_at(spark: SparkSession, files: Sequence[File], reading: Reading) -> list[Facts]:
    """What is seen in the columns of files; one Spark job for all that have the same columns.

    Raises:
        DataError: for a file without columns, with two of one name, or that cannot be read.
    """
    headers = {file: header(spark, file) for file in files}
    facts: dict[str, Facts] = {}
    for names, group in by_header(headers):
        rows = texts(spark, group, names, reading)
        try:
            # A row for each field: an expression for each column would be too long to be compiled.
            fields = F.array([F.col(f"c{place}") for place in range(len(names))])
            counted = (
                rows.select(F.col(column(PATH)), F.posexplode(fields).alias("place", "text"))
                .groupBy(F.col(column(PATH)), "place")
                .agg(
                    F.count(F.lit(1)).alias("rows"),
                    F.bit_or(class_of(F.col("text"))).alias("seen"),
                )
                .withColumn(PATH, decode_path(F.col(column(PATH))))
                .collect()
            )
        except Exception as error:
            raise unreadable(error, group) from error
        seen = {(row[PATH], row["place"]): int(row["seen"] or 0) for row in counted}
        for path, rows_there in {row[PATH]: int(row["rows"]) for row in counted}.items():
            bits = ((name, seen[path, place]) for place, name in enumerate(names))
            facts[path] = Facts(rows_there, tuple(bits))
    # Of a file without rows Spark tells nothing.
    empty = {file: Facts(0, tuple((name, 0) for name in headers[file])) for file in files}
    return [facts.get(file_path(file), empty[file]) for file in files]


def header(spark: SparkSession, file: File) -> tuple[str, ...]:
    """The names of a file's columns.

    Raises:
        DataError: when there are none, or two that differ by capitals only.
    """
    if _must_ask(file.path):
        return _named_columns(file, _spark_header(spark, file))
    return local_header(file)


def local_header(file: File) -> tuple[str, ...]:
    """The names of the columns of a file of this machine, as `header`."""
    return _named_columns(file, _first_record(file.path))


def _named_columns(file: File, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise DataError(f"{file.path!r} has no columns; expected a line with their names")
    names = [name or f"_c{place}" for place, name in enumerate(names)]
    folded: dict[str, str] = {}
    for name in names:
        other = folded.get(name.lower())
        folded[name.lower()] = name
        if other is not None:
            words = "the same name" if other == name else "names that differ by capitals only"
            raise DataError(
                f"{file.path!r} has two columns of {words}: {other!r} and {name!r}; Delta and "
                "Spark take them for one; rename one of them in the file"
            )
    return tuple(names)


def _must_ask(path: str) -> bool:
    return "://" in path or is_packed(path) or is_folder(path)


def _first_record(path: str) -> list[str]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        try:
            return list(next((record for record in csv.reader(file) if record), []))
        except csv.Error as error:
            raise DataError(
                f"{path!r} has a first line that cannot be read; expected the names of the columns"
            ) from error


def _spark_header(spark: SparkSession, file: File) -> list[str]:
    try:
        first = spark.read.options(**{**OPTIONS, "header": "false"}).csv(
            escape_glob(place(file.path))
        )
        row = first.first()
    except Exception as error:
        raise unreadable(error, [file]) from error
    return [] if row is None else ["" if name is None else str(name) for name in row]


def by_header(
    headers: dict[File, tuple[str, ...]],
) -> Iterator[tuple[tuple[str, ...], list[File]]]:
    groups: dict[tuple[str, ...], list[File]] = {}
    for file, names in headers.items():
        groups.setdefault(names, []).append(file)
    yield from groups.items()


def texts(
    spark: SparkSession, files: Sequence[File], names: Sequence[str], reading: Reading
) -> DataFrame:
    """The fields of files as texts `c0`, `c1`, ..., null where nothing or a mark of null stands.

    The path of a row's file is beside them, encoded as Spark has it.
    """
    ddl = ", ".join(f"c{place} string" for place in range(len(names)))
    paths = [escape_glob(place(file.path)) for file in files]
    try:
        frame = spark.read.options(**OPTIONS).schema(ddl).csv(paths)
    except Exception as error:
        raise unreadable(error, files) from error
    fields = [
        _without_nulls(F.col(f"c{place}"), reading.nulls_of(name)).alias(f"c{place}")
        for place, name in enumerate(names)
    ]
    return frame.select(*fields, encoded_path(frame).alias(PATH))


def _without_nulls(text: Column, nulls: Sequence[str]) -> Column:
    # Of an empty field, in quotes or not, Spark makes null by itself.
    return F.when(~F.trim(text).isin(*nulls), text) if nulls else text


def encoded_path(frame: DataFrame) -> Column:
    """The path of a row's file, as Spark has it."""
    return frame.metadataColumn("_metadata").getField("file_path")


def decode_path(encoded: Column) -> Column:
    """A path that is not encoded, without the scheme of this machine's own."""
    path = F.url_decode(F.replace(encoded, F.lit("+"), F.lit("%2B")))
    return F.regexp_replace(path, "^file:/+", "/")


def file_path(file: File) -> str:
    """The path of a file as `decode_path` gives it."""
    return re.sub(r"^file:/+", "/", place(file.path))


def rows_of(
    spark: SparkSession,
    files: Sequence[tuple[File, Facts]],
    schema: Sequence[tuple[str, str]],
    reading: Reading,
) -> DataFrame:
    """The rows of files with the columns of a schema, and the path of each row's file."""
    headers = {file: facts.columns for file, facts in files}
    frames = []
    for names, group in by_header(headers):
        rows = texts(spark, group, names, reading)
        places = {name: place for place, name in enumerate(names)}
        fields = [
            as_type(F.col(f"c{places[name]}"), kind, name).alias(name)
            for name, kind in schema
            if name in places
        ]
        frames.append(rows.select(*fields, decode_path(F.col(column(PATH))).alias(PATH)))
    return reduce(sql.DataFrame.unionByName, frames)


def as_type(text: Column, kind: str, name: str) -> Column:
    """A text as a value of a type; what is none stops the job, by the column's name only."""
    if kind == "string":
        return text
    wrong = F.raise_error(F.lit(f"{WRONG}{name}{WRONG}{kind}{WRONG}")).cast(kind)
    return F.coalesce(text.try_cast(kind), F.when(text.isNotNull(), wrong))


WRONG = "\u241eevalmatrix\u241e"
_WRONG = re.compile(f"{WRONG}(.*?){WRONG}(.*?){WRONG}", re.DOTALL)


def unreadable(error: Exception, files: Sequence[File]) -> EvalMatrixError:
    """An error of reading files, with the file that it names, and no value of it."""
    if isinstance(error, EvalMatrixError) and error.__cause__ is None:
        return error
    text = f"{error} {error.__cause__ or ''}"
    named = [file.path for file in files if _is_named(text, file)]
    where = repr(named[0]) if named else f"one of {len(files)} files"
    if len(files) == 1:
        where = repr(files[0].path)
    match = _WRONG.search(text)
    if match and match[2] == _FOLDER:
        return DataError(
            f"{where}: the column {match[1]!r} has other values than the folder "
            f"{match[1] + '=...'!r} that it lies in says; expected the same, or the column in one "
            "of the two only"
        )
    if match:
        return misfit_error(where, match[1], match[2])
    if UNREADABLE.search(text):
        return record_error(where)
    if isinstance(error, EvalMatrixError):
        return error
    return DataError(f"{where} could not be read: {first_line(error)}")


def misfit_error(where: str, name: str, kind: str) -> DataError:
    """A column has a value that does not fit its type; `where` is its file, or words for it."""
    return DataError(
        f"{where}: the column {name!r} has a value that does not fit {kind}; give it another type "
        f"in `columns`, such as {name}: string"
    )


def record_error(where: str) -> DataError:
    """A file has a record of another number of fields than its first line."""
    return DataError(
        f"{where} has a record that does not fit its first line, or cannot be read at all; "
        "expected in every record as many fields as the first line has names"
    )


def _is_named(text: str, file: File) -> bool:
    name = re.escape(Path(file.path).name)
    return re.search(rf"[/\\]{name}(?![\w-])", text) is not None


def other_folder(name: str) -> str:
    """What is raised in a job where a file and its folder have two values for a column."""
    return f"{WRONG}{name}{WRONG}{_FOLDER}{WRONG}"


_FOLDER = "its folder"


def is_about_rows(error: Exception) -> bool:
    """Whether an error is about what stands in files."""
    text = f"{error} {error.__cause__ or ''}"
    return _WRONG.search(text) is not None or UNREADABLE.search(text) is not None
