"""Ships the kernel over the partitions of a dataset version and adds what comes back.

One evaluation is one Spark job of two stages: scan (each row is read once and predicted once by
each model) and merge (the states of the partitions are added in the shuffle, to those that are kept
of another version of the dataset where there are any). No row and no unmerged state reaches the
driver.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from engine.execution.kernel.merge import merge_named
from engine.execution.kernel.model_task import Work
from engine.execution.kernel.scan import scan as scan_partition
from engine.pieces.pieces import Piece, share_pieces
from engine.pieces.scanning import PieceReader
from engine.planning import EvaluationPlan, needs
from engine.planning.projection import column_names, projected_column
from engine.spark.api import pyspark, sql
from engine.spark.internals import cores
from engine.states.rows import MERGED_DDL, STATE_KEY
from engine.store.kept_index import KeptScores

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


SMALL_ROWS = 2_000
PARTITION_ROWS = 131_072
# Of what workers read themselves. Each share writes states of all slices, which are then added: few
# large ones cost less, and with some for each worker none waits long for the others.
PIECE_SHARES = 2
SHARE_ROWS = 4_194_304

SCANNED_DDL = (
    "slice_set string, block int, model int, family string, sign tinyint, "
    "slice_keys array<string>, payload binary"
)


@dataclass(frozen=True, slots=True)
class FrameRows:
    """Rows that Spark reads; `extra` are the names of columns behind the projected ones."""

    frame: DataFrame
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PieceRows:
    """Rows that the workers read, of pieces of the table's files.

    `kept` are predictions that are joined to them; Spark joins them to rows that it reads. Of a
    ranking `chunk` says which chunk of the queries is meant, and of how many.
    """

    pieces: tuple[Piece, ...]
    reader: PieceReader
    kept: KeptScores | None = None
    chunk: tuple[int, int] = (0, 1)

    @property
    def bytes_on_disk(self) -> int:
        """How large their files are."""
        return sum(piece.file.size for piece in self.pieces)


ScanRows = FrameRows | PieceRows


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are scanned, about how many, and what for."""

    source: ScanRows
    rows: int
    work: Work


def scan(spark: SparkSession, plan: EvaluationPlan, parts: Sequence[Part]) -> DataFrame:
    """What the scans of the parts give: states that are not merged yet, and predictions to keep."""
    return reduce(sql.DataFrame.unionByName, [_scan_part(spark, part, plan) for part in parts])


def merge_states(
    spark: SparkSession, plan: EvaluationPlan, parts: Sequence[Part], states: Sequence[DataFrame]
) -> DataFrame:
    """The sums of states, one row for each model, slice set, block and family.

    `states` are those of scans, and those that are kept of another version of the dataset.
    """
    every = reduce(sql.DataFrame.unionByName, states)
    ordered = every.repartition(cores(spark), *STATE_KEY).sortWithinPartitions(*STATE_KEY)
    # By name, since a worker that only merges has not loaded the metrics of users' own.
    names = {need.place: need.state for need in needs(plan)}
    return ordered.mapInArrow(
        partial(merge_named, names=names, blocks=blocks_of(parts)), MERGED_DDL
    )


def _scan_part(spark: SparkSession, part: Part, plan: EvaluationPlan) -> DataFrame:
    if isinstance(part.source, PieceRows):
        shares = share_pieces(part.source.pieces, share_count(cores(spark), part.rows))
        reader, work = part.source.reader, part.work
        numbers = spark.range(0, len(shares), 1, len(shares))
        return numbers.mapInArrow(
            partial(_scan_pieces, plan=plan, shares=shares, reader=reader, work=work), SCANNED_DDL
        )
    query = plan.columns.query
    by = None if query is None else projected_column(plan, query)
    names = [*column_names(plan), *part.source.extra]
    return _repartition(part.source.frame, part.rows, by).mapInArrow(
        partial(_scan, plan=plan, names=names, work=part.work), SCANNED_DDL
    )


def _scan_pieces(
    batches: Iterable[pa.RecordBatch],
    plan: EvaluationPlan,
    shares: Sequence[Sequence[Piece]],
    reader: PieceReader,
    work: Work,
) -> Iterator[pa.RecordBatch]:
    """Scans the shares of which the numbers come."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield from scan_partition(reader.batches(shares[number]), plan, work, number)


def _scan(
    batches: Iterable[pa.RecordBatch], plan: EvaluationPlan, names: Sequence[str], work: Work
) -> Iterator[pa.RecordBatch]:
    context = pyspark.TaskContext.get()
    partition = 0 if context is None else context.partitionId()
    renamed = (batch.rename_columns(list(names)) for batch in batches)
    return scan_partition(renamed, plan, work, partition)


def blocks_of(parts: Sequence[Part]) -> dict[str, int]:
    """Into how many parts the states of each slice set go; all scans of an evaluation agree."""
    return {name: count for part in parts for name, count in part.work.blocks.items()}


def share_count(workers: int, rows: int) -> int:
    """Into how many shares pieces go: some for each worker, one of few rows."""
    if rows <= SMALL_ROWS:
        return 1
    return max(PIECE_SHARES * workers, math.ceil(rows / SHARE_ROWS))


def _repartition(frame: DataFrame, rows: int, by: str | None) -> DataFrame:
    """Partitions of about equal rows, some for each core, however the files lie.

    The rows of one value of the column `by` come one after the other.
    """
    parts = max(2 * cores(frame.sparkSession), math.ceil(rows / PARTITION_ROWS))
    if rows <= SMALL_ROWS:
        parts = 1
    if by is not None:
        return frame.repartition(parts, by).sortWithinPartitions(by)
    return frame.coalesce(1) if rows <= SMALL_ROWS else frame.repartition(parts)
