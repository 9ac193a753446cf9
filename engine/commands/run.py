"""The main job: suite -> plan -> scan -> states -> metrics -> verdicts -> sinks."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from engine.commands.context import Job, RunOptions, begun
from engine.commands.progress import Reporter
from engine.commands.redacted import discreet
from engine.commands.run_result import RunResult
from engine.commands.stored_runs import concluded, send, told_how_to_resume, tracking_uri
from engine.core.vocabulary import EvaluationResult, RunOutcome
from engine.errors import TrackingError
from engine.execution import checkpoints
from engine.execution.evaluate import Computing, evaluated
from engine.execution.shipping import ship
from engine.execution.workers import check_cluster
from engine.planning import EvaluationPlan, dump_plans, load_plans
from engine.planning.planner import prepare
from engine.sinks.files import write_report
from engine.spark import table_errors, tables
from engine.store import results as results_sink
from engine.store.runs import FINISHED, finish_run, start_run
from engine.store.states import refuse_unfinished, take_stock


def run_suite(
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
                checkpoints.forget(
                    job.spark, run_id=job.info.run_id, table=job.store.table("chunks")
                )
            outcome = conclude(job, results)
            job.beside.do(finish, job, outcome, outcome.gate.outcome.exit_code)
            job.tell.say("writing the report")
            write_report(outcome, job.store.report_folder(job.info.run_id))
            tracked = track(job, outcome)
            if tracked.exit_code != outcome.gate.outcome.exit_code:
                job.beside.do(finish, job, outcome, tracked.exit_code)
        return tracked


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
        job.beside.do(start_run, job.spark, job.info, text, table=table)
    return plans


def _resumed(job: Job) -> list[tuple[EvaluationPlan, DataFrame]]:
    assert job.resumed is not None, "a run is resumed from its row"
    plans = load_plans(str(job.resumed["evaluations"]))
    if job.resumed["status"] == FINISHED:
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


def track(job: Job, outcome: RunOutcome) -> RunResult:
    """Sends the run to MLflow; a server that is down costs no result."""
    job.tell.say("logging to MLflow")
    uri = tracking_uri(job.suite, job.store)
    try:
        parents = send(outcome, job.suite, job.store, uri)
    except TrackingError as error:
        return RunResult(outcome, job.store, uri, tracking_error=str(error))
    return RunResult(outcome, job.store, uri, parents=parents)


def finish(job: Job, outcome: RunOutcome, exit_code: int) -> None:
    """Completes the run's row in the store."""
    finish_run(job.spark, outcome, table=job.store.table("runs"), exit_code=exit_code)


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
    return run_suite(suite, RunOptions(tuple(overrides), run_id, resume), spark=spark)
