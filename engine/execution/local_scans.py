"""Runs the scans of an evaluation in processes of this machine, without Spark and without Java.

The pieces, the kernel and the merge are those of Spark's workers, and what is written is the same:
so either executor goes on where the other was stopped.
"""

from __future__ import annotations

import datetime as dt
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from engine.core.stopwatch import Scan
from engine.errors import DataError, StoreError
from engine.execution import checkpoints
from engine.execution.checkpoints import Checkpoint
from engine.execution.computation import Computation
from engine.execution.distribute import Part, PieceRows, blocks_of, share_count
from engine.execution.incremental import StatePlan, base_note
from engine.execution.local_kept import join_kept_here, key_batches
from engine.execution.local_pool import LocalPool
from engine.execution.local_worker import (
    LocalTask,
    MergeShare,
    ScanQueries,
    ScanShare,
    ScanWork,
    SpreadShare,
    predicted_rows,
    read_batches,
    rows_done_file,
    write_batches,
)
from engine.execution.piece_rows import all_pieces
from engine.execution.query_shares import QueryShares
from engine.execution.retry import scan_with_retry
from engine.models import Guard
from engine.pieces.opening import (
    DamagedFileError,
    UnreachableError,
    UnreadableError,
    is_file_there,
)
from engine.pieces.pieces import share_pieces
from engine.planning import EvaluationPlan, needs
from engine.states.rows import STATE_SCHEMA
from engine.store import predictions
from engine.store.predictions import chain_rows
from engine.store.state_writer import Target, write_rows
from engine.store.states import kept_rows

# Of so few rows a process more would cost longer to start than it spares.
SMALL_ROWS = 10_000
PROGRESS_SECONDS = 0.5


def run_local_scans(
    computation: Computation, todo: StatePlan, given: PieceRows | None, *, step: str
) -> pa.Table:
    """Computes the states of an evaluation's step, and writes them once for the run.

    Args:
        computation: the run.
        todo: what there is to compute.
        given: all rows; None where only those are scanned that came and went.
        step: the step.

    Returns:
        The states.

    Raises:
        DataError: when a worker met data it cannot take.
        WorkerDiedError: when a model, or something else, has ended a worker.
        StoreError: when the states cannot be written.
        UnreadableError: for values that Spark reads, where it may be started for them.
    """
    plan = todo.plan
    if todo.reused or todo.why:
        computation.tell.say(
            f"{plan.name}: {todo.reused:,} predictions are reused{base_note(todo)}"
        )

    def scan(guard: Guard) -> pa.Table:
        with LocalPool() as pool:
            rows = join_kept_here(computation.tables, todo, given, pool.folder)
            return _scan(computation, replace(todo, guard=guard), rows, pool, step)

    try:
        if plan.keep:
            _check_keys(given or all_pieces(computation.session, plan), plan)
        states = scan_with_retry(plan, scan, computation.tell.say, here=True)
    except UnreachableError as error:
        raise StoreError(f"{_place(plan)}: {error}") from error
    except UnreadableError as error:
        trouble = _file_trouble(todo, given, error)
        if not trouble and computation.session.may_turn:
            raise
        trouble = trouble or f"its rows cannot be read: {error}; {computation.session.remedy}"
        raise StoreError(f"{_place(plan)}: {trouble}") from error
    assert states is not None, "all states come to the driver"
    return states


def _place(plan: EvaluationPlan) -> str:
    return f"evaluation {plan.name!r}: dataset {plan.dataset.name!r}"


def _file_trouble(todo: StatePlan, given: PieceRows | None, error: UnreadableError) -> str:
    """What became of the files of a version while the run went on, and what to do; else ""."""
    moved = (todo.moved.came, todo.moved.gone) if todo.moved is not None else ()
    sources = [source for source in (given, *moved) if isinstance(source, PieceRows)]
    for path in (piece.file.path for source in sources for piece in source.pieces):
        if not is_file_there(path):
            return (
                "data files of this version are gone, most likely removed by VACUUM while the run "
                f"went on ({path}); restore them, or evaluate a newer version in another run"
            )
    if isinstance(error, DamagedFileError):
        return (
            f"a data file is damaged ({error}); restore it, or evaluate a version of the dataset "
            "without it"
        )
    return ""


def _scan(
    computation: Computation, todo: StatePlan, given: PieceRows | None, pool: LocalPool, step: str
) -> pa.Table:
    table = computation.tables["predictions"].path
    target = Target(computation.tables["states"], computation.run_id, dt.datetime.now(dt.UTC), step)
    planned = checkpoints.plan_checkpoints(
        todo, given, predictions=table, rows=computation.checkpoint_rows, step=step
    )
    # A run's own row is there before any state of it is.
    if planned:
        computation.beside.wait()
        return _scan_with_checkpoints(computation, todo, planned, target, pool)
    parts = todo.parts(given, predictions=table)
    files = [file for part in parts for file in _scan_part(computation, todo, part, pool, "")]
    states = _merge(pool, todo.plan, parts, [*files, *_states_to_update(computation, todo, pool)])
    computation.beside.wait()
    if todo.plan.keep:
        write_rows(states, todo.plan, target)
        _keep_predictions(computation, todo, files, target)
    else:
        computation.beside.do(write_rows, states, todo.plan, target)
    return states


def _scan_part(
    computation: Computation, todo: StatePlan, part: Part, pool: LocalPool, title: str
) -> list[str]:
    """Scans a part of the rows; the files have its states, and predictions to keep."""
    assert isinstance(part.source, PieceRows), "the workers read all rows themselves"
    plan = todo.plan
    count = 1 if part.rows <= SMALL_ROWS else share_count(pool.count, part.rows)
    shares = share_pieces(part.source.pieces, count)
    source, query = part.source, plan.columns.query
    queries = None if query is None else QueryShares(query, count, source.chunk)
    common = ScanWork(
        plan, shares, source.reader, part.work, str(pool.folder), source.kept, queries
    )
    file = pool.folder / f"{uuid.uuid4().hex}.pkl"
    file.write_bytes(pickle.dumps(common))
    name = f"{plan.name} ({title})" if title else plan.name
    known = Scan(part.rows, computation.roads.get(plan.name, ""))
    files = {}
    with (
        computation.clock.step("scan", title, evaluation=plan.name, scan=known),
        computation.tell.show_local_scan(name, part.rows) as advance,
    ):
        tasks = _scan_tasks(pool, str(file), common)
        with _tell_progress([rows_done_file(str(file), n) for n in range(len(tasks))], advance):
            for task, answer in pool.run(tasks):
                assert isinstance(task, ScanShare | ScanQueries), "these are scans"
                files[task.number] = answer
    return [files[number] for number in sorted(files)]


@contextmanager
def _tell_progress(files: Sequence[Path], advance: Callable[[int], None]) -> Iterator[None]:
    """Tells meanwhile how many rows are done, by the files in which the shares of a scan say so."""
    over, told = threading.Event(), 0

    def tell() -> None:
        nonlocal told
        done = sum(int(file.read_bytes() or 0) for file in files if file.exists())
        advance(done - told)
        told = done

    def watch() -> None:
        while not over.wait(PROGRESS_SECONDS):
            tell()

    thread = threading.Thread(target=watch, name="rows done", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    tell()


def _scan_tasks(pool: LocalPool, file: str, common: ScanWork) -> list[LocalTask]:
    """The scans of a part; the rows of a query are together."""
    shares = common.shares
    if common.queries is None:
        return [ScanShare(file, number) for number in range(len(shares))]
    spread: list[LocalTask] = [SpreadShare(file, number) for number in range(len(shares))]
    folders = sorted(answer for _, answer in pool.run(spread))
    return [ScanQueries(file, number, folders) for number in range(common.queries.count)]


def _merge(
    pool: LocalPool, plan: EvaluationPlan, parts: Sequence[Part], files: Sequence[str]
) -> pa.Table:
    """The sums of the states in files."""
    names = {need.place: need.state for need in needs(plan)}
    count, mark = (1 if len(files) == 1 else pool.count), uuid.uuid4().hex
    tasks: list[LocalTask] = [
        MergeShare(
            files, number, count, names, blocks_of(parts), f"{pool.folder}/merged-{mark}-{number}"
        )
        for number in range(count)
    ]
    merged = sorted(answer for _, answer in pool.run(tasks))
    # Copied, since the folder of the files goes with the pool.
    sink = pa.BufferOutputStream()
    table = pa.concat_tables([read_batches(file) for file in merged])
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def _scan_with_checkpoints(
    computation: Computation,
    todo: StatePlan,
    planned: Sequence[Checkpoint],
    target: Target,
    pool: LocalPool,
) -> pa.Table:
    """Scans the chunks that are not finished yet, each with its own states, and adds all up."""
    plan, table = todo.plan, computation.tables["chunks"]
    run = (computation.run_id, plan.name)
    done = checkpoints.finished_steps(planned, owner=run, table=table, keeps=bool(todo.chains()))
    if done:
        computation.tell.say(
            f"{plan.name}: {len(done)} of {len(planned)} parts are kept; not scanned again"
        )
    for checkpoint in planned:
        if checkpoint.step in done:
            continue
        own = replace(target, table=table, step=checkpoint.step, now=dt.datetime.now(dt.UTC))
        files = _scan_part(computation, todo, checkpoint.part, pool, checkpoint.title)
        write_rows(_merge(pool, plan, [checkpoint.part], files), plan, own)
        if plan.keep:
            _keep_predictions(computation, todo, files, own)
    rows = checkpoints.state_rows(planned, owner=run, table=table)
    every = write_batches(pool.folder / "chunks.arrow", rows.to_batches(), STATE_SCHEMA)
    files = [every, *_states_to_update(computation, todo, pool)]
    states = _merge(pool, plan, [checkpoint.part for checkpoint in planned], files)
    write_rows(states, plan, target)
    if plan.keep:
        _keep_predictions(computation, todo, [], target)
    checkpoints.forget(run_id=computation.run_id, table=table)
    return states


def _states_to_update(computation: Computation, todo: StatePlan, pool: LocalPool) -> list[str]:
    """The file of the kept states that the scans bring up to date."""
    if not todo.updated:
        return []
    rows = kept_rows(computation.tables["states"], todo.updated)
    signs = pa.repeat(pa.scalar(1, pa.int8()), rows.num_rows)
    states = rows.append_column("sign", signs).select(STATE_SCHEMA.names).cast(STATE_SCHEMA)
    return [write_batches(pool.folder / "updated.arrow", states.to_batches(), STATE_SCHEMA)]


def _keep_predictions(
    computation: Computation, todo: StatePlan, files: Sequence[str], target: Target
) -> None:
    """Writes the predictions that a scan has made, and then that they are there."""
    table = computation.tables["predictions"]
    if files:
        predictions.write_rows(predicted_rows(files), todo.plan, target, table=table)
    chains = todo.chains()
    if chains:
        told = chain_rows(todo.plan, chains)
        write_rows(told, todo.plan, replace(target, step=f"{target.step}kept"))


def _check_keys(given: PieceRows, plan: EvaluationPlan) -> None:
    """Raises DataError when a key of the dataset does not say which row it is."""
    counts = pc.value_counts(pa.chunked_array(key_batches(given), pa.string())).field("counts")
    twice = int(pc.sum(pc.greater(counts, 1)).as_py() or 0)
    if twice:
        raise DataError(predictions.keys_text(plan, twice))
