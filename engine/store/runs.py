"""The runs table: one row for each run, written when it begins and completed when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from engine.core.vocabulary import EvaluationResult, RunInfo, RunOutcome
from engine.spark import table_errors, tables

RUNS_VERSION = 1
FINISHED = "finished"
_TIME = pa.timestamp("us", tz="UTC")
RUNS_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("suite", pa.string()),
        ("started_at", _TIME),
        ("finished_at", _TIME),
        ("status", pa.string()),
        ("gate", pa.string()),
        ("gate_reason", pa.string()),
        ("exit_code", pa.int32()),
        ("counts", pa.map_(pa.string(), pa.int64())),
        ("timings", pa.map_(pa.string(), pa.float64())),
        ("versions", pa.map_(pa.string(), pa.string())),
        ("suite_resolved", pa.string()),
        ("evaluations", pa.string()),
        ("user", pa.string()),
        ("schema_version", pa.int32()),
    ]
)

# Each commit of a table lists its files, with statistics of some columns: those by which runs are
# looked up are enough.
_FEW_STATISTICS = {"delta.dataSkippingStatsColumns": "run_id,suite,started_at"}


def _frame(spark: SparkSession, table: pa.Table) -> DataFrame:
    # A file for each write: a table that grows for years is read file by file.
    return spark.createDataFrame(table).coalesce(1)


def _run_row(info: RunInfo, **more: Any) -> pa.Table:
    row = {
        "run_id": info.run_id,
        "suite": info.suite,
        "started_at": info.started_at,
        "finished_at": None,
        "status": "running",
        "gate": None,
        "gate_reason": None,
        "exit_code": None,
        "counts": [],
        "timings": [],
        "versions": list(info.versions.items()),
        "suite_resolved": info.suite_resolved,
        "evaluations": None,
        "user": info.user,
        "schema_version": RUNS_VERSION,
        **more,
    }
    return pa.Table.from_pylist([row], RUNS_SCHEMA)


def start_run(spark: SparkSession, info: RunInfo, plan: str, *, table: str) -> None:
    """Adds the run's row, once; a resumed run finds its pinned plan there."""
    row = _run_row(info, evaluations=plan)
    # Each row is a file of its own, which is rewritten when the run ends; to mark it as deleted
    # beside the file would be more work.
    options = {"delta.enableDeletionVectors": "false", **_FEW_STATISTICS}
    tables.append_once(_frame(spark, row), table, token=f"run {info.run_id}", options=options)


def finish_run(spark: SparkSession, outcome: RunOutcome, *, table: str, exit_code: int) -> None:
    """Completes the run's row with its gate, counts and timings."""
    timings = {
        f"{result.name}/{name}": float(value)
        for result in outcome.evaluations
        for name, value in result.timings.items()
    }
    counts = {verdict.value: count for verdict, count in outcome.gate.counts.items()}
    values = {
        "finished_at": F.lit(outcome.finished_at).cast("timestamp"),
        "status": F.lit(FINISHED),
        "gate": F.lit(outcome.gate.outcome.value),
        "gate_reason": F.lit(outcome.gate.reason),
        "exit_code": F.lit(exit_code).cast("int"),
        "counts": _map(counts, "long"),
        "timings": _map({**timings, "seconds": outcome.seconds}, "double"),
    }
    where = F.col("run_id") == outcome.info.run_id
    tables.update_rows(spark, table, where=where, values=values)


def with_timings(
    results: Sequence[EvaluationResult], row: Mapping[str, Any]
) -> list[EvaluationResult]:
    """A run's evaluations with what they cost when it was made, as its row has it."""
    kept: dict[str, dict[str, float]] = {}
    for key, value in dict(row["timings"] or {}).items():
        # Names may have a slash in them: of `a` and `a/b` the longer one is meant.
        names = [result.name for result in results if key.startswith(f"{result.name}/")]
        if names:
            name = max(names, key=len)
            kept.setdefault(name, {})[key.removeprefix(f"{name}/")] = value
    return [replace(result, timings=kept.get(result.name, result.timings)) for result in results]


def _map(items: Mapping[str, float], kind: str) -> Column:
    flat = [
        column for key, value in items.items() for column in (F.lit(key), F.lit(value).cast(kind))
    ]
    return F.create_map(*flat)


def find_run(spark: SparkSession, run: str, *, table: str) -> dict[str, Any] | None:
    """The row of a run by its id; None when there is none.

    `latest` is the newest that has finished, or the newest of all where none has.

    Raises:
        StoreError: when the table cannot be read.
    """
    with table_errors.reading(table):
        if not tables.exists(spark, table):
            return None
        runs = tables.read(spark, table)
        if run != "latest":
            row = runs.where(F.col("run_id") == run).first()
        else:
            newest = F.desc("started_at"), F.desc("run_id")
            finished = F.col("status") == FINISHED
            row = runs.orderBy(F.desc(finished), *newest).first()
    return row.asDict() if row is not None else None


def list_runs(spark: SparkSession, *, table: str) -> list[dict[str, Any]]:
    """All runs of a store in the order in which they began, without their plans."""
    columns = ("run_id", "started_at", "status", "gate", "exit_code", "suite_resolved")
    with table_errors.reading(table):
        if not tables.exists(spark, table):
            return []
        runs = tables.read(spark, table).select(*columns).orderBy("started_at", "run_id")
        return [row.asDict() for row in runs.collect()]


def correct_exit_codes(spark: SparkSession, codes: Mapping[str, int], *, table: str) -> None:
    """Sets the exit codes of some runs."""
    for code in sorted(set(codes.values())):
        runs = sorted(run_id for run_id, run_code in codes.items() if run_code == code)
        values = {"exit_code": F.lit(code).cast("int")}
        tables.update_rows(spark, table, where=F.col("run_id").isin(runs), values=values)
