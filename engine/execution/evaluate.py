"""From a plan to the states it is measured from, and on to its cells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engine.core.locations import Store
from engine.core.progress import Progress
from engine.core.vocabulary import EvaluationResult
from engine.evaluation.measure import measure
from engine.execution import checkpoints, distribute
from engine.execution.checkpoints import Checkpoint
from engine.execution.incremental import StatePlan, base_note, plan_states
from engine.execution.retry import scan_with_retry
from engine.metrics import METRICS
from engine.models import Guard
from engine.planning import EvaluationPlan
from engine.planning.projection import select_columns
from engine.states.codec import CodecError
from engine.store import predictions
from engine.store.error_budget import Budget, judged_digest
from engine.store.prediction_rows import PREDICTED
from engine.store.predictions import chain_rows
from engine.store.state_writer import Target, store_states
from engine.store.states import (
    NotUpdatedError,
    StateCatalog,
    Writer,
    find_states,
    missing_needs,
    rows_of,
    state_rows,
)
from engine.suite import CHECKPOINT_ROWS


@dataclass(frozen=True, slots=True)
class Computation:
    """A run whose states are computed: where they lie, and how it tells.

    Without `reuse`, what other runs have left is not looked at. A scan of more than
    `checkpoint_rows` rows writes its states in chunks. `wait` ends when all is in the
    store that must be there before any state is.
    """

    spark: SparkSession
    store: Store
    suite: str
    run_id: str
    tell: Progress
    reuse: bool = True
    checkpoint_rows: int = CHECKPOINT_ROWS
    wait: Callable[[], None] = lambda: None


def evaluate(
    computation: Computation,
    plan: EvaluationPlan,
    frame: DataFrame,
    earlier: Sequence[EvaluationResult],
) -> EvaluationResult:
    """The cells of an evaluation of a run, after computing what the store does not keep of it.

    `earlier` are the evaluations of the run that came before this one.
    """
    budget = budget_of(computation.spark, computation.store, computation.suite)
    catalog = compute_states(computation, plan, frame)
    try:
        try:
            return _judge(computation, budget, catalog, earlier)
        except NotUpdatedError as error:
            computation.tell.say(f"{plan.name}: some states cannot be brought up to date: {error}")
            catalog = _recompute_states(computation, plan, frame)
            return _judge(computation, budget, catalog, earlier)
    except CodecError as error:
        # What another run left is damaged: nothing of it is used.
        computation.tell.say(
            f"{plan.name}: stored states are damaged ({error}); computing them anew"
        )
        catalog = compute_states(
            computation, plan, frame, without=[state.writer for state in catalog.kept]
        )
        return _judge(computation, budget, catalog, earlier)


def _judge(
    computation: Computation,
    budget: Budget,
    catalog: StateCatalog,
    earlier: Sequence[EvaluationResult],
) -> EvaluationResult:
    """The cells of an evaluation from its states, and what they cost of the error budget."""
    plan = catalog.plan
    with budget.turn(plan):
        result = measure_states(budget, computation.store, catalog, earlier)
        _check_rows(result)
        budget.spend(plan, result, (computation.run_id, judged_digest(plan, earlier)))
    for name, why in result.not_deterministic.items():
        computation.tell.say(f"{plan.name}: {name!r} is not deterministic: {why}")
    return result


def _check_rows(result: EvaluationResult) -> None:
    """Raises CodecError where the states are not those of all the rows that the dataset has."""
    rows = result.dataset.rows
    for cell in result.cells:
        if cell.slice.kind == "overall":
            n_rows = cell.counts.n + cell.counts.null_labels
            if n_rows != rows:
                raise CodecError(f"they hold {n_rows:,} rows, the dataset has {rows:,}")
            return


def compute_states(
    computation: Computation,
    plan: EvaluationPlan,
    frame: DataFrame,
    *,
    without: Sequence[Writer] = (),
) -> StateCatalog:
    """What an evaluation is measured from, after computing what the store does not keep of it."""
    catalog = _catalog(computation, plan)
    todo = plan_states(computation.spark, catalog, without=without)
    if todo.nothing_to_do:
        computation.tell.say(f"{plan.name}: all states are kept; no row is read")
        return catalog
    step = "damaged" if without else ""
    _run_scans(computation, todo, frame, step=step)
    catalog.add_own(todo.outputs, step)
    return catalog


def _recompute_states(
    computation: Computation, plan: EvaluationPlan, frame: DataFrame
) -> StateCatalog:
    """What an evaluation is measured from when states that a scan should update could not be."""
    catalog = _catalog(computation, plan)
    if missing_needs(catalog):
        _run_scans(
            computation,
            plan_states(computation.spark, catalog, anew=catalog.lost),
            frame,
            step="anew",
        )
        catalog = _catalog(computation, plan)
    return catalog


def _catalog(computation: Computation, plan: EvaluationPlan) -> StateCatalog:
    table = computation.store.table("states")
    catalog = find_states(computation.spark, plan, table=table, run_id=computation.run_id)
    if not computation.reuse:
        catalog.forget_others()
    return catalog


def _run_scans(computation: Computation, todo: StatePlan, frame: DataFrame, *, step: str) -> None:
    """Runs the scans of an evaluation's steps; again where a model has ended a worker."""

    def scan(guard: Guard) -> None:
        _scan(computation, replace(todo, guard=guard), frame, step=step)

    scan_with_retry(computation.spark, todo.plan, scan, computation.tell.say)


def _scan(computation: Computation, todo: StatePlan, frame: DataFrame, *, step: str) -> None:
    """Runs the scans of an evaluation's steps, in chunks where they are long, and writes states."""
    plan = todo.plan
    if todo.reused or todo.why:
        computation.tell.say(
            f"{plan.name}: {todo.reused:,} predictions are reused{base_note(todo)}"
        )
    if plan.keep:
        predictions.check_keys(select_columns(frame, plan), plan)
    table = computation.store.table("predictions")
    target = Target(
        computation.store.table("states"), computation.run_id, dt.datetime.now(dt.UTC), step
    )
    try:
        planned = checkpoints.plan_checkpoints(
            todo, frame, predictions=table, rows=computation.checkpoint_rows, step=step
        )
        if planned:
            _scan_with_checkpoints(computation, todo, planned, target)
            return
        parts = todo.parts(frame, predictions=table)
        with computation.tell.show_scan(computation.spark, plan.name, todo.rows):
            _scan_parts(computation, todo, parts, target, _states_to_update(computation, todo))
    finally:
        todo.release()


def _states_to_update(computation: Computation, todo: StatePlan) -> list[DataFrame]:
    """The kept states that the scans bring up to date."""
    if not todo.updated:
        return []
    kept = rows_of(computation.spark, todo.updated, table=computation.store.table("states"))
    return [kept.withColumn("sign", F.lit(1))]


def _scan_parts(
    computation: Computation,
    todo: StatePlan,
    parts: Sequence[distribute.Part],
    target: Target,
    added: Sequence[DataFrame] | None = None,
) -> None:
    """Runs scans and writes the sum of their states and of those that are added.

    Where `added` is None, the states of rows that went are written to be taken away later.
    """
    plan = todo.plan
    states = list(added or ())
    scanned = distribute.scan(plan, parts) if parts else None
    try:
        if scanned is not None:
            if plan.keep:
                scanned = scanned.persist()
            scanned_states = scanned.where(F.col("family") != PREDICTED)
            states.append(
                scanned_states if added is not None else scanned_states.withColumn("sign", F.lit(1))
            )
        merged = distribute.merge_states(computation.spark, plan, parts, states)
        computation.wait()
        store_states(merged, plan, target)
        if plan.keep:
            _keep_predictions(computation, todo, scanned, target)
    finally:
        if scanned is not None and plan.keep:
            scanned.unpersist()


def _scan_with_checkpoints(
    computation: Computation, todo: StatePlan, planned: Sequence[Checkpoint], target: Target
) -> None:
    """Scans the chunks that are not finished yet, each with its own states, and adds all up."""
    plan, table, run = (
        todo.plan,
        computation.store.table("chunks"),
        (computation.run_id, todo.plan.name),
    )
    keeps = bool(todo.chains())
    done = checkpoints.finished_steps(
        computation.spark, planned, owner=run, table=table, keeps=keeps
    )
    if done:
        computation.tell.say(
            f"{plan.name}: {len(done)} of {len(planned)} parts are kept; not scanned again"
        )
    for checkpoint in planned:
        if checkpoint.step not in done:
            name = f"{plan.name} ({checkpoint.title})"
            own = replace(target, table=table, step=checkpoint.step, now=dt.datetime.now(dt.UTC))
            with computation.tell.show_scan(computation.spark, name, checkpoint.part.rows):
                _scan_parts(computation, todo, [checkpoint.part], own)
    states = checkpoints.states_of(computation.spark, planned, owner=run, table=table)
    parts = [checkpoint.part for checkpoint in planned]
    merged = distribute.merge_states(
        computation.spark, plan, parts, [*_states_to_update(computation, todo), states]
    )
    store_states(merged, plan, target)
    if plan.keep:
        _keep_predictions(computation, todo, None, target)
    checkpoints.forget(computation.spark, run_id=computation.run_id, table=table)


def _keep_predictions(
    computation: Computation, todo: StatePlan, scanned: DataFrame | None, target: Target
) -> None:
    """Writes the predictions that a scan has made, and then that they are there."""
    if scanned is not None:
        # After the states: to write to a table drops what Spark holds of plans that read it.
        predictions.write(scanned, todo.plan, target, table=computation.store.table("predictions"))
    chains = todo.chains()
    if chains:
        told = chain_rows(computation.spark, todo.plan, chains)
        store_states(told, todo.plan, replace(target, step=f"{target.step}kept"))


def measure_states(
    budget: Budget, store: Store, catalog: StateCatalog, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """The cells of an evaluation from the states that are kept.

    `earlier` are the evaluations of the run that came before this one.
    """
    plan = catalog.plan
    METRICS.load(plan.plugins)
    alpha = budget.level(plan, judged_digest(plan, earlier))
    rows = state_rows(budget.spark, catalog, table=store.table("states"))
    return measure(plan, rows, alpha=alpha, earlier=earlier)


def budget_of(spark: SparkSession, store: Store, suite: str) -> Budget:
    """The error budget that a store keeps of a suite."""
    return Budget(spark, store.table("budget"), suite)
