"""Records of runs to tell of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.core.stopwatch import Step
from engine.core.vocabulary import RunOutcome
from engine.sinks.telemetry.record import RunRecord

SECOND = 1_000_000_000


@pytest.fixture
def record_of() -> Callable[..., RunRecord]:
    """The record of a run: a plan, then of each evaluation a scan that failed once, a judgement."""

    def make(outcome: RunOutcome, /, **more: Any) -> RunRecord:
        start = int(outcome.info.started_at.timestamp()) * SECOND
        names = [result.name for result in outcome.evaluations]
        steps = [Step("plan", "", start, start + SECOND)]
        for place, name in enumerate(names):
            at = start + (2 + 10 * place) * SECOND
            steps += [
                Step("scan", "", at, at + SECOND, name, 100, "WorkerDiedError"),
                Step("scan", "", at + SECOND, at + 3 * SECOND, name, 100),
                Step("judge", "", at + 3 * SECOND, at + 4 * SECOND, name),
                Step("evaluation", "", at, at + 5 * SECOND, name),
                Step("sink", "results", at + 5 * SECOND, at + 6 * SECOND, name),
            ]
        steps.append(Step("sink", "mlflow", start + 90 * SECOND, start + 91 * SECOND))
        end = start + 94 * SECOND
        return replace(RunRecord(outcome.info, names, start, end, steps, outcome), **more)

    return make
