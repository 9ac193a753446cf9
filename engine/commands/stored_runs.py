"""Runs that a store has: found by their ids, and whether they have finished."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.core.locations import Store
from engine.core.paths import is_folder
from engine.core.vocabulary import RunInfo
from engine.delta.object_look import check_object_store
from engine.errors import InputError
from engine.spark.lazy_session import LazySession
from engine.store.runs import FINISHED, find_run
from engine.store.tables import StoreTables
from engine.store.turns import run_holder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def open_store(store: str, spark: SparkSession | None) -> StoreTables:
    """The tables of a store that is there; Spark is started where only it can read them."""
    place = Store(store)
    if place.local is not None and not is_folder(place.local):
        raise InputError(f"no store at {store!r}; give the one of the suite with --store")
    if place.in_object_store:
        check_object_store(store)
    return StoreTables(place, LazySession(spark, log_file=place.log_file))


def find_finished_run(tables: StoreTables, run: str) -> dict[str, Any]:
    """The row of a run by its id, or of the newest; InputError where it has not finished."""
    row = find_run(tables["runs"], run)
    if row is None:
        what = "no run yet" if run == "latest" else f"no run {run!r}"
        raise InputError(
            f"the store {tables.store.root!r} has {what}; `evalmatrix run SUITE.yml` makes one"
        )
    check_finished(row, tables.store)
    return row


def utc(when: object) -> dt.datetime:
    """A time of a stored row."""
    assert isinstance(when, dt.datetime), "a run has times"
    return when.astimezone(dt.UTC)


def check_finished(row: Mapping[str, object], store: Store) -> None:
    """Raises InputError for a run of which the store has a part of the results, or none."""
    if row["status"] == FINISHED:
        return
    run_id = str(row["run_id"])
    place = run_holder(store, run_id)
    if place is not None:
        raise InputError(f"the run {run_id!r} is going on in {place}; wait for its end")
    raise InputError(
        f"the run {run_id!r} was stopped before it was finished; complete it with --resume {run_id}"
    )


def run_info(row: dict[str, object], store: Store) -> RunInfo:
    """The identity of an earlier run, from its row."""
    return RunInfo(
        run_id=str(row["run_id"]),
        suite=str(row["suite"]),
        started_at=utc(row["started_at"]),
        store=store.root,
        suite_resolved=str(row["suite_resolved"]),
        versions=dict(row["versions"] or {}),  # type: ignore[call-overload]
        user=str(row["user"] or ""),
    )
