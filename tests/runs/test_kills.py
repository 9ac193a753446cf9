"""`kill -9` of the whole command at any moment; `--resume` completes the run, and nothing twice.

`make test` kills one run in the middle of its work, `make soak` thirty more at any moment.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import yaml

from tests.fixtures.tables import read_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1800)]

MODELS = ("good", "other", "third")
KEY = ["evaluation", "model", "slice", "test"]
SAME = ["value", "n", "weight_sum", "verdict", "reason", "dataset_version"]
SEED = 6
MOMENTS = 31


@dataclass
class Shop:
    """A suite of three evaluations, each scanned in chunks, with a store of its own."""

    world: Any
    suite: Path
    store: Path
    root: Path
    all_gone: Callable[[int], None]

    def start(self, *args: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "engine.cli.app", "run", str(self.suite), *args]
        env = {**os.environ, "PYTHONPATH": str(self.root), "PYSPARK_PYTHON": sys.executable}
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            start_new_session=True,
        )

    def run(self, *args: str) -> tuple[int, str]:
        process = self.start(*args)
        _, err = process.communicate(timeout=800)
        return process.returncode, err

    def rows(self, table: str, run_id: str) -> pd.DataFrame:
        path = self.store / table
        if not (path / "_delta_log").exists():
            return pd.DataFrame(columns=["evaluation", "step", *KEY])
        return read_rows(path, run=run_id)

    def predicted(self) -> dict[str, int]:
        return {name: sum(self.world.journal(name)) for name in MODELS}


@pytest.fixture(scope="module")
def shop(
    world: Any,
    small: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
    root: Path,
    all_gone: Callable[[int], None],
) -> Shop:
    store = world.make_store(tmp_path_factory.mktemp("kills") / "store")
    parts = [small(name=f"{name}s", models=[{"uri": world.model(name)}]) for name in MODELS]
    evaluations = [part["evaluations"][0] for part in parts]
    made = parts[0] | {"evaluations": evaluations, "store": str(store), "checkpoint_rows": 200}
    return Shop(world, world.write("kills", made), store, root, all_gone)


@pytest.fixture(scope="module")
def expected(shop: Shop, evaluated: Callable[..., RunResult]) -> pd.DataFrame:
    """The results of a run in this process, to which nothing happens."""
    result = evaluated(yaml.safe_load(shop.suite.read_text()), "kills", run_id="undisturbed")
    assert result.exit_code == 0
    return shop.rows("results", "undisturbed").set_index(KEY).sort_index()


@pytest.fixture(scope="module")
def seconds(shop: Shop) -> float:
    """How long a run takes."""
    started = time.monotonic()
    code, err = shop.run("--run-id", "timed")
    assert code == 0, err
    return time.monotonic() - started


def moment(number: int, seconds: float) -> float:
    """A moment of a run; most lie where it does its work, after Spark has started."""
    return random.Random(f"{SEED} {number}").uniform(0.3, 1.0) * seconds


def killed(shop: Shop, run_id: str, due: Callable[[], bool]) -> bool:
    """Kills a run and its JVM as soon as it is due; whether it was still there."""
    process = shop.start("--run-id", run_id)
    until = time.monotonic() + 600
    while process.poll() is None and not due():
        assert time.monotonic() < until
        time.sleep(0.02)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    shop.all_gone(process.pid)
    return process.returncode == -signal.SIGKILL


def check_mlflow(shop: Shop, run_id: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{shop.store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    query = f"tags.`evalmatrix.run_id` = '{run_id}'"
    runs = client.search_runs([experiment.experiment_id], query)
    of = [(r.data.tags["evalmatrix.evaluation"], r.data.tags.get("evalmatrix.model")) for r in runs]
    assert len(of) == len(set(of)) == 2 * len(MODELS)
    assert {r.info.status for r in runs} == {"FINISHED"}


@dataclass(frozen=True)
class Left:
    """What a killed run has left: the rows predicted, evaluations finished, whether it is known."""

    predicted: dict[str, int]
    finished: set[str]
    status: str | None


def leave(shop: Shop, run_id: str, due: Callable[[], bool], command: Callable[..., Any]) -> Left:
    """Kills a run when it is due, and looks at what is there then."""
    for name in MODELS:
        shop.world.forget(name)
    was_killed = killed(shop, run_id, due)
    finished = {name[:-1] for name in shop.rows("states", run_id)["evaluation"].unique()}
    runs = shop.rows("runs", run_id)
    assert len(runs) <= 1
    status = str(runs["status"][0]) if len(runs) else None
    if was_killed and status == "running":
        found = command("report", "--store", shop.store, "--run", run_id)
        assert found.exit_code == 2 and "was stopped before it was finished" in found.stderr
    return Left(shop.predicted(), finished, status)


def check_completed(shop: Shop, run_id: str, left: Left, expected: pd.DataFrame) -> None:
    """A run that was resumed has the results expected, and nothing was done twice."""
    labelled = int(shop.world.few["fraud"].notna().sum())
    found = shop.rows("results", run_id).set_index(KEY).sort_index()
    assert not found.index.duplicated().any()
    assert found[SAME].equals(expected[SAME])
    after = shop.predicted()
    for name in MODELS:
        again = after[name] - left.predicted[name]
        if name in left.finished:
            assert again == 0, f"{name} was finished, and is predicted again"
        assert again <= labelled and after[name] >= labelled
    assert list(shop.rows("runs", run_id)["status"]) == ["finished"]
    assert shop.rows("chunks", run_id).empty
    check_mlflow(shop, run_id)


def test_a_run_that_is_killed_in_the_middle_is_completed(
    shop: Shop, expected: pd.DataFrame, command: Callable[..., Any]
) -> None:
    left = leave(shop, "middle", lambda: bool(shop.world.journal("other")), command)
    assert left.status == "running" and left.finished == {"good"}
    assert left.predicted["other"] > 0 and left.predicted["third"] == 0
    # In this process, whose Spark is there; test_canaries.py completes a killed run in another.
    found = command("run", shop.suite, "--resume", "middle")
    assert found.exit_code == 0, found.stderr
    check_completed(shop, "middle", left, expected)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_run_that_is_killed_at_any_moment_is_completed(
    shop: Shop,
    expected: pd.DataFrame,
    seconds: float,
    command: Callable[..., Any],
    number: int,
) -> None:
    at = time.monotonic() + moment(number, seconds)
    run_id = f"kill-{number}"
    left = leave(shop, run_id, lambda: time.monotonic() >= at, command)
    code, err = shop.run("--resume", run_id)
    if left.status is None:
        assert code == 2 and "has no run" in err, err
        code, err = shop.run("--run-id", run_id)
    assert code == 0, err
    check_completed(shop, run_id, left, expected)
