"""`evalmatrix promote` on the command line: its words and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from tests.fixtures.registry import Registry
from tests.fixtures.verdicts import FAIL, Court


@pytest.fixture
def here(sqlite_registry: Registry, tmp_path: Path) -> Court:
    court = Court(sqlite_registry, tmp_path)
    for number in (1, 2):
        sqlite_registry.register("claims", f"model {number}")
    sqlite_registry.set("claims", "champion", "1")
    sqlite_registry.set("claims", "challenger", "2")
    return court


def call(court: Court, *args: str) -> tuple[int, list[str], str]:
    done = CliRunner().invoke(app, ["promote", *args, "--suite", str(court.file())])
    assert "Traceback" not in done.stderr, done.stderr
    return done.exit_code, done.stdout.splitlines(), done.stderr


def test_what_is_told_and_the_exit_codes(here: Court) -> None:
    code, lines, _ = call(here, "claims@challenger", "--to", "champion")
    assert (code, lines[0]) == (1, "claims version 2 was not promoted to 'champion'")
    assert lines[1].startswith("- no finished run of the suite 'nightly' in ")
    run = here.judge("2", baseline="1")
    code, lines, _ = call(here, "claims", "--to", "champion", "--dry-run")
    assert (code, lines[0]) == (
        0,
        "claims version 2 would be promoted to 'champion', which was version 1; nothing was "
        "changed",
    )
    code, lines, _ = call(here, "claims")
    assert (code, lines[0]) == (
        0, "claims version 2 is promoted to 'champion', which was version 1",
    )  # fmt: skip
    assert lines[1].startswith(f"evidence: run {run} (")
    assert lines[1].endswith(
        "evaluation 'claims' on table version 0, against champion: passed, 2 PASS"
    )
    code, lines, _ = call(here, "claims/2")
    assert (code, lines) == (
        0, ["claims version 2 is the 'champion' already; nothing was changed"],
    )  # fmt: skip
    code, lines, _ = call(here, "claims", "--rollback", "--reason", "too slow")
    assert (code, lines) == (
        0, ["claims version 1 is rolled back to 'champion', which was version 2"],
    )  # fmt: skip
    code, lines, _ = call(here, "claims", "--rollback")
    assert (code, lines[0]) == (1, "claims was not rolled back to 'champion'")
    code, lines, errors = call(here, "clams", "--to", "champion")
    assert (code, lines) == (2, [])
    assert "registered model 'clams' does not exist" in errors


def test_a_dry_run_that_would_be_refused(here: Court) -> None:
    here.judge("2", [FAIL], baseline="1")
    code, lines, _ = call(here, "claims", "--dry-run")
    assert (code, lines[0]) == (1, "claims version 2 would not be promoted to 'champion'")


def test_for_programs(here: Court) -> None:
    here.judge("2", baseline="1")
    code, lines, _ = call(here, "claims", "--json")
    told = json.loads("\n".join(lines))
    assert (code, told["ending"], told["version"], told["from_version"]) == (
        0, "promoted", "2", "1",
    )  # fmt: skip
    assert told["evidence"][0]["gate"] == "passed"
    assert told["promotion_id"]


def test_a_registry_out_of_reach(here: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_RETRIES", "BACKOFF_FACTOR"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "0")
    code, lines, errors = call(here, "claims", "--set", "mlflow.tracking_uri=http://127.0.0.1:9")
    assert (code, lines) == (4, [])
    assert "the MLflow tracking server at http://127.0.0.1:9 cannot be reached" in errors
