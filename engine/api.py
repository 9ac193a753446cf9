"""The Python API: the commands as functions, for notebooks, jobs and tests.

Each takes the caller's own SparkSession where there is one (the active session, or `spark=`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import explanation as explaining
from engine import job as running
from engine import predictions, upkeep
from engine import prepare as preparing
from engine.catchup import CatchUp, Sent, SyncResult, caught_up
from engine.config import schema as suite_schema
from engine.discretion import discreet
from engine.errors import InputError
from engine.job import RunOptions
from engine.matrix import EvaluationPlan
from engine.places import is_folder
from engine.progress import Reporter
from engine.publish import write_report
from engine.replay import Replay, rejudged
from engine.result import RunResult
from engine.reuse import Steps, steps
from engine.session import get_session
from engine.sinks import results as results_sink
from engine.stock import take_stock
from engine.store import Store
from engine.training import Trained
from engine.training import train as train_model
from engine.upkeep import Maintained

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

DEFAULT_STORE = "./store"


@discreet()
def run(
    suite: str | Path,
    *,
    overrides: Sequence[str] = (),
    run_id: str | None = None,
    resume: str | None = None,
    spark: SparkSession | None = None,
) -> RunResult:
    """Evaluates a suite's matrix, writes every sink, and gives the result.

    Args:
        suite: the suite file.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        run_id: the run's id; a new one by default.
        resume: the id of a run to complete.
        spark: the session to use.

    Raises:
        InputError: when the suite or its inputs are wrong; nothing was evaluated.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    return running.run(suite, RunOptions(tuple(overrides), run_id, resume), spark=spark)


@dataclass(frozen=True, slots=True)
class PlannedEvaluation:
    """One evaluation as it would run, with about how many slices and cells it has."""

    plan: EvaluationPlan
    slices: int
    steps: Steps

    @property
    def cells(self) -> int:
        """About how many cells: slices x tests x models, where every test is on every slice."""
        return self.slices * len(self.plan.tests) * len(self.plan.models)

    @property
    def predictions(self) -> int:
        """How many rows will be predicted, by all models together."""
        return self.steps.predictions

    @property
    def reused(self) -> int:
        """How many predictions are spared by what the store keeps."""
        return self.steps.reused


@discreet()
def plan(
    suite: str | Path,
    *,
    overrides: Sequence[str] = (),
    spark: SparkSession | None = None,
) -> list[PlannedEvaluation]:
    """The pinned matrix and the scans it takes, one for each evaluation; nothing is predicted.

    Raises:
        InputError: when the suite or its inputs are wrong.
    """
    loaded = preparing.read_suite(suite, tuple(overrides))
    store = Store(loaded.store)
    store.check_writable()
    preparing.short_waits()
    finder = preparing.ModelFinder(loaded)
    try:
        session = spark or get_session(log_file=store.log_file)
        prepared = [
            preparing.prepare(session, loaded, each, finder=finder) for each in loaded.evaluations
        ]
    finally:
        finder.stop()
    return [_planned(session, store, each, reuse=loaded.reuse) for each in prepared]


def _planned(
    spark: SparkSession, store: Store, of: preparing.Prepared, *, reuse: bool
) -> PlannedEvaluation:
    stock = take_stock(spark, of.plan, table=store.table("states"), run_id="")
    if not reuse:
        stock.forget_others()
    todo = steps(spark, stock)
    todo.release()
    return PlannedEvaluation(of.plan, of.slices, todo)


@discreet()
def results(
    *, store: str = DEFAULT_STORE, run: str = "latest", spark: SparkSession | None = None
) -> pd.DataFrame:
    """The cells of a run as a pandas DataFrame, with the columns of the results table.

    Raises:
        InputError: when the store has no such run.
    """
    found, session = _find(store, run, spark)
    table = results_sink.read_results(
        session, str(found["run_id"]), table=Store(store).table("results")
    )
    frame: pd.DataFrame = table.to_pandas(maps_as_pydicts="strict")
    return frame


@discreet()
def report(
    *,
    store: str = DEFAULT_STORE,
    run: str = "latest",
    out: str | Path | None = None,
    spark: SparkSession | None = None,
) -> Path:
    """(Re)builds the report of a run from the states in the store; gives the page's path.

    Raises:
        InputError: when the store has no such run.
    """
    found, session = _find(store, run, spark)
    suite = preparing.stored_suite(str(found["suite_resolved"]))
    outcome = running.rebuilt(session, Store(store), suite, found)
    folder = Path(out) if out is not None else Store(store).report_folder(outcome.info.run_id)
    write_report(outcome, folder)
    return folder / "index.html"


@discreet()
def explain(
    run: str,
    cell: str,
    *,
    store: str = DEFAULT_STORE,
    spark: SparkSession | None = None,
) -> str:
    """Why a cell of a run has its verdict, in a few sentences.

    Args:
        run: the run's id, or `latest`.
        cell: `EVALUATION/MODEL/SLICE/TEST`, the end of it, with `*` for any text, or the position.
        store: the store's root.
        spark: the session to use.

    Raises:
        InputError: when the store has no such run, or the run not exactly one such cell.
    """
    found, session = _find(store, run, spark)
    table = results_sink.read_results(
        session, str(found["run_id"]), table=Store(store).table("results")
    )
    row = explaining.find(table.to_pylist(), cell)
    suite = preparing.stored_suite(str(found["suite_resolved"]))
    return explaining.explain(
        row,
        confidence=suite.confidence,
        on_inconclusive=suite.gate.on_inconclusive.value,
        on_error=suite.gate.on_error.value,
    )


@discreet()
def judge(
    run: str = "latest",
    *,
    store: str = DEFAULT_STORE,
    suite: str | Path | None = None,
    overrides: Sequence[str] = (),
    spark: SparkSession | None = None,
) -> RunResult:
    """Judges a run again from its stored states: no data is read, and no row predicted.

    Args:
        run: the run's id, or `latest`.
        store: the store's root.
        suite: a suite file with other tests, thresholds or levels; default: the run's own.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        spark: the session to use.

    Raises:
        InputError: when there is no such run, when the suite differs in more than what is
            demanded, or when it needs states that the run did not keep.
    """
    found, session = _find(store, run, spark)
    before = preparing.stored_suite(str(found["suite_resolved"]))
    if suite is None:
        after = preparing.stored_suite(str(found["suite_resolved"]), overrides)
    else:
        after = preparing.read_suite(suite, tuple(overrides))
    place = Store(store)
    outcome = rejudged(Replay(session, place, found, before, after))
    return RunResult(outcome, place, "", judged_into=Path())


def _open(store: str, spark: SparkSession | None) -> tuple[Store, SparkSession]:
    place = Store(store)
    if place.local is not None and not is_folder(place.local):
        raise InputError(f"no store at {store!r}; give the one of the suite with --store")
    return place, spark or get_session(log_file=place.log_file)


def _find(store: str, run: str, spark: SparkSession | None) -> tuple[dict[str, Any], SparkSession]:
    place, session = _open(store, spark)
    found = results_sink.find_run(session, run, table=place.table("runs"))
    if found is None:
        what = "no run yet" if run == "latest" else f"no run {run!r}"
        raise InputError(f"the store {store!r} has {what}; `evalmatrix run SUITE.yml` makes one")
    running.check_finished(found, place)
    return found, session


@discreet()
def forget(
    keys: Sequence[str], *, store: str = DEFAULT_STORE, spark: SparkSession | None = None
) -> int:
    """Erases the kept predictions of rows, by their keys; gives how many were erased.

    Args:
        keys: `column=value` (joined by commas where the key has several columns), a JSON object,
            or the value alone where the key has one column.
        store: the store's root.
        spark: the session to use.

    Raises:
        InputError: when nothing is kept, or a key is not written so.
    """
    place, session = _open(store, spark)
    return predictions.forget(session, keys, table=place.table("predictions"))


@discreet()
def maintain(
    *,
    store: str = DEFAULT_STORE,
    days: float = 90,
    report_days: float | None = None,
    keep_hours: float | None = None,
    spark: SparkSession | None = None,
) -> list[Maintained]:
    """Expires states that no run of the last days used, compacts tables, removes old files.

    Args:
        store: the store's root.
        days: for how long a run's states are kept after it began.
        report_days: for how long the files of a run's report are kept; default: for good. Its
            results stay in the table in any case.
        keep_hours: for how long files of older versions of the tables stay; default: Delta's own
            retention, a week. Less can break a run that is going on.
        spark: the session to use.

    Raises:
        InputError: when there is no such store, or a number is negative.
        StoreError: when a table cannot be written.
    """
    place, session = _open(store, spark)
    keeping = upkeep.Keeping(days, report_days, keep_hours)
    return upkeep.maintain(session, place, keeping, now=dt.datetime.now(dt.UTC))


@discreet()
def sync(
    *,
    store: str = DEFAULT_STORE,
    run: str = "all",
    tracking_uri: str | None = None,
    spark: SparkSession | None = None,
) -> SyncResult:
    """Sends to MLflow what it lacks of the runs in a store; what it has is not sent again.

    Args:
        store: the store's root.
        run: a run's id, `latest`, or `all`.
        tracking_uri: where MLflow is now; default: where each run's suite says.
        spark: the session to use.

    Raises:
        InputError: when there is no such store or run, or when a single run cannot be sent.
        StoreError: when a table or a report cannot be written.
    """
    preparing.short_waits()
    place, session = _open(store, spark)
    if run == "all":
        rows = results_sink.list_runs(session, table=place.table("runs"))
    else:
        rows = [_find(store, run, session)[0]]
    result = caught_up(CatchUp(session, place, Reporter(), tracking_uri), rows)
    for each in result.runs if run != "all" else ():
        if each.state is Sent.LOST:
            raise InputError(f"the run {each.run_id!r} cannot be sent to MLflow: {each.reason}")
    return result


def train(
    model_dir: str | Path,
    *,
    overrides: Sequence[str] = (),
    store: str = DEFAULT_STORE,
    tracking_uri: str | None = None,
) -> Trained:
    """Trains `models/<name>`, logs it to MLflow and registers a new version.

    Raises:
        InputError: when the folder or its configuration is wrong.
        TrackingError: when the tracking server cannot be reached.
    """
    place = Store(store)
    place.check_writable()
    uri = tracking_uri or place.tracking_uri
    return train_model(model_dir, overrides=overrides, tracking_uri=uri)


def schema() -> dict[str, Any]:
    """The JSON Schema of the suite file."""
    return suite_schema()


__all__ = [
    "Reporter",
    "explain",
    "forget",
    "judge",
    "maintain",
    "plan",
    "report",
    "results",
    "run",
    "schema",
    "sync",
    "train",
]
