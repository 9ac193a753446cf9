"""Rows of a plan's dataset as pieces of its table's files: all of them, or those that moved."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from engine.core.paths import is_catalog_name, local_path
from engine.data.changes.by_pieces import changed_pieces
from engine.delta.messages import is_plain
from engine.execution.distribute import PieceRows
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
    listing = list_files(_folder(session, plan), dataset.version)
    if listing.rows != dataset.rows:
        raise NotThisWay(f"the table's log counts {listing.rows:,} rows, not {dataset.rows:,}")
    return PieceRows(tuple(whole_files(listing.files)), _reader(session, plan, listing))


def pieces_since(
    session: LazySession, plan: EvaluationPlan, base: int
) -> tuple[MovedPieces, PieceReader]:
    """The rows that came and went since another version, and how they are read.

    Raises:
        NotThisWay: where Spark must find them.
    """
    versions = (base, plan.dataset.version)
    return changed_pieces(_folder(session, plan), versions, partial(_reader, session, plan))


def _folder(session: LazySession, plan: EvaluationPlan) -> Path:
    """Where the table lies on this machine."""
    dataset = plan.dataset
    if not session.runs_here or not session.shares_disk:
        raise NotThisWay("the workers may be on other machines")
    named = dataset.is_catalog_table or is_catalog_name(dataset.uri)
    folder = None if named else local_path(dataset.uri)
    if folder is None or not is_plain(folder):
        raise NotThisWay("the table is no folder of this machine")
    return folder


def _reader(session: LazySession, plan: EvaluationPlan, listing: Listing) -> PieceReader:
    if predicates(plan) and session.setting("spark.sql.ansi.enabled", "true").lower() != "true":
        raise NotThisWay("the session reads predicates without spark.sql.ansi.enabled")
    return piece_reader(plan, listing, session.setting("spark.sql.session.timeZone", "UTC"))
