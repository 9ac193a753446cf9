"""Keeping a store small: what no recent run used expires, small files are put together.

Nothing that a run of the last days was measured from is touched, so its report can be made again
and the next run still finds what it builds on. Results are never removed.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from engine.core.locations import Store
from engine.errors import InputError
from engine.kinds import load_extensions
from engine.planning import distinct_questions, load_plans, needs
from engine.states.rows import PREDICTIONS
from engine.store.tables import StoreTable, StoreTables
from engine.store.turns import forget_runs

TABLES = ("states", "chunks", "predictions", "results", "runs", "budget", "announcements",
          "promotions")  # fmt: skip


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


def maintain(tables: StoreTables, keeping: Keeping, *, now: dt.datetime) -> list[Maintained]:
    """Expires what no run of the last days used, compacts the tables, and removes old files.

    Raises:
        StoreError: when a table cannot be written.
    """
    done = []
    since = now - dt.timedelta(days=keeping.days)
    recent = _recent(tables["runs"], since)
    for name in TABLES:
        table = tables[name]
        if not table.exists():
            continue
        before, _ = table.size()
        expired = 0
        if name == "states":
            expired = _expire_states(table, recent, since)
        elif name == "chunks":
            expired = _expire_chunks(table, since)
        elif name == "predictions":
            expired = _expire_predictions(table, tables["states"])
        table.compact()
        table.vacuum(keeping.hours)
        files, size = table.size()
        done.append(Maintained(name, expired, before, files, size / 1e6))
    forget_runs(tables.store, since)
    _expire_cache(tables.store, since)
    if keeping.report_days is not None:
        _expire_reports(tables, now - dt.timedelta(days=keeping.report_days))
    return done


def _expire_cache(store: Store, since: dt.datetime) -> None:
    """Removes profiles and pictures that no run has looked at lately; they are made again."""
    for file in (store.files / "cache").glob("*/*.json"):
        if file.stat().st_mtime < since.timestamp():
            file.unlink(missing_ok=True)


def _expire_reports(tables: StoreTables, since: dt.datetime) -> None:
    """Removes the files of reports of older runs; what the tables have of these runs stays."""
    table, store = tables["runs"], tables.store
    if not table.exists():
        return
    for run_id in table.rows(["run_id"], [("started_at", "<", since)])["run_id"].to_pylist():
        shutil.rmtree(store.report_folder(run_id), ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Recent:
    """The runs that began lately, and the states they were measured from, by version."""

    runs: frozenset[str]
    states: frozenset[tuple[str, int]]


def _recent(table: StoreTable, since: dt.datetime) -> Recent:
    if not table.exists():
        return Recent(frozenset(), frozenset())
    runs = table.rows(["run_id", "evaluations"], [("started_at", ">=", since)]).to_pylist()
    states: set[tuple[str, int]] = set()
    for row in runs:
        for evaluation in load_plans(row["evaluations"]):
            try:
                load_extensions(evaluation.plugins)
            except InputError:
                # What is gone names no states; those that the run made are kept by its id.
                continue
            for plan in (evaluation, evaluation.reference):
                if plan is not None:
                    named = {need.state for need in needs(plan)}
                    named |= {question.name for question in distinct_questions(plan)}
                    states |= {(name, plan.dataset.version) for name in named if name is not None}
    return Recent(frozenset(row["run_id"] for row in runs), frozenset(states))


def _expire_states(table: StoreTable, recent: Recent, since: dt.datetime) -> int:
    """Deletes the states that are older, and that no recent run used."""
    names = ["state", "dataset_version", "run_id"]
    rows = table.rows(names, [("created_at", "<", since)])
    old = rows.group_by(names).aggregate([([], "count_all")])
    drop = [
        row
        for row in old.to_pylist()
        if row["run_id"] not in recent.runs
        and (row["state"], row["dataset_version"]) not in recent.states
    ]
    _delete(table, drop, old.select(names).schema)
    return sum(row["count_all"] for row in drop)


def _delete(table: StoreTable, drop: list[dict[str, object]], schema: pa.Schema) -> None:
    gone = [{name: row[name] for name in schema.names} for row in drop]
    table.delete_like(pa.Table.from_pylist(gone, schema))


def _expire_chunks(table: StoreTable, since: dt.datetime) -> int:
    """Deletes what is older of scans that were killed and never completed."""
    old = [("created_at", "<", since)]
    count: int = table.rows(["run_id"], old).num_rows
    if count:
        table.delete(old)
    return count


def _expire_predictions(table: StoreTable, states: StoreTable) -> int:
    """Deletes the predictions of which no state says any longer that they are kept."""
    chains = _chains(states)
    names = ["predictions", "dataset_version"]
    rows = table.rows(names)
    counts = Counter(zip(*(rows[name].to_pylist() for name in names), strict=True))
    drop = [
        {"predictions": predictions, "dataset_version": version}
        for predictions, version in counts
        if (predictions, version) not in chains
    ]
    _delete(table, drop, rows.schema)
    return sum(counts[row["predictions"], row["dataset_version"]] for row in drop)


def _chains(states: StoreTable) -> set[tuple[str, int]]:
    if not states.exists():
        return set()
    rows = states.rows(["state", "payload"], [("family", "=", PREDICTIONS)]).to_pylist()
    return {(row["state"], version) for row in rows for version in json.loads(row["payload"])}
