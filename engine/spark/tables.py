"""Delta tables: pinned reads, writes that happen once, and errors in a user's words."""

from __future__ import annotations

import datetime as dt
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.core.locks import PATIENCE, sole_writer
from engine.core.object_store import in_object_store
from engine.core.paths import is_catalog_name as is_catalog_name
from engine.core.paths import local_path
from engine.errors import DataError, EvalMatrixError
from engine.spark.api import spark_errors
from engine.spark.delta_sql import SqlTable, is_table
from engine.spark.error_messages import first_line
from engine.spark.internals import table_head
from engine.spark.table_errors import unwritten

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameWriter, Row, SparkSession


T = TypeVar("T")

_CONFLICT = re.compile(r"Concurrent\w*Exception|DELTA_CONCURRENT|ProtocolChangedException")


def column(name: str) -> str:
    """A column's name quoted for Spark SQL, whatever it holds."""
    return "`" + name.replace("`", "``") + "`"


def escape_glob(path: str) -> str:
    """A path in which Spark's reader of files finds no pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)


def delta_table(spark: SparkSession, table: str) -> SqlTable:
    """The Delta table at a path or under a catalog name.

    Raises:
        DataError: when there is none.
    """
    try:
        return SqlTable(spark, table, catalog=is_catalog_name(table))
    except spark_errors() as error:
        raise DataError(
            f"no Delta table at {table!r}; expected a path, a URI or a catalog table of one "
            f"({first_line(error)})"
        ) from error


def exists(spark: SparkSession, table: str) -> bool:
    """Whether there is a Delta table at a path or under a catalog name."""
    if is_catalog_name(table):
        return bool(spark.catalog.tableExists(table))
    return is_table(spark, table)


def read(spark: SparkSession, table: str, version: int | None = None) -> DataFrame:
    """The rows of a Delta table, at a version or as it is now."""
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    return reader.table(table) if is_catalog_name(table) else reader.load(table)


def newest_version(spark: SparkSession, table: str) -> int | None:
    """The version that a Delta table has now; None when there is no table."""
    head = None if is_catalog_name(table) else table_head(spark, table)
    if head is not None:
        return head.version
    if not exists(spark, table):
        return None
    return int(delta_table(spark, table).history(1).select("version").collect()[0][0])


@dataclass(frozen=True, slots=True)
class Pin:
    """A table at a version: enough to read the same rows again."""

    table: str
    version: int
    timestamp: dt.datetime
    table_id: str
    catalog: bool


def pin(spark: SparkSession, table: str, version: str | int | dt.datetime) -> Pin:
    """Pins `latest`, a number or a time to a version number.

    Raises:
        DataError: when there is no such table or version; the message has those there are.
    """
    head = None if is_catalog_name(table) else table_head(spark, table)
    if head is not None and version in ("latest", head.version):
        return Pin(table, head.version, head.timestamp, head.table_id, catalog=False)
    delta = delta_table(spark, table)
    row = delta.detail().select("id").first()
    commit = _find_version(delta, table, version)
    return Pin(
        table,
        int(commit["version"]),
        commit["timestamp"].astimezone(dt.UTC),
        str(row["id"]) if row else "",
        is_catalog_name(table),
    )


def _find_version(delta: SqlTable, table: str, version: str | int | dt.datetime) -> Row:
    """The row of a table's history that has a version's number and time."""
    if version == "latest":
        newest: Row = delta.history(1).select("version", "timestamp").collect()[0]
        return newest
    # Each call of history() reads the log anew.
    history: list[Row] = delta.history().select("version", "timestamp").collect()
    if isinstance(version, int):
        fitting = [row for row in history if row["version"] == version]
    else:
        when = _moment(version, table)
        fitting = [row for row in history if row["timestamp"].astimezone(dt.UTC) <= when]
    if not fitting:
        oldest, newest = history[-1], history[0]
        raise DataError(
            f"the Delta table {table!r} has no version {_as_text(version)}; it has the versions "
            f"{oldest['version']} ({_as_text(oldest['timestamp'])}) to {newest['version']} "
            f"({_as_text(newest['timestamp'])})"
        )
    return fitting[0]


def _moment(version: str | dt.datetime, table: str) -> dt.datetime:
    try:
        when = version if isinstance(version, dt.datetime) else dt.datetime.fromisoformat(version)
    except ValueError as error:
        raise DataError(
            f"the version of the Delta table {table!r} is {version!r}; expected latest, a number "
            "or a time such as 2026-11-23T06:00:00Z"
        ) from error
    return when if when.tzinfo is not None else when.replace(tzinfo=dt.UTC)


def _as_text(version: str | int | dt.datetime) -> str:
    if isinstance(version, dt.datetime):
        # Spark gives naive times of this machine's zone.
        return f"{version.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    return repr(version)


def append_once(
    frame: DataFrame, table: str, *, token: str, options: Mapping[str, str] | None = None
) -> None:
    """Appends rows unless an append with the same token has been made; tried again on conflicts.

    Args:
        frame: the rows.
        table: the table, which is made if need be.
        token: names this append for good.
        options: more options of Delta's writer, table properties of a new table among them.
    """

    def write() -> None:
        writer = (
            frame.write.format("delta")
            .mode("append")
            .options(**(options or {}))
            .option("txnAppId", token)
            .option("txnVersion", "1")
        )
        _save(writer, table)

    retry_on_conflict(write, table)


def overwrite(
    frame: DataFrame,
    table: str,
    *,
    where: str | None = None,
    partition: str | None = None,
    options: Mapping[str, str] | None = None,
) -> None:
    """Writes rows in the place of a table's own, in one commit.

    The caller is the table's sole writer (`engine.core.locks`).

    Args:
        frame: the rows.
        table: the table, which is made if need be.
        where: a predicate over partitions: only their rows go, and the new ones are of these; None
            makes the table anew, with the columns of the rows.
        partition: the column whose values the table is cut by, for one that is made anew.
        options: more options of Delta's writer, table properties of a new table among them.
    """
    writer = frame.write.format("delta").mode("overwrite").options(**(options or {}))
    if where is not None:
        writer = writer.option("replaceWhere", where)
    else:
        writer = writer.option("overwriteSchema", "true")
    if partition is not None:
        writer = writer.partitionBy(partition)
    _save(writer, table)


def append(frame: DataFrame, table: str, *, options: Mapping[str, str] | None = None) -> None:
    """Appends rows in one commit; the caller is the table's sole writer."""
    _save(frame.write.format("delta").mode("append").options(**(options or {})), table)


def _save(writer: DataFrameWriter, table: str) -> None:
    if is_catalog_name(table):
        writer.saveAsTable(table)
    else:
        writer.save(table)


def update_rows(
    spark: SparkSession, table: str, *, where: Column, values: Mapping[str, Column]
) -> None:
    """Sets columns of the rows that a condition chooses; tried again on conflicts."""
    retry_on_conflict(lambda: delta_table(spark, table).update(where, dict(values)), table)


def delete_rows(spark: SparkSession, table: str, *, where: Column) -> None:
    """Deletes the rows that a condition chooses; tried again on conflicts."""
    retry_on_conflict(lambda: delta_table(spark, table).delete(where), table)


def delete_rows_like(spark: SparkSession, table: str, rows: DataFrame) -> None:
    """Deletes the rows that have the values of one of `rows` in its columns; nulls are alike."""
    retry_on_conflict(lambda: delta_table(spark, table).delete_like(rows), table)


def compact(spark: SparkSession, table: str) -> None:
    """Puts the small files of a table together; its rows stay as they are."""
    retry_on_conflict(lambda: delta_table(spark, table).compact(), table)


def vacuum(spark: SparkSession, table: str, hours: float | None = None) -> None:
    """Removes files that no version of the last `hours` needs; None is the table's own retention.

    Less than that is for what must not be there any longer: a reader of an older version, or a
    writer that has not committed yet, would miss its files.
    """
    # By itself VACUUM lists a table's files in 10,000 tasks, however few there are, unless the
    # session is one of ours.
    settings = {"spark.sql.sources.parallelPartitionDiscovery.parallelism": "8"}
    if hours is not None:
        settings["spark.databricks.delta.retentionDurationCheck.enabled"] = "false"
    with set_conf(spark, settings):
        retry_on_conflict(lambda: delta_table(spark, table).vacuum(hours), table)


@contextmanager
def set_conf(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Settings of a session for the block."""
    before = {name: spark.conf.get(name, None) for name in settings}
    try:
        for name, value in settings.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)


def retry_on_conflict(action: Callable[[], T], table: str, attempts: int = 8) -> T:
    """Runs a write again when another writer came between, with growing, random pauses.

    Raises:
        StoreError: when it failed for another reason, or each time.
    """
    for attempt in range(1, attempts + 1):
        try:
            with _alone(table):
                return action()
        except EvalMatrixError:
            raise
        except Exception as error:
            if attempt == attempts or not _CONFLICT.search(f"{type(error).__name__} {error}"):
                raise unwritten(table, error) from error
            time.sleep(random.uniform(0, 0.2 * 2**attempt))
    raise AssertionError("unreachable")


def _alone(table: str) -> AbstractContextManager[None]:
    """Keeps other writers of a table out while the block commits, where that can be had.

    In an object store Spark's own commits would not see each other.
    """
    if in_object_store(table):
        # A worker, which imports this module, has no delta-rs.
        from engine.delta.leases import sole_holder

        root, _, name = table.rstrip("/").rpartition("/")
        return sole_holder(f"{root}/.locks/{name}", patience=PATIENCE, doing=f"writes {table}")
    return sole_writer(folder_of(table))


def folder_of(table: str) -> Path | None:
    """Where a table lies on this machine's disk; None for a catalog's tables and other URIs."""
    return None if is_catalog_name(table) else local_path(table)
