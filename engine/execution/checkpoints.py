"""Long scans in chunks: each writes its states when it is done, so that a kill costs one of them.

A chunk is a share of the rows that is the same each time: some of the files of the dataset's pinned
version, or the rows whose hash says so. Its states lie in a table of their own, where nothing but
their own run looks for them, until those of all chunks are added and become the evaluation's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from engine.data.changes.delta_log import File
from engine.data.changes.files import Layout, layout_of, rows_by_file, rows_of_files
from engine.delta.filters import Filter
from engine.execution.distribute import FrameRows, Part, PieceRows
from engine.execution.incremental import StatePlan
from engine.pieces.pieces import share_pieces
from engine.planning import EvaluationPlan, needs
from engine.planning.projection import column_names, hashable, projected_column
from engine.spark.api import F, T, spark_errors
from engine.states.rows import STATE_SCHEMA, STATES_VERSION
from engine.store.state_frames import frame_of
from engine.store.tables import StoreTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


_ROW = ("slice_set", "block", "model", "family", "slice_keys", "payload")
KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One share of a scan: its step, how it is told, and what is scanned.

    Its states are written as if its rows had come, and are taken away where `part` says so when
    they are added to those of the others.
    """

    step: str
    title: str
    part: Part


def plan_checkpoints(
    todo: StatePlan, given: DataFrame | PieceRows | None, *, predictions: str, rows: int, step: str
) -> list[Checkpoint]:
    """The chunks of a scan, of about so many rows each; none where one scan does.

    A run that is resumed finds the same ones: the dataset is pinned, and so are the models.
    """
    if todo.rows <= rows:
        return []
    shares = list(_changed_shares(todo, rows))
    if todo.full:
        assert given is not None, "all rows are scanned"
        shares = [*_whole_shares(todo, given, predictions, rows), *shares]
    about = _about(todo)
    checkpoints = []
    for number, (share, part) in enumerate(shares, 1):
        title = f"part {number} of {len(shares)}"
        text = json.dumps([about, share, step, _needed_states(todo.plan, part)])
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        checkpoints.append(Checkpoint(f"{step} {title} {digest}".lstrip(), title, part))
    return checkpoints


def _about(todo: StatePlan) -> list[object]:
    """What the states of all chunks depend on beside the rows and their own names."""
    dataset = todo.plan.dataset
    blocks = sorted(todo.blocks.items())
    return [STATES_VERSION, dataset.table_id, dataset.version, todo.base, blocks]


def _needed_states(plan: EvaluationPlan, part: Part) -> list[object]:
    wanted = part.work.wanted or frozenset()
    return [[*need.place, need.state] for need in needs(plan) if need.place in wanted]


Share = tuple[list[object], Part]


def _whole_shares(
    todo: StatePlan, given: DataFrame | PieceRows, predictions: str, rows: int
) -> Iterator[Share]:
    """The shares of all rows: by pieces, by files where they are small enough, else by hash."""
    dataset = todo.plan.dataset
    count = math.ceil(dataset.rows / rows)
    if count == 1:
        yield ["all"], todo.whole(given, dataset.rows, predictions=predictions)
        return
    if isinstance(given, PieceRows) and todo.plan.columns.query is not None:
        for number in range(count):
            some = replace(given, chunk=(number, count))
            size = dataset.rows // count
            yield ["queries", number, count], todo.whole(some, size, predictions=predictions)
        return
    if isinstance(given, PieceRows):
        for pieces in share_pieces(given.pieces, count):
            some = replace(given, pieces=tuple(pieces))
            size = sum(piece.rows for piece in pieces)
            about: list[object] = ["pieces", [piece.name for piece in pieces]]
            yield about, todo.whole(some, size, predictions=predictions)
        return
    # The rows of a query lie in any files.
    by_file = None if todo.plan.columns.query else _files(todo, given, count)
    if by_file is None:
        whole = todo.whole(given, dataset.rows, predictions=predictions)
        yield from _hash_shares(todo.plan, whole, "all", count)
        return
    layout, shares = by_file
    for files in shares:
        frame = rows_of_files(layout, files, dataset.version)
        names = [file.path for file in files]
        yield (
            ["files", names],
            todo.whole(frame, sum(file.rows or 0 for file in files), predictions=predictions),
        )


def _files(todo: StatePlan, frame: DataFrame, count: int) -> tuple[Layout, list[list[File]]] | None:
    """The dataset's files in shares of about equal rows; None where they cannot be told apart."""
    dataset = todo.plan.dataset
    try:
        layout = layout_of(frame.sparkSession, dataset.uri, dataset.version)
        files = rows_by_file(layout, dataset.version)
    except spark_errors():  # a view, or a table whose rows have no files
        return None
    share = dataset.rows / count
    if sum(file.rows or 0 for file in files) != dataset.rows:
        return None
    if max((file.rows or 0 for file in files), default=0) > 2 * share:
        return None
    return layout, [group for group in _spread(files, count, share) if group]


def _spread(files: Sequence[File], count: int, share: float) -> list[list[File]]:
    """Puts files in a row into shares, each into that in which its middle lies."""
    shares: list[list[File]] = [[] for _ in range(count)]
    before = 0
    for file in files:
        rows = file.rows or 0
        shares[min(int((before + rows / 2) / share), count - 1)].append(file)
        before += rows
    return shares


def _changed_shares(todo: StatePlan, rows: int) -> Iterator[Share]:
    """The shares of the rows that came, and of those that went."""
    for part in todo.change_parts():
        kind = "came" if part.work.sign > 0 else "gone"
        count = max(math.ceil(part.rows / rows), 1)
        if isinstance(part.source, PieceRows):
            yield from _piece_shares(part.source, part, kind, count)
        else:
            yield from _hash_shares(todo.plan, part, kind, count)


def _piece_shares(source: PieceRows, part: Part, kind: str, count: int) -> Iterator[Share]:
    """Shares of the rows that the workers read of some pieces."""
    if count == 1:
        yield [kind], part
        return
    for pieces in share_pieces(source.pieces, count):
        some = replace(source, pieces=tuple(pieces))
        rows = sum(piece.rows for piece in pieces)
        about: list[object] = [kind, "pieces", [piece.name for piece in pieces]]
        yield about, replace(part, source=some, rows=rows)


def _hash_shares(plan: EvaluationPlan, part: Part, kind: str, count: int) -> Iterator[Share]:
    """Shares by a hash of what is read of a row; the rows of a query are in one of them."""
    if count == 1:
        yield [kind], part
        return
    query = plan.columns.query
    names = [f"c{place}" for place in range(len(column_names(plan)))]
    if query is not None:
        names = [projected_column(plan, query)]
    assert isinstance(part.source, FrameRows), "pieces are not told apart by what is in them"
    frame = part.source.frame
    fields = [frame.schema[name] for name in names]
    nested = (T.ArrayType, T.MapType, T.StructType, T.VariantType)
    flat = [hashable(field) for field in fields if not isinstance(field.dataType, nested)]
    place = F.pmod(F.xxhash64(*flat), F.lit(count))
    for number in range(count):
        rows = replace(part.source, frame=frame.where(place == number))
        some = replace(part, source=rows, rows=part.rows // count)
        yield [kind, number, count], some


def finished_steps(
    checkpoints: Iterable[Checkpoint], *, owner: tuple[str, str], table: StoreTable, keeps: bool
) -> set[str]:
    """The steps of the chunks that a run's evaluation has finished before.

    Where predictions are kept, those of a chunk must be there too, which a row of its own says.
    """
    if not table.exists():
        return set()
    there = set(table.rows(["step"], _of_run(owner), spares=True)["step"].to_pylist())
    return {
        checkpoint.step
        for checkpoint in checkpoints
        if checkpoint.step in there and (not keeps or f"{checkpoint.step}{KEPT}" in there)
    }


def states_of(
    checkpoints: Sequence[Checkpoint], *, owner: tuple[str, str], table: StoreTable
) -> DataFrame:
    """The states of all chunks, with the sign that they have in the sum."""
    gone = [checkpoint.step for checkpoint in checkpoints if checkpoint.part.work.sign < 0]
    less = (F.col("slice_set") != "") & F.col("step").isin(gone)
    rows = frame_of(table, _of_chunks(checkpoints, owner), [*_ROW, "step"])
    return rows.withColumn("sign", F.when(less, F.lit(-1)).otherwise(F.lit(1))).select(
        *_ROW, "sign"
    )


def state_rows(
    checkpoints: Sequence[Checkpoint], *, owner: tuple[str, str], table: StoreTable
) -> pa.Table:
    """The states of all chunks, as a scan gives them (`STATE_SCHEMA`), with their signs."""
    gone = [checkpoint.step for checkpoint in checkpoints if checkpoint.part.work.sign < 0]
    rows = table.rows([*_ROW, "step"], _of_chunks(checkpoints, owner), spares=True)
    less = pc.and_(
        pc.not_equal(rows["slice_set"], ""), pc.is_in(rows["step"], pa.array(gone, pa.string()))
    )
    signs = pc.if_else(less, pa.scalar(-1, pa.int8()), pa.scalar(1, pa.int8()))
    return rows.append_column("sign", signs).select(STATE_SCHEMA.names).cast(STATE_SCHEMA)


def _of_chunks(checkpoints: Sequence[Checkpoint], owner: tuple[str, str]) -> list[Filter]:
    return [
        *_of_run(owner),
        ("schema_version", "=", STATES_VERSION),
        ("step", "in", [checkpoint.step for checkpoint in checkpoints]),
    ]


def forget(*, run_id: str, table: StoreTable) -> None:
    """Removes the chunks of a run of which no evaluation is being scanned."""
    if table.exists():
        table.delete([("run_id", "=", run_id)])


def _of_run(owner: tuple[str, str]) -> list[Filter]:
    return [("run_id", "=", owner[0]), ("evaluation", "=", owner[1])]
