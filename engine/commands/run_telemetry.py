"""What a run tells other systems of itself, where its suite has `telemetry`."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import replace

from engine.commands.context import RunContext
from engine.commands.run_result import RunResult
from engine.commands.stored_runs import utc
from engine.core.environment import hide_logins
from engine.core.redaction import redacted_message
from engine.core.vocabulary import GateOutcome, RunOutcome
from engine.delta.records import records
from engine.errors import EvalMatrixError, StoreError
from engine.sinks.telemetry.delivery import deliver
from engine.sinks.telemetry.record import RunRecord
from engine.store.runs import FINISHED
from engine.suite import TelemetryConfig


def with_telemetry(context: RunContext, complete: Callable[[RunContext], RunResult]) -> RunResult:
    """Completes a run, and tells of it whoever the suite names, also where it raises.

    Who cannot be told costs a line on standard error and a few seconds, and nothing else.
    """
    config = context.suite.telemetry
    if config is None:
        return complete(context)
    try:
        result = complete(context)
    except Exception as error:
        _tell(context, config, _failure(context, error))
        raise
    if context.resumed is not None and context.resumed["status"] == FINISHED:
        # It was over before, and only answers: nothing was measured anew, and newer runs may have
        # told their metrics since. Lineage is the same however often it is told.
        config = replace(config, otlp=None, prometheus=None)
    _tell(context, config, _record(context, result.outcome))
    return result


def _tell(context: RunContext, config: TelemetryConfig, record: RunRecord) -> None:
    for place, problem in deliver(config, record).items():
        context.tell.say(f"{place} was not told of the run: {problem}")


def _record(context: RunContext, outcome: RunOutcome | None) -> RunRecord:
    return RunRecord(
        info=context.info,
        evaluations=[evaluation.name for evaluation in context.suite.evaluations],
        started=context.clock.started,
        ended=time.time_ns(),
        steps=tuple(context.clock.steps),
        outcome=outcome,
        last_success=None if outcome is None else last_success(context, outcome),
    )


def _failure(context: RunContext, error: Exception) -> RunRecord:
    # What we raise on purpose is told on standard error as it is; what others raise may have data.
    message = str(error) if isinstance(error, EvalMatrixError) else redacted_message(error)
    message = hide_logins(message)
    return replace(_record(context, None), failure=(type(error).__name__, message))


def last_success(context: RunContext, outcome: RunOutcome) -> dt.datetime | None:
    """When the latest run of the suite began that has passed: this one, or one of the store."""
    if outcome.gate.outcome is GateOutcome.PASSED:
        return outcome.info.started_at
    columns = ("run_id", "suite", "started_at", "status", "gate")
    wanted = [("suite", "=", outcome.info.suite), ("gate", "=", GateOutcome.PASSED.value)]
    try:
        rows = records(context.tables["runs"].rows(columns, where=wanted))
    except StoreError:
        return None
    times = [utc(row["started_at"]) for row in rows if row["status"] == FINISHED]
    return max(times, default=None)
