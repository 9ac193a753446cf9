"""Keeping a store small: what no recent run used expires, small files are put together.

Nothing that a run of the last days was measured from is touched, so its report can be made again
and the next run still finds what it builds on. Results are never removed.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engine.core.locations import Store
from engine.errors import InputError
from engine.planning import load_plans, needs
from engine.spark import tables
from engine.states.rows import PREDICTIONS

TABLES = ("states", "chunks", "predictions", "results", "runs", "budget")


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done to one table."""

    table: str
    rows_expired: int
    files_before: int
    files: int
    megabytes: float

    def __str__(self) -> str:
        return (
            f"{self.table}: {self.rows_expired:,} rows expired, {self.files_before:,} files made "
            f"{self.files:,}, {self.megabytes:,.1f} MB"
        )


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much a store keeps.

    Attributes:
        days: for how many days a run's states are kept after it began.
        report_days: for how many days the files of a report are kept; None is for good.
        hours: for how many hours files of older versions of the tables stay; None is the tables'
            own retention, a week.
    """

    days: float = 90
    report_days: float | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        for what, days in (("states", self.days), ("reports", self.report_days)):
            if days is not None and not days >= 0:
                raise InputError(f"{what} are kept for {days!r} days; expected 0 or more")


def maintain(
    spark: SparkSession, store: Store, keeping: Keeping, *, now: dt.datetime
) -> list[Maintained]:
    """Expires what no run of the last days used, compacts the tables, and removes old files.

    Raises:
        StoreError: when a table cannot be written.
    """
    done = []
    days = keeping.days
    recent = _recent(spark, store, now - dt.timedelta(days=days))
    for name in TABLES:
        table = store.table(name)
        if not tables.exists(spark, table):
            continue
        before, _ = _size(spark, table)
        expired = 0
        if name == "states":
            expired = _expire_states(spark, table, recent, now - dt.timedelta(days=days))
        elif name == "chunks":
            expired = _expire_chunks(spark, table, now - dt.timedelta(days=days))
        elif name == "predictions":
            expired = _expire_predictions(spark, table, store.table("states"))
        tables.compact(spark, table)
        tables.vacuum(spark, table, keeping.hours)
        files, size = _size(spark, table)
        done.append(Maintained(name, expired, before, files, size / 1e6))
    if keeping.report_days is not None:
        _expire_reports(spark, store, now - dt.timedelta(days=keeping.report_days))
    return done


def _expire_reports(spark: SparkSession, store: Store, since: dt.datetime) -> None:
    """Removes the files of reports of older runs; what the tables have of these runs stays."""
    table = store.table("runs")
    if not tables.exists(spark, table):
        return
    rows = tables.read(spark, table).where(F.col("started_at") < F.lit(since))
    for row in rows.select("run_id").collect():
        shutil.rmtree(store.report_folder(row.run_id), ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Recent:
    """The runs that began lately, and the states they were measured from, by version."""

    runs: frozenset[str]
    states: frozenset[tuple[str, int]]


def _recent(spark: SparkSession, store: Store, since: dt.datetime) -> Recent:
    table = store.table("runs")
    if not tables.exists(spark, table):
        return Recent(frozenset(), frozenset())
    rows = tables.read(spark, table).where(F.col("started_at") >= F.lit(since))
    runs = rows.select("run_id", "evaluations").collect()
    states: set[tuple[str, int]] = set()
    for row in runs:
        for plan in load_plans(row.evaluations):
            named = {need.state for need in needs(plan) if need.state is not None}
            states |= {(state, plan.dataset.version) for state in named}
    return Recent(frozenset(row.run_id for row in runs), frozenset(states))


def _expire_states(spark: SparkSession, table: str, recent: Recent, since: dt.datetime) -> int:
    """Deletes the states that are older, and that no recent run used."""
    old = tables.read(spark, table).where(F.col("created_at") < F.lit(since))
    named = old.groupBy("state", "dataset_version", "run_id").count().collect()
    drop = [
        (row.state, row.dataset_version, row.run_id)
        for row in named
        if row.run_id not in recent.runs and (row.state, row.dataset_version) not in recent.states
    ]
    gone = spark.createDataFrame(drop, "state string, dataset_version long, run_id string")
    tables.delete_rows_like(spark, table, gone)
    dropped = set(drop)
    return sum(
        row["count"] for row in named if (row.state, row.dataset_version, row.run_id) in dropped
    )


def _expire_chunks(spark: SparkSession, table: str, since: dt.datetime) -> int:
    """Deletes what is older of scans that were killed and never completed."""
    old = F.col("created_at") < F.lit(since)
    count = tables.read(spark, table).where(old).count()
    if count:
        tables.delete_rows(spark, table, where=old)
    return count


def _expire_predictions(spark: SparkSession, table: str, states: str) -> int:
    """Deletes the predictions of which no state says any longer that they are kept."""
    chains = _chains(spark, states)
    rows = tables.read(spark, table).groupBy("predictions", "dataset_version").count().collect()
    drop = [row for row in rows if (row.predictions, row.dataset_version) not in chains]
    gone = spark.createDataFrame(
        [(row.predictions, row.dataset_version) for row in drop],
        "predictions string, dataset_version long",
    )
    tables.delete_rows_like(spark, table, gone)
    return sum(row["count"] for row in drop)


def _chains(spark: SparkSession, states: str) -> set[tuple[str, int]]:
    if not tables.exists(spark, states):
        return set()
    rows: DataFrame = tables.read(spark, states).where(F.col("family") == PREDICTIONS)
    chain = F.from_json(F.col("payload").cast("string"), "array<long>")
    chains: Iterable[tuple[str, list[int]]] = rows.select("state", chain).collect()
    return {(state, version) for state, versions in chains for version in versions}


def _size(spark: SparkSession, table: str) -> tuple[int, int]:
    row = tables.delta_table(spark, table).detail().select("numFiles", "sizeInBytes").first()
    assert row is not None, "a table has a description"
    return int(row.numFiles), int(row.sizeInBytes)
