"""Who is told how a run ended, where its suite has `notify`."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from engine.commands.context import RunContext
from engine.commands.run_result import RunResult
from engine.core.environment import hide_logins
from engine.core.redaction import redacted_message
from engine.core.vocabulary import GateOutcome, Verdict
from engine.errors import EvalMatrixError, StoreError
from engine.sinks.notices.message import Message, make_message, make_stop_message
from engine.sinks.notices.transport import place_of, send_message
from engine.store.announcements import Announcement, is_announced, keep_announcement
from engine.store.runs import runs_before
from engine.store.tables import StoreTable
from engine.suite import NoticeConfig

# The gravest event comes first: there is one message for a run.
_ORDER = ("error", "failed", "recovered", "undecided", "passed")


def with_notices(context: RunContext, complete: Callable[[RunContext], RunResult]) -> RunResult:
    """Completes a run; where it raises, those are told who want to know of errors, each once.

    Who stops a run by hand knows it.
    """
    try:
        return complete(context)
    except Exception as error:
        why = error_text(error)
        notes = getattr(error, "__notes__", ())
        message = make_stop_message(context.info, why, [hide_logins(str(note)) for note in notes])
        for notice in context.suite.notify:
            if "error" in notice.on:
                _tell_of_stop(context, message, notice)
        raise


def error_text(error: Exception) -> str:
    """The first line of what stopped a run, as it may be told elsewhere.

    What we raise on purpose is told as on standard error; what others raise may have data in it.
    """
    message = str(error) if isinstance(error, EvalMatrixError) else redacted_message(error)
    return hide_logins(message.strip().partition("\n")[0])


def _tell_of_stop(context: RunContext, message: Message, notice: NoticeConfig) -> None:
    """Tells one of them, unless a try before has told it that the run stopped."""
    table, known = context.tables["announcements"], _stop_announcement(context, notice)
    try:
        if _is_known(table, known):
            return
        context.tell.say(f"telling {place_of(notice)}: error")
        problem = send_message(message, notice)
    except Exception as error:
        # What stopped the run is what must be told of; that this failed as well is a line.
        problem = type(error).__name__
    if problem is None:
        _note(context, known)
    if problem is not None:
        context.tell.say(f"{place_of(notice)} was not told of the run: {problem}")


def _note(context: RunContext, known: Announcement) -> None:
    try:
        keep_announcement(context.tables["announcements"], known, dt.datetime.now(dt.UTC))
    except Exception as error:
        why = str(error) if isinstance(error, StoreError) else type(error).__name__
        context.tell.say(f"a next try tells it again, since that could not be noted: {why}")


def _is_known(table: StoreTable, known: Announcement) -> bool:
    """Whether somebody was told; where the store is what failed, nobody can say, and it is told."""
    try:
        return is_announced(table, known)
    except StoreError:
        return False


def _stop_announcement(context: RunContext, notice: NoticeConfig) -> Announcement:
    """That an entry of `notify` was told that the run stopped: how it ends is another message."""
    info = context.info
    return Announcement(
        info.run_id, info.suite, "", f"{_digest(notice)} stopped", GateOutcome.ERROR.value
    )


def notify(context: RunContext, result: RunResult) -> RunResult:
    """Tells those who want to know how the run ended, each once.

    All is written by now: a receiver that is down is told of in a line, and costs nothing else.
    """
    try:
        before = runs_before(context.tables["runs"], result.outcome.info, ("gate", "counts"))
    except StoreError as error:
        context.tell.say(f"nobody was told of the run: {error}")
        return result
    for notice in context.suite.notify:
        try:
            problem = _tell(context, result, notice, before)
        except StoreError as error:
            problem = str(error)
        except Exception as error:
            # Nothing that is told beside a run may end it; its text may hold what is secret.
            problem = type(error).__name__
        if problem is not None:
            context.tell.say(f"{place_of(notice)} was not told of the run: {problem}")
    return result


def _tell(
    context: RunContext,
    result: RunResult,
    notice: NoticeConfig,
    before: Sequence[dict[str, Any]],
) -> str | None:
    """Tells one of them, if the run's end is what it wants to know; gives what went wrong."""
    counts = result.gate.counts
    undecided = bool(counts.get(Verdict.INCONCLUSIVE, 0))
    events = events_of(result.gate.outcome, undecided, before, notice.nights)
    table = context.tables["announcements"]
    passed = result.gate.outcome is GateOutcome.PASSED
    stop = _stop_announcement(context, notice)
    if passed and context.resumed is not None and _is_known(table, stop):
        events.add("recovered")
    event = next((name for name in _ORDER if name in events and name in notice.on), None)
    if event is None:
        return None
    known = Announcement(
        result.run_id, result.outcome.info.suite, "", _digest(notice), result.gate.outcome.value
    )
    if is_announced(table, known):
        return None
    link = result.places["report"]
    if notice.link is not None:
        link = notice.link.replace("{run_id}", result.run_id)
    context.tell.say(f"telling {place_of(notice)}: {event}")
    problem = send_message(make_message(result.outcome, event, link), notice)
    if problem is None:
        keep_announcement(table, known, dt.datetime.now(dt.UTC))
    return problem


def events_of(
    outcome: GateOutcome, undecided: bool, before: Sequence[dict[str, Any]], nights: int
) -> set[str]:
    """What a run's end is: its gate's outcome, and what that means after the runs before it.

    Args:
        outcome: the gate's.
        undecided: whether cells could not be decided.
        before: the finished runs of the suite before, the latest last.
        nights: for how many runs in a row cells must be undecided.
    """
    events = {outcome.value}
    if outcome is not GateOutcome.PASSED:
        return events
    if before and before[-1]["gate"] != GateOutcome.PASSED:
        events.add("recovered")
    lately = before[len(before) - (nights - 1) :] if nights > 1 else []
    if undecided and len(lately) == nights - 1 and all(map(_is_undecided, lately)):
        events.add("undecided")
    return events


def _is_undecided(row: dict[str, Any]) -> bool:
    return bool(dict(row["counts"] or {}).get(Verdict.INCONCLUSIVE.value, 0))


def _digest(notice: NoticeConfig) -> str:
    """Names an entry of `notify`, by whom it tells."""
    about = {
        "webhook": notice.webhook,
        "mail": None if notice.mail is None else asdict(notice.mail),
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
