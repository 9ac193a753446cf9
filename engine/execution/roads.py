"""Which way the rows of an evaluation reach the workers, and why.

The short way: the workers open the table's files themselves, each the pieces that it is handed.
Where something stands between the files and the rows that only Spark knows, Spark reads them and
hands them over. Both ways give the same states.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors import InputError
from engine.execution.distribute import PieceRows
from engine.execution.incremental import StatePlan, plan_states
from engine.execution.local_answers import LocalAnswers
from engine.execution.table_columns import folder_here
from engine.pieces import NotThisWay
from engine.pieces.listing import list_files
from engine.pieces.pieces import whole_files
from engine.planning import EvaluationPlan, Question
from engine.planning.piece_columns import piece_reader
from engine.planning.projection import predicates
from engine.spark.lazy_session import LazySession
from engine.store.states import find_states
from engine.store.tables import StoreTables

BY_WORKERS = "the workers read their files themselves"
BY_PROCESSES = "processes of this machine read their files"
CHANGES_BY_SPARK = "Spark reads what came and went"


def by_spark(reason: Exception) -> str:
    """Says that Spark reads the rows, and why."""
    return f"Spark reads them: {reason}"


def short_way(session: LazySession, todo: StatePlan) -> PieceRows:
    """All rows of the version that a plan has pinned, as pieces; no row is read for it.

    Raises:
        NotThisWay: where Spark must read them.
    """
    if todo.usable_predictions:
        raise NotThisWay("predictions that are kept are joined to them")
    return _pieces(session, todo.plan)


def road_text(session: LazySession, todo: StatePlan) -> str:
    """How the rows of a plan's scan will reach the workers; "" where none of them is read."""
    if not todo.rows:
        return ""
    if not todo.full:
        return CHANGES_BY_SPARK
    try:
        short_way(session, todo)
    except NotThisWay as reason:
        return by_spark(reason)
    return BY_PROCESSES if session.is_local else BY_WORKERS


def check_local(
    tables: StoreTables, plans: Iterable[EvaluationPlan], *, run_id: str, reuse: bool
) -> None:
    """Refuses what takes Spark, where none may be started; what the store keeps takes none.

    Raises:
        InputError: for rows that only Spark reads, and tests that ask it.
    """
    session = tables.session
    if not session.is_local:
        return
    for plan in plans:
        catalog = find_states(tables["states"], plan, run_id=run_id)
        if not reuse:
            catalog.forget_others()
        place = f"evaluation {plan.name!r}: without Spark"
        left = _reasons_for_spark(LocalAnswers(session, plan), catalog.open_questions)
        if left:
            (name, reason), *others = left.items()
            more = f" (nor have {', '.join(map(repr, dict(others)))})" if others else ""
            raise InputError(
                f"{place} the test {name!r} has no answer, which asks beside the scan: {reason}"
                f"{more}; leave it out, or {session.remedy}"
            )
        for side in filter(None, (catalog, catalog.reference)):
            todo = plan_states(session, side)
            try:
                if todo.full:
                    short_way(session, todo)
            except NotThisWay as reason:
                raise InputError(
                    f"{place} the rows of {side.plan.dataset.name!r} cannot be read: {reason}; "
                    f"{session.remedy}"
                ) from reason


def _reasons_for_spark(answers: LocalAnswers, asked: Iterable[Question]) -> dict[str, str]:
    """The tests of which only Spark answers a question, by their names, and why."""
    left: dict[str, str] = {}
    for question in asked:
        try:
            answers.check(question)
        except NotThisWay as reason:
            left.setdefault(question.test.name, str(reason))
    return left


def _pieces(session: LazySession, plan: EvaluationPlan) -> PieceRows:
    dataset = plan.dataset
    folder = folder_here(session, dataset)
    if predicates(plan) and session.setting("spark.sql.ansi.enabled", "true").lower() != "true":
        raise NotThisWay("the session reads predicates without spark.sql.ansi.enabled")
    listing = list_files(folder, dataset.version)
    if listing.rows != dataset.rows:
        raise NotThisWay(f"the table's log counts {listing.rows:,} rows, not {dataset.rows:,}")
    zone = session.setting("spark.sql.session.timeZone", "UTC")
    return PieceRows(tuple(whole_files(listing.files)), piece_reader(plan, listing, zone))
