"""`kill -9` of the whole command at any moment; `--resume` completes the run, and nothing twice."""

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

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1800)]

MODELS = ("good", "other", "third")
KEY = ["evaluation", "model", "slice", "test"]
SAME = ["value", "n", "weight_sum", "verdict", "reason", "dataset_version"]
SEED = 6
# Which of the moments lies well within the scans.
IN_THE_MIDDLE = 6
OTHERS = [
    pytest.param(number, marks=pytest.mark.soak) for number in range(31) if number != IN_THE_MIDDLE
]


@dataclass
class Shop:
    """A suite of three evaluations, each scanned in chunks, with a store of its own."""

    world: Any
    spark: SparkSession
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
        frame = self.spark.read.format("delta").load(str(path))
        return frame.where(frame["run_id"] == run_id).toPandas()

    def predicted(self) -> dict[str, int]:
        return {name: sum(self.world.journal(name)) for name in MODELS}


@pytest.fixture(scope="module")
def shop(
    world: Any,
    small: Callable[..., dict[str, Any]],
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    root: Path,
    all_gone: Callable[[int], None],
) -> Shop:
    store = tmp_path_factory.mktemp("kills") / "store"
    parts = [small(name=f"{name}s", models=[{"uri": world.model(name)}]) for name in MODELS]
    evaluations = [part["evaluations"][0] for part in parts]
    made = parts[0] | {"evaluations": evaluations, "store": str(store), "checkpoint_rows": 200}
    return Shop(world, spark, world.write("kills", made), store, root, all_gone)


@pytest.fixture(scope="module")
def undisturbed(shop: Shop) -> tuple[float, pd.DataFrame]:
    """How long a run takes, and its results."""
    started = time.monotonic()
    code, err = shop.run("--run-id", "undisturbed")
    assert code == 0, err
    return time.monotonic() - started, shop.rows("results", "undisturbed")


def moment(number: int, seconds: float) -> float:
    """A moment of a run; most lie where it does its work, after Spark has started."""
    return random.Random(f"{SEED} {number}").uniform(0.3, 1.0) * seconds


def killed(shop: Shop, run_id: str, after: float) -> bool:
    """Kills a run and its JVM after some seconds; whether it was still there."""
    process = shop.start("--run-id", run_id)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
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


@pytest.mark.parametrize("number", [IN_THE_MIDDLE, *OTHERS])
def test_a_killed_run_is_completed(
    shop: Shop,
    undisturbed: tuple[float, pd.DataFrame],
    command: Callable[..., Any],
    number: int,
) -> None:
    seconds, expected = undisturbed
    labelled = int(shop.world.few["fraud"].notna().sum())
    for name in MODELS:
        shop.world.forget(name)
    run_id = f"kill-{number}"
    was_killed = killed(shop, run_id, moment(number, seconds))
    before = shop.predicted()
    finished = {name[:-1] for name in shop.rows("states", run_id)["evaluation"].unique()}
    known = len(shop.rows("runs", run_id)) == 1
    if was_killed and known and shop.rows("runs", run_id)["status"][0] == "running":
        found = command("report", "--store", shop.store, "--run", run_id)
        assert found.exit_code == 2 and "was stopped before it was finished" in found.stderr

    code, err = shop.run("--resume", run_id)
    if not known:
        assert code == 2 and "has no run" in err, err
        code, err = shop.run("--run-id", run_id)
    assert code == 0, err

    found = shop.rows("results", run_id).set_index(KEY).sort_index()
    assert not found.index.duplicated().any()
    assert found[SAME].equals(expected.set_index(KEY).sort_index()[SAME])
    after = shop.predicted()
    for name in MODELS:
        again = after[name] - before[name]
        if name in finished:
            assert again == 0, f"{name} was finished, and is predicted again"
        assert again <= labelled and after[name] >= labelled
    assert list(shop.rows("runs", run_id)["status"]) == ["finished"]
    assert shop.rows("chunks", run_id).empty
    check_mlflow(shop, run_id)
