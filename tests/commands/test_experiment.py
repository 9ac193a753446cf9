"""`evalmatrix experiment`, from the folder to what it leaves, without Spark."""

from __future__ import annotations

import hashlib
import logging
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.tree import DecisionTreeClassifier
from typer.testing import CliRunner

import engine
from engine.cli.app import app
from engine.errors import InputError, SuiteError
from engine.training.experiments.readme import BEGIN, END
from tests.fixtures.folds import make_folder, make_table
from tests.fixtures.git import git, needs_git

pytestmark = needs_git

CONFIG = """
question: How deep must a tree be?
model: ../../model
cv: {folds: 4}
search: {params: {max_depth: [1, 3]}}
register: true
"""


def make_experiment(place: Path, config: str = CONFIG) -> Path:
    """A committed experiment on the tree of the fixtures, with a README of a person's."""
    make_folder(place)
    folder = place / "experiments" / "depth"
    folder.mkdir(parents=True)
    (folder / "experiment_config.yml").write_text(dedent(config).lstrip())
    (folder / "README.md").write_bytes(f"# Mine\r\n{BEGIN}\r\n{END}\r\nAnd mine.".encode())
    (place / ".gitignore").write_text("__pycache__/\n")
    git(place.parent, "init", "-q", "-b", "work", str(place))
    git(place, "add", "-A")
    git(place, "commit", "-qm", "first")
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """An experiment that was run twice: by the command, then from Python."""
    place = tmp_path_factory.mktemp("experiment") / "repository"
    folder = make_experiment(place)
    store = str(place / "store")
    arguments = ["experiment", str(folder), "--store", store, "--workers", "1"]
    printed = CliRunner().invoke(app, arguments)
    first = {path.name: path.read_bytes() for path in (folder / "experiment_results").iterdir()}
    readme = (folder / "README.md").read_bytes()
    again = engine.experiment(folder, store=store, workers=1)
    return folder, printed, first, readme, again


def test_the_leaderboard_is_scikit_learns(done):
    _, printed, first, _, _ = done
    assert printed.exit_code == 0, printed.output
    board = pd.read_csv(pd.io.common.BytesIO(first["leaderboard.csv"]))
    table = make_table().drop(columns="who")
    train, _ = train_test_split(table, test_size=0.25, random_state=3)
    oracle = GridSearchCV(
        DecisionTreeClassifier(max_depth=3, min_samples_leaf=1, random_state=0),
        {"max_depth": [1, 3]},
        scoring="roc_auc",
        cv=4,
    ).fit(train[["a", "b", "c"]], train["y"])
    board = board.sort_values("param.max_depth")
    np.testing.assert_allclose(board["roc_auc"], oracle.cv_results_["mean_test_score"])
    np.testing.assert_allclose(board["roc_auc.std"], oracle.cv_results_["std_test_score"])
    assert "models:/tree/1" in printed.stdout
    picture = ET.fromstring(first["leaderboard.svg"])
    words = "".join(picture.itertext())
    assert "max_depth=1" in words and "max_depth=3" in words and "roc_auc" in words


def test_its_provenance_is_what_was_run(done):
    folder, _, first, _, _ = done
    place = folder.parents[1]
    told = yaml.safe_load(first["provenance.yml"])
    head = git(place, "rev-parse", "HEAD")
    assert told["git"] == {"commit": head, "branch": "work", "dirty": False}
    assert told["seed"] == 42 and told["registered"]["uri"] == "models:/tree/1"
    digests = {(folder / file["path"]).resolve(): file["sha256"] for file in told["files"]}
    expected = [
        place / "model" / "model_config.yml",
        place / "model" / "model_code.py",
        place / "model" / "train_data" / "rows.csv",
        folder / "experiment_config.yml",
    ]
    assert digests == {
        path.resolve(): hashlib.sha256(path.read_bytes()).hexdigest() for path in expected
    }
    assert told["comparison"]["fitted_this_time"] == 8
    client = MlflowClient(f"sqlite:///{place}/store/mlflow.db")
    run = client.get_run(told["comparison"]["mlflow_run_id"])
    assert run.data.tags["mlflow.source.git.commit"] == head
    assert run.data.tags["mlflow.source.git.dirty"] == "false"
    assert run.data.tags["evalmatrix.experiment"] == "depth"
    # No file that is committed names this machine's folders.
    for data in first.values():
        assert str(place).encode() not in data


def test_run_again_it_fits_nothing_twice_and_its_own_results_make_it_not_dirty(done):
    folder, _, first, _, again = done
    assert again.leaderboard.fitted == 0
    assert again.trained.reused and again.trained.uri == "models:/tree/1"
    assert not again.commit.is_dirty and again.warning is None
    assert again.exit_code == 0
    uri = f"sqlite:///{folder.parents[1]}/store/mlflow.db"
    assert len(MlflowClient(uri).search_model_versions("name='tree'")) == 1
    results = folder / "experiment_results"
    for name in ("leaderboard.csv", "leaderboard.svg", "packages.txt"):
        assert (results / name).read_bytes() == first[name]


def test_the_readme_has_the_results_and_the_persons_words(done):
    folder, _, _, readme, again = done
    text = readme.decode()
    assert text.startswith(f"# Mine\r\n{BEGIN}\r\n") and text.endswith(f"\r\n{END}\r\nAnd mine.")
    best = again.leaderboard.best
    assert f"{best.mean('roc_auc'):.4f} ± {best.std('roc_auc'):.4f}" in text
    assert f"on commit `{again.commit.commit[:12]}`." in text
    assert (folder / "experiment_results" / "leaderboard.svg").is_file()
    assert "(experiment_results/leaderboard.svg)" in text
    assert (folder / "README.md").read_bytes() == readme


def test_a_dirty_commit_is_told_and_not_refused(tmp_path, caplog):
    config = CONFIG.replace("register: true", "register: false")
    folder = make_experiment(tmp_path / "repository", config)
    code = tmp_path / "repository" / "model" / "model_code.py"
    place = f"{tmp_path}/repository/model/table"
    broken = f'\n    if params["max_depth"] == 1:\n        raise OSError("{place}")'
    code.write_text(code.read_text().replace("build(params):", "build(params):" + broken))
    result = engine.experiment(folder, store=str(tmp_path / "store"), workers=1)
    assert result.warning.endswith("is dirty: model/model_code.py differs from it")
    assert ("evalmatrix", logging.WARNING, result.warning) in caplog.record_tuples
    told = yaml.safe_load((folder / "experiment_results" / "provenance.yml").read_text())
    assert told["git"]["dirty"] is True
    assert told["git"]["dirty_paths"] == ["model/model_code.py"]
    assert "(dirty: see `provenance.yml`)" in (folder / "README.md").read_text()
    run = MlflowClient(f"sqlite:///{tmp_path}/store/mlflow.db").get_run(result.comparison.run_id)
    assert run.data.tags["mlflow.source.git.dirty"] == "true"
    # A candidate that failed is in the table, by a message without this machine's folders.
    board = (folder / "experiment_results" / "leaderboard.csv").read_text()
    assert "OSError: model/table" in board and str(tmp_path) not in board


def nothing_was_run(folder: Path, store: Path) -> bool:
    return not (folder / "experiment_results").exists() and not store.exists()


def test_wrong_input_is_told_before_anything_runs(tmp_path):
    place = tmp_path / "repository"
    folder = make_experiment(place, CONFIG + "suites: [suite.yml, other.yml]\n")
    store = tmp_path / "store"
    (folder / "suite.yml").write_text("name: a\nevaluatons: []\n")
    (folder / "other.yml").write_text("nme: b\n")
    with pytest.raises(SuiteError) as caught:
        engine.experiment(folder, store=str(store))
    sources = [mistake.where for mistake in caught.value.mistakes]
    assert set(sources) == {"suite.yml", "other.yml"}
    assert "evaluatons" in str(caught.value) and "nme" in str(caught.value)
    assert nothing_was_run(folder, store)
    (folder / "README.md").write_text(f"{BEGIN}\n")
    with pytest.raises(InputError, match="begin on line 1"):
        engine.experiment(folder, overrides=["suites=[]"], store=str(store))
    assert nothing_was_run(folder, store)
    done = CliRunner().invoke(app, ["experiment", str(folder), "--set", "model=gone"])
    assert done.exit_code == 2
    assert "model: found 'gone', expected a folder with a model_config.yml" in done.stderr
