"""The main job: suite -> plan -> scan -> states -> metrics -> verdicts -> sinks."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from engine.commands.context import RunContext, RunOptions, open_run
from engine.commands.redacted import redacted
from engine.commands.run_result import RunResult
from engine.commands.stored_runs import conclude_run, send, tell_how_to_resume, tracking_uri
from engine.core.vocabulary import EvaluationResult, RunOutcome
from engine.errors import TrackingError
from engine.execution import checkpoints
from engine.execution.evaluate import Computation, evaluate
from engine.execution.shipping import ship
from engine.execution.workers import check_cluster
from engine.planning import EvaluationPlan, dump_plans, load_plans
from engine.planning.planner import prepare
from engine.sinks.files import write_report
from engine.spark import table_errors, tables
from engine.store import results as results_sink
from engine.store.runs import FINISHED, finish_run, start_run
from engine.store.states import check_complete, find_states


@redacted()
def run(
    suite: str | Path,
    *,
    overrides: Sequence[str] = (),
    run_id: str | None = None,
    resume: str | None = None,
    spark: SparkSession | None = None,
) -> RunResult:
    """Evaluates a suite's matrix and writes every sink.

    Args:
        suite: the suite file.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        run_id: the new run's id; one of its own by default.
        resume: the id of a run to complete, or `latest`.
        spark: the session to use; else the active one, or a new local one.

    Raises:
        InputError: when the suite or its inputs are wrong; nothing was evaluated.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    options = RunOptions(tuple(overrides), run_id, resume)
    with open_run(suite, options, spark=spark) as context:
        plans = pin_plans(context)
        with tell_how_to_resume(context.info.run_id), context.beside:
            results: list[EvaluationResult] = []
            for plan, frame in plans:
                results.append(evaluate_plan(context, plan, frame, results))
            if context.resumed is not None:
                # Who was killed when the states were written had no time to do this.
                checkpoints.forget(
                    context.spark, run_id=context.info.run_id, table=context.store.table("chunks")
                )
            outcome = conclude(context, results)
            context.beside.do(finish, context, outcome, outcome.gate.outcome.exit_code)
            context.tell.say("writing the report")
            write_report(outcome, context.store.report_folder(context.info.run_id))
            tracked = track(context, outcome)
            if tracked.exit_code != outcome.gate.outcome.exit_code:
                context.beside.do(finish, context, outcome, tracked.exit_code)
        return tracked


def pin_plans(context: RunContext) -> list[tuple[EvaluationPlan, DataFrame]]:
    """The plans of all evaluations with the rows they read; a resumed run's as it pinned them.

    The workers are looked at, and given the models, before any of them is needed.
    """
    plans = _resume_plans(context) if context.resumed is not None else _prepare_plans(context)
    models = [model for plan, _ in plans for model in plan.models]
    check_cluster(context.spark, models)
    ship(context.spark, models)
    if context.resumed is None:
        text = dump_plans([plan for plan, _ in plans])
        table = context.store.table("runs")
        context.beside.do(start_run, context.spark, context.info, text, table=table)
    return plans


def _resume_plans(context: RunContext) -> list[tuple[EvaluationPlan, DataFrame]]:
    assert context.resumed is not None, "a run is resumed from its row"
    plans = load_plans(str(context.resumed["evaluations"]))
    if context.resumed["status"] == FINISHED:
        table, run_id = context.store.table("states"), context.info.run_id
        for plan in plans:
            # What has expired since is not computed anew: the run's results are written.
            catalog = find_states(context.spark, plan, table=table, run_id=run_id)
            check_complete(context.spark, catalog, table=table)
    return [(plan, _frame(context.spark, plan)) for plan in plans]


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


def _prepare_plans(context: RunContext) -> list[tuple[EvaluationPlan, DataFrame]]:
    assert context.finder is not None, "a new run looks for its models"
    try:
        prepared = [
            prepare(
                context.spark,
                context.suite,
                evaluation,
                finder=context.finder,
                say=context.tell.say,
            )
            for evaluation in context.suite.evaluations
        ]
    finally:
        context.finder.stop()
    return [(item.plan, item.frame) for item in prepared]


def evaluate_plan(
    context: RunContext, plan: EvaluationPlan, frame: DataFrame, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """Scans an evaluation unless the run has its states already, and measures its cells."""
    started = time.monotonic()
    computation = Computation(
        context.spark,
        context.store,
        context.suite.name,
        context.info.run_id,
        context.tell,
        reuse=context.suite.reuse,
        checkpoint_rows=context.suite.checkpoint_rows,
        wait=context.beside.wait,
    )
    result = evaluate(computation, plan, frame, earlier)
    seconds = time.monotonic() - started
    result = replace(result, timings={**result.timings, "seconds": seconds})
    table = context.store.table("results")
    context.beside.do(results_sink.write_results, context.spark, result, context.info, table=table)
    return result


def conclude(context: RunContext, results: Sequence[EvaluationResult]) -> RunOutcome:
    """Decides the gate, for the run and for each model."""
    return conclude_run(context.suite, context.info, results, dt.datetime.now(dt.UTC))


def track(context: RunContext, outcome: RunOutcome) -> RunResult:
    """Sends the run to MLflow; a server that is down costs no result."""
    context.tell.say("logging to MLflow")
    uri = tracking_uri(context.suite, context.store)
    try:
        parents = send(outcome, context.suite, context.store, uri)
    except TrackingError as error:
        return RunResult(outcome, context.store, uri, tracking_error=str(error))
    return RunResult(outcome, context.store, uri, parents=parents)


def finish(context: RunContext, outcome: RunOutcome, exit_code: int) -> None:
    """Completes the run's row in the store."""
    finish_run(context.spark, outcome, table=context.store.table("runs"), exit_code=exit_code)
