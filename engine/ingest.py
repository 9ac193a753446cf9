"""Files into Delta: each file is one commit, written once however often it is ingested.

A file is known by its name and the SHA-256 of its content; Delta keeps that as the commit's
transaction id, so that the same files again make no new version, in this process or in any other.
The first file makes the table and its schema; later files must have the same columns.
"""

from __future__ import annotations

import glob
import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from engine import tables
from engine.errors import DataError, StoreError
from engine.spark_errors import first_line
from engine.spark_internals import committed_tokens
from engine.tables import column

log = logging.getLogger(__name__)

_UNREADABLE = re.compile(r"MALFORMED_RECORD|MALFORMED_CSV|CANNOT_READ_FILE|FAILED_READ_FILE")

FORMATS = ("csv", "parquet")


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingestion did: the table, its version now, and the files that were new or known."""

    table: str
    version: int
    added: tuple[str, ...]
    known: tuple[str, ...]


def ingest(spark: SparkSession, pattern: str, *, table: str, fmt: str) -> Ingested:
    """Appends the files of a glob that the table does not have yet, in the order of their names.

    Raises:
        DataError: when no file matches, or a file does not have the table's columns and types.
    """
    if fmt not in FORMATS:
        raise DataError(f"files are {fmt!r}, expected one of {FORMATS}")
    files = _files(spark, pattern)
    _check_named(table)
    known_before = _known(spark, table, [identity for _, identity in files])
    added: list[str] = []
    known: list[str] = []
    version = None
    for name, identity in files:
        if identity in known_before:
            known.append(name)
            continue
        before = tables.newest_version(spark, table) if version is None else version
        frame = _read(spark, name, fmt, table, before)
        # The commit carries the identity twice: as what people and the next run can read in the
        # history, and as Delta's own guard, which outlives the history.
        _append(frame, table, name, identity)
        version = tables.newest_version(spark, table)
        (known if version == before else added).append(name)
    if version is None:
        version = tables.newest_version(spark, table)
    assert version is not None, "a table that was appended to exists"
    log.info("%s: %d files added, %d known, version %d", table, len(added), len(known), version)
    return Ingested(table, version, tuple(added), tuple(known))


def _append(frame: DataFrame, table: str, path: str, identity: str) -> None:
    try:
        tables.append_once(frame, table, token=identity, options={"userMetadata": identity})
    except StoreError as error:
        if not _UNREADABLE.search(str(error.__cause__)):
            raise
        # Spark quotes the whole record, which may hold what must not leave the data.
        columns = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in frame.schema)
        raise DataError(
            f"{path!r} has a record that does not fit the table's columns, or cannot be read at "
            f"all; expected {columns}"
        ) from error


def _known(spark: SparkSession, table: str, identities: Sequence[str]) -> set[str]:
    """Which of the files have been ingested.

    Where only the history can tell, those of commits that have left it are missing; Delta's own
    guard knows them still.
    """
    told = None if tables.is_catalog_name(table) else committed_tokens(spark, table, identities)
    if told is not None:
        return told
    if not tables.exists(spark, table):
        return set()
    history = tables.delta_table(spark, table).history().select("userMetadata").collect()
    return {row["userMetadata"] for row in history if row["userMetadata"]}


def _check_named(table: str) -> None:
    if not tables.is_catalog_name(table) and Path(table).is_file():
        raise DataError(f"the table's place {table!r} is a file; expected a folder or none")


def _files(spark: SparkSession, pattern: str) -> list[tuple[str, str]]:
    """The files of a glob with what identifies each, sorted by name."""
    if "://" in pattern:
        return _remote_files(spark, pattern)
    found = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())
    if not found:
        raise DataError(f"no file matches {pattern!r}, seen from {Path.cwd()}")
    return [(path, f"{Path(path).name} {_sha256(path)}") for path in found]


def _remote_files(spark: SparkSession, pattern: str) -> list[tuple[str, str]]:
    """Files of an object store, identified by name, length and time, without reading them."""
    try:
        found = (
            spark.read.format("binaryFile")
            .load(pattern)
            .select("path", "length", F.col("modificationTime").cast("string").alias("time"))
            .orderBy("path")
            .collect()
        )
    except PySparkException as error:
        raise DataError(f"no file matches {pattern!r} ({first_line(error)})") from error
    if not found:
        raise DataError(f"no file matches {pattern!r}")
    return [(row.path, f"{row.path} {row.length} {row.time}") for row in found]


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(spark: SparkSession, path: str, fmt: str, table: str, version: int | None) -> DataFrame:
    schema = tables.read(spark, table).schema if version is not None else None
    # The server of a Spark Connect session has another working directory.
    place = path if "://" in path else str(Path(path).absolute())
    try:
        return _csv(spark, place, schema) if fmt == "csv" else _parquet(spark, place, schema)
    except PySparkException as error:
        raise DataError(f"{path!r} could not be read: {first_line(error)}") from error


def _csv(spark: SparkSession, path: str, schema: StructType | None) -> DataFrame:
    options: dict[str, bool | str] = {
        "header": True,
        "mode": "FAILFAST",
        "multiLine": True,
        "escape": '"',
    }
    if schema is None:
        return spark.read.options(**options).csv(path, inferSchema=True)
    names = spark.read.options(header=True, multiLine=True, escape='"').csv(path).columns
    _same_columns(path, names, schema.names)
    in_order = StructType([schema[name] for name in names])
    frame = spark.read.options(**options).schema(in_order).csv(path)
    return frame.select(*[column(name) for name in schema.names])


def _parquet(spark: SparkSession, path: str, schema: StructType | None) -> DataFrame:
    frame = spark.read.parquet(path)
    if schema is None:
        return frame
    _same_columns(path, frame.columns, schema.names)
    frame = frame.select(*[column(name) for name in schema.names])
    for have, want in zip(frame.schema, schema, strict=True):
        if have.dataType != want.dataType:
            raise DataError(
                f"{path!r}: column {have.name!r} is {have.dataType.simpleString()}, the table "
                f"has {want.dataType.simpleString()}"
            )
    return frame


def _same_columns(path: str, found: Sequence[str], expected: Sequence[str]) -> None:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing or extra:
        raise DataError(
            f"{path!r} does not have the table's columns: missing {missing}, unexpected {extra}"
        )
