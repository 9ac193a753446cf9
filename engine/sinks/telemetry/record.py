"""A run as telemetry tells it: what came of it, and when its steps were."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from engine.core.stopwatch import Step
from engine.core.vocabulary import RunInfo, RunOutcome

_OURS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:evalmatrix")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run that is over, and the steps that this process did of it.

    Attributes:
        info: which run it is.
        evaluations: the names of the suite's evaluations.
        started: when this process began with it, in nanoseconds since 1970.
        ended: when it was over.
        steps: what was done in between.
        outcome: what came of it; None where it stopped before its end.
        failure: the type and the message of what stopped it.
        last_success: when the latest run of the suite began that passed.
    """

    info: RunInfo
    evaluations: Sequence[str]
    started: int
    ended: int
    steps: Sequence[Step] = ()
    outcome: RunOutcome | None = None
    failure: tuple[str, str] | None = None
    last_success: dt.datetime | None = None


def run_uuid(info: RunInfo, *parts: str) -> uuid.UUID:
    """The id of a run, or of a part of it, for systems whose ids are UUIDs: always the same one."""
    return uuid.uuid5(_OURS, "\0".join([info.store, info.run_id, *parts]))
