"""An experiment's suites: run on what it registers, once for the same inputs."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

import engine
from tests.fixtures.folds import make_folder, make_table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

CONFIG = """
question: How good is a tree of depth 2 on other rows?
model: ../model
overrides: {params.max_depth: 2}
register: true
suites:
  - path: suite.yml
    overrides: {evaluations.others.models.tree.uri: "{registered}"}
"""
SUITE = """
name: others
evaluations:
  - name: others
    dataset: {csv: PLACE/others/*.csv, task: binary, label: y, key: id}
    models: [{name: tree, uri: models:/nothing/1}]
    slices: [overall]
    tests: [{metric: roc_auc, min: 0.2}, {metric: accuracy}]
"""


def draw_others(seed: int) -> pd.DataFrame:
    frame = make_table(seed=seed).drop(columns="who")
    return frame.assign(id=np.arange(len(frame)))


def test_suites_run_on_what_was_registered_and_answer_again(tmp_path, spark: SparkSession) -> None:
    make_folder(tmp_path)
    folder = tmp_path / "depth"
    (tmp_path / "others").mkdir()
    folder.mkdir()
    (folder / "experiment_config.yml").write_text(dedent(CONFIG).lstrip())
    (folder / "suite.yml").write_text(dedent(SUITE).lstrip().replace("PLACE", str(tmp_path)))
    others = draw_others(seed=8)
    others.to_csv(tmp_path / "others" / "a.csv", index=False)
    store = str(tmp_path / "store")
    first = engine.experiment(folder, store=store, workers=1, spark=spark)

    # Without a comparison what the overrides say is trained: scikit-learn has the same figures.
    table = make_table().drop(columns="who")
    train, _ = train_test_split(table, test_size=0.25, random_state=3)
    tree = DecisionTreeClassifier(max_depth=2, min_samples_leaf=1, random_state=0)
    tree.fit(train[["a", "b", "c"]], train["y"])
    scores = tree.predict_proba(others[["a", "b", "c"]])[:, 1]
    cells = pd.read_csv(folder / "experiment_results" / "results.csv").set_index("metric")
    assert first.leaderboard is None and first.exit_code == 0
    assert cells["value"]["roc_auc"] == pytest.approx(roc_auc_score(others["y"], scores))
    accuracy = accuracy_score(others["y"], tree.predict(others[["a", "b", "c"]]))
    assert cells["value"]["accuracy"] == pytest.approx(accuracy)
    assert cells["verdict"].to_dict() == {"roc_auc": "PASS", "accuracy": "RECORDED"}
    assert not (folder / "experiment_results" / "leaderboard.csv").exists()
    text = (folder / "README.md").read_text()
    assert "Suite `others`: **passed** (1 PASS" in text
    assert "on no commit (not in a git repository)" in text

    again = engine.experiment(folder, store=store, workers=1, spark=spark)
    assert again.trained is not None and again.trained.reused
    assert again.runs[0].run_id == first.runs[0].run_id
    assert engine.results(store=store, run=first.runs[0].run_id).shape[0] == 2

    # Other rows are another run, and a gate that fails is the experiment's exit code.
    draw_others(seed=9).to_csv(tmp_path / "others" / "b.csv", index=False)
    strict = ["suites.0.overrides={evaluations.others.models.tree.uri: '{registered}', "
              "evaluations.others.tests.0.min: 0.9999}"]  # fmt: skip
    third = engine.experiment(folder, overrides=strict, store=store, workers=1, spark=spark)
    assert third.runs[0].run_id != first.runs[0].run_id
    assert third.exit_code == 1 and third.trained == again.trained
    assert "Suite `others`: **failed** (0 PASS, 1 FAIL" in (folder / "README.md").read_text()
    told = yaml.safe_load((folder / "experiment_results" / "provenance.yml").read_text())
    (dataset,) = told["runs"][0]["datasets"]
    assert dataset["rows"] == 480 and set(dataset["files"]) == {"a.csv", "b.csv"}
    assert dataset["models"] == {"tree": "models:/tree/1"}
