"""Folds as tasks of Spark: the figures of local processes, the data shipped once."""

from __future__ import annotations

import os

import numpy as np
import pytest
from pyspark import TaskContext
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

import engine
from engine.errors import ModelError
from engine.execution.fold_workers import SparkWorkers
from engine.training import search_model
from engine.training.tasks import FoldTask
from tests.fixtures.folds import here, make_folder, make_table

pytestmark = pytest.mark.spark

TABLE = make_table(120)
SPACE = "search: {params: {max_depth: [1, 2, 0]}}\ncv: {folds: 3}\n"


def test_a_search_is_the_same_by_spark(tmp_path, spark):
    folder = make_folder(tmp_path, SPACE)
    local, spread = (
        search_model(
            folder,
            tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
            options=options,
        ).leaderboard
        for options in (here(), here(make=lambda work: SparkWorkers(spark, work)))
    )
    assert spread.fitted == 9
    for left, right in zip(local.entries, spread.entries, strict=True):
        assert left.candidate == right.candidate
        np.testing.assert_array_equal(left.values("roc_auc"), right.values("roc_auc"))
    assert "InvalidParameterError" in spread.entries[-1].errors[0]


def test_estimators_by_a_session_that_is_given(spark):
    x, y = TABLE[["a", "b", "c"]], TABLE["y"]
    board = engine.cross_validate(LogisticRegression(), x, y, scoring="roc_auc", cv=4, spark=spark)
    expected = cross_validate(LogisticRegression(), x, y, scoring="roc_auc", cv=4)
    np.testing.assert_array_equal(board.best.values("roc_auc"), expected["test_score"])


def look():
    """Work that tells where it is done, and dies where it is told to.

    A class of a function is shipped by its code: workers know nothing of this module.
    """

    class Look:
        framework = "sklearn"

        def __init__(self):
            self.rows, self.times = np.zeros(3_000_000), 0

        def prepare(self):
            self.times += 1

        def fit(self, task):
            if task.candidate == {"die": True}:
                os._exit(3)
            if task.candidate == {"refuse": True}:
                raise ModelError("not this code")
            return None, len(self.rows)

        def measure(self, task, model):
            context = TaskContext.get()
            return {"times": self.times}, context.taskAttemptId(), None

    return Look()


def test_each_row_is_a_task_and_the_data_go_once(spark):
    workers = SparkWorkers(spark, look())
    try:
        tasks = [FoldTask(str(number), {"n": number}, number) for number in range(70)]
        scores = {task.key: score for task, score in workers.run(tasks)}
    finally:
        workers.close()
    assert len(scores) == 70 and not any(score.error for score in scores.values())
    attempts = {score.n_test for score in scores.values()}
    assert len(attempts) == 70, "a task of Spark for each"
    # Whatever the number of tasks a process has read the work once.
    assert {score.values["times"] for score in scores.values()} == {1}


def test_a_worker_that_dies_costs_its_task(spark):
    workers = SparkWorkers(spark, look())
    try:
        tasks = [FoldTask("a", {}, 0), FoldTask("b", {"die": True}, 0)]
        scores = {task.key: score for task, score in workers.run(tasks)}
        assert scores["a"].error is None
        assert scores["b"].lost and "its process on a worker of Spark ended" in scores["b"].error
        with pytest.raises(ModelError, match="not this code"):
            list(workers.run([FoldTask("c", {"refuse": True}, 0)]))
    finally:
        workers.close()
