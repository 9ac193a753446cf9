"""A run in MLflow: sent twice it is there once, and what is lacking of it is found."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)

from engine.core.vocabulary import Cell, RunOutcome
from engine.errors import TrackingError
from engine.models.mlflow_client import find_experiment
from engine.models.mlflow_tables import make_database
from engine.planning.model_finder import short_waits
from engine.sinks import mlflow

RUN = "20261120-020000-nightly"
HOUR = dt.timedelta(hours=1)


class Place:
    """An MLflow database of a test's own, and the report of a run."""

    def __init__(self, empty: Path, folder: Path) -> None:
        self.database = folder / "mlflow.db"
        shutil.copy(empty, self.database)
        self.target = mlflow.Target(f"sqlite:///{self.database}", folder / "report", 50)
        self.target.folder.mkdir()
        for name in mlflow.FILES:
            (self.target.folder / name).write_text(name)
        self.client = MlflowClient(self.target.tracking_uri)

    def send(self, outcome: RunOutcome) -> dict[str, str]:
        return mlflow.log_outcome(outcome, self.target)

    def lacks(self, run_id: str = RUN, *evaluations: str) -> bool:
        """Whether the run is lacking; one that was never sent always is."""
        wanted = {run_id: evaluations or ("claims",), "another": ("claims",)}
        found = mlflow.incomplete_runs(self.target.tracking_uri, "nightly", wanted)
        alone = mlflow.incomplete_runs(
            self.target.tracking_uri, "nightly", {run_id: evaluations or ("claims",)}
        )
        assert "another" in found and (run_id in found) == (run_id in alone)
        return run_id in found

    def runs(self, view: int = ViewType.ACTIVE_ONLY) -> dict[str, Any]:
        """The MLflow runs by the model they are of, the evaluation's own as ''."""
        experiment = self.client.get_experiment_by_name("nightly").experiment_id
        found = list(self.client.search_runs([experiment], "", view))
        named = {run.data.tags.get("evalmatrix.model", ""): run for run in found}
        assert len(named) == len(found)
        return named

    def everything(self) -> dict[str, list[Any]]:
        """All rows of all of MLflow's tables, and the artifacts."""
        with contextlib.closing(sqlite3.connect(self.database)) as found:
            names = found.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            rows = {name: found.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names}
        files = [each for each in self.database.parent.glob("artifacts/**/*") if each.is_file()]
        return {**rows, "files": sorted(files)}

    def tags(self) -> dict[str, str]:
        tags: dict[str, str] = self.client.get_model_version("claims", "3").tags
        return tags


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database that two threads have made at once, after a process was killed at it."""
    database = tmp_path_factory.mktemp("mlflow") / "new" / "mlflow.db"
    begun = database.parent / ".mlflow.db.begun"
    begun.mkdir(parents=True)
    (begun / "mlflow.db").write_bytes(b"half of a database")
    failed: list[Exception] = []

    def make() -> None:
        try:
            make_database(f"sqlite:///{database}")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(path.name for path in database.parent.iterdir()) == [".locks", "mlflow.db"]
    return database


@pytest.fixture
def place(empty: Path, tmp_path: Path) -> Place:
    return Place(empty, tmp_path)


@pytest.fixture
def outcome(cell_of: Callable[..., Cell], run_of: Callable[..., RunOutcome]) -> RunOutcome:
    """A run of two models, one of which is version 3 of `claims` in the registry."""
    made = run_of(
        [cell_of(model="good"), cell_of(model="other"), cell_of(model="good", slice_name="DE")]
    )
    (result,) = made.evaluations
    models = tuple(
        replace(model, registered_name=None) if model.name == "other" else model
        for model in result.models
    )
    result = replace(result, models=models, timings={"seconds": 12.5})
    return replace(made, evaluations=[result], model_gates={("claims", "good"): made.gate})


def test_what_is_sent_again_changes_nothing(place: Place, outcome: RunOutcome) -> None:
    parents = place.send(outcome)
    before = place.everything()
    assert len(before["runs"]) == 3 and len(before["metrics"]) > 20 and len(before["files"]) >= 5
    assert place.send(outcome) == parents
    assert place.everything() == before

    # As if it had been killed each time just before the end of a run, so that all is sent again.
    for run in place.runs().values():
        place.client.update_run(run.info.run_id, "RUNNING")
    assert place.lacks()
    slower = [replace(each, timings={"seconds": 99.0}) for each in outcome.evaluations]
    assert place.send(replace(outcome, evaluations=slower)) == parents
    assert place.everything() == before
    history = place.client.get_metric_history(parents["claims"], "cost/seconds")
    started = int(outcome.info.started_at.timestamp() * 1000)
    assert [(each.value, each.timestamp, each.step) for each in history] == [(12.5, started, 0)]


def test_a_run_is_lacking_until_all_of_it_is_closed(place: Place, outcome: RunOutcome) -> None:
    nowhere = f"sqlite:///{place.database.with_name('none.db')}"
    assert mlflow.incomplete_runs(nowhere, "nightly", {RUN: ["claims"]}) == {RUN}
    assert not place.database.with_name("none.db").exists()
    assert mlflow.incomplete_runs(place.target.tracking_uri, "nightly", {RUN: ["claims"]}) == {RUN}
    place.send(outcome)
    assert not place.lacks()
    assert place.lacks(RUN, "claims", "digits")
    for name in ("", "other"):
        place.client.update_run(place.runs()[name].info.run_id, "RUNNING")
        assert place.lacks()
        place.send(outcome)
        assert not place.lacks()
        assert {run.info.status for run in place.runs().values()} == {"FINISHED"}


def test_what_somebody_has_deleted_is_not_wanted(place: Place, outcome: RunOutcome) -> None:
    place.send(outcome)
    for name in ("", "good"):
        place.client.delete_run(place.runs()[name].info.run_id)
        before = place.everything()
        assert not place.lacks()
        place.send(outcome)
        assert place.everything() == before
    place.client.update_run(place.runs()["other"].info.run_id, "RUNNING")
    assert place.lacks()
    place.send(outcome)
    assert not place.lacks() and list(place.runs()) == ["other"]
    place.client.delete_experiment(place.client.get_experiment_by_name("nightly").experiment_id)
    assert not place.lacks()


def test_what_was_begun_twice_is_there_once(place: Place, outcome: RunOutcome) -> None:
    place.send(outcome)
    first = place.runs()["good"]
    tags = {key: value for key, value in first.data.tags.items() if not key.startswith("mlflow")}
    place.client.create_run(first.info.experiment_id, tags=tags)
    assert place.lacks()
    place.send(outcome)
    assert not place.lacks() and place.runs()["good"].info.run_id == first.info.run_id


def test_the_newest_run_marks_a_registered_version(place: Place, outcome: RunOutcome) -> None:
    place.client.create_registered_model("claims")
    for _ in range(3):
        place.client.create_model_version("claims", "file:///nowhere")
    place.send(outcome)
    first = place.tags()
    assert first["evalmatrix.run_id"] == RUN
    assert first["evalmatrix.evaluated_at"] == outcome.info.started_at.isoformat()
    for run_id, after, marks in (("later", HOUR, True), ("earlier", -HOUR, False)):
        info = replace(outcome.info, run_id=run_id, started_at=outcome.info.started_at + after)
        place.send(replace(outcome, info=info))
        assert not place.lacks(run_id)
        assert (place.tags()["evalmatrix.run_id"] == run_id) is marks
    assert place.tags()["evalmatrix.run_id"] == "later"
    assert place.tags()["evalmatrix.evaluated_at"] == (outcome.info.started_at + HOUR).isoformat()


def test_an_mlflow_without_the_models_takes_their_runs(place: Place, outcome: RunOutcome) -> None:
    (result,) = outcome.evaluations
    models = tuple(replace(model, model_id="m-of-another-server") for model in result.models)
    place.send(replace(outcome, evaluations=[replace(result, models=models)]))
    assert not place.lacks()
    assert set(place.runs()) == {"", "good", "other"}


def test_an_experiment_that_another_process_makes_meanwhile_is_taken(place: Place) -> None:
    class Slow(MlflowClient):
        """Makes the experiment by another client just after it was looked for in vain."""

        made: str | None = None

        def get_experiment_by_name(self, name: str) -> Any:
            found = super().get_experiment_by_name(name)
            if self.made is None:
                self.made = place.client.create_experiment(name)
            return found

    slow = Slow(place.target.tracking_uri)
    assert find_experiment(slow, "new", None) == slow.made
    assert find_experiment(place.client, "new", None) == slow.made


def test_a_server_that_never_answers_is_given_up(
    place: Place, outcome: RunOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAX_RETRIES", "BACKOFF_FACTOR", "TIMEOUT"):
        monkeypatch.delenv(f"MLFLOW_HTTP_REQUEST_{name}", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    short_waits()
    bound = (MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() + 1) * MLFLOW_HTTP_REQUEST_TIMEOUT.get()
    assert 30 <= bound <= 150
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        info = replace(outcome.info, store="./my store")
        started = time.monotonic()
        with pytest.raises(TrackingError) as caught:
            mlflow.log_outcome(replace(outcome, info=info), replace(place.target, tracking_uri=uri))
        assert 1.5 < time.monotonic() - started < 20
    message = str(caught.value)
    assert message.startswith(f"MLflow at {uri} did not take the run '{RUN}': ")
    assert "the Delta tables and the report are complete without it" in message
    assert "`evalmatrix sync --store './my store'` sends what it lacks" in message
    assert f"--resume {RUN}`" in message
