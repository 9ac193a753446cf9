"""Runs that start at the same moment on one store: all of them land, none is lost or mixed.

They are commands in processes of their own, so it is seen here what such a command prints, too.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.fixtures.tables import read_rows

pytestmark = [pytest.mark.spark, pytest.mark.timeout(1800)]

COMMAND = Path(sys.executable).with_name("evalmatrix")
TESTS = [{"metric": "accuracy", "min": 0.1}, {"metric": "f1"}]


@pytest.mark.parametrize(
    ("count", "executor"),
    [
        (3, "auto"),
        pytest.param(2, "spark", marks=pytest.mark.soak),
        pytest.param(10, "spark", marks=pytest.mark.soak),
    ],
)
def test_runs_that_start_together_all_land(
    world: Any,
    small: Callable[..., dict[str, Any]],
    tmp_path: Path,
    count: int,
    executor: str,
) -> None:
    shutil.copytree(world.folder / "models" / "good", tmp_path / "model")
    store = tmp_path / "store"
    suite = small(
        store=str(store),
        models=[{"uri": str(tmp_path / "model"), "name": "good"}],
        slices=["overall", {"by": ["country"]}],
        tests=TESTS,
    )
    path = world.write("together", suite | {"executor": executor})
    # A colleague starts the first one too.
    ids = [f"r{number}" for number in range(count)] + ["r0"]
    runs = [
        subprocess.Popen(
            [str(COMMAND), "run", str(path), "--run-id", run_id],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for run_id in ids
    ]
    said = [run.communicate() for run in runs]
    assert sorted(run.returncode for run in runs) == [0] * count + [2], said
    _, refused = said.pop([run.returncode for run in runs].index(2))
    assert "the run 'r0' is going on in the process" in refused, refused
    for out, err in said:
        check_quiet(out, err)
    assert (store / "logs" / "spark.log").exists() is (executor == "spark")

    results = read_rows(store / "results")
    cells = results.groupby("run_id").size().to_dict()
    assert cells == {f"r{number}": 2 * 6 for number in range(count)}
    assert not results.duplicated(["run_id", "slice", "test"]).any()
    assert len(results[["slice", "test", "value", "n"]].drop_duplicates()) == 12
    rows = read_rows(store / "runs")
    assert sorted(rows["run_id"]) == sorted(cells)
    assert set(rows["status"]) == {"finished"}

    client = mlflow.MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    logged = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in logged} == {"FINISHED"}
    assert sorted(run.data.tags["evalmatrix.run_id"] for run in logged) == sorted([*cells, *cells])


def check_quiet(out: str, err: str) -> None:
    """Nothing is printed but the command's own lines: Spark's words are in a file."""
    lines = err.splitlines()
    ours = ("starting Spark", "run r", "few: ", "writing the report", "logging to MLflow",
            "waiting for the process ")  # fmt: skip
    assert lines and all(line.startswith(ours) for line in lines), err
    assert out.strip().startswith("GATE PASSED") and "report" in out
