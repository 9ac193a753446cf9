"""The commands as a user runs them: what goes to which stream, and how they end."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

Suites = Callable[..., dict[str, Any]]
Command = Callable[..., Any]

LOCAL = {"executor": "local"}


def environment(root: Path, **more: str) -> dict[str, str]:
    """What a process of its own needs, without the tests' own Spark."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK"))}
    return {**kept, "PYTHONPATH": str(root), **more}


def start(root: Path, *args: str | Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine.cli.app", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(root, **more),
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def judged(world: Any, small: Suites, evaluated: Callable[..., RunResult]) -> RunResult:
    suite = small(name="judged", tests=[{"metric": "accuracy", "min": 0.1}, {"metric": "recall"}])
    return evaluated(suite | LOCAL, "judged", run_id="judged-1")


@pytest.mark.parametrize(
    ("test", "code", "word", "executor"),
    [
        ({"metric": "accuracy", "min": 0.1}, 0, "PASSED", "spark"),
        ({"metric": "accuracy", "min": 1}, 1, "FAILED", "local"),
    ],
)
def test_run_ends_with_the_gates_exit_code(
    world: Any,
    small: Suites,
    command: Command,
    test: dict[str, Any],
    code: int,
    word: str,
    executor: str,
) -> None:
    path = world.write("gate", small(tests=[test]) | {"executor": executor})
    result = command("run", path)
    assert result.exit_code == code
    assert f"GATE {word}" in result.stdout and str(world.store / "results") in result.stdout


def test_json_and_set(world: Any, small: Suites, command: Command) -> None:
    path = world.write("json", small(tests=[{"metric": "accuracy", "min": 0.1}]) | LOCAL)
    key = "evaluations.few.tests.0.min=0.999"
    result = command("run", path, "--json", "--run-id", "json-1", "--set", key)
    assert result.exit_code == 1, result.stderr
    told = json.loads(result.stdout)
    assert told["run_id"] == "json-1" and told["gate"] == "failed" and told["exit_code"] == 1
    assert told["counts"]["FAIL"] == 1 and told["tracking_error"] is None
    assert Path(told["places"]["report"]).exists()


def test_plan_runs_nothing(world: Any, small: Suites, command: Command) -> None:
    world.forget("good")
    path = world.write("plan", small(slices=["overall", {"by": ["device"]}]))
    result = command("plan", path)
    assert result.exit_code == 0
    assert "version 1, 400 rows" in result.stdout
    assert "1 scan; nothing was run" in result.stdout and not world.journal("good")


def test_results_in_three_formats(world: Any, judged: RunResult, command: Command) -> None:
    from engine.store.results import RESULTS_SCHEMA

    args = ("results", "--store", world.store, "--run", "judged-1", "--format")
    table = command(*args, "table")
    assert table.exit_code == 0 and "accuracy" in table.stdout and "PASS" in table.stdout
    rows = list(csv.DictReader(io.StringIO(command(*args, "csv").stdout)))
    assert list(rows[0]) == RESULTS_SCHEMA.names and len(rows) == 2
    records = json.loads(command(*args, "json").stdout)
    values = {record["test"]: record["value"] for record in records}
    assert values == {c.test.name: c.measured.value for c in judged.outcome.cells}
    assert float(next(r["value"] for r in rows if r["test"] == "recall")) == values["recall"]


def test_report_is_built_again_from_the_store(
    world: Any, judged: RunResult, command: Command, tmp_path: Path
) -> None:
    args = ("report", "--store", world.store, "--run", "judged-1")
    result = command(*args, "--out", tmp_path / "again")
    assert result.exit_code == 0
    assert result.stdout.strip() == str(tmp_path / "again" / "index.html")
    assert (tmp_path / "again" / "junit.xml").exists()
    first = (world.store / "reports" / "judged-1" / "summary.md").read_text()
    again = (tmp_path / "again" / "summary.md").read_text()
    assert first.splitlines()[:3] == again.splitlines()[:3]
    latest = command("report", "--store", world.store, "--out", tmp_path / "latest")
    assert latest.exit_code == 0 and (tmp_path / "latest" / "index.html").exists()


def test_doctor_and_schema(world: Any, command: Command) -> None:
    well = command("doctor", "--store", world.store)
    assert well.exit_code == 0, well.stdout
    for what in ("Python", "Java", "store", "Spark+Delta", "MLflow"):
        assert f"ok  {what}" in well.stdout
    (world.folder / "plain-file").write_text("")
    ill = command("doctor", "--store", world.folder / "plain-file" / "store")
    assert ill.exit_code == 4 and "NO  store" in ill.stdout
    schema = json.loads(command("schema").stdout)
    assert schema["type"] == "object" and "evaluations" in schema["properties"]


def test_train_refuses_what_is_no_model(world: Any, command: Command, tmp_path: Path) -> None:
    result = command("train", tmp_path / "nothing", "--store", world.store)
    assert result.exit_code == 2 and "nothing" in result.stderr


def test_a_machine_without_java(root: Path, world: Any, small: Suites) -> None:
    """Processes do the work; what takes Spark, or asks for it, says that Java is missing."""
    suite = small(slices=["overall", {"quantiles": {"f1": 7}}])
    own = small(slices=[{"name": "even", "where": "country RLIKE 'F'"}])
    asked = {"none": suite, "spark": suite | {"executor": "spark"}, "own": own}
    processes = {
        name: start(root, "run", world.write(f"no-java-{name}", said), PATH="", JAVA_HOME="")
        for name, said in asked.items()
    }
    ends = {name: process.communicate(timeout=300) for name, process in processes.items()}
    assert {name: process.returncode for name, process in processes.items()} == {
        "none": 0, "spark": 4, "own": 2,
    }, ends  # fmt: skip
    assert "no Java 17 here: processes of this machine do Spark's work" in ends["none"][1]
    assert ends["spark"][0] == "" == ends["own"][0]
    *steps, last = ends["spark"][1].splitlines()
    assert last.startswith("evalmatrix: Spark needs Java 17 or newer: no `java` on the PATH"), steps
    assert "starting Spark" in steps and "scanning" not in ends["spark"][1]
    last = ends["own"][1].splitlines()[-1]
    assert "by Spark only" in last and "install Java 17" in last, last


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_scan_and_says_how_to_go_on(
    root: Path, world: Any, small: Suites, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    world.forget("slow")
    store = world.make_store(tmp_path / "store")
    suite = small(store=str(store), models=[{"uri": world.model("slow")}])
    path = world.write("slow", suite)
    process = start(root, "run", path, "--run-id", "slow-1")
    try:
        deadline = time.monotonic() + 400
        while not world.journal("slow"):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        if number == signal.SIGINT:
            # What a terminal does: every process of the group gets the signal.
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        pressed = time.monotonic()
        out, err = process.communicate(timeout=60)
        seconds = time.monotonic() - pressed
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == code, err
    # MLflow's tables may be in the making, in a thread that nobody waits for.
    assert seconds < 10
    assert out == "" and "Traceback" not in err, err
    assert err.splitlines()[-1].startswith("evalmatrix: stopped; what was finished is in the store")
    assert "--resume slow-1" in err.splitlines()[-1]
