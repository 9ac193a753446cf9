"""Who is told of a run, and what it costs when nobody is, or when nobody answers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.vocabulary import RunOutcome
from engine.errors import InputError
from engine.sinks.telemetry import delivery, waiting
from engine.sinks.telemetry.delivery import check_libraries, deliver
from engine.sinks.telemetry.record import RunRecord
from engine.suite import TelemetryConfig
from tests.fixtures.receiver import Receiver

Records = Callable[..., RunRecord]


def test_each_that_is_named_is_told(
    full_run: RunOutcome, record_of: Records, receiver: Receiver, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("RECEIVER", receiver.url)
    path = tmp_path / "metrics.prom"
    config = TelemetryConfig("${RECEIVER}", "${RECEIVER}/tenant", str(path))
    assert deliver(config, record_of(full_run)) == {}
    paths = [path for _, path, _ in receiver.requests]
    assert sorted(set(paths)) == ["/api/v1/lineage", "/tenant/v1/traces"] and len(paths) == 5
    assert "evalmatrix_gate" in path.read_text()


def test_who_is_down_costs_a_line_each_without_a_secret(
    full_run: RunOutcome, record_of: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOWN", "http://me:hunter2@127.0.0.1:9")
    path = tmp_path / "metrics.prom"
    path.mkdir()
    config = TelemetryConfig("${DOWN}", "${UNSET}", str(path))
    problems = deliver(config, record_of(full_run))
    assert problems == {
        "telemetry.openlineage (${DOWN})": "nobody answered (ConnectionError)",
        "telemetry.otlp (${UNSET})": "the variable 'UNSET' of the environment is not set",
        f"telemetry.prometheus ({path})": "it could not be written (Is a directory)",
    }


def test_who_never_answers_is_not_waited_for(
    full_run: RunOutcome, record_of: Records, receiver: Receiver
) -> None:
    receiver.silent = threading.Event()
    config = TelemetryConfig(receiver.url, receiver.url, receiver.url)
    before = time.monotonic()
    problems = deliver(config, record_of(full_run))
    assert time.monotonic() - before < waiting.SECONDS_IN_ALL + 5
    assert len(problems) == 3 and all(
        "nobody answered" in text or "took more than" in text for text in problems.values()
    )


def test_what_takes_too_long_is_left_to_itself() -> None:
    ends = threading.Event()
    problems = waiting.do_all({"slow": ends.wait, "quick": lambda: None}, seconds=0.1)
    ends.set()
    assert problems == {"slow": "it took more than 0.1 s"}


def test_a_mistake_of_ours_ends_no_run(
    full_run: RunOutcome, record_of: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(record: RunRecord) -> Any:
        raise ZeroDivisionError("CANARY")

    monkeypatch.setitem(delivery._SINKS, "otlp", make)
    problems = deliver(TelemetryConfig(otlp="http://h"), record_of(full_run))
    assert problems == {"telemetry.otlp (http://h)": "it could not be told (ZeroDivisionError)"}


@pytest.mark.parametrize("key", ["openlineage", "otlp", "prometheus"])
def test_a_missing_library_is_told_before_the_scan(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_libraries(None)
    config = TelemetryConfig(**{key: "http://h"})
    check_libraries(config)
    monkeypatch.setattr(delivery, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"telemetry\.{key} takes .*evalmatrix\[telemetry\]"):
        check_libraries(config)


def test_off_imports_none_of_it() -> None:
    """Of a process that has all that a run imports."""
    code = (
        "import sys, json\n"
        "import engine.cli.app, engine.commands.evaluation_run\n"
        "from engine.sinks.telemetry.delivery import check_libraries\n"
        "check_libraries(None)\n"
        "print(json.dumps([n for n in sys.modules if n.split('.')[0] in "
        "('openlineage', 'prometheus_client') or n.startswith('opentelemetry.exporter')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
