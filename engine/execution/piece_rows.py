"""Rows of a plan's dataset as pieces of its table's files: all of them, or those that moved."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from engine.data.changes.by_pieces import changed_pieces
from engine.data.table_rows import table_place
from engine.execution.distribute import PieceRows
from engine.execution.table_columns import place_here
from engine.pieces import NotThisWay
from engine.pieces.difference import MovedPieces
from engine.pieces.listing import Listing, list_files
from engine.pieces.pieces import whole_files
from engine.pieces.scanning import PieceReader
from engine.planning import EvaluationPlan
from engine.planning.piece_columns import piece_reader
from engine.planning.projection import predicates
from engine.spark.lazy_session import LazySession


def all_pieces(session: LazySession, plan: EvaluationPlan) -> PieceRows:
    """All rows of the version that a plan has pinned; no row is read for it.

    Raises:
        NotThisWay: where Spark must read them.
    """
    dataset = plan.dataset
    if not session.is_local:
        _check_queries(plan)
    listing = list_files(place_here(session, plan.dataset), dataset.version)
    if listing.rows != dataset.rows:
        raise NotThisWay(f"the table's log counts {listing.rows:,} rows, not {dataset.rows:,}")
    return PieceRows(tuple(whole_files(listing.files)), _reader(session, plan, listing))


def files_to_see(
    session: LazySession, plans: Iterable[EvaluationPlan]
) -> dict[str, tuple[str, ...]]:
    """Files of the plans' tables by which workers elsewhere tell whether they see them.

    By the tables' places; of one that this process does not see itself there are none.
    """
    asked = {}
    for plan in plans:
        for side in filter(None, (plan, plan.reference)):
            dataset = side.dataset
            try:
                place = table_place(session, dataset.uri, is_catalog=dataset.is_catalog_table)
                files = list_files(place, dataset.version).files
            except NotThisWay:
                continue
            if files:
                # One of each end: what was written last may not be everywhere yet.
                asked[str(place)] = tuple({files[0].path, files[-1].path})
    return asked


def pieces_since(
    session: LazySession, plan: EvaluationPlan, base: int
) -> tuple[MovedPieces, PieceReader]:
    """The rows that came and went since another version, and how they are read.

    Raises:
        NotThisWay: where Spark must find them.
    """
    _check_queries(plan)
    versions = (base, plan.dataset.version)
    return changed_pieces(
        place_here(session, plan.dataset), versions, partial(_reader, session, plan)
    )


def _check_queries(plan: EvaluationPlan) -> None:
    """Refuses rows that must come together, which those of pieces do in local processes alone."""
    if plan.columns.query is not None:
        raise NotThisWay("the rows of a query must come together")


def _reader(session: LazySession, plan: EvaluationPlan, listing: Listing) -> PieceReader:
    if predicates(plan) and session.setting("spark.sql.ansi.enabled", "true").lower() != "true":
        raise NotThisWay("the session reads predicates without spark.sql.ansi.enabled")
    return piece_reader(plan, listing, session.setting("spark.sql.session.timeZone", "UTC"))
