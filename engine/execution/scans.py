"""Runs the scans that a plan of states takes, and writes what they give, each once for a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from engine.core.stopwatch import Scan
from engine.execution import checkpoints, distribute
from engine.execution.checkpoints import Checkpoint
from engine.execution.computation import Computation
from engine.execution.distribute import PieceRows
from engine.execution.incremental import StatePlan, base_note, read_by_spark
from engine.execution.local_scans import run_local_scans
from engine.execution.piece_rows import files_to_see
from engine.execution.retry import scan_with_retry
from engine.execution.roads import (
    BY_PROCESSES,
    BY_WORKERS,
    by_spark,
    short_way,
)
from engine.execution.shipping import ship
from engine.execution.workers import check_cluster
from engine.models import Guard
from engine.pieces import NotThisWay
from engine.pieces.opening import UnreadableError
from engine.planning import EvaluationPlan
from engine.planning.projection import select_columns
from engine.spark import table_errors
from engine.spark import tables as spark_tables
from engine.spark.api import F, is_frame
from engine.spark.internals import runs_here
from engine.spark.lazy_session import LazySession
from engine.store import predictions
from engine.store.prediction_rows import PREDICTED
from engine.store.predictions import chain_rows
from engine.store.state_frames import kept_frame
from engine.store.state_writer import Later, Target, now, store_states, write_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def run_scans(computation: Computation, todo: StatePlan, *, step: str) -> pa.Table | None:
    """Runs the scans of an evaluation's steps; again where a model has ended a worker.

    Returns:
        The states, where they are few enough to have come to the driver.
    """
    turned: UnreadableError | None = None
    if computation.session.is_local:
        given = short_way(computation.session, todo)
        computation.roads[todo.plan.name] = BY_PROCESSES
        try:
            return run_local_scans(computation, todo, given, step=step)
        except UnreadableError as reason:
            turned = reason
            computation.session.settle(local=False)
    plan, spark, say = todo.plan, computation.spark, computation.tell.say
    here = runs_here(spark)
    if here:
        # It may have been started just now; those of a cluster were looked at with all plans.
        prepare_workers(computation.session, [plan])

    def scan(todo: StatePlan, given: DataFrame | PieceRows | None, guard: Guard) -> pa.Table | None:
        return _scan(computation, replace(todo, guard=guard), given, step=step)

    try:
        if turned is not None:
            raise turned
        pieces = _short_way(computation, todo)
        return scan_with_retry(plan, partial(scan, todo, pieces), say, here=here)
    except NotThisWay as reason:
        computation.roads[plan.name] = by_spark(reason)
    except UnreadableError as reason:
        computation.roads[plan.name] = by_spark(reason)
        say(f"{plan.name}: Spark reads the rows: {reason}")
    todo = read_by_spark(spark, todo)
    frame = open_frame(spark, plan)
    return scan_with_retry(plan, partial(scan, todo, frame), say, here=here)


def _short_way(computation: Computation, todo: StatePlan) -> PieceRows | None:
    """What the workers read themselves: see `short_way`."""
    pieces = short_way(computation.session, todo)
    computation.roads[todo.plan.name] = BY_WORKERS
    return pieces


def prepare_workers(session: LazySession, plans: Sequence[EvaluationPlan]) -> None:
    """Looks at the workers, and gives them the models, before any of them is needed."""
    spark = session.get()
    models = [model for plan in plans for model in plan.models]
    asked = {} if runs_here(spark) else files_to_see(session, plans)
    seen = check_cluster(spark, models, [file for files in asked.values() for file in files])
    session.note_seen(place for place, files in asked.items() if seen.issuperset(files))
    ship(spark, models)


def open_frame(spark: SparkSession, plan: EvaluationPlan) -> DataFrame:
    """The rows that a plan has pinned; an error tells what became of them."""
    dataset = plan.dataset
    try:
        frame = spark_tables.read(spark, dataset.uri, dataset.version)
        # A client of Spark Connect asks the server only now.
        frame.schema  # noqa: B018
    except Exception as error:
        named = f"evaluation {plan.name!r}: dataset {dataset.name!r} at version {dataset.version}"
        raise table_errors.read_error(error, named, under_way=True) from error
    return frame


def _scan(
    computation: Computation, todo: StatePlan, given: DataFrame | PieceRows | None, *, step: str
) -> pa.Table | None:
    """Runs the scans of an evaluation's steps, in chunks where they are long, and writes states."""
    plan = todo.plan
    if todo.reused or todo.why:
        computation.tell.say(
            f"{plan.name}: {todo.reused:,} predictions are reused{base_note(todo)}"
        )
    if plan.keep:
        frame = given if is_frame(given) else open_frame(computation.spark, plan)
        predictions.check_keys(select_columns(frame, plan), plan)
    table = computation.tables["predictions"].path
    target = Target(computation.tables["states"], computation.run_id, dt.datetime.now(dt.UTC), step)
    try:
        planned = checkpoints.plan_checkpoints(
            todo, given, predictions=table, rows=computation.checkpoint_rows, step=step
        )
        if planned:
            return _scan_with_checkpoints(computation, todo, planned, target)
        parts = todo.parts(given, predictions=table)
        with _show_scan(computation, plan, "", todo.rows):
            updated = _states_to_update(computation, todo)
            return _scan_parts(computation, todo, parts, target, updated)
    finally:
        todo.release()


@contextmanager
def _show_scan(
    computation: Computation, plan: EvaluationPlan, part: str, rows: int
) -> Iterator[None]:
    """Shows a scan, or a part of one, while the block runs, and takes its time."""
    name = f"{plan.name} ({part})" if part else plan.name
    scan = Scan(rows, computation.roads.get(plan.name, ""))
    with (
        computation.clock.step("scan", part, evaluation=plan.name, scan=scan),
        computation.tell.show_scan(computation.spark, name, rows),
    ):
        yield


def _states_to_update(computation: Computation, todo: StatePlan) -> list[DataFrame]:
    """The kept states that the scans bring up to date."""
    if not todo.updated:
        return []
    kept = kept_frame(computation.tables["states"], todo.updated)
    return [kept.withColumn("sign", F.lit(1))]


def _scan_parts(
    computation: Computation,
    todo: StatePlan,
    parts: Sequence[distribute.Part],
    target: Target,
    added: Sequence[DataFrame] | None = None,
) -> pa.Table | None:
    """Runs scans and writes the sum of their states and of those that are added.

    Where `added` is None, the states of rows that went are written to be taken away later.
    """
    plan = todo.plan
    states = list(added or ())
    scanned = distribute.scan(computation.spark, plan, parts) if parts else None
    try:
        if scanned is not None:
            if plan.keep:
                scanned = scanned.persist()
            scanned_states = scanned.where(F.col("family") != PREDICTED)
            states.append(
                scanned_states if added is not None else scanned_states.withColumn("sign", F.lit(1))
            )
        merged = distribute.merge_states(computation.spark, plan, parts, states)
        # A run's own row is there before any state of it is.
        computation.beside.wait()
        rows = store_states(merged, plan, target, later=_later(computation, plan, added))
        if plan.keep:
            _keep_predictions(computation, todo, scanned, target)
        return rows
    finally:
        if scanned is not None and plan.keep:
            scanned.unpersist()


def _later(
    computation: Computation, plan: EvaluationPlan, added: Sequence[DataFrame] | None
) -> Later:
    """When small states are written: at once where something that is written next relies on it."""
    return now if plan.keep or added is None else computation.beside.do


def _scan_with_checkpoints(
    computation: Computation, todo: StatePlan, planned: Sequence[Checkpoint], target: Target
) -> pa.Table | None:
    """Scans the chunks that are not finished yet, each with its own states, and adds all up."""
    plan, table, run = (
        todo.plan,
        computation.tables["chunks"],
        (computation.run_id, todo.plan.name),
    )
    keeps = bool(todo.chains())
    done = checkpoints.finished_steps(planned, owner=run, table=table, keeps=keeps)
    if done:
        computation.tell.say(
            f"{plan.name}: {len(done)} of {len(planned)} parts are kept; not scanned again"
        )
    for checkpoint in planned:
        if checkpoint.step not in done:
            own = replace(target, table=table, step=checkpoint.step, now=dt.datetime.now(dt.UTC))
            with _show_scan(computation, plan, checkpoint.title, checkpoint.part.rows):
                _scan_parts(computation, todo, [checkpoint.part], own)
    states = checkpoints.states_of(planned, owner=run, table=table)
    parts = [checkpoint.part for checkpoint in planned]
    merged = distribute.merge_states(
        computation.spark, plan, parts, [*_states_to_update(computation, todo), states]
    )
    rows = store_states(merged, plan, target)
    if plan.keep:
        _keep_predictions(computation, todo, None, target)
    checkpoints.forget(run_id=computation.run_id, table=table)
    return rows


def _keep_predictions(
    computation: Computation, todo: StatePlan, scanned: DataFrame | None, target: Target
) -> None:
    """Writes the predictions that a scan has made, and then that they are there."""
    if scanned is not None:
        # After the states: to write to a table drops what Spark holds of plans that read it.
        predictions.write(scanned, todo.plan, target, table=computation.tables["predictions"])
    chains = todo.chains()
    if chains:
        told = chain_rows(todo.plan, chains)
        write_rows(told, todo.plan, replace(target, step=f"{target.step}kept"))
