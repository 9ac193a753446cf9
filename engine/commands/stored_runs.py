"""Runs that a store has: found, rebuilt from their states, and told how to be completed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from engine.core.locations import Store
from engine.core.locks import run_holder
from engine.core.paths import is_folder
from engine.core.vocabulary import EvaluationResult, RunInfo, RunOutcome
from engine.errors import InputError
from engine.evaluation.verdicts import gate
from engine.execution.evaluate import budget_of, measure_states
from engine.planning import load_plans
from engine.sinks import mlflow
from engine.spark.session import get_session
from engine.store.runs import FINISHED, find_run, with_timings
from engine.store.states import check_complete, find_states
from engine.suite import Suite


def open_store(store: str, spark: SparkSession | None) -> tuple[Store, SparkSession]:
    place = Store(store)
    if place.local is not None and not is_folder(place.local):
        raise InputError(f"no store at {store!r}; give the one of the suite with --store")
    return place, spark or get_session(log_file=place.log_file)


def find_finished_run(
    store: str, run: str, spark: SparkSession | None
) -> tuple[dict[str, Any], SparkSession]:
    place, session = open_store(store, spark)
    row = find_run(session, run, table=place.table("runs"))
    if row is None:
        what = "no run yet" if run == "latest" else f"no run {run!r}"
        raise InputError(f"the store {store!r} has {what}; `evalmatrix run SUITE.yml` makes one")
    check_finished(row, place)
    return row, session


def tracking_uri(suite: Suite, store: Store) -> str:
    """Where MLflow is: where the suite says, else in the store."""
    return suite.mlflow.tracking_uri or store.tracking_uri


def utc(when: object) -> dt.datetime:
    """A time of a stored row, which Spark gives without a zone as this machine's."""
    assert isinstance(when, dt.datetime), "a run has times"
    return when.astimezone(dt.UTC)


@contextmanager
def tell_how_to_resume(run_id: str) -> Iterator[None]:
    """Adds to whatever stops a run how it is completed; wrong data would be as wrong again."""
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        error.add_note(
            f"what was finished is in the store; `evalmatrix run SUITE.yml --resume {run_id}` "
            "does the rest"
        )
        raise


def conclude_run(
    suite: Suite, info: RunInfo, results: Sequence[EvaluationResult], now: dt.datetime
) -> RunOutcome:
    """The outcome of a run: what its verdicts decide together."""
    rules = {
        "on_inconclusive": suite.gate.on_inconclusive,
        "on_error": suite.gate.on_error,
    }
    cells = [cell for result in results for cell in result.cells]
    gates = {
        (result.name, model.name): gate(
            (cell for cell in result.cells if cell.model.name == model.name), **rules
        )
        for result in results
        for model in result.models
    }
    return RunOutcome(info, tuple(results), gate(cells, **rules), now, gates)


def send(outcome: RunOutcome, suite: Suite, store: Store, uri: str) -> dict[str, str]:
    """Sends what MLflow lacks of a run whose report is written; gives the parent runs' ids.

    Raises:
        TrackingError: when the server cannot be reached or refuses what is sent.
    """
    folder = store.report_folder(outcome.info.run_id)
    target = mlflow.Target(uri, folder, suite.mlflow.max_slice_metrics)
    return mlflow.log_outcome(outcome, target)


def rebuild_outcome(
    spark: SparkSession, store: Store, suite: Suite, row: dict[str, object]
) -> RunOutcome:
    """The outcome of an earlier run, from what the store keeps of it."""
    run_id, table = str(row["run_id"]), store.table("states")
    check_finished(row, store)
    catalogs = [
        find_states(spark, plan, table=table, run_id=run_id)
        for plan in load_plans(str(row["evaluations"]))
    ]
    for catalog in catalogs:
        check_complete(spark, catalog, table=table)
    budget = budget_of(spark, store, str(row["suite"]))
    results: list[EvaluationResult] = []
    for catalog in catalogs:
        results.append(measure_states(budget, store, catalog, results))
    results = with_timings(results, row)
    finished = row["finished_at"] or row["started_at"]
    return conclude_run(suite, run_info(row, store), results, utc(finished))


def check_finished(row: Mapping[str, object], store: Store) -> None:
    """Raises InputError for a run of which the store has a part of the results, or none."""
    if row["status"] == FINISHED:
        return
    run_id = str(row["run_id"])
    place = run_holder(store.local, run_id)
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
