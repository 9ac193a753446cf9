"""The leaderboard in MLflow, in a frame and on the terminal; what `--register` leaves."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

import engine
from engine.cli.app import app
from engine.errors import InputError, TrackingError
from engine.training import search_model, train
from tests.fixtures.folds import here, make_folder

MORE = """
    cv: {folds: 4}
    search: {metric: log_loss, params: {max_depth: [1, 2, 0], min_samples_leaf: [5]}}
    """


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    place = tmp_path_factory.mktemp("searched")
    uri = f"sqlite:///{place}/mlflow.db"
    folder = make_folder(place, MORE)
    return folder, uri, search_model(folder, tracking_uri=uri, options=here(register=True))


def test_children_are_nested_under_their_parent(searched):
    _, uri, result = searched
    client = MlflowClient(uri)
    parent = client.get_run(result.run_id)
    board = result.leaderboard
    assert parent.info.status == "FINISHED"
    assert parent.data.params["search.method"] == "grid"
    assert parent.data.params["cv.folds"] == "4"
    assert parent.data.tags["evalmatrix.best.max_depth"] == str(
        board.best.candidate.params["max_depth"]
    )
    assert parent.data.tags["evalmatrix.best.min_samples_leaf"] == "5"
    assert parent.data.metrics["log_loss"] == board.best.mean("log_loss")
    query = f"tags.`mlflow.parentRunId` = '{result.run_id}'"
    children = client.search_runs([parent.info.experiment_id], query)
    candidates = {run.info.run_name: run for run in children if "candidate" in run.info.run_name}
    assert len(candidates) == 3 and len(children) == 4, "and the training of the best"
    for entry in board.entries:
        run = candidates[f"candidate {entry.candidate.name}"]
        assert run.data.params["max_depth"] == str(entry.candidate.params["max_depth"])
        assert run.data.tags["evalmatrix.rank"] == str(entry.rank)
        if entry.has_failed:
            assert run.info.status == "FAILED" and "log_loss" not in run.data.metrics
            assert "InvalidParameterError" in run.data.tags["evalmatrix.error.fold0"]
            continue
        assert run.data.metrics["log_loss.std"] == entry.std("log_loss")
        history = client.get_metric_history(run.info.run_id, "log_loss.fold")
        values = [metric.value for metric in sorted(history, key=lambda metric: metric.step)]
        assert values == entry.values("log_loss").tolist()
        began = min(score.started for score in entry.scores)
        assert run.info.start_time == int(began * 1000)
    other = candidates[f"candidate {board.entries[1].candidate.name}"].data.metrics
    assert other["difference.p_value"] == board.entries[1].difference.p_value


def test_the_best_is_registered_on_all_rows_for_training(searched):
    folder, uri, result = searched
    best = result.leaderboard.best.candidate
    version = MlflowClient(uri).get_model_version("tree", result.trained.version)
    assert version.tags["evalmatrix.variant"] == "search"
    # It is the model that a training with these parameters would make, and is known for it.
    again = train(
        folder,
        tracking_uri=uri,
        overrides=[f"params={json.dumps(dict(best.full))}"],
        if_changed=True,
    )
    assert again.reused and again.version == result.trained.version
    from sklearn.model_selection import train_test_split
    from sklearn.tree import DecisionTreeClassifier

    rows = pd.read_csv(folder / "train_data" / "rows.csv")
    fitted, held_out = train_test_split(rows, test_size=0.25, random_state=3)
    tree = DecisionTreeClassifier(**best.full).fit(fitted[["a", "b", "c"]], fitted["y"])
    expected = tree.score(held_out[["a", "b", "c"]], held_out["y"])
    assert result.trained.metrics["accuracy"] == pytest.approx(expected)


def test_a_search_in_a_config_makes_no_model_old(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    folder = make_folder(tmp_path)
    assert not train(folder, tracking_uri=uri, if_changed=True).reused
    config = folder / "model_config.yml"
    config.write_text(config.read_text() + "cv: {folds: 3}\nsearch: {params: {max_depth: [1]}}\n")
    assert train(folder, tracking_uri=uri, if_changed=True).reused


def test_the_frame_has_a_row_for_each_candidate(searched):
    _, uri, result = searched
    board = result.leaderboard
    frame = board.to_pandas()
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["param.max_depth"].tolist()[-1] == 0
    assert frame["log_loss"].tolist()[:2] == [e.mean("log_loss") for e in board.entries[:2]]
    folds = frame[[f"log_loss.fold{number}" for number in range(4)]].to_numpy()
    np.testing.assert_array_equal(folds[0], board.best.values("log_loss"))
    assert frame["error"].notna().tolist() == [False, False, True]
    assert "<table" in result._repr_html_()
    client = MlflowClient(uri)
    root = client.get_run(result.run_id).info.artifact_uri.removeprefix("file://")
    stored = pd.read_csv(io.StringIO((Path(root) / "leaderboard.csv").read_text()))
    assert stored["candidate"].astype(str).tolist() == frame["candidate"].tolist()


def test_the_commands(tmp_path):
    folder = make_folder(tmp_path, MORE + "versions: {deep: {max_depth: 8}}\n")
    store = ["--store", str(tmp_path / "store"), "--workers", "1"]
    runner = CliRunner()
    told = runner.invoke(app, ["train", str(folder), "--search", "--register", *store])
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0].split()[:5] == [
        "rank",
        "candidate",
        "max_depth",
        "min_samples_leaf",
        "log_loss",
    ]
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert "±" in lines[1] and "nan" in lines[3]
    assert lines[-1] == "models:/tree/1"
    assert "4 folds: InvalidParameterError" in told.stderr
    assert list((tmp_path / "store" / "searches").glob("tree-*.jsonl"))
    told = runner.invoke(app, ["train", str(folder), "--cv", "3", *store])
    assert told.exit_code == 0, told.output
    assert {line.split()[1] for line in told.stdout.splitlines()[1:]} == {"params", "deep"}
    assert "models:/" not in told.stdout
    for arguments, words in (
        (["--cv", "1"], "cv.folds: found 1"),
        (["--search", "--workers", "0"], "workers is '0', expected a number of 1 or more"),
    ):
        told = runner.invoke(app, ["train", str(folder), *arguments, *store[:2]])
        assert told.exit_code == 2 and words in told.output


def test_python_takes_what_the_command_takes(tmp_path):
    folder = make_folder(tmp_path, MORE)
    result = engine.train(folder, cv=3, search=True, workers=1, store=str(tmp_path / "store"))
    assert result.trained is None and result.leaderboard.metric == "log_loss"
    assert len(result.leaderboard.best.scores) == 3
    with pytest.raises(InputError, match="workers is 'all'"):
        engine.train(folder, search=True, workers="all", store=str(tmp_path / "store"))


def test_a_server_that_is_down_is_told_before_anything_is_fitted(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tasks = []
    folder = make_folder(tmp_path, MORE)
    with pytest.raises(TrackingError, match="cannot be reached"):
        search_model(folder, tracking_uri="http://127.0.0.1:9", options=here(tasks))
    assert tasks == []
