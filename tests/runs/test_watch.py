"""New versions are evaluated beside the champion, once, whoever watches and however it ends.

Runs are those of processes of this machine, as a watcher's own are; one night is Spark's.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.fernet import Fernet

import engine
from engine.core.locations import Store
from engine.delta.records import records
from engine.errors import InputError, StoreError, TrackingError
from engine.spark.lazy_session import LazySession
from engine.store.tables import StoreTables
from tests.fixtures.registry import mlflow_server

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
NAME = "pay"
# What the scripted models of the world reach on its small table is about .8.
FLOOR, BEYOND = {"metric": "accuracy", "min": 0.3}, {"metric": "accuracy", "min": 0.999}


@dataclass
class Desk:
    """A store with a registry of its own, and a suite that names its model by aliases."""

    world: Any
    small: Callable[..., dict[str, Any]]
    folder: Path
    tracking_uri: str = field(init=False)

    def __post_init__(self) -> None:
        self.world.make_store(self.folder / "store")
        self.tracking_uri = f"sqlite:///{self.folder / 'store' / 'mlflow.db'}"

    @property
    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(self.tracking_uri)

    @property
    def tables(self) -> StoreTables:
        return StoreTables(Store(str(self.folder / "store")), LazySession(executor="local"))

    def register(self, *models: str, name: str = NAME) -> None:
        client = self.client
        if not [model for model in client.search_registered_models() if model.name == name]:
            client.create_registered_model(name)
        for model in models:
            if self.tracking_uri.startswith("sqlite"):
                client.create_model_version(name, self.world.model(model))
                continue
            # A server takes files of its own alone.
            run = client.create_run("0")
            client.log_artifacts(run.info.run_id, self.world.model(model), "model")
            source = f"{run.info.artifact_uri}/model"
            client.create_model_version(name, source, run_id=run.info.run_id)

    def suite(self, *tests: dict[str, Any], **over: Any) -> Path:
        models = [{"uri": f"models:/{NAME}@champion"}, {"uri": f"models:/{NAME}@challenger"}]
        made = self.small(
            store=str(self.folder / "store"),
            mlflow={"tracking_uri": self.tracking_uri},
            reuse=True,
            models=models,
            baseline=f"{NAME}@champion",
            tests=list(tests or [FLOOR]),
            **over,
        )
        path = self.folder / "suite.yml"
        path.write_text(yaml.safe_dump({**made, "executor": "local"}, sort_keys=False))
        return path

    def watch(self, *tests: dict[str, Any], **options: Any) -> list[Any]:
        return engine.watch(self.suite(*tests), once=True, **options)

    def aliases(self) -> dict[str, str]:
        aliases = self.client.get_registered_model(NAME).aliases
        return {alias: str(version) for alias, version in aliases.items()}

    def runs(self) -> list[dict[str, Any]]:
        columns = ("run_id", "status", "gate", "exit_code")
        return records(self.tables["runs"].rows(columns))

    def asked(self) -> dict[str, int]:
        """How many rows each scripted model has predicted."""
        return {name: sum(self.world.journal(name)) for name in ("good", "other", "third")}

    def command(self, suite: Path, *args: str) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable}
        return subprocess.Popen(
            [sys.executable, "-m", "engine.cli.app", "watch", str(suite), *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
            start_new_session=True,
        )  # fmt: skip


def free_port() -> int:
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        return int(port.getsockname()[1])


def next_line(process: subprocess.Popen[str]) -> str:
    """The next line of a process's output, which is waited for no longer than two minutes."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 120)
    assert ready, "no line came"
    return process.stdout.readline()


@pytest.fixture
def desk(world: Any, small: Callable[..., dict[str, Any]], tmp_path: Path) -> Iterator[Desk]:
    for name in ("good", "other", "third"):
        world.forget(name)
    yield Desk(world, small, tmp_path)
    for name in ("good", "other", "third"):
        world.forget(name)


def verdicts(looked: list[Any]) -> dict[str, tuple[str, bool]]:
    return {item.version: (item.gate, item.is_new) for item in looked}


def test_versions_are_judged_once_beside_the_champion_of_then(desk: Desk) -> None:
    desk.register("good", "other")
    # Without a champion each version stands alone.
    first = desk.watch()
    assert verdicts(first) == {"1": ("passed", True), "2": ("passed", True)}
    assert desk.aliases() == {"challenger": "2"}
    cost = desk.asked()
    assert cost["good"] and cost["other"]
    tags = desk.client.get_model_version(NAME, "2").tags
    assert (tags["evalmatrix.gate"], tags["evalmatrix.run_id"]) == ("passed", first[1].run_id)

    again = desk.watch()
    assert verdicts(again) == {"1": ("passed", False), "2": ("passed", False)}
    assert [item.run_id for item in again] == [item.run_id for item in first]
    assert desk.asked() == cost and len(desk.runs()) == 2

    # Beside a champion that is another comparison; of the champion itself the same one.
    desk.client.set_registered_model_alias(NAME, "champion", "1")
    desk.register("third")
    drop = {"metric": "accuracy", "max_drop": 0.1}
    beside = desk.watch(FLOOR, drop)
    new = ("passed", True)
    assert verdicts(beside) == {"2": new, "3": new, "1": ("passed", False)}
    # The champion has its verdict as the baseline of the first of them.
    assert beside[2].run_id in {beside[0].run_id, beside[1].run_id}
    cells = engine.results(run=beside[1].run_id, store=str(desk.folder / "store"))
    assert set(cells["model_version"]) == {"1", "3"} and (cells["baseline_model"] != "").any()
    assert desk.aliases() == {"champion": "1", "challenger": "3"}

    # What is older than the champion is left out, and said to be.
    desk.client.set_registered_model_alias(NAME, "champion", "3")
    assert list(verdicts(desk.watch())) == ["3"]
    assert set(verdicts(desk.watch(older=True))) == {"1", "2", "3"}


def test_what_does_not_pass_is_no_challenger(desk: Desk) -> None:
    desk.register("good", "other")
    assert desk.watch()[1].passes and desk.aliases() == {"challenger": "2"}
    failed = desk.watch(BEYOND)
    assert verdicts(failed) == {"1": ("failed", True), "2": ("failed", True)}
    assert [item.exit_code for item in failed] == [1, 1] and desk.aliases() == {}


def test_new_data_ask_for_a_new_verdict(desk: Desk) -> None:
    import pandas as pd

    desk.register("good")
    data = desk.folder / "rows.parquet"
    rows: pd.DataFrame = desk.world.few
    rows[:300].to_parquet(data)
    dataset = {"parquet": str(data), "delta": None, "version": "latest"}

    def look() -> Any:
        path = desk.suite(FLOOR)
        suite = yaml.safe_load(path.read_text())
        suite["evaluations"][0]["dataset"] |= dataset
        del suite["evaluations"][0]["dataset"]["delta"]
        return engine.watch(suite, once=True)[0]

    first = look()
    assert first.is_new and not look().is_new
    rows[:350].to_parquet(data)
    second = look()
    assert second.is_new and second.run_id != first.run_id
    assert not look().is_new


def test_a_night_of_the_whole_suite_is_a_verdict_too(desk: Desk, spark: SparkSession) -> None:
    """Whoever has scanned the rows: the night is Spark's."""
    desk.register("good", "other")
    desk.client.set_registered_model_alias(NAME, "champion", "1")
    desk.client.set_registered_model_alias(NAME, "challenger", "2")
    night = engine.run(desk.suite(FLOOR), spark=spark, overrides=["executor=spark"])
    assert verdicts(desk.watch(FLOOR)) == {"2": ("passed", False), "1": ("passed", False)}
    assert len(desk.runs()) == 1 and desk.watch(FLOOR)[0].run_id == night.run_id


def test_a_version_that_is_named_is_told_again(desk: Desk, command: Callable[..., Any]) -> None:
    desk.register("good", "other")
    suite = desk.suite(BEYOND)
    one = ["watch", suite, "--model-name", NAME, "--model-version", "1"]
    first = command(*one, "--json")
    assert first.exit_code == 1, first.output
    (told,) = json.loads(first.stdout)
    assert (told["gate"], told["new"], told["version"]) == ("failed", True, "1")
    again = command(*one)
    assert again.exit_code == 1 and "failed" in again.stdout and told["run_id"] in again.stdout
    assert len(desk.runs()) == 1
    # All together: the second is new and fails, then nothing is.
    assert command("watch", suite, "--once").exit_code == 1
    assert command("watch", suite, "--once").exit_code == 0


def test_another_system_is_told_until_it_takes_it(desk: Desk) -> None:
    desk.register("good")
    script = desk.folder / "tell.py"
    script.write_text(
        "import json, os, sys, pathlib\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "if not place.exists(): place.touch(); sys.exit(7)\n"
        "told = json.load(sys.stdin)\n"
        "assert told['gate'] == os.environ['EVALMATRIX_GATE']\n"
        "with place.open('a') as file: file.write(json.dumps(told) + chr(10))\n"
    )
    place = desk.folder / "it's told"
    call = f'{sys.executable} {script} "{place}"'
    with pytest.raises(StoreError, match="1 of 1 verdicts were not taken"):
        desk.watch(command=call)
    assert place.read_text() == ""
    told_now = desk.watch(command=call)
    desk.watch(command=call)
    (line,) = place.read_text().splitlines()
    assert json.loads(line)["run_id"] == told_now[0].run_id
    assert json.loads(line)["suite"] == "small"


def test_two_watchers_evaluate_once(desk: Desk) -> None:
    desk.register("good", "other")
    suite = desk.suite(FLOOR)
    watchers = [desk.command(suite, "--once", "--json") for _ in range(2)]
    answers = [watcher.communicate(timeout=300) for watcher in watchers]
    assert [watcher.returncode for watcher in watchers] == [0, 0], answers
    told = [json.loads(out) for out, _ in answers]
    news = [sum(item["new"] for item in of_one) for of_one in told]
    assert sum(news) == 2, answers
    assert [item["run_id"] for item in told[0]] == [item["run_id"] for item in told[1]]
    assert [row["status"] for row in desk.runs()] == ["finished"] * 2
    # Version 1 of the table; a first look at how a model decides is of the same rows.
    asked = desk.asked()
    assert asked["good"] == asked["other"] <= 2 * 400 and asked["third"] == 0
    assert desk.aliases() == {"challenger": "2"}


def test_a_watcher_that_is_killed_goes_on(desk: Desk, all_gone: Callable[[int], None]) -> None:
    desk.register("good")
    suite = desk.suite(FLOOR)
    watcher = desk.command(suite, "--once")
    # In the middle of the scan, from a worker: the watcher and its JVM.
    desk.world.hook("good", f"kill -9 -{watcher.pid}")
    watcher.communicate(timeout=300)
    assert watcher.returncode == -9
    all_gone(watcher.pid)
    (begun,) = desk.runs()
    assert begun["status"] == "running" and desk.aliases() == {}
    (verdict,) = desk.watch()
    assert verdict.is_new and verdict.run_id == begun["run_id"]
    assert [row["status"] for row in desk.runs()] == ["finished"]
    assert desk.aliases() == {"challenger": "1"}


def test_a_broken_version_costs_the_others_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.register("good")
    (tmp_path / "empty").mkdir()
    desk.client.create_model_version(NAME, str(tmp_path / "empty"))
    one, two = desk.watch()
    assert one.passes and two.gate == "none" and "MLmodel" in two.reason
    assert two.exit_code == 2 and desk.aliases() == {"challenger": "1"}


def test_bad_arguments_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=f"registered model '{NAME}' does not exist"):
        desk.watch()
    desk.register("good")
    with pytest.raises(InputError, match=r"version '2' .* is not there; those that are: 1"):
        desk.watch(model_version="2")
    with pytest.raises(InputError, match=r"no registered model 'paid'.*'pay'"):
        desk.watch(model_name="paid")
    with pytest.raises(InputError, match="No closing quotation"):
        desk.watch(command="echo '")
    suite = desk.suite()
    monkeypatch.delenv("EVALMATRIX_WEBHOOK_SECRET", raising=False)
    with pytest.raises(InputError, match="no EVALMATRIX_WEBHOOK_SECRET"):
        engine.watch(suite, listen=True)
    with pytest.raises(InputError, match="one of the two"):
        engine.watch(suite, listen=True, once=True)
    with pytest.raises(InputError, match="--every 0"):
        engine.watch(suite, every=0)
    monkeypatch.setenv("EVALMATRIX_WEBHOOK_SECRET", "s")
    with pytest.raises(InputError, match="HOST:PORT"):
        engine.watch(suite, listen=True, address="here")
    nobody = {"mlflow.tracking_uri": "http://127.0.0.1:9"}
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="cannot be reached"):
        engine.watch(
            suite, once=True, overrides=[f"{key}={value}" for key, value in nobody.items()],
        )  # fmt: skip


def test_a_webhook_of_a_real_server_is_a_nudge(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, all_gone: Callable[[int], None]
) -> None:
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent

    folder = desk.folder / "server"
    folder.mkdir()
    shutil.copy(desk.world.folder / "new.db", folder / "mlflow.db")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    # A server asks for its list of webhooks once a minute.
    monkeypatch.setenv("MLFLOW_WEBHOOK_CACHE_TTL", "1")
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("EVALMATRIX_WEBHOOK_SECRET", "between us")
    server = mlflow_server(folder)
    port = free_port()
    watcher = None
    try:
        server.wait()
        desk.tracking_uri = f"http://127.0.0.1:{server.port}"
        desk.register("good")
        desk.client.create_webhook(
            "evalmatrix", f"http://127.0.0.1:{port}/",
            [WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)],
            secret="between us",
        )  # fmt: skip
        watcher = desk.command(
            desk.suite(FLOOR), "--listen", "--address", f"127.0.0.1:{port}", "--every", "3600"
        )
        assert next_line(watcher).startswith(f"{NAME}/1: passed")
        # The next look by itself is in an hour.
        desk.register("other")
        assert next_line(watcher).startswith(f"{NAME}/2: passed")
        os.kill(watcher.pid, signal.SIGINT)
        _, told = watcher.communicate(timeout=60)
        assert watcher.returncode == 130 and "evalmatrix: stopped" in told
        assert "Traceback" not in told and "between us" not in told
        assert desk.aliases() == {"challenger": "2"}
    finally:
        server.kill()
        if watcher is not None and watcher.poll() is None:
            os.killpg(watcher.pid, signal.SIGKILL)
            watcher.communicate(timeout=60)
            all_gone(watcher.pid)


class Killed(BaseException):
    """Ends a watcher between two steps, as nothing that it could catch."""


@pytest.mark.parametrize("step", ["run", "alias", "command", "announcement"])
def test_a_watcher_that_ends_between_two_steps_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from engine.commands import watch_exec, watch_round
    from engine.models.registry import Registry

    desk.register("good")
    place = desk.folder / "told"
    call = f"{sys.executable} -c \"open('{place}', 'a').write('x')\""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    points = {
        # The run is finished, and nobody has read its verdict.
        "run": (watch_round, "complete_run", lambda context: (complete(context), die())),
        "alias": (Registry, "set_alias", die),
        "command": (watch_exec.Announcer, "_run", die),
        "announcement": (watch_exec, "keep_announcement", die),
    }
    complete = watch_round.complete_run
    with monkeypatch.context() as patch:
        patch.setattr(*points[step])
        with pytest.raises(Killed):
            desk.watch(command=call)
    cost, runs = desk.asked(), desk.runs()
    (verdict,) = desk.watch(command=call)
    assert verdict.passes and not verdict.is_new and desk.runs() == runs
    assert desk.asked() == cost and desk.aliases() == {"challenger": "1"}
    # Who was told and not noted is told again, of the same run.
    assert place.read_text() == ("xx" if step == "announcement" else "x")
    desk.watch(command=call)
    assert place.read_text() == ("xx" if step == "announcement" else "x")
