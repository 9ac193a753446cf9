"""A run from its plan to its sinks: plan -> scan -> states -> metrics -> verdicts -> sinks."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace

from engine.commands.audit_trail import note_run
from engine.commands.context import RunContext
from engine.commands.outcome import conclude_run, look_back, send, tell_how_to_resume, tracking_uri
from engine.commands.run_costs import step_costs
from engine.commands.run_notices import notify, with_notices
from engine.commands.run_promotion import promote_candidates
from engine.commands.run_result import RunResult
from engine.commands.run_telemetry import with_telemetry
from engine.commands.stored_runs import utc
from engine.core.signals import cut_waits
from engine.core.vocabulary import EvaluationResult, RunOutcome
from engine.errors import StoreError, TrackingError
from engine.execution import checkpoints
from engine.execution.computation import Computation
from engine.execution.evaluate import evaluate
from engine.execution.local_pool import drop_worker
from engine.execution.roads import check_local, settle_executor
from engine.execution.scans import prepare_workers
from engine.planning import EvaluationPlan, dump_plans, load_plans
from engine.planning.planner import prepare
from engine.sinks.files import write_report
from engine.store import results as results_sink
from engine.store.audit import Departure, shown_place
from engine.store.runs import FINISHED, finish_run, keep_steps, read_steps, start_run, with_timings
from engine.store.states import check_complete, find_states


def complete_run(context: RunContext) -> RunResult:
    """Does what a run has to do: all of it, or what one that was stopped has left.

    Raises:
        InputError: when the inputs are wrong; nothing was evaluated.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    with cut_waits():
        try:
            result = with_telemetry(context, lambda run: with_notices(run, _complete_and_tell))
        except BaseException as error:
            note_run(context, type(error).__name__)
            raise
        finally:
            drop_worker()
        note_run(context, result.gate.outcome.value, result)
        return result


def _complete_and_tell(context: RunContext) -> RunResult:
    result = _complete(context)
    if context.suite.promote is not None:
        with context.clock.step("sink", "promotion"):
            result = promote_candidates(context, result)
    if context.suite.notify:
        with context.clock.step("sink", "notices"):
            result = notify(context, result)
    return result


def _complete(context: RunContext) -> RunResult:
    with context.clock.step("plan"):
        plans = pin_plans(context)
    with tell_how_to_resume(context.info.run_id), context.beside:
        results: list[EvaluationResult] = []
        for plan in plans:
            with context.clock.step("evaluation", evaluation=plan.name):
                results.append(evaluate_plan(context, plan, results))
        row = _finished_row(context)
        if row is not None:
            # What it cost is what it cost then.
            results = with_timings(results, row)
        if context.resumed is not None:
            # Who was killed when the states were written had no time to do this.
            checkpoints.forget(run_id=context.info.run_id, table=context.tables["chunks"])
        outcome = conclude(context, results)
        context.beside.do(finish, context, outcome, outcome.gate.outcome.exit_code)
        context.tell.say("writing the report")
        folder = context.store.report_folder(context.info.run_id)
        try:
            with context.clock.step("sink", "report"):
                write_report(look_back(context.tables, outcome), folder)
        except StoreError:
            # What it says of the tables must be so; where they failed too, that is what is told.
            context.beside.wait()
            raise
        with context.clock.step("sink", "mlflow"):
            tracked = track(context, outcome)
        if tracked.exit_code != outcome.gate.outcome.exit_code:
            context.beside.do(finish, context, outcome, tracked.exit_code)
        if row is None:
            context.beside.do(_keep_costs, context, results)
    return tracked


def _keep_costs(context: RunContext, results: Sequence[EvaluationResult]) -> None:
    """Notes in the run's row what all steps cost, those that wrote the others' costs too."""
    table = context.tables["runs"]
    # Elsewhere a commit takes seconds: there the steps until the report are noted.
    if table.is_direct:
        keep_steps(table, context.info.run_id, step_costs(context, results))


def pin_plans(context: RunContext) -> list[EvaluationPlan]:
    """The plans of all evaluations; a resumed run's as it pinned them.

    A cluster's workers are looked at, and given the models, before any of them is needed.
    """
    plans = _resume_plans(context) if context.resumed is not None else _prepare_plans(context)
    reuse, run_id = context.suite.reuse, context.info.run_id
    session = context.tables.session
    check = settle_executor if session.is_undecided else check_local
    check(context.tables, plans, run_id=run_id, reuse=reuse)
    if not session.is_local:
        drop_worker()
    if session.current is not None:
        prepare_workers(session, plans)
    if context.resumed is None:
        context.beside.do(start_run, context.tables["runs"], context.info, dump_plans(plans))
    return plans


def _resume_plans(context: RunContext) -> list[EvaluationPlan]:
    assert context.resumed is not None, "a run is resumed from its row"
    plans = list(load_plans(str(context.resumed["evaluations"])))
    if context.resumed["status"] == FINISHED:
        states = context.tables["states"]
        for plan in plans:
            # What has expired since is not computed anew: the run's results are written.
            check_complete(states, find_states(states, plan, run_id=context.info.run_id))
    return plans


def _prepare_plans(context: RunContext) -> list[EvaluationPlan]:
    assert context.finder is not None, "a new run looks for its models"
    try:
        prepared = prepare(
            context.tables.session, context.suite, finder=context.finder, say=context.tell.say
        )
    finally:
        context.finder.stop()
    return [replace(item.plan, started_at=context.info.started_at) for item in prepared]


def evaluate_plan(
    context: RunContext, plan: EvaluationPlan, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """Scans an evaluation unless the run has its states already, and measures its cells."""
    started = time.monotonic()
    computation = Computation(
        context.tables,
        context.suite.name,
        context.info.run_id,
        context.tell,
        context.beside,
        reuse=context.suite.reuse,
        checkpoint_rows=context.suite.checkpoint_rows,
        clock=context.clock,
    )
    result = evaluate(computation, plan, earlier)
    seconds = time.monotonic() - started
    result = replace(result, timings={**result.timings, "seconds": seconds})
    before = sum(len(other.cells) for other in earlier)
    context.beside.do(_write_results, context, result, before)
    return result


def _write_results(context: RunContext, result: EvaluationResult, before: int) -> None:
    with context.clock.step("sink", "results", evaluation=result.name):
        table = context.tables["results"]
        results_sink.write_results(table, result, context.info, first=before)


def conclude(context: RunContext, results: Sequence[EvaluationResult]) -> RunOutcome:
    """Decides the gate, for the run and for each model; one that only answers ended before."""
    row = _finished_row(context)
    ended = dt.datetime.now(dt.UTC) if row is None else utc(row["finished_at"])
    outcome = conclude_run(context.suite, context.info, results, ended)
    steps = step_costs(context, results) if row is None else read_steps(row)
    return replace(outcome, steps=steps)


def _finished_row(context: RunContext) -> dict[str, object] | None:
    """The row of a run that finished before, and is asked again; None for all others."""
    row = context.resumed
    return row if row is not None and row["status"] == FINISHED else None


def track(context: RunContext, outcome: RunOutcome) -> RunResult:
    """Sends the run to MLflow; a server that is down costs no result."""
    context.tell.say("logging to MLflow")
    uri = tracking_uri(context.suite, context.store)
    try:
        parents = send(outcome, context.suite, context.store, uri)
    except TrackingError as error:
        return RunResult(outcome, context.store, uri, tracking_error=str(error))
    if uri != context.store.tracking_uri:
        what = "metrics, tags, the report and the results"
        context.departures.append(Departure(what, f"MLflow at {shown_place(uri)}"))
    return RunResult(outcome, context.store, uri, parents=parents)


def finish(context: RunContext, outcome: RunOutcome, exit_code: int) -> None:
    """Completes the run's row in the store."""
    finish_run(context.tables["runs"], outcome, exit_code=exit_code)
