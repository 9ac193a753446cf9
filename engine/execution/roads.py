"""Which way the rows of an evaluation reach the workers, and why.

The short way: the workers open the table's files themselves, each the pieces that it is handed.
Where something stands between the files and the rows that only Spark knows, Spark reads them and
hands them over. Both ways give the same states.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from engine.errors import InputError
from engine.execution.distribute import PieceRows
from engine.execution.incremental import StatePlan, plan_states
from engine.execution.local_answers import LocalAnswers
from engine.execution.piece_rows import all_pieces
from engine.pieces import NotThisWay
from engine.planning import EvaluationPlan, Question
from engine.spark.lazy_session import LazySession
from engine.store.states import StateCatalog, find_states
from engine.store.tables import StoreTables

BY_WORKERS = "the workers read their files themselves"
BY_PROCESSES = "processes of this machine read their files"
# Beyond this a scan is long enough for a cluster.
MOST_LOCAL_BYTES = 16 << 30

log = logging.getLogger(__name__)


def by_spark(reason: Exception) -> str:
    """Says that Spark reads the rows, and why."""
    return f"Spark reads them: {reason}"


def short_way(session: LazySession, todo: StatePlan) -> PieceRows | None:
    """All rows of the version that a plan has pinned, as pieces; no row is read for it.

    Returns:
        None where only rows that came and went are scanned, as pieces as well.

    Raises:
        NotThisWay: where Spark must read the rows.
    """
    if todo.moved is not None and not todo.moved.by_pieces:
        raise NotThisWay("it has found what came and went")
    if not todo.full:
        return None
    if todo.usable_predictions and not session.is_local:
        raise NotThisWay("predictions that are kept are joined to them")
    return all_pieces(session, todo.plan)


def road_text(session: LazySession, todo: StatePlan) -> str:
    """How the rows of a plan's scan will reach the workers; "" where none of them is read."""
    if not todo.rows:
        return ""
    try:
        short_way(session, todo)
    except NotThisWay as reason:
        return by_spark(reason)
    return BY_PROCESSES if session.is_local else BY_WORKERS


def settle_executor(
    tables: StoreTables, plans: Sequence[EvaluationPlan], *, run_id: str, reuse: bool
) -> None:
    """Decides whether Spark does the work or processes of this machine: these where they can."""
    session = tables.session
    session.settle(local=True)
    for plan in plans:
        reason = _needs_spark(session, _catalog(tables, plan, run_id, reuse=reuse))
        if reason:
            log.debug("%s takes Spark: %s", plan.name, reason)
            session.settle(local=False)
            return


def _needs_spark(session: LazySession, catalog: StateCatalog) -> str:
    """Why an evaluation is better done by Spark; "" where this machine's processes do it all."""
    answers = LocalAnswers(session, catalog.plan)
    for name, reason in _reasons_for_spark(answers, catalog.open_questions).items():
        return f"the test {name!r} asks beside the scan: {reason}"
    for side in filter(None, (catalog, catalog.reference)):
        todo = plan_states(session, side)
        if todo.nothing_to_do:
            continue
        if todo.lost:
            return todo.lost
        if max(todo.blocks.values(), default=1) > 1:
            return "its states are large"
        try:
            rows = short_way(session, todo)
        except NotThisWay as reason:
            return by_spark(reason)
        size = 0 if rows is None else rows.bytes_on_disk
        if size > MOST_LOCAL_BYTES:
            return f"its files have {size / 2**30:,.0f} GiB, more than {MOST_LOCAL_BYTES >> 30}"
    return ""


def _catalog(
    tables: StoreTables, plan: EvaluationPlan, run_id: str, *, reuse: bool
) -> StateCatalog:
    return find_states(tables["states"], plan, run_id=run_id, reuse=reuse)


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
        catalog = _catalog(tables, plan, run_id, reuse=reuse)
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
                if todo.rows:
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
