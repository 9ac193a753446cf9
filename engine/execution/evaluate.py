"""From a plan to the states it is measured from, and on to its cells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engine.core.background import BackgroundWriter
from engine.core.progress import Progress
from engine.core.stopwatch import Stopwatch
from engine.core.vocabulary import EvaluationResult
from engine.evaluation.stored import budget_of, measure_states
from engine.execution import checkpoints, distribute
from engine.execution.answers import AnswerList, answer_questions, step_of
from engine.execution.checkpoints import Checkpoint
from engine.execution.incremental import StatePlan, base_note, plan_states
from engine.execution.retry import scan_with_retry
from engine.execution.shipping import ship
from engine.execution.workers import check_cluster
from engine.kinds import Contrast, Probe, Query
from engine.models import Guard
from engine.planning import EvaluationPlan, Question, questions
from engine.planning.projection import select_columns
from engine.spark import table_errors
from engine.spark import tables as spark_tables
from engine.spark.internals import runs_here
from engine.spark.lazy_session import LazySession
from engine.states.codec import CodecError
from engine.store import predictions
from engine.store.answers import answer_rows
from engine.store.error_budget import Budget, judged_digest
from engine.store.prediction_rows import PREDICTED
from engine.store.predictions import chain_rows
from engine.store.state_frames import kept_frame
from engine.store.state_writer import Later, Target, now, store_states, write_rows
from engine.store.states import (
    NotUpdatedError,
    StateCatalog,
    Writer,
    find_states,
    missing_needs,
)
from engine.store.tables import StoreTables
from engine.suite import CHECKPOINT_ROWS


@dataclass(frozen=True, slots=True)
class Computation:
    """A run whose states are computed: where they lie, and how it tells.

    Without `reuse`, what other runs have left is not looked at. A scan of more than
    `checkpoint_rows` rows writes its states in chunks. What nothing waits for is written `beside`;
    `clock` takes the time of its steps.
    """

    tables: StoreTables
    suite: str
    run_id: str
    tell: Progress
    beside: BackgroundWriter
    reuse: bool = True
    checkpoint_rows: int = CHECKPOINT_ROWS
    clock: Stopwatch = field(default_factory=Stopwatch)

    @property
    def session(self) -> LazySession:
        return self.tables.session

    @property
    def spark(self) -> SparkSession:
        """The session, which is started where there is none: rows must be read."""
        return self.session.get()


def evaluate(
    computation: Computation, plan: EvaluationPlan, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """The cells of an evaluation of a run, after computing what the store does not keep of it.

    `earlier` are the evaluations of the run that came before this one.
    """
    budget = budget_of(computation.tables, computation.suite)
    catalog = compute_states(computation, plan)
    _answer(computation, catalog)
    try:
        try:
            return _judge(computation, budget, catalog, earlier)
        except NotUpdatedError as error:
            computation.tell.say(f"{plan.name}: some states cannot be brought up to date: {error}")
            catalog = _recompute_states(computation, plan)
            _answer(computation, catalog)
            return _judge(computation, budget, catalog, earlier)
    except CodecError as error:
        # What another run left is damaged: nothing of it is used.
        computation.tell.say(
            f"{plan.name}: stored states are damaged ({error}); computing them anew"
        )
        computation.beside.wait()
        catalog = compute_states(computation, plan, without=_writers(catalog))
        _answer(computation, catalog)
        return _judge(computation, budget, catalog, earlier)


def _answer(computation: Computation, catalog: StateCatalog) -> None:
    """Finds what an evaluation asks beside its scan, and nobody has found yet."""
    plan, asked = catalog.plan, catalog.open_questions
    if not asked:
        return
    spark = computation.spark
    computation.tell.say(f"{plan.name}: {_count_text(asked)}")
    # A run's own row is there before anything that it found is; what measures time is alone.
    computation.beside.wait()
    if runs_here(spark):
        prepare_workers(spark, [plan])

    def keep(answers: AnswerList) -> None:
        table, step = computation.tables["states"], step_of(answers)
        target = Target(table, computation.run_id, dt.datetime.now(dt.UTC), step)
        write_rows(answer_rows(answers), plan, target)
        catalog.answers |= {question.place: answer for question, answer in answers}

    with computation.clock.step("questions", evaluation=plan.name):
        answer_questions(spark, plan, asked, partial(_frame, spark), keep)


def _count_text(asked: Sequence[Question]) -> str:
    """How many questions of each sort there are."""
    sorts = {"query": Query, "contrast": Contrast, "probe": Probe}
    counts = {
        word: sum(isinstance(question.content, sort) for question in asked)
        for word, sort in sorts.items()
    }
    plural = {"query": "queries", "contrast": "contrasts", "probe": "probes"}
    told = [f"{n} {word if n == 1 else plural[word]}" for word, n in counts.items() if n]
    return f"asking {' and '.join(told)}"


def _writers(catalog: StateCatalog) -> list[Writer]:
    """Who wrote what is kept of an evaluation, and of its reference."""
    own = [state.writer for state in catalog.kept]
    return own if catalog.reference is None else own + _writers(catalog.reference)


def _judge(
    computation: Computation,
    budget: Budget,
    catalog: StateCatalog,
    earlier: Sequence[EvaluationResult],
) -> EvaluationResult:
    """The cells of an evaluation from its states, and what they cost of the error budget."""
    plan = catalog.plan
    with budget.turn(plan), computation.clock.step("judge", evaluation=plan.name):
        result = measure_states(budget, computation.tables, catalog, earlier)
        _check_rows(result, questions(plan))
        budget.spend(plan, result, (computation.run_id, judged_digest(plan, earlier)))
    for name, why in result.not_deterministic.items():
        computation.tell.say(f"{plan.name}: {name!r} is not deterministic: {why}")
    return result


def _check_rows(result: EvaluationResult, asked: Container[str]) -> None:
    """Raises CodecError where the states are not those of all the rows that the dataset has.

    `asked` are the tests that have no states.
    """
    rows = result.dataset.rows
    for cell in result.cells:
        if cell.slice.kind == "overall" and cell.test.name not in asked:
            n_rows = cell.counts.n + cell.counts.null_labels
            if n_rows != rows:
                raise CodecError(f"they hold {n_rows:,} rows, the dataset has {rows:,}")
            return


def compute_states(
    computation: Computation, plan: EvaluationPlan, *, without: Sequence[Writer] = ()
) -> StateCatalog:
    """What an evaluation is measured from, after computing what the store does not keep of it."""
    catalog = _catalog(computation, plan)
    todo = plan_states(computation.session, catalog, without=without)
    if not catalog.needs:
        # Its tests ask beside the scan.
        pass
    elif todo.nothing_to_do:
        computation.tell.say(f"{plan.name}: all states are kept; no row is read")
    else:
        step = "damaged" if without else ""
        rows = _run_scans(computation, todo, step=step)
        catalog.add_own(todo.outputs, step, rows)
    if plan.reference is not None:
        catalog.reference = compute_states(computation, plan.reference, without=without)
    return catalog


def _recompute_states(computation: Computation, plan: EvaluationPlan) -> StateCatalog:
    """What an evaluation is measured from when states that a scan should update could not be."""
    computation.beside.wait()
    catalog = _catalog(computation, plan)
    if missing_needs(catalog):
        todo = plan_states(computation.session, catalog, anew=catalog.lost)
        _run_scans(computation, todo, step="anew")
        computation.beside.wait()
        catalog = _catalog(computation, plan)
    if plan.reference is not None:
        catalog.reference = _recompute_states(computation, plan.reference)
    return catalog


def _catalog(computation: Computation, plan: EvaluationPlan) -> StateCatalog:
    catalog = find_states(computation.tables["states"], plan, run_id=computation.run_id)
    if not computation.reuse:
        catalog.forget_others()
    return catalog


def _run_scans(computation: Computation, todo: StatePlan, *, step: str) -> pa.Table | None:
    """Runs the scans of an evaluation's steps; again where a model has ended a worker.

    Returns:
        The states, where they are few enough to have come to the driver.
    """
    plan, spark = todo.plan, computation.spark
    if runs_here(spark):
        # It may have been started just now; those of a cluster were looked at with all plans.
        prepare_workers(spark, [plan])
    frame = _frame(spark, plan)

    def scan(guard: Guard) -> pa.Table | None:
        return _scan(computation, replace(todo, guard=guard), frame, step=step)

    return scan_with_retry(spark, plan, scan, computation.tell.say)


def prepare_workers(spark: SparkSession, plans: Sequence[EvaluationPlan]) -> None:
    """Looks at the workers, and gives them the models, before any of them is needed."""
    models = [model for plan in plans for model in plan.models]
    check_cluster(spark, models)
    ship(spark, models)


def _frame(spark: SparkSession, plan: EvaluationPlan) -> DataFrame:
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
    computation: Computation, todo: StatePlan, frame: DataFrame, *, step: str
) -> pa.Table | None:
    """Runs the scans of an evaluation's steps, in chunks where they are long, and writes states."""
    plan = todo.plan
    if todo.reused or todo.why:
        computation.tell.say(
            f"{plan.name}: {todo.reused:,} predictions are reused{base_note(todo)}"
        )
    if plan.keep:
        predictions.check_keys(select_columns(frame, plan), plan)
    table = computation.tables["predictions"].path
    target = Target(computation.tables["states"], computation.run_id, dt.datetime.now(dt.UTC), step)
    try:
        planned = checkpoints.plan_checkpoints(
            todo, frame, predictions=table, rows=computation.checkpoint_rows, step=step
        )
        if planned:
            return _scan_with_checkpoints(computation, todo, planned, target)
        parts = todo.parts(frame, predictions=table)
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
    with (
        computation.clock.step("scan", part, evaluation=plan.name, rows=rows),
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
