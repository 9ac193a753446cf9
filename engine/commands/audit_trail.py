"""What commands note in the audit table of a store, without ever failing for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from engine.commands.context import RunContext
from engine.commands.run_result import RunResult
from engine.core.locations import Store
from engine.core.paths import is_folder
from engine.errors import EvalMatrixError
from engine.spark.error_messages import first_line
from engine.spark.lazy_session import LazySession
from engine.store.audit import AUDIT, Act, Departure, write_act
from engine.store.tables import StoreTables

_TOLD = logging.getLogger("evalmatrix")
# What a test's facts are called by which keys of rows are shown.
_SHOW_KEYS = "show_keys"


def note_act(tables: StoreTables, act: Act, *, begins: bool = False) -> None:
    """Adds an act to the audit table of a store; where that cannot be, a warning says so.

    No Spark is started for it, and a store that is not there is not begun by who only looks.

    Args:
        tables: the store.
        act: what was done.
        begins: the act may be the first of its store.
    """
    try:
        table = tables[AUDIT]
        if not table.is_direct and tables.session.current is None:
            _TOLD.warning(
                "the act %r is not in the audit table of %r, which only Spark could write",
                act.command,
                tables.store.root,
            )
        elif begins or _is_begun(tables):
            write_act(table, act)
    except Exception as error:
        # What was done is done, and is not undone by what is noted of it.
        why = str(error) if isinstance(error, EvalMatrixError) else first_line(error)
        _TOLD.warning("the act %r is not in the audit table: %s", act.command, why)


def _is_begun(tables: StoreTables) -> bool:
    folder = tables.store.local
    if folder is not None and not is_folder(folder):
        return False
    return tables[AUDIT].exists() or tables["runs"].exists()


@contextmanager
def trail(tables: StoreTables, act: Act) -> Iterator[list[Act]]:
    """Notes an act at the end of a block, also of one that raises.

    Yields:
        A list with the act; whoever knows more of it in the end replaces it there.
    """
    acts = [act]
    try:
        yield acts
    except BaseException as error:
        note_act(tables, replace(acts[0], outcome=type(error).__name__))
        raise
    note_act(tables, acts[0])


def note_at(root: str, act: Act) -> None:
    """Adds an act to the audit table of a store that the command has not opened."""
    note_act(StoreTables(Store(root), LazySession()), act)


def note_run(context: RunContext, outcome: str, result: RunResult | None = None) -> None:
    """Adds a run, with what it read and what of it left the store."""
    finished = [] if result is None else list(result.outcome.evaluations)
    about: dict[str, Any] = {
        "evaluations": [evaluation.name for evaluation in context.suite.evaluations],
        "datasets": [f"{item.dataset.name} version {item.dataset.version}" for item in finished],
    }
    if context.resumed is not None:
        about["again"] = True
    departures = list(context.departures)
    tests = [test for evaluation in context.suite.evaluations for test in evaluation.tests]
    if finished and any(_SHOW_KEYS in test.parameters for test in tests):
        departures.append(Departure("keys of bad rows", "results, reports and MLflow"))
    info = context.info
    act = Act("run", info.suite, info.run_id, outcome, about, departures)
    note_act(context.tables, act, begins=result is not None)
