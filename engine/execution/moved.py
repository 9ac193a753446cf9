"""The rows that came and went since another version, as a scan takes them: pieces, or frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.data.changes import CannotTell, Changes, changes
from engine.execution.distribute import FrameRows, PieceRows, ScanRows
from engine.execution.piece_rows import pieces_since
from engine.pieces import NotThisWay
from engine.planning import EvaluationPlan
from engine.planning.projection import projected_column, select_columns
from engine.spark import tables
from engine.spark.lazy_session import LazySession

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True, slots=True)
class Moved:
    """The rows that one version has and another lacks, and the other way round.

    `came` and `gone` are None where they have no rows; `held` is what Spark keeps of them.
    """

    came: ScanRows | None
    gone: ScanRows | None
    rows_came: int
    rows_gone: int
    held: Changes | None = None

    @property
    def by_pieces(self) -> bool:
        """Whether workers read them themselves, or there are none."""
        return not any(isinstance(side, FrameRows) for side in (self.came, self.gone))

    @property
    def rows(self) -> int:
        """How many rows came and went."""
        return self.rows_came + self.rows_gone

    def release(self) -> None:
        """Lets go of what Spark keeps."""
        if self.held is not None:
            self.held.release()


def find_moved(session: LazySession, plan: EvaluationPlan, base: int) -> Moved:
    """What came and went between another version and the one that a plan has pinned.

    Spark is asked only where this process cannot tell.

    Raises:
        CannotTell: when it cannot be known; all rows must be scanned then.
    """
    try:
        pieces, reader = pieces_since(session, plan, base)
    except NotThisWay as reason:
        if session.is_local:
            raise CannotTell(
                f"what came and went since version {base} is told by Spark only: {reason}"
            ) from reason
        return find_by_spark(session.get(), plan, base)
    came, gone = (PieceRows(side, reader) if side else None for side in (pieces.came, pieces.gone))
    return Moved(came, gone, pieces.rows_came, pieces.rows_gone)


def find_by_spark(spark: SparkSession, plan: EvaluationPlan, base: int) -> Moved:
    """The same, told and read by Spark.

    Raises:
        CannotTell: when it cannot be known.
    """
    table, pinned = plan.dataset.uri, plan.dataset.version

    def project(frame: DataFrame) -> DataFrame:
        return select_columns(frame, plan)

    told = changes(spark, table, base, pinned, project)
    if plan.columns.query is not None and (told.came is not None or told.gone is not None):
        told = _whole_queries(spark, plan, base, told)
    came, gone = (None if frame is None else FrameRows(frame) for frame in (told.came, told.gone))
    return Moved(came, gone, told.rows_came, told.rows_gone, told)


def _whole_queries(
    spark: SparkSession, plan: EvaluationPlan, base: int, row_changes: Changes
) -> Changes:
    """The same changes with all rows of the queries of which any row came or went."""
    query = projected_column(plan, str(plan.columns.query))
    moved = [
        frame.select(query) for frame in (row_changes.came, row_changes.gone) if frame is not None
    ]
    touched = (moved[0] if len(moved) == 1 else moved[0].union(moved[1])).distinct()

    def touched_rows(version: int) -> DataFrame:
        rows = select_columns(tables.read(spark, plan.dataset.uri, version), plan)
        return rows.join(touched, query, "left_semi").select(*rows.columns)

    came, gone = touched_rows(plan.dataset.version), touched_rows(base)
    return Changes(came, gone, came.count(), gone.count(), row_changes.how)
