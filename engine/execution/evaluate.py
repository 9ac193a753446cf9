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
from engine.execution.checkpoints import Chunk
from engine.execution.incremental import Steps, of_base, steps
from engine.execution.retry import watched
from engine.metrics import METRICS
from engine.models import Guard
from engine.planning import EvaluationPlan
from engine.planning.projection import projected
from engine.states.codec import CodecError
from engine.store import predictions
from engine.store.error_budget import Budget, judged_digest
from engine.store.prediction_rows import PREDICTED
from engine.store.predictions import chain_rows
from engine.store.state_writer import Target, store_states
from engine.store.states import (
    NotUpdatedError,
    Stock,
    Writer,
    missing,
    rows_of,
    state_rows,
    take_stock,
)
from engine.suite import CHECKPOINT_ROWS


@dataclass(frozen=True, slots=True)
class Computing:
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


def evaluated(
    of: Computing, plan: EvaluationPlan, frame: DataFrame, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """The cells of an evaluation of a run, after computing what the store does not keep of it.

    `earlier` are the evaluations of the run that came before this one.
    """
    budget = budget_of(of.spark, of.store, of.suite)
    stock = computed(of, plan, frame)
    try:
        try:
            return _judged(of, budget, stock, earlier)
        except NotUpdatedError as error:
            of.tell.say(f"{plan.name}: some states cannot be brought up to date: {error}")
            stock = _computed_anew(of, plan, frame)
            return _judged(of, budget, stock, earlier)
    except CodecError as error:
        # What another run left is damaged: nothing of it is used.
        of.tell.say(f"{plan.name}: stored states are damaged ({error}); computing them anew")
        stock = computed(of, plan, frame, without=[each.writer for each in stock.kept])
        return _judged(of, budget, stock, earlier)


def _judged(
    of: Computing, budget: Budget, stock: Stock, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """The cells of an evaluation from its states, and what they cost of the error budget."""
    plan = stock.plan
    with budget.turn(plan):
        result = measured(budget, of.store, stock, earlier)
        _check_rows(result)
        budget.spend(plan, result, (of.run_id, judged_digest(plan, earlier)))
    for name, why in result.not_deterministic.items():
        of.tell.say(f"{plan.name}: {name!r} is not deterministic: {why}")
    return result


def _check_rows(result: EvaluationResult) -> None:
    """Raises CodecError where the states are not those of all the rows that the dataset has."""
    rows = result.dataset.rows
    for cell in result.cells:
        if cell.slice.kind == "overall":
            found = cell.counts.n + cell.counts.null_labels
            if found != rows:
                raise CodecError(f"they hold {found:,} rows, the dataset has {rows:,}")
            return


def computed(
    of: Computing, plan: EvaluationPlan, frame: DataFrame, *, without: Sequence[Writer] = ()
) -> Stock:
    """What an evaluation is measured from, after computing what the store does not keep of it."""
    stock = _stock(of, plan)
    todo = steps(of.spark, stock, without=without)
    if todo.nothing_to_do:
        of.tell.say(f"{plan.name}: all states are kept; no row is read")
        return stock
    step = "damaged" if without else ""
    _scan_watched(of, todo, frame, step=step)
    stock.add_own(todo.made, step)
    return stock


def _computed_anew(of: Computing, plan: EvaluationPlan, frame: DataFrame) -> Stock:
    """What an evaluation is measured from when states that a scan should update could not be."""
    stock = _stock(of, plan)
    if missing(stock):
        _scan_watched(of, steps(of.spark, stock, anew=stock.lost), frame, step="anew")
        stock = _stock(of, plan)
    return stock


def _stock(of: Computing, plan: EvaluationPlan) -> Stock:
    table = of.store.table("states")
    stock = take_stock(of.spark, plan, table=table, run_id=of.run_id)
    if not of.reuse:
        stock.forget_others()
    return stock


def _scan_watched(of: Computing, todo: Steps, frame: DataFrame, *, step: str) -> None:
    """Runs the scans of an evaluation's steps; again where a model has ended a worker."""

    def scan(guard: Guard) -> None:
        _scan(of, replace(todo, guard=guard), frame, step=step)

    watched(of.spark, todo.plan, scan, of.tell.say)


def _scan(of: Computing, todo: Steps, frame: DataFrame, *, step: str) -> None:
    """Runs the scans of an evaluation's steps, in chunks where they are long, and writes states."""
    plan = todo.plan
    if todo.reused or todo.why:
        of.tell.say(f"{plan.name}: {todo.reused:,} predictions are reused{of_base(todo)}")
    if plan.keep:
        predictions.check_keys(projected(frame, plan), plan)
    table = of.store.table("predictions")
    target = Target(of.store.table("states"), of.run_id, dt.datetime.now(dt.UTC), step)
    try:
        found = checkpoints.in_chunks(
            todo, frame, predictions=table, rows=of.checkpoint_rows, step=step
        )
        if found:
            _scan_chunks(of, todo, found, target)
            return
        parts = todo.parts(frame, predictions=table)
        with of.tell.scanning(of.spark, plan.name, todo.rows):
            _scan_parts(of, todo, parts, target, _updated(of, todo))
    finally:
        todo.release()


def _updated(of: Computing, todo: Steps) -> list[DataFrame]:
    """The kept states that the scans bring up to date."""
    if not todo.updated:
        return []
    kept = rows_of(of.spark, todo.updated, table=of.store.table("states"))
    return [kept.withColumn("sign", F.lit(1))]


def _scan_parts(
    of: Computing,
    todo: Steps,
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
            made = scanned.where(F.col("family") != PREDICTED)
            states.append(made if added is not None else made.withColumn("sign", F.lit(1)))
        merged = distribute.merged(of.spark, plan, parts, states)
        of.wait()
        store_states(merged, plan, target)
        if plan.keep:
            _keep_predictions(of, todo, scanned, target)
    finally:
        if scanned is not None and plan.keep:
            scanned.unpersist()


def _scan_chunks(of: Computing, todo: Steps, found: Sequence[Chunk], target: Target) -> None:
    """Scans the chunks that are not finished yet, each with its own states, and adds all up."""
    plan, table, run = todo.plan, of.store.table("chunks"), (of.run_id, todo.plan.name)
    keeps = bool(todo.chains())
    done = checkpoints.finished(of.spark, found, of=run, table=table, keeps=keeps)
    if done:
        of.tell.say(f"{plan.name}: {len(done)} of {len(found)} parts are kept; not scanned again")
    for each in found:
        if each.step not in done:
            name = f"{plan.name} ({each.title})"
            own = replace(target, table=table, step=each.step, now=dt.datetime.now(dt.UTC))
            with of.tell.scanning(of.spark, name, each.part.rows):
                _scan_parts(of, todo, [each.part], own)
    states = checkpoints.states_of(of.spark, found, of=run, table=table)
    parts = [each.part for each in found]
    merged = distribute.merged(of.spark, plan, parts, [*_updated(of, todo), states])
    store_states(merged, plan, target)
    if plan.keep:
        _keep_predictions(of, todo, None, target)
    checkpoints.forget(of.spark, run_id=of.run_id, table=table)


def _keep_predictions(
    of: Computing, todo: Steps, scanned: DataFrame | None, target: Target
) -> None:
    """Writes the predictions that a scan has made, and then that they are there."""
    if scanned is not None:
        # After the states: to write to a table drops what Spark holds of plans that read it.
        predictions.write(scanned, todo.plan, target, table=of.store.table("predictions"))
    chains = todo.chains()
    if chains:
        told = chain_rows(of.spark, todo.plan, chains)
        store_states(told, todo.plan, replace(target, step=f"{target.step}kept"))


def measured(
    budget: Budget, store: Store, stock: Stock, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """The cells of an evaluation from the states that are kept.

    `earlier` are the evaluations of the run that came before this one.
    """
    plan = stock.plan
    METRICS.load(plan.plugins)
    alpha = budget.level(plan, judged_digest(plan, earlier))
    rows = state_rows(budget.spark, stock, table=store.table("states"))
    return measure(plan, rows, alpha=alpha, earlier=earlier)


def budget_of(spark: SparkSession, store: Store, suite: str) -> Budget:
    """The error budget that a store keeps of a suite."""
    return Budget(spark, store.table("budget"), suite)
