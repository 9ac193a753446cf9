"""Keeping a store small: what no recent run used expires, small files are put together.

Nothing that a run of the last days was measured from is touched, so its report can be made again
and the next run still finds what it builds on. Results are never removed.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.core.locations import Store
from engine.core.paths import is_folder
from engine.delta.filters import Filter
from engine.errors import InputError
from engine.kinds import load_extensions
from engine.planning import distinct_questions, load_plans, needs
from engine.states.rows import PREDICTIONS
from engine.store.tables import StoreTable, StoreTables
from engine.store.turns import forget_runs

TABLES = ("states", "chunks", "predictions", "results", "runs", "budget", "announcements",
          "promotions", "audit")  # fmt: skip


REPORTS = "reports"


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done to one table, or to the folders of reports; `dry` is what would be."""

    table: str
    rows_expired: int
    files_before: int
    files: int
    megabytes: float
    dry: bool = False

    def __str__(self) -> str:
        what = "folders" if self.table == REPORTS else "rows"
        size = f"{self.megabytes:,.1f} MB"
        if self.dry:
            return (
                f"{self.table}: {self.rows_expired:,} {what} would expire, {self.files:,} files, "
                f"{size}"
            )
        return (
            f"{self.table}: {self.rows_expired:,} {what} expired, {self.files_before:,} files made "
            f"{self.files:,}, {size}"
        )


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much a store keeps.

    Attributes:
        days: for how many days a run's states are kept after it began.
        report_days: for how many days the files of a report are kept; None is for good.
        prediction_days: for how many days a prediction is kept after it was made; None is as long
            as a state says so.
        hours: for how many hours files of older versions of the tables stay; None is the tables'
            own retention, a week.
    """

    days: float = 90
    report_days: float | None = None
    prediction_days: float | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        kept = {"states": self.days, "reports": self.report_days,
                "predictions": self.prediction_days}  # fmt: skip
        for what, days in kept.items():
            if days is not None and not days >= 0:
                raise InputError(f"{what} are kept for {days!r} days; expected 0 or more")


def maintain(
    tables: StoreTables, keeping: Keeping, *, now: dt.datetime, dry: bool = False
) -> list[Maintained]:
    """Expires what no run of the last days used, compacts the tables, and removes old files.

    Args:
        tables: the store's tables.
        keeping: how much is kept.
        now: the time from which days count.
        dry: find out what would expire, and change nothing.

    Raises:
        StoreError: when a table cannot be written.
    """
    since = now - dt.timedelta(days=keeping.days)
    gone = _Expired.find(tables, keeping, now)
    done = []
    for name in TABLES:
        table = tables[name]
        if not table.exists():
            continue
        before, _ = table.size()
        expired = gone.rows(name) if dry else gone.remove(name, table)
        if not dry:
            table.compact()
            table.vacuum(keeping.hours)
        files, size = table.size()
        done.append(Maintained(name, expired, before, files, size / 1e6, dry))
    if not dry:
        forget_runs(tables.store, since)
        _expire_cache(tables.store, since)
    if keeping.report_days is not None:
        oldest = now - dt.timedelta(days=keeping.report_days)
        done.append(_expire_reports(tables, oldest, dry=dry))
    return done


def _expire_cache(store: Store, since: dt.datetime) -> None:
    """Removes profiles and pictures that no run has looked at lately; they are made again."""
    for file in (store.files / "cache").glob("*/*.json"):
        if file.stat().st_mtime < since.timestamp():
            file.unlink(missing_ok=True)


def _expire_reports(tables: StoreTables, since: dt.datetime, *, dry: bool) -> Maintained:
    """Removes the files of reports of older runs; what the tables have of these runs stays."""
    table, store = tables["runs"], tables.store
    runs = [] if not table.exists() else table.rows(["run_id"], [("started_at", "<", since)])[
        "run_id"
    ].to_pylist()  # fmt: skip
    folders = [store.report_folder(run_id) for run_id in runs]
    there = [folder for folder in folders if is_folder(folder)]
    before, _ = _files_in(store)
    for folder in () if dry else there:
        shutil.rmtree(folder, ignore_errors=True)
    files, size = _files_in(store)
    return Maintained(REPORTS, len(there), before, files, size / 1e6, dry)


def _files_in(store: Store) -> tuple[int, int]:
    """How many files the reports of a store are, and their bytes."""
    sizes = [file.stat().st_size for file in (store.files / "reports").rglob("*") if file.is_file()]
    return len(sizes), sum(sizes)


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


def _delete(table: StoreTable, drop: Sequence[Mapping[str, object]], schema: pa.Schema) -> None:
    gone = [{name: row[name] for name in schema.names} for row in drop]
    table.delete_like(pa.Table.from_pylist(gone, schema))


_STATE = pa.schema(
    [("state", pa.string()), ("dataset_version", pa.int64()), ("run_id", pa.string())]
)
_CHAIN = pa.schema([("predictions", pa.string()), ("dataset_version", pa.int64())])


@dataclass(frozen=True, slots=True)
class _Expired:
    """What is too old: states, predictions by their chains and by their own age, chunks.

    `states` and `chains` have how many rows each of their entries has.
    """

    states: tuple[tuple[dict[str, object], int], ...]
    chains: tuple[tuple[dict[str, object], int], ...]
    predictions: tuple[dt.datetime | None, int]
    chunks: tuple[dt.datetime, int]

    @classmethod
    def find(cls, tables: StoreTables, keeping: Keeping, now: dt.datetime) -> _Expired:
        since = now - dt.timedelta(days=keeping.days)
        states = _old_states(tables["states"], _recent(tables["runs"], since), since)
        days = keeping.prediction_days
        oldest = None if days is None else now - dt.timedelta(days=days)
        chains, old = _old_predictions(
            tables["predictions"], _chains(tables["states"], states), oldest
        )
        chunks = tables["chunks"]
        begun = chunks.rows(["run_id"], [("created_at", "<", since)]).num_rows if (
            chunks.exists()) else 0  # fmt: skip
        return cls(states, chains, (oldest, old), (since, begun))

    def rows(self, name: str) -> int:
        """How many rows of a table these are."""
        if name == "states":
            return sum(count for _, count in self.states)
        if name == "predictions":
            return sum(count for _, count in self.chains) + self.predictions[1]
        return self.chunks[1] if name == "chunks" else 0

    def remove(self, name: str, table: StoreTable) -> int:
        """Deletes them, and says how many they are."""
        if name == "states":
            _delete(table, [row for row, _ in self.states], _STATE)
        elif name == "predictions":
            _delete(table, [row for row, _ in self.chains], _CHAIN)
            since, count = self.predictions
            if count:
                table.delete([("created_at", "<", since)])
        elif name == "chunks" and self.chunks[1]:
            table.delete([("created_at", "<", self.chunks[0])])
        return self.rows(name)


def _old_states(
    table: StoreTable, recent: Recent, since: dt.datetime
) -> tuple[tuple[dict[str, object], int], ...]:
    """The states that are older, and that no recent run used."""
    if not table.exists():
        return ()
    rows = table.rows(_STATE.names, [("created_at", "<", since)])
    old = rows.group_by(_STATE.names).aggregate([([], "count_all")])
    return tuple(
        ({name: row[name] for name in _STATE.names}, row["count_all"])
        for row in old.to_pylist()
        if row["run_id"] not in recent.runs
        and (row["state"], row["dataset_version"]) not in recent.states
    )


def _old_predictions(
    table: StoreTable, chains: set[tuple[str, int]], since: dt.datetime | None
) -> tuple[tuple[tuple[dict[str, object], int], ...], int]:
    """The predictions of which no state says any longer that they are kept, and the others' old.

    A chain of which a part is gone is no fault: rows without a prediction are predicted again.
    """
    if not table.exists():
        return (), 0
    lost = [
        ({name: row[name] for name in _CHAIN.names}, row["count_all"])
        for row in _counts(table, [])
        if (row["predictions"], row["dataset_version"]) not in chains
    ]
    if since is None:
        return tuple(lost), 0
    kept = [row for row in _counts(table, [("created_at", "<", since)])
            if (row["predictions"], row["dataset_version"]) in chains]  # fmt: skip
    return tuple(lost), sum(row["count_all"] for row in kept)


def _counts(table: StoreTable, where: Sequence[Filter]) -> list[dict[str, Any]]:
    """How many predictions there are of each link of a chain."""
    rows = table.rows(_CHAIN.names, where)
    return list(rows.group_by(_CHAIN.names).aggregate([([], "count_all")]).to_pylist())


def _chains(
    states: StoreTable, gone: Sequence[tuple[Mapping[str, object], int]]
) -> set[tuple[str, int]]:
    """The links of all chains of predictions, but for those of states that are to go."""
    if not states.exists():
        return set()
    drop = {tuple(row[name] for name in _STATE.names) for row, _ in gone}
    rows = states.rows([*_STATE.names, "payload"], [("family", "=", PREDICTIONS)]).to_pylist()
    return {
        (row["state"], version)
        for row in rows
        if tuple(row[name] for name in _STATE.names) not in drop
        for version in json.loads(row["payload"])
    }
