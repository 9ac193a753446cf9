"""MLflow is down before, during and after runs; `sync` sends what it lacks, once.

A real server is out of reach, cut off in the middle of a run, and back; one story, told in order.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from engine.core.locations import Store
from engine.core.vocabulary import RunInfo
from engine.spark.lazy_session import LazySession
from engine.store.runs import start_run
from engine.store.tables import StoreTables
from tests.fixtures.tables import read_rows

if TYPE_CHECKING:
    from types import ModuleType

    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

MODELS = [{"uri": "models:/claims/1", "name": "claims-v1"}, {"uri": "models:/claims/2"}]


@dataclass
class Story:
    """A store, a server, and what the commands said so far."""

    spark: SparkSession
    store: Path
    server: Any
    proxy: Any
    command: Callable[..., Any]

    def row(self, run_id: str) -> Any:
        ((_, row),) = read_rows(self.store / "runs", run=run_id).iterrows()
        return row

    def codes(self, *run_ids: str) -> list[int]:
        return [self.row(run_id)["exit_code"] for run_id in run_ids]

    def cells(self, run_id: str) -> int:
        return len(read_rows(self.store / "results", run=run_id))

    def sync(self, *args: str | Path) -> Any:
        return self.command("sync", "--store", self.store, *args)

    def logged(self, run_id: str, uri: str | None = None) -> list[tuple[str, str]]:
        """What MLflow has of a run, and whether it is closed."""
        client = MlflowClient(uri or self.proxy.uri)
        experiment = client.get_experiment_by_name("sync").experiment_id
        query = f"tags.`evalmatrix.run_id` = '{run_id}'"
        found = client.search_runs([experiment], query, ViewType.ACTIVE_ONLY)
        return sorted((run.data.tags.get("evalmatrix.model", ""), run.info.status) for run in found)

    def tags(self, version: str) -> dict[str, str]:
        tags: dict[str, str] = (
            MlflowClient(self.proxy.uri).get_model_version("claims", version).tags
        )
        return tags

    def everything(self) -> dict[str, Any]:
        """All rows of the server's tables, and its files with their times."""
        found = {}
        with contextlib.closing(sqlite3.connect(self.server.folder / "mlflow.db")) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (name,) in tables.fetchall():
                found[name] = database.execute(f'SELECT * FROM "{name}"').fetchall()
        files = [each for each in (self.server.folder / "artifacts").rglob("*") if each.is_file()]
        return {**found, "files": sorted((str(each), each.stat().st_mtime_ns) for each in files)}


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def story(
    world: Any, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    from typer.testing import CliRunner

    from engine.cli.app import app

    folder = tmp_path_factory.mktemp("sync")
    tools = module(Path(__file__).with_name("mlflow_server.py"))
    shutil.copy(world.store / "mlflow.db", folder / "mlflow.db")
    server = tools.Server(folder)
    proxy = tools.Proxy(server)

    def command(*args: str | Path) -> Any:
        result = CliRunner().invoke(app, list(map(str, args)))
        assert "Traceback" not in result.stderr, result.stderr
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
        yield Story(spark, folder / "store", server, proxy, command)
    proxy.close()
    server.kill()


@pytest.fixture(scope="module")
def suite(world: Any, small: Callable[..., dict[str, Any]], story: Story) -> Callable[..., Path]:
    def make(name: str, **over: Any) -> Path:
        over = {"tests": [{"metric": "accuracy", "min": 0.1}], **over}
        made = small(store=str(story.store), mlflow={"tracking_uri": story.proxy.uri}, **over)
        return world.write(f"sync-{name}", made | {"name": "sync"})

    return make


def test_down_before_a_run_of_models_by_path(
    story: Story, suite: Callable[..., Path], world: Any
) -> None:
    path = suite("before", models=[{"uri": world.model("good")}])
    told = story.command("run", path, "--run-id", "before")
    assert told.exit_code == 4 and "GATE PASSED" in told.stdout
    assert f"MLflow at {story.proxy.uri} did not take the run 'before'" in told.stderr
    assert f"`evalmatrix sync --store {story.store}` sends what it lacks" in told.stderr
    assert story.cells("before") == 1 and story.codes("before") == [4]
    assert (story.store / "reports" / "before" / "index.html").is_file()


def test_down_before_a_run_of_registered_models(story: Story, suite: Callable[..., Path]) -> None:
    told = story.command("run", suite("none", models=MODELS), "--run-id", "none")
    assert told.exit_code == 4
    assert "cannot be reached" in told.stderr and "nothing was evaluated" in told.stderr
    refused = story.sync()
    assert refused.exit_code == 4 and refused.stdout.strip() == ""
    assert f"the MLflow tracking server at {story.proxy.uri} cannot be reached" in refused.stderr
    assert story.codes("before") == [4]


def test_cut_off_in_the_middle_of_a_run(story: Story, suite: Callable[..., Path]) -> None:
    story.server.wait()
    story.proxy.back()
    story.proxy.fault = lambda path: "down" if path.endswith("/runs/log-inputs") else ""
    told = story.command("run", suite("middle", models=MODELS), "--run-id", "middle")
    assert told.exit_code == 4 and "did not take the run 'middle'" in told.stderr
    assert story.cells("middle") == 2 and story.codes("middle") == [4]
    # A gate that fails has the last word.
    failing = [{"metric": "accuracy", "min": 1.0}]
    path = suite("failed", models=[{"uri": model_by_path(story)}], tests=failing)
    told = story.command("run", path, "--run-id", "failed")
    assert told.exit_code == 1 and "did not take the run 'failed'" in told.stderr
    assert story.cells("failed") == 1 and story.codes("failed") == [1]


def model_by_path(story: Story) -> str:
    """A model by path: one of the registered ones, which lie on this machine."""
    with contextlib.closing(sqlite3.connect(story.server.folder / "mlflow.db")) as database:
        (place,) = database.execute("SELECT artifact_location FROM logged_models").fetchone()
    return str(place).removeprefix("file://")


def test_an_answer_that_is_lost_makes_no_second_run(
    story: Story, suite: Callable[..., Path]
) -> None:
    story.proxy.back()
    assert story.logged("middle") == [("", "RUNNING"), ("claims-v1", "RUNNING")]
    lost: list[str] = []

    def lose_the_first_create(path: str) -> str:
        if not path.endswith("/runs/create") or lost:
            return ""
        lost.append(path)
        return "lose"

    story.proxy.fault = lose_the_first_create
    failing = [{"metric": "accuracy", "min": 1.0}]
    path = suite("newer", models=MODELS, tests=failing)
    told = story.command("run", path, "--run-id", "newer")
    assert told.exit_code == 1 and "did not take" not in told.stderr
    assert lost
    closed = [("", "FINISHED"), ("claims-v1", "FINISHED"), ("claims-v2", "FINISHED")]
    assert story.logged("newer") == closed
    assert story.tags("1")["evalmatrix.gate"] == "failed"


def test_a_sync_that_is_cut_off_tells_what_it_could_not_send(story: Story) -> None:
    story.proxy.fault = lambda path: "down" if path.endswith("/runs/log-inputs") else ""
    told = story.sync()
    assert told.exit_code == 4
    first, *others = told.stdout.splitlines()
    assert first.startswith(f"before: not sent: MLflow at {story.proxy.uri} did not take the run")
    # A server that is down is not tried again for each run.
    assert [each.partition(": the MLflow tracking server")[0] for each in others] == [
        "middle: not sent",
        "failed: not sent",
    ]
    assert "all results are safe in the store" in told.stderr
    assert story.codes("before", "middle", "failed") == [4, 4, 1]
    story.proxy.back()


def test_sync_sends_what_is_missing(story: Story) -> None:
    begin_a_run_that_is_stopped(story)
    told = story.sync()
    assert told.exit_code == 0, told.stderr
    assert told.stdout.splitlines() == [
        f"before: 1 evaluation sent to {story.proxy.uri}",
        f"middle: 1 evaluation sent to {story.proxy.uri}",
        f"failed: 1 evaluation sent to {story.proxy.uri}",
        "stopped: not sent: it is not finished; complete it with "
        "`evalmatrix run SUITE.yml --resume stopped`, which sends it",
    ]
    closed = [("", "FINISHED"), ("claims-v1", "FINISHED"), ("claims-v2", "FINISHED")]
    assert story.logged("middle") == closed
    assert story.logged("before") == [("", "FINISHED"), ("good", "FINISHED")]
    assert story.codes("before", "middle", "failed", "newer") == [0, 0, 1, 1]
    for version in ("1", "2"):
        assert story.tags(version)["evalmatrix.run_id"] == "newer"
        assert story.tags(version)["evalmatrix.gate"] == "failed"
    check_the_costs(story)


def begin_a_run_that_is_stopped(story: Story) -> None:

    row = story.row("newer")
    given = ("suite", "started_at", "suite_resolved")
    info = RunInfo("stopped", store="", versions={}, **{name: row[name] for name in given})
    later = row["started_at"].replace(year=row["started_at"].year + 1)
    info = replace(info, started_at=later)
    tables = StoreTables(Store(str(story.store)), LazySession(story.spark))
    start_run(tables["runs"], info, row["evaluations"])


def check_the_costs(story: Story) -> None:
    """A run that was sent later tells what it cost when it was made."""
    client = MlflowClient(story.proxy.uri)
    experiment = client.get_experiment_by_name("sync").experiment_id
    query = "tags.`evalmatrix.run_id` = 'before' and tags.`evalmatrix.kind` = 'evaluation'"
    (run,) = client.search_runs([experiment], query)
    timings = dict(story.row("before")["timings"])
    assert "few/seconds" in timings
    del timings["seconds"]
    costs = {key.replace("few/", "").replace("/", "_"): each for key, each in timings.items()}
    assert {f"cost/{key}": each for key, each in costs.items()}.items() <= run.data.metrics.items()
    names = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"index.html", "junit.xml", "results.parquet", "suite.yml", "summary.md"} <= names


def test_sync_again_sends_nothing(story: Story, root: Path, capsys: Any) -> None:
    before, requests = story.everything(), len(story.proxy.requests)
    told = story.sync()
    assert told.exit_code == 0
    first, last = told.stdout.splitlines()
    assert first.startswith("stopped: not sent") and last == "nothing is missing"
    asked = story.proxy.requests[requests:]
    assert len(asked) == 3, f"one experiment, and two searches in it: {asked}"
    one = story.sync("--run", "middle")
    assert (one.exit_code, one.stdout.strip()) == (0, "nothing is missing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sync.py", "--store", str(story.store)])
        with pytest.raises(SystemExit) as ended:
            run_as_main(root / "jobs" / "sync.py")
    assert ended.value.code == 0 and "nothing is missing" in capsys.readouterr().out
    assert story.everything() == before


def run_as_main(path: Path) -> None:
    import runpy

    runpy.run_path(str(path), run_name="__main__")


def test_a_run_that_cannot_be_sent_is_told(story: Story) -> None:
    newest = story.sync("--run", "latest")
    assert newest.exit_code == 0 and "nothing is missing" in newest.stdout, newest.stderr
    stopped = story.sync("--run", "stopped")
    assert stopped.exit_code == 2 and "--resume stopped" in stopped.stderr
    never = story.sync("--run", "never")
    assert never.exit_code == 2 and "has no run 'never'" in never.stderr


def test_a_server_that_has_moved_gets_all_that_the_store_still_has(
    story: Story, world: Any, spark: SparkSession
) -> None:
    from delta import DeltaTable
    from pyspark.sql import functions as F

    from engine import sync

    states = DeltaTable.forPath(spark, str(story.store / "states"))
    states.delete(F.col("run_id") == "before")
    shutil.rmtree(story.store / "reports" / "failed")
    moved = story.server.folder / "moved" / "mlflow.db"
    moved.parent.mkdir()
    shutil.copy(world.store / "mlflow.db", moved)
    found = sync(store=str(story.store), tracking_uri=f"sqlite:///{moved}", spark=spark)
    assert found.exit_code == 0
    assert [(run.run_id, run.state) for run in found.runs] == [
        ("before", "lost"),
        ("middle", "sent"),
        ("failed", "sent"),
        ("newer", "sent"),
        ("stopped", "unfinished"),
    ]
    assert "the store lacks states of the evaluation 'few'" in found.runs[0].reason
    assert set(found.runs[1].parents) == {"few"}
    there = story.logged("newer", f"sqlite:///{moved}")
    assert [name for name, _ in there] == ["", "claims-v1", "claims-v2"]
    assert (story.store / "reports" / "failed" / "index.html").is_file()
    again = sync(store=str(story.store), tracking_uri=f"sqlite:///{moved}", spark=spark)
    assert [run.state for run in again.runs] == ["lost", "there", "there", "there", "unfinished"]
    assert str(again).splitlines()[-1] == "nothing can be sent"
