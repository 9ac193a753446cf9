"""Whole runs whose store and data are in an object store: as on a disk, whatever is killed.

One process has the session that evalmatrix starts by itself, with S3A; it does in turn what the
tests look at. The jars are fetched once for a machine, some 14 MB.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import yaml

from tests.fixtures.object_store import SECRET, ObjectStore
from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1200)]

KEY = ["evaluation", "model", "slice", "test"]
SAME = ["value", "n", "weight_sum", "verdict", "reason", "dataset_version"]
FILES = 8
COMMAND = [sys.executable, "-m", "engine.cli.app"]


@dataclass
class Mall:
    """A store and a table in an object store, a suite on them, and a process that runs it."""

    world: Any
    server: ObjectStore
    suite: dict[str, Any]
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[str] | None = None

    def write(self, name: str, **over: Any) -> str:
        return str(self.world.write(f"mall-{name}", {**self.suite, **over}))

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            **options,
        )

    def ask(self, **asked: Any) -> dict[str, Any]:
        """A run in the process that has the session."""
        if self.process is None:
            script = Path(__file__).with_name("object_store_session.py")
            with (self.folder / "session.log").open("w") as log:
                self.process = subprocess.Popen(
                    [sys.executable, str(script)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    cwd=self.folder,
                    env=self.environment,
                    start_new_session=True,
                )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, (self.folder / "session.log").read_text()[-3000:]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def rows(self, table: str, run_id: str | None = None) -> pd.DataFrame:
        from engine.delta.object_table import ObjectTable

        where = [] if run_id is None else [("run_id", "=", run_id)]
        own = ObjectTable(f"{self.suite['store']}/{table}")
        return own.rows(where=where).to_pandas() if own.exists() else pd.DataFrame()

    def cells(self, run_id: str) -> pd.DataFrame:
        rows = self.rows("results", run_id).set_index(KEY).sort_index()
        assert not rows.index.duplicated().any()
        return rows[SAME]

    def predicted(self) -> int:
        return sum(self.world.journal("good"))


@pytest.fixture(scope="module")
def mall(
    world: Any,
    small: Callable[..., dict[str, Any]],
    object_store: ObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
    root: Path,
) -> Iterator[Mall]:
    folder = tmp_path_factory.mktemp("mall")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**clean, **object_store.environment, "PYTHONPATH": str(root)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in object_store.environment.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ALLOW_HTTP", "true")
        table = object_store.uri("lake", "few")
        for part in range(FILES):
            share = world.few[part::FILES]
            write_rows(table, share)
            write_rows(folder / "few", share)
    suite = small(
        store=object_store.uri("store"),
        dataset={"delta": table, "version": "latest"},
        slices=["overall", {"by": ["country"]}],
        tests=[{"metric": "accuracy", "min": 0.1}, {"metric": "roc_auc"}],
        checkpoint_rows=100,
    )
    # Files of reports and what is known of models are beside the process.
    world.make_store(folder / "evalmatrix")
    mall = Mall(world, object_store, suite, folder, environment)
    yield mall
    if mall.process is not None:
        os.killpg(mall.process.pid, signal.SIGKILL)
        mall.process.communicate(timeout=60)


@pytest.fixture(autouse=True)
def _reached(s3: ObjectStore) -> None:
    """What this process reads and writes by itself is the same store."""


@pytest.fixture(scope="module")
def expected(mall: Mall, evaluated: Callable[..., RunResult]) -> pd.DataFrame:
    """The cells of a run on a disk, by the tests' own session, to which nothing happens."""
    from tests.fixtures.tables import read_rows

    suite = json.loads(json.dumps(mall.suite))
    suite["store"] = str(mall.world.make_store(mall.folder / "store"))
    suite["evaluations"][0]["dataset"]["delta"] = str(mall.folder / "few")
    assert evaluated(suite, "mall-local", run_id="local").exit_code == 0
    rows = read_rows(mall.folder / "store" / "results").set_index(KEY).sort_index()
    return rows[SAME]


def test_a_run_that_is_killed_in_the_middle_of_its_scan_is_completed(
    mall: Mall, expected: pd.DataFrame
) -> None:
    """`kill -9` of command, JVM and workers: what was predicted is not predicted again."""
    suite = mall.write("killed")
    mall.world.forget("good")
    process = mall.start(*COMMAND, "run", suite, "--run-id", "killed")
    until = time.monotonic() + 300
    while process.poll() is None and len(mall.rows("chunks")) == 0:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    parts = mall.rows("chunks")["step"].nunique()
    before = mall.predicted()
    answer = mall.ask(suite=suite, resume="killed")
    assert answer == {"code": 0, "error": ""}
    assert mall.cells("killed").equals(expected)
    labelled = int(mall.world.few["fraud"].notna().sum())
    # Beside the part that was cut off, each row once.
    assert labelled <= mall.predicted() <= before + labelled * (4 - parts) / 4 + 8
    assert list(mall.rows("runs", "killed")["status"]) == ["finished"]
    assert mall.rows("chunks").empty


def test_a_server_that_is_killed_under_a_run_costs_nothing(
    mall: Mall, expected: pd.DataFrame
) -> None:
    """It goes away in the middle of a scan, and comes back: the run waits, or is resumed."""
    suite = mall.write("restarted")
    server = mall.server
    assert server.process is not None
    mall.world.hook("good", f"kill -9 -{server.process.pid}")

    def restart(died: subprocess.Popen[bytes]) -> None:
        died.wait(600)
        time.sleep(2)
        server.start()

    again = threading.Thread(target=restart, args=(server.process,))
    again.start()
    answer = mall.ask(suite=suite, run_id="restarted")
    again.join()
    if answer["code"] != 0:
        assert answer["code"] == 4 and "\n" not in answer["error"].strip()
        answer = mall.ask(suite=suite, run_id="restarted")
    assert answer == {"code": 0, "error": ""}
    assert mall.cells("restarted").equals(expected)
    assert mall.cells("killed").equals(expected)
    assert list(mall.rows("runs", "restarted")["status"]) == ["finished"]


def test_states_and_predictions_that_stay_with_the_workers_are_written_by_them(
    mall: Mall, expected: pd.DataFrame
) -> None:
    """Workers write the files, one commit adds them; a second run takes both from there."""
    evaluation = {**mall.suite["evaluations"][0], "predictions": "keep"}
    suite = mall.write("large", evaluations=[evaluation], reuse=True, checkpoint_rows=1000)
    mall.world.forget("good")
    assert mall.ask(suite=suite, run_id="large", few_bytes=0) == {"code": 0, "error": ""}
    assert mall.cells("large").equals(expected)
    labelled = int(mall.world.few["fraud"].notna().sum())
    assert mall.predicted() == labelled
    kept = mall.rows("predictions")
    assert kept["key"].nunique() == len(kept) == labelled
    assert len(mall.rows("states", "large")) > 0
    assert mall.ask(suite=suite, run_id="again", few_bytes=0) == {"code": 0, "error": ""}
    assert mall.cells("again").equals(expected)
    assert mall.predicted() == labelled


def test_files_are_taken_into_a_lake_in_the_object_store(mall: Mall) -> None:
    """CSV files of this machine become a table in the store's lake, with the rows there are."""
    files = mall.folder / "files"
    files.mkdir()
    mall.world.few[["id", "f0", "f1", "fraud"]][:150].to_csv(files / "a.csv", index=False)
    evaluation = json.loads(json.dumps(mall.suite["evaluations"][0]))
    evaluation["dataset"] = {
        "csv": f"{files}/*.csv", "name": "taken", "task": "binary", "label": "fraud", "key": ["id"]
    }  # fmt: skip
    evaluation["slices"] = ["overall"]
    suite = mall.write("files", evaluations=[evaluation])
    assert mall.ask(suite=suite, run_id="files-1") == {"code": 0, "error": ""}
    mall.world.few[["id", "f0", "f1", "fraud"]][150:].to_csv(files / "b.csv", index=False)
    assert mall.ask(suite=suite, run_id="files-2") == {"code": 0, "error": ""}
    for run_id, rows in (("files-1", mall.world.few[:150]), ("files-2", mall.world.few)):
        assert set(mall.rows("results", run_id)["n"]) == {int(rows["fraud"].notna().sum())}
    assert mall.rows("lake/taken")["id"].nunique() == len(mall.rows("lake/taken")) == 400


@pytest.mark.parametrize("count", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_runs_that_start_together_all_land_without_a_jvm(
    mall: Mall, expected: pd.DataFrame, count: int
) -> None:
    """Nothing is new, so none of them needs Spark; one more of the first name is refused."""
    suite = mall.write("together", reuse=True)
    ids = [f"t{count}-{number}" for number in range(count)]
    runs = [mall.start(*COMMAND, "run", suite, "--run-id", name) for name in [*ids, ids[0]]]
    said = [run.communicate(timeout=600) for run in runs]
    codes = sorted(run.returncode for run in runs)
    # Who comes when the first has ended is answered with what it found.
    assert codes in ([0] * (count + 1), [0] * count + [2]), said
    assert all("starting Spark" not in err for _, err in said), said
    for name in ids:
        assert mall.cells(name).equals(expected)
        assert list(mall.rows("runs", name)["status"]) == ["finished"]


def test_commands_that_need_no_rows_start_no_jvm(mall: Mall) -> None:
    for command in (["maintain"], ["results"]):
        environment = {**mall.environment, "JAVA_HOME": "/no/such/java"}
        process = subprocess.run(
            [*COMMAND, *command, "--store", mall.suite["store"]],
            capture_output=True, text=True, cwd=mall.folder, env=environment, check=False,
        )  # fmt: skip
        assert process.returncode == 0, (command, process.stderr)


@pytest.mark.parametrize(
    ("environment", "over", "code", "told"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, {}, 4, "refuses the credentials"),
        ({}, {"store": "s3://no-such-bucket/store"}, 4, "has no such bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {}, 4, "cannot be reached"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:9"}, {}, 2, "is no address"),
        ({}, {"store": "s3://key:hunter2@evalmatrix/store"}, 2, "credentials in it"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {"store": None}, 4, "cannot be reached"),
    ],
)
def test_what_is_wrong_is_told_before_the_scan(
    mall: Mall,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environment: dict[str, str],
    over: dict[str, Any],
    code: int,
    told: str,
) -> None:
    """In a few seconds, by one sentence that has no secret in it; the last is about the data."""
    from engine import run
    from engine.errors import EvalMatrixError

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    suite = {**mall.suite, **over}
    suite["store"] = suite["store"] or str(mall.world.make_store(tmp_path / "store"))
    mall.world.forget("good")
    started = time.monotonic()
    with pytest.raises(EvalMatrixError, match=told) as caught:
        run(yaml.safe_load(yaml.safe_dump(suite)))
    assert caught.value.exit_code == code and time.monotonic() - started < 30
    text = str(caught.value)
    assert "\n" not in text and SECRET not in text and "hunter2" not in text
    assert mall.predicted() == 0


def test_a_session_without_s3a_is_told_what_it_lacks(
    mall: Mall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: Any
) -> None:
    from engine import run
    from engine.errors import InputError

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"has no S3A.*--packages org.apache.hadoop:hadoop-aws:3"):
        run(mall.suite, spark=spark)
