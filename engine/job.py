"""The main job: suite -> plan -> scan -> states -> metrics -> verdicts -> sinks."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from engine import chunks, table_errors, tables
from engine.begin import Job, RunOptions, begun, tracking_uri, utc
from engine.cluster import check_cluster
from engine.compute import Computing, budget_of, evaluated, measured
from engine.config import Suite
from engine.errors import InputError, TrackingError
from engine.locks import going_on
from engine.matrix import EvaluationPlan, dump_plans, load_plans
from engine.prepare import prepare
from engine.progress import Reporter
from engine.publish import write_report
from engine.result import RunResult
from engine.shipping import ship
from engine.sinks import results as results_sink
from engine.sinks import tracking
from engine.stock import refuse_unfinished, take_stock
from engine.store import Store
from engine.verdicts import gate
from engine.vocabulary import EvaluationResult, RunInfo, RunOutcome

__all__ = [
    "RunOptions",
    "check_finished",
    "concluded",
    "rebuilt",
    "run",
    "run_info",
    "send",
    "told_how_to_resume",
]


def run(
    suite: str | Path,
    options: RunOptions | None = None,
    *,
    spark: SparkSession | None = None,
    tell: Reporter | None = None,
) -> RunResult:
    """Evaluates a suite's matrix and writes every sink.

    Args:
        suite: the suite file.
        options: overrides, a run id of one's own, or the run to resume.
        spark: the session to use; else the active one, or a new local one.
        tell: where progress goes; standard error by default.

    Raises:
        InputError: when the suite or its inputs are wrong; nothing was evaluated.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    beginning = begun(suite, options or RunOptions(), spark=spark, tell=tell or Reporter())
    with beginning as job:
        plans = pinned(job)
        with told_how_to_resume(job.info.run_id), job.beside:
            results: list[EvaluationResult] = []
            for plan, frame in plans:
                results.append(evaluate(job, plan, frame, results))
            if job.resumed is not None:
                # Who was killed when the states were written had no time to do this.
                chunks.forget(job.spark, run_id=job.info.run_id, table=job.store.table("chunks"))
            outcome = conclude(job, results)
            job.beside.do(finish, job, outcome, outcome.gate.outcome.exit_code)
            job.tell.say("writing the report")
            write_report(outcome, job.store.report_folder(job.info.run_id))
            tracked = track(job, outcome)
            if tracked.exit_code != outcome.gate.outcome.exit_code:
                job.beside.do(finish, job, outcome, tracked.exit_code)
        return tracked


@contextmanager
def told_how_to_resume(run_id: str) -> Iterator[None]:
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


def pinned(job: Job) -> list[tuple[EvaluationPlan, DataFrame]]:
    """The plans of all evaluations with the rows they read; a resumed run's as it pinned them.

    The workers are looked at, and given the models, before any of them is needed.
    """
    plans = _resumed(job) if job.resumed is not None else _prepared(job)
    models = [model for plan, _ in plans for model in plan.models]
    check_cluster(job.spark, models)
    ship(job.spark, models)
    if job.resumed is None:
        text = dump_plans([plan for plan, _ in plans])
        table = job.store.table("runs")
        job.beside.do(results_sink.start_run, job.spark, job.info, text, table=table)
    return plans


def _resumed(job: Job) -> list[tuple[EvaluationPlan, DataFrame]]:
    assert job.resumed is not None, "a run is resumed from its row"
    plans = load_plans(str(job.resumed["evaluations"]))
    if job.resumed["status"] == results_sink.FINISHED:
        table, run_id = job.store.table("states"), job.info.run_id
        for plan in plans:
            # What has expired since is not computed anew: the run's results are written.
            stock = take_stock(job.spark, plan, table=table, run_id=run_id)
            refuse_unfinished(job.spark, stock, table=table)
    return [(plan, _frame(job.spark, plan)) for plan in plans]


def _frame(spark: SparkSession, plan: EvaluationPlan) -> DataFrame:
    """The rows that a plan has pinned; an error tells what became of them."""
    dataset = plan.dataset
    try:
        frame = tables.read(spark, dataset.uri, dataset.version)
        # A client of Spark Connect asks the server only now.
        frame.schema  # noqa: B018
    except Exception as error:
        named = f"evaluation {plan.name!r}: dataset {dataset.name!r} at version {dataset.version}"
        raise table_errors.read_error(error, named, under_way=True) from error
    return frame


def _prepared(job: Job) -> list[tuple[EvaluationPlan, DataFrame]]:
    assert job.finder is not None, "a new run looks for its models"
    try:
        prepared = [
            prepare(job.spark, job.suite, evaluation, finder=job.finder, say=job.tell.say)
            for evaluation in job.suite.evaluations
        ]
    finally:
        job.finder.stop()
    return [(each.plan, each.frame) for each in prepared]


def evaluate(
    job: Job, plan: EvaluationPlan, frame: DataFrame, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """Scans an evaluation unless the run has its states already, and measures its cells."""
    started = time.monotonic()
    of = Computing(
        job.spark,
        job.store,
        job.suite.name,
        job.info.run_id,
        job.tell,
        reuse=job.suite.reuse,
        checkpoint_rows=job.suite.checkpoint_rows,
        wait=job.beside.wait,
    )
    result = evaluated(of, plan, frame, earlier)
    seconds = time.monotonic() - started
    result = replace(result, timings={**result.timings, "seconds": seconds})
    table = job.store.table("results")
    job.beside.do(results_sink.write_results, job.spark, result, job.info, table=table)
    return result


def conclude(job: Job, results: Sequence[EvaluationResult]) -> RunOutcome:
    """Decides the gate, for the run and for each model."""
    return concluded(job.suite, job.info, results, dt.datetime.now(dt.UTC))


def concluded(
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


def track(job: Job, outcome: RunOutcome) -> RunResult:
    """Sends the run to MLflow; a server that is down costs no result."""
    job.tell.say("logging to MLflow")
    uri = tracking_uri(job.suite, job.store)
    try:
        parents = send(outcome, job.suite, job.store, uri)
    except TrackingError as error:
        return RunResult(outcome, job.store, uri, tracking_error=str(error))
    return RunResult(outcome, job.store, uri, parents=parents)


def send(outcome: RunOutcome, suite: Suite, store: Store, uri: str) -> dict[str, str]:
    """Sends what MLflow lacks of a run whose report is written; gives the parent runs' ids.

    Raises:
        TrackingError: when the server cannot be reached or refuses what is sent.
    """
    folder = store.report_folder(outcome.info.run_id)
    target = tracking.Target(uri, folder, suite.mlflow.max_slice_metrics)
    return tracking.log_outcome(outcome, target)


def finish(job: Job, outcome: RunOutcome, exit_code: int) -> None:
    """Completes the run's row in the store."""
    results_sink.finish_run(job.spark, outcome, table=job.store.table("runs"), exit_code=exit_code)


def rebuilt(spark: SparkSession, store: Store, suite: Suite, row: dict[str, object]) -> RunOutcome:
    """The outcome of an earlier run, from what the store keeps of it."""
    run_id, table = str(row["run_id"]), store.table("states")
    check_finished(row, store)
    stocks = [
        take_stock(spark, plan, table=table, run_id=run_id)
        for plan in load_plans(str(row["evaluations"]))
    ]
    for stock in stocks:
        refuse_unfinished(spark, stock, table=table)
    budget = budget_of(spark, store, str(row["suite"]))
    results: list[EvaluationResult] = []
    for stock in stocks:
        results.append(measured(budget, store, stock, results))
    results = results_sink.with_timings(results, row)
    finished = row["finished_at"] or row["started_at"]
    return concluded(suite, run_info(row, store), results, utc(finished))


def check_finished(row: Mapping[str, object], store: Store) -> None:
    """Raises InputError for a run of which the store has a part of the results, or none."""
    if row["status"] == results_sink.FINISHED:
        return
    run_id = str(row["run_id"])
    place = going_on(store.local, run_id)
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
