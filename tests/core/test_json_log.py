"""The log as JSON: one object a line, with the run's id, and nothing of a traceback."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.commands.progress import Reporter
from engine.core import json_log

log = logging.getLogger("evalmatrix")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A log of its own as JSON: gives the lines that were written."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    monkeypatch.setattr(log, "level", logging.INFO)
    json_log.use_json()
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.captureWarnings(False)


def test_a_line_is_an_object(lines: Any) -> None:
    log.info("%s rows of 'ü'\n::error::", 3)
    (line,) = lines()
    assert line["message"] == "3 rows of 'ü'\n::error::"
    assert (line["level"], line["logger"]) == ("info", "evalmatrix")
    assert line["time"].endswith("Z") and "run_id" not in line


def test_lines_of_a_run_and_its_error_name_it(lines: Any) -> None:
    error: ValueError | None = None
    try:
        with json_log.name_run("night-1"):
            log.info("one")
            raise ValueError("no")
    except ValueError as raised:
        error = raised
    log.error("two", extra={json_log.RUN_ID: getattr(error, json_log.RUN_ID)})
    log.info("three")
    assert [line.get("run_id") for line in lines()] == ["night-1", "night-1", None]


def test_of_an_error_its_type_is_told_and_no_more(lines: Any) -> None:
    try:
        raise ValueError("CANARY")
    except ValueError:
        log.exception("it failed")
    (line,) = lines()
    assert (line["error"], line["message"]) == ("ValueError", "it failed")
    assert "CANARY" not in str(line)


def test_a_library_that_logs_wrongly_costs_its_own_message_only() -> None:
    record = logging.LogRecord("theirs", logging.WARNING, "x.py", 1, "%d rows", ("three",), None)
    assert json.loads(json_log.JsonFormatter().format(record))["message"] == "%d rows"


def test_no_bar_is_drawn_beside_it(lines: Any) -> None:
    stream = StringIO()
    reporter = Reporter(Console(file=stream, force_terminal=True))
    reporter.say("a step")
    with reporter.show_rows("rows", 10) as more:
        more(5)
    assert stream.getvalue() == ""
    assert [line["message"] for line in lines()] == ["a step", "rows: 10 rows"]


@pytest.mark.parametrize("before", [True, False])
def test_every_command_takes_the_option(tmp_path: Path, before: bool) -> None:
    asked = ["results", "--store", str(tmp_path / "none")]
    option = ["--log-format", "json"]
    command = [*option, *asked] if before else [*asked, *option]
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli.app", *command], capture_output=True, text=True
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout, json.loads(line)["level"]) == (2, "", "error")


def test_another_format_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli.app", "metrics", "--log-format", "xml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "'text', 'json'" in done.stderr
