"""The profile of a version to which rows were appended is that of all its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from engine.data import profile_updates
from engine.data.profile import aggregate, make_profile
from engine.data.profile_updates import add_stats, updated_stats
from engine.planning.suites import read_suite
from engine.suite import Evaluation
from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SUITE = """
name: s
store: ./store
evaluations:
  - name: e
    dataset: {{delta: ./t, task: {task}, label: {label}, key: [id], weight: w{more}}}
    models: [{{uri: ./m}}]
    slices: [overall, {{by: g}}, {{bins: {{w: [1, 2]}}}}]
    tests: [{{metric: {metric}}}]
"""


def evaluation(folder: Path, task: str = "multiclass", more: str = "") -> Evaluation:
    label, metric = {"multiclass": ("y", "accuracy"), "multilabel": ("ys", "hamming_loss")}[task]
    path = folder / "suite.yml"
    path.write_text(SUITE.format(task=task, label=label, metric=metric, more=more))
    return read_suite(path).evaluations[0]


def rows(first: int, labels: list[Any], groups: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": range(first, first + len(labels)),
            "y": pd.array(labels, dtype="string"),
            "ys": [[place % 2, 1] for place in range(len(labels))],
            "g": pd.array(groups, dtype="string"),
            "w": [float(place % 4) for place in range(len(labels))],
        }
    )


@pytest.fixture
def append(tmp_path: Path, spark: SparkSession) -> Callable[[pd.DataFrame], DataFrame]:
    """Appends rows to a table, and gives all its rows."""
    table = str(tmp_path / "table")

    def write(frame: pd.DataFrame) -> DataFrame:
        write_rows(table, frame)
        return spark.read.format("delta").load(table)

    return write


FIRST = rows(0, ["a", "b", None, "a"], ["x", "x", "x", None])


@pytest.mark.parametrize(
    "more",
    [
        rows(4, ["c", "a"], ["x", "x"]),
        rows(4, [None, None], [None, None]),
        rows(4, ["b"] * 9, ["x", "y", "z"] * 3),
    ],
    ids=["a new class", "no label", "new groups"],
)
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_appended_rows_alone_are_looked_at(
    tmp_path: Path,
    spark: SparkSession,
    append: Callable[[pd.DataFrame], DataFrame],
    more: pd.DataFrame,
    task: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = evaluation(tmp_path, task)
    before = aggregate(append(FIRST), asked)
    frame = append(more)
    looked: list[int] = []

    def noted(some: DataFrame, of: Evaluation) -> Any:
        looked.append(some.count())
        return aggregate(some, of)

    monkeypatch.setattr(profile_updates, "aggregate", noted)
    stats = updated_stats(spark, str(tmp_path / "table"), (0, 1), asked, before)
    assert stats is not None and looked == [len(more)]
    found, whole = (
        make_profile(stats, asked),
        make_profile(aggregate(frame, asked), asked),
    )
    # How many values a column has is an estimate in any case, from which no figure is made.
    assert replace(found, values={}, slices=0) == replace(whole, values={}, slices=0)
    assert 1 <= found.values["g"] <= whole.values["g"]


def test_rows_that_went_and_questions_that_do_not_add_up_need_a_look_at_all(
    tmp_path: Path, spark: SparkSession, append: Callable[[pd.DataFrame], DataFrame]
) -> None:
    table, asked = str(tmp_path / "table"), evaluation(tmp_path)
    before = aggregate(append(FIRST), asked)
    append(rows(4, ["c"], ["x"]))
    clustered = evaluation(tmp_path, more=", cluster: g")
    assert updated_stats(spark, table, (0, 1), clustered, before) is None
    spark.sql(f"DELETE FROM delta.`{table}` WHERE id = 1")
    assert updated_stats(spark, table, (0, 2), asked, before) is None
    assert updated_stats(spark, table, (0, 1), asked, before) is not None


def test_bad_rows_that_came_are_refused_as_in_a_first_look(
    tmp_path: Path, spark: SparkSession, append: Callable[[pd.DataFrame], DataFrame]
) -> None:
    asked = evaluation(tmp_path)
    before = aggregate(append(FIRST), asked)
    append(rows(4, ["c"], ["x"]).assign(w=-1.0))
    stats = updated_stats(spark, str(tmp_path / "table"), (0, 1), asked, before)
    assert stats is not None and stats["bad_weights"] == 1
    with pytest.raises(Exception, match="1 rows whose weight 'w' is null, NaN, infinite or"):
        make_profile(stats, asked)


def test_what_is_known_of_parts_adds_up() -> None:
    one = {"rows": 3, "labelled": 2, "labels": [1, 2], "by_0": 5, "shortest": 2, "longest": 2,
           "range of a": [1.0, 5.0], "range of b": [None, None]}  # fmt: skip
    other = {"rows": 4, "labelled": 0, "labels": [2, 7], "by_0": 3, "shortest": None, "longest": 4,
             "range of a": [-2.0, 3.0], "range of b": [0.0, 0.5]}  # fmt: skip
    assert add_stats(one, other) == {
        "rows": 7, "labelled": 2, "labels": [1, 2, 7], "by_0": 5, "shortest": 2, "longest": 4,
        "range of a": [-2.0, 5.0], "range of b": [0.0, 0.5],
    }  # fmt: skip
