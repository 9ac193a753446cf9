"""Runs by processes of this machine on a store and a table in an object store, without Spark."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from deltalake import DeltaTable

from engine.delta.object_store import storage_options
from engine.pieces.object_files import _file_system
from tests.fixtures.object_store import ObjectStore
from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(600)]

Run = Callable[..., "RunResult"]
KEY = ["model", "slice", "test"]


def cells(result: RunResult) -> pd.DataFrame:
    rows = [
        {
            "model": cell.model.name,
            "slice": cell.slice.name,
            "test": cell.test.name,
            "value": cell.measured.value,
            "n": cell.counts.n,
            "verdict": cell.verdict.value,
            "reason": cell.reason,
        }
        for cell in result.outcome.cells
    ]
    return pd.DataFrame(rows).set_index(KEY).sort_index()


@pytest.fixture
def suite(
    world: Any,
    small: Callable[..., dict[str, Any]],
    s3: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """A suite on a table of which the first rows are there."""
    # Files of reports and what is known of models are beside the process.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    world.make_store(tmp_path / "evalmatrix")
    world.forget("good")
    name = tmp_path.name
    table = s3.uri("local", name, "few")
    for part in (world.few[:150], world.few[150:250]):
        write_rows(table, part)
    made = small(
        store=s3.uri("local", name, "store"),
        reuse=True,
        dataset={"delta": table, "version": "latest"},
        predictions="keep",
        slices=["overall", {"by": ["country"]}, {"quantiles": {"f0": 3}}, {"where": "f1 > 0.2"}],
        tests=[
            {"metric": "accuracy", "min": 0.1},
            {"metric": "roc_auc"},
            {"drift": "ks", "columns": ["f0"], "slices": ["overall"]},
        ],
    )
    made["evaluations"][0]["reference"] = {"delta": table, "version": 0}
    made["executor"] = "local"
    return made


def on_disk(suite: dict[str, Any], world: Any, folder: Path, rows: int) -> dict[str, Any]:
    """The same suite on a store and a table of a disk."""
    same = copy.deepcopy(suite)
    same["store"] = str(world.make_store(folder / "store"))
    evaluation = same["evaluations"][0]
    for part in (world.few[:150], world.few[150:250], *([world.few[250:]] if rows > 250 else [])):
        write_rows(folder / "few", part)
    for source in (evaluation["dataset"], evaluation["reference"]):
        source["delta"] = str(folder / "few")
    return same


def test_nights_are_those_of_a_disk(
    suite: dict[str, Any], world: Any, evaluated: Run, tmp_path: Path
) -> None:
    """The second predicts the rows that came alone, and what nothing is new for reads none."""
    from engine import run

    first = run(world.write("there", suite))
    assert first.exit_code == 0 and first.outcome.evaluations[0].timings["rows"] == 250
    labelled = int(world.few["fraud"][:250].notna().sum())
    assert sum(world.journal("good")) == labelled
    table = suite["evaluations"][0]["dataset"]["delta"]
    write_rows(table, world.few[250:])
    world.forget("good")
    second = run(world.write("there", suite))
    assert sum(world.journal("good")) == int(world.few["fraud"][250:].notna().sum())
    world.forget("good")
    third = run(world.write("there", suite))
    assert not world.journal("good")
    here = on_disk(suite, world, tmp_path / "disk", 400)
    wanted = cells(evaluated({**here, "reuse": False}, "here"))
    assert len(wanted) > 10
    pd.testing.assert_frame_equal(cells(second), wanted)
    pd.testing.assert_frame_equal(cells(third), wanted)


def test_a_server_that_goes_away_and_comes_back_is_waited_for(
    suite: dict[str, Any], world: Any, evaluated: Run, s3: ObjectStore, tmp_path: Path
) -> None:
    from engine import run

    suite = {**suite, "checkpoint_rows": 100}
    assert s3.process is not None
    world.hook("good", f"kill -9 -{s3.process.pid}")

    failed = threading.Event()

    def restart(died: subprocess.Popen[bytes]) -> None:
        died.wait(600)
        time.sleep(2)
        # Where the run has failed it is the end of the tests that killed it.
        if not failed.is_set():
            s3.start()

    again = threading.Thread(target=restart, args=(s3.process,))
    again.start()
    try:
        result = run(world.write("restarted", suite))
    except BaseException:
        failed.set()
        raise
    again.join()
    here = on_disk(suite, world, tmp_path / "disk", 250)
    pd.testing.assert_frame_equal(cells(result), cells(evaluated(here, "here")))


def test_a_file_that_is_gone_is_told_before_anything_is_predicted(
    suite: dict[str, Any], world: Any, root: Path
) -> None:
    """By a command on a machine without Java, whose remedy is not to install it."""
    table = suite["evaluations"][0]["dataset"]["delta"]
    (gone, *_) = DeltaTable(table, storage_options=storage_options(table)).file_uris()
    _file_system().delete_file(gone.removeprefix("s3://"))
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli.app", "run", str(world.write("gone", suite))],
        env={**os.environ, "JAVA_HOME": "/no/such/java", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stderr.splitlines()[-1]
    assert done.returncode == 4, done.stderr
    assert "a data file is damaged or gone" in said and "does not exist" in said
    assert "Java" not in said and not world.journal("good")
