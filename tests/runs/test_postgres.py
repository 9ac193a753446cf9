"""MLflow on a real PostgreSQL: a night there, ten runs at once, the database cut off meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.core.vocabulary import Cell, RunOutcome
from engine.errors import TrackingError
from engine.metrics import METRICS
from engine.models.log_model import training_run
from engine.sinks import mlflow
from tests.fixtures.postgres import Cluster
from tests.fixtures.registry import Registry, server_tools
from tests.fixtures.tables import read_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

_OF_RUN = """SELECT r.run_uuid FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid
    WHERE t.key = 'evalmatrix.run_id' AND t.value = '{run_id}'"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gives up after the second try."""
    for name, value in (("MAX_RETRIES", "1"), ("BACKOFF_FACTOR", "0"), ("BACKOFF_JITTER", "0")):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)


@dataclass(frozen=True)
class Logged:
    """What the database has of a run: its MLflow runs by their status, and how much of each."""

    runs: dict[str, int]
    metrics: int
    tags: int
    params: int
    inputs: int


def logged(cluster: Cluster, run_id: str) -> Logged:
    of_run = _OF_RUN.format(run_id=run_id)
    states = cluster.ask(
        f"SELECT status || ' ' || lifecycle_stage, count(*) FROM runs WHERE run_uuid IN ({of_run}) "
        "GROUP BY 1"
    )
    counts = [
        cluster.ask(f"SELECT count(*) FROM {table} WHERE {column} IN ({of_run})")[0][0]
        for table, column in (
            ("metrics", "run_uuid"), ("tags", "run_uuid"), ("params", "run_uuid"),
            ("inputs", "destination_id"),
        )
    ]  # fmt: skip
    return Logged(dict(states), *counts)


@pytest.fixture
def proxy(tracking: Any) -> Iterator[Any]:
    """The tracking server behind a proxy that is asked about each request."""
    proxy = server_tools().Proxy(tracking)
    proxy.back()
    yield proxy
    proxy.close()


@dataclass(frozen=True)
class Sending:
    """A run of two models that is sent to a server, as often as wanted under other ids."""

    outcome: RunOutcome
    folder: Path

    def send(self, uri: str, run_id: str, minutes: int = 0) -> None:
        folder = self.folder / "reports" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        for name in mlflow.FILES:
            (folder / name).write_text(name)
        later = self.outcome.info.started_at.replace(minute=minutes)
        info = replace(self.outcome.info, run_id=run_id, started_at=later)
        mlflow.log_outcome(replace(self.outcome, info=info), mlflow.Target(uri, folder, 50))


@pytest.fixture
def sending(
    cell_of: Callable[..., Cell], run_of: Callable[..., RunOutcome], tmp_path: Path
) -> Sending:
    made = run_of(
        [cell_of(model="good"), cell_of(model="other"), cell_of(model="good", slice_name="DE")]
    )
    gates = {("claims", name): made.gate for name in ("good", "other")}
    return Sending(replace(made, model_gates=gates), tmp_path)


def test_ten_runs_at_once_are_each_written_once(
    cluster: Cluster, tracking: Any, sending: Sending
) -> None:
    registry = Registry(tracking.uri, sending.folder / "models")
    for number in range(3):
        assert registry.register("claims") == str(number + 1)
    ids = [f"at-once-{number}" for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda n: sending.send(tracking.uri, ids[n], n), range(10)))
    each = [logged(cluster, run_id) for run_id in ids]
    assert each[0].runs == {"FINISHED active": 3} and each[0].metrics > 20
    assert each == [each[0]] * 10
    # One experiment, though ten looked for it in vain; and no run's tags are half another's.
    assert cluster.ask("SELECT count(*) FROM experiments WHERE name = 'nightly'") == [(1,)]
    tags = registry.client.get_model_version("claims", "3").tags
    assert tags["evalmatrix.run_id"] == "at-once-9"
    assert ":09:" in tags["evalmatrix.evaluated_at"]


@pytest.mark.parametrize(
    "place",
    ["runs/create", "runs/log-batch", pytest.param("runs/log-inputs", marks=pytest.mark.soak)],
)
def test_a_database_that_is_restarted_while_a_run_is_sent(
    cluster: Cluster, proxy: Any, sending: Sending, place: str
) -> None:
    """Once for a moment, which nobody notices; once for longer, and what lacks is sent later."""
    name = place.rpartition("/")[2]
    sending.send(proxy.uri, f"{name}-undisturbed")
    whole = logged(cluster, f"{name}-undisturbed")
    assert whole.runs == {"FINISHED active": 3} and whole.inputs >= 3
    seen: list[str] = []

    def second(action: Callable[[], None]) -> Callable[[str], str]:
        def fault(path: str) -> str:
            if path.endswith(place):
                seen.append(path)
                if len(seen) == 2:
                    action()
            return ""

        return fault

    proxy.fault = second(cluster.restart)
    sending.send(proxy.uri, f"{name}-restarted")
    assert len(seen) >= 2
    assert logged(cluster, f"{name}-restarted") == whole

    seen.clear()
    proxy.fault = second(cluster.stop)
    try:
        with pytest.raises(TrackingError, match="`evalmatrix sync ") as caught:
            sending.send(proxy.uri, f"{name}-stopped")
    finally:
        cluster.start()
    assert cluster.password not in str(caught.value)
    proxy.back()
    part = logged(cluster, f"{name}-stopped")
    assert part.runs != whole.runs and part.metrics < whole.metrics
    for _ in range(2):
        sending.send(proxy.uri, f"{name}-stopped")
        assert logged(cluster, f"{name}-stopped") == whole


def register(world: Any, uri: str) -> None:
    """Two versions of a registered model, fitted by scikit-learn."""
    from mlflow.models import infer_signature
    from mlflow.sklearn import log_model
    from sklearn.linear_model import LogisticRegression

    rows = world.few.dropna(subset=["fraud"])
    x = rows[["f0", "f1"]]
    for strength in (0.01, 1.0):
        with training_run(uri, "training", "train"):
            model = LogisticRegression(C=strength).fit(x, rows["fraud"].astype(int))
            log_model(
                model, name="night", signature=infer_signature(x, model.predict(x)),
                registered_model_name="night", pip_requirements=["scikit-learn"],
                serialization_format="cloudpickle",
            )  # fmt: skip


def test_a_night_whose_database_is_restarted_under_the_scan(
    world: Any, small: Callable[..., dict[str, Any]], evaluated: Callable[..., RunResult],
    leaks: Callable[..., Any], cluster: Cluster, tracking: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """With tracking and registry there; what MLflow has is what the results table has."""
    from mlflow import MlflowClient

    from engine import sync
    from engine.commands.sync import Sent

    register(world, tracking.uri)
    flag = tmp_path / "scanning"
    world.hook("good", f"touch {flag}; while [ -e {flag} ]; do sleep 0.05; done")

    def restart() -> None:
        while not flag.exists():
            if over.wait(0.05):
                return
        cluster.restart()
        flag.unlink()

    over = threading.Event()
    waiting = threading.Thread(target=restart)
    waiting.start()
    store = str(tmp_path / "store")
    suite = small(
        store=store,
        mlflow={"tracking_uri": tracking.uri},
        models=[{"uri": "models:/night/1"}, {"uri": "models:/night/2"},
                {"uri": world.model("good")}],
        slices=["overall", {"by": "device"}],
        tests=[{"metric": "roc_auc", "min": 0.1}, {"metric": "log_loss"}],
    )  # fmt: skip
    suite["name"] = "night-on-postgres"
    try:
        result = evaluated(suite, "postgres", run_id="night")
    finally:
        over.set()
        waiting.join()
    assert result.exit_code == 0 and result.tracking_error is None, str(result)
    assert not flag.exists(), "the database was restarted"

    client = MlflowClient(tracking.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'night-on-postgres'")
    found = client.search_runs([experiment.experiment_id])
    runs = {run.data.tags.get("evalmatrix.model", ""): run for run in found}
    assert len(runs) == len(found) == 4
    rows = read_rows(Path(store) / "results")
    assert len(rows) == 3 * 3 * 2
    for row in rows.to_dict("records"):
        key = METRICS.find(row["metric"]).mlflow_key  # type: ignore[union-attr]
        key = key if row["slice"] == "overall" else f"{row['slice'].replace('=', '_')}/{key}"
        assert runs[row["model"]].data.metrics[key] == row["value"], key
    for name, run in runs.items():
        assert run.info.status == "FINISHED" and run.data.tags["evalmatrix.run_id"] == "night", name
    for version in ("1", "2"):
        assert client.get_model_version("night", version).tags["evalmatrix.run_id"] == "night"

    # The same database, asked without the server: its password is in the environment alone.
    monkeypatch.setenv("NIGHT_PASSWORD", cluster.password)
    direct = cluster.uri.replace(cluster.password, "${NIGHT_PASSWORD}")
    suite["evaluations"][0]["models"].pop(0)
    suite["evaluations"][0]["models"].pop(0)
    suite |= {"name": "night-direct", "mlflow": {"tracking_uri": direct}}
    again = evaluated(suite, "direct", run_id="night-2")
    assert again.exit_code == 0 and again.tracking_error is None
    assert logged(cluster, "night-2").runs == {"FINISHED active": 2}
    assert len(list((tmp_path / "store" / "artifacts").rglob("index.html"))) == 1
    assert sync(store=store, run="night-2").in_state(Sent.THERE)
    nowhere = cluster.uri.replace("/postgres", "/nowhere")
    for wrong in (cluster.uri.replace(cluster.password, "hunter2-hunter2"), nowhere):
        refused = sync(store=store, tracking_uri=wrong)
        assert refused.exit_code == 4 and "cannot be reached" in refused.errors[0]
        assert "hunter2" not in str(refused) + refused.errors[0]
    out, err = capfd.readouterr()
    secret = leaks(cluster.password, "hunter2-hunter2")
    assert secret.in_folder(Path(store)) == []
    assert secret.in_text("output", out + err + str(again) + str(refused)) == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.frameworks
def test_the_shipped_nightly_with_tracking_and_registry_there(
    cluster: Cluster, tracking: Any, root: Path, tmp_path: Path
) -> None:
    """`make nightly` with three frameworks, and once more under the same run id."""
    from mlflow import MlflowClient

    for name in ("conf", "jobs", "models"):
        shutil.copytree(root / name, tmp_path / name)
    with (tmp_path / "conf" / "prepare.yml").open("a") as file:
        file.write(f"tracking_uri: {tracking.uri}\n")
    command = [
        sys.executable, "jobs/nightly.py", "conf/nightly.yml", "--prepare", "conf/prepare.yml",
        "--set", f"mlflow.tracking_uri={tracking.uri}", "--run-id", "shipped",
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(root)}
    codes, seen = [], []
    for _ in range(2):
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        assert "did not take" not in done.stderr
        codes.append(done.returncode)
        seen.append(logged(cluster, "shipped"))
    # Three evaluations of two, four and two models.
    assert codes[0] == codes[1] and seen[0] == seen[1]
    assert seen[0].runs == {"FINISHED active": 3 + 8}
    rows = read_rows(tmp_path / "store" / "results", run="shipped")
    client = MlflowClient(tracking.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'nightly'")
    runs = {
        (run.data.tags["evalmatrix.evaluation"], run.data.tags.get("evalmatrix.model")): run
        for run in client.search_runs([experiment.experiment_id])
    }
    plain = rows[
        (rows["slice"] == "overall") & (rows["test"] == rows["metric"]) & rows["value"].notna()
    ]
    compared = 0
    for row in plain.to_dict("records"):
        metric = METRICS.find(row["metric"])
        if metric is not None and row["variant"] == "clean" and row["model"]:
            run = runs[row["evaluation"], row["model"]]
            assert run.data.metrics[metric.mlflow_key] == row["value"], row
            compared += 1
    assert compared >= 50
    for model in client.search_registered_models():
        for version in client.search_model_versions(f"name = '{model.name}'"):
            if model.name.startswith(("breast", "digits", "diabetes")):
                assert version.tags["evalmatrix.run_id"] == "shipped"


@pytest.mark.soak
def test_ten_commands_at_once(
    world: Any, small: Callable[..., dict[str, Any]], cluster: Cluster, tracking: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Ten processes of one suite and store, which look for a new experiment at the same moment."""
    suite = small(store=str(tmp_path / "store"), mlflow={"tracking_uri": tracking.uri})
    path = world.write("commands-at-once", suite | {"name": "commands-at-once"})
    command = [str(Path(sys.executable).with_name("evalmatrix")), "run", str(path), "--run-id"]
    ids = [f"c{number}" for number in range(10)]
    runs = [subprocess.Popen([*command, run_id], stderr=subprocess.PIPE) for run_id in ids]
    said = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 10, said
    each = [logged(cluster, run_id) for run_id in ids]
    assert each[0].runs == {"FINISHED active": 2} and each == [each[0]] * 10
    found = cluster.ask("SELECT count(*) FROM experiments WHERE name = 'commands-at-once'")
    assert found == [(1,)]
