"""What is told of a run that ends, of one that stops, of one whose suite asks for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.commands import run_telemetry
from engine.commands.context import RunContext
from engine.commands.progress import Reporter
from engine.commands.run_result import RunResult
from engine.commands.run_telemetry import last_success, with_telemetry
from engine.core.locations import Store
from engine.core.vocabulary import RunOutcome
from engine.errors import StoreError
from tests.fixtures.registry import Registry
from tests.fixtures.verdicts import FAIL, PASS, Court


@pytest.fixture
def here(sqlite_registry: Registry, tmp_path: Path) -> Court:
    court = Court(sqlite_registry, tmp_path)
    for number in (1, 2):
        sqlite_registry.register(court.model, f"model {number}")
    return court


@pytest.fixture
def context_of(
    here: Court, full_run: RunOutcome, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[RunContext, list[str]]]:
    """The context of a run whose suite has this telemetry, and what it says."""

    def make(**telemetry: str) -> tuple[RunContext, list[str]]:
        told: list[str] = []
        reporter = Reporter()
        monkeypatch.setattr(reporter, "say", told.append, raising=False)
        suite = here.suite(telemetry=telemetry) if telemetry else here.suite()
        return RunContext(suite, here.tables, full_run.info, reporter), told

    return make


def test_where_nothing_is_asked_nothing_is_done(
    context_of: Any, full_run: RunOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_telemetry, "deliver", None)
    context, told = context_of()
    result = RunResult(full_run, Store("./store"), "uri")
    assert with_telemetry(context, lambda _: result) is result and told == []


def test_a_run_that_stops_is_told_as_failed_and_raises_as_before(
    context_of: Any, tmp_path: Path
) -> None:
    events, metrics = tmp_path / "events.jsonl", tmp_path / "metrics.prom"
    context, told = context_of(openlineage=events.as_uri(), prometheus=str(metrics))
    error = StoreError("the store is full")

    def stop(context: RunContext) -> RunResult:
        with context.clock.step("plan"):
            raise error

    with pytest.raises(StoreError) as raised:
        with_telemetry(context, stop)
    assert raised.value is error and told == []
    whole, part = [json.loads(line) for line in events.read_text().splitlines()]
    assert (whole["eventType"], part["eventType"]) == ("FAIL", "FAIL")
    assert part["run"]["facets"]["errorMessage"]["message"] == "StoreError: the store is full"
    assert not metrics.exists()
    assert [(step.kind, step.failure) for step in context.clock.steps] == [("plan", "StoreError")]


def test_what_a_library_says_is_not_passed_on(context_of: Any, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    context, _ = context_of(openlineage=events.as_uri())
    value = "CANARY-7f3a"

    def stop(context: RunContext) -> RunResult:
        raise ValueError(value)

    with pytest.raises(ValueError, match=value):
        with_telemetry(context, stop)
    assert "ValueError" in events.read_text() and value not in events.read_text()


def test_who_is_down_is_told_of_in_a_line(context_of: Any, full_run: RunOutcome) -> None:
    context, told = context_of(otlp="http://127.0.0.1:9")
    result = RunResult(full_run, Store("./store"), "uri")
    assert with_telemetry(context, lambda _: result) is result
    assert told == [
        "telemetry.otlp (http://127.0.0.1:9) was not told of the run: "
        "nobody answered (ConnectionError)"
    ]


def test_the_last_success_is_that_of_the_store(here: Court, context_of: Any) -> None:
    context, _ = context_of()
    bad = here.outcomes[here.judge("2", [FAIL], baseline="1")]
    assert last_success(context, bad) is None
    good = here.outcomes[here.judge("2", [PASS], baseline="1")]
    assert last_success(context, good) == good.info.started_at
    later = here.outcomes[here.judge("2", [FAIL], baseline="1")]
    assert last_success(context, later) == good.info.started_at
