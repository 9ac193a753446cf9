"""Evaluations from Python: frames and models as a notebook has them, and their suites.

By processes of this machine, and for a frame of Spark by Spark.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

import engine
from engine.errors import DataError, InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

FEATURES = ["f0", "f1", "f2"]
TESTS = ["roc_auc", "accuracy", {"metric": "log_loss", "max_rise": 0.05}]


def cells_of(result: RunResult) -> dict[tuple[str, ...], tuple[Any, ...]]:
    return {
        (cell.model.name, cell.slice.name, cell.test.name): (
            cell.measured.value,
            cell.measured.ci_low,
            cell.measured.ci_high,
            cell.delta,
            cell.verdict,
            cell.counts.n,
        )
        for cell in result.outcome.cells
    }


def assert_same(one: dict[tuple[str, ...], Any], other: dict[tuple[str, ...], Any]) -> None:
    assert one.keys() == other.keys()
    for place, values in one.items():
        assert values == tuple(
            pytest.approx(value, abs=1e-12) if isinstance(value, float) else value
            for value in other[place]
        )


@pytest.fixture(scope="module")
def rows(world: Any) -> pd.DataFrame:
    """Rows with texts, categories, times, nulls and labels that are whole numbers with nulls."""
    frame: pd.DataFrame = world.few.copy()
    frame["at"] = pd.Timestamp("2026-01-01 08:30") + pd.to_timedelta(frame["id"], unit="min")
    frame["device"] = frame["device"].astype("category")
    frame["p"] = 1 / (1 + np.exp(-frame["f0"]))
    return frame


@pytest.fixture(scope="module")
def fitted(rows: pd.DataFrame) -> dict[str, LogisticRegression]:
    known = rows[rows["fraud"].notna()]
    label = known["fraud"].astype(int)
    named = LogisticRegression().fit(known[FEATURES], label)
    return {
        "named": named,
        "array": LogisticRegression().fit(known[FEATURES].to_numpy(), label),
    }


@pytest.fixture(scope="module")
def store(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(world.make_store(tmp_path_factory.mktemp("evaluate") / "store"))


@pytest.fixture(scope="module")
def evaluate(
    store: Path, spark: SparkSession, rows: pd.DataFrame, fitted: dict[str, LogisticRegression]
) -> Callable[..., RunResult]:
    def call(data: Any = rows, models: Any = None, **over: Any) -> RunResult:
        given = {
            "label": "fraud", "task": "binary", "key": "id", "features": FEATURES,
            "baseline": "p", "slices": ["device"], "tests": TESTS, "store": store, "spark": spark,
            "executor": "local",
        }  # fmt: skip
        models = {"p": "p", "m": fitted["named"]} if models is None else models
        return engine.evaluate(data, models, **{**given, **over})

    return call


@pytest.fixture(scope="module")
def first(evaluate: Callable[..., RunResult]) -> RunResult:
    return evaluate()


def test_frames_of_all_libraries_have_the_same_cells(
    first: RunResult,
    evaluate: Callable[..., RunResult],
    rows: pd.DataFrame,
    spark: SparkSession,
    tmp_path: Path,
    store: Path,
) -> None:
    table = pa.Table.from_pandas(rows, preserve_index=False)
    rows.assign(device=rows["device"].astype(str)).to_csv(tmp_path / "rows.csv", index=False)
    plain = rows.assign(device=rows["device"].astype(str))
    frames = {
        "polars": pl.from_pandas(rows),
        "arrow": table,
        "a stream of Arrow": table.to_reader(max_chunksize=70),
        "spark": spark.createDataFrame(plain).repartition(3),
        "a suite's dataset": {"delta": str(store / "frames" / "notebook"), "version": 0},
        "a path": tmp_path / "rows.csv",
    }
    expected = cells_of(first)
    assert len(expected) == 2 * 3 * 3
    assert all(values[0] is not None for values in expected.values())
    for name, frame in frames.items():
        over = {"a path": {"name": "files"}, "spark": {"executor": "spark"}}.get(name, {})
        assert_same(cells_of(evaluate(frame, **over)), expected)
    known = rows["fraud"].notna()
    truth, scores = rows["fraud"][known].astype(int), rows["p"][known]
    from sklearn.metrics import log_loss, roc_auc_score

    assert expected["p", "overall", "roc_auc"][0] == pytest.approx(roc_auc_score(truth, scores))
    assert expected["p", "overall", "log_loss"][0] == pytest.approx(log_loss(truth, scores))


def test_the_suite_that_it_was_has_the_same_cells_from_the_command_line(
    first: RunResult, command: Callable[..., Any], tmp_path: Path, store: Path
) -> None:
    said = yaml.safe_load(first.suite)
    (evaluation,) = said["evaluations"]
    assert evaluation["dataset"] | {"delta": None} == {
        "name": "notebook", "delta": None, "version": 0, "label": "fraud", "task": "binary",
        "key": "id", "features": FEATURES,
    }  # fmt: skip
    assert [model["name"] for model in evaluation["models"]] == ["p", "m"]
    assert evaluation["models"][0] == {"name": "p", "scores": "p"}
    path = tmp_path / "suite.yml"
    path.write_text(first.suite)
    result = command("run", path, "--run-id", "of-the-suite")
    assert result.exit_code == first.exit_code, result.stderr
    table = engine.results(store=str(store), run="of-the-suite")
    assert len(table) == len(first.outcome.cells)
    own = first.to_pandas().set_index(["model", "slice", "test"])
    again = table.set_index(["model", "slice", "test"])
    for column in ("value", "ci_low", "delta", "verdict"):
        pd.testing.assert_series_equal(
            own[column].sort_index(), again[column].sort_index(), check_dtype=False
        )


def test_the_same_frame_and_models_again_cost_no_row_and_no_version(
    first: RunResult, evaluate: Callable[..., RunResult], store: Path
) -> None:
    import mlflow

    again = evaluate()
    assert_same(cells_of(again), cells_of(first))
    (evaluation,) = again.outcome.evaluations
    assert evaluation.timings.get("rows", 0) == 0
    assert again.suite == first.suite
    client = mlflow.MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("notebook")
    logged = client.search_logged_models([experiment.experiment_id])
    assert len({model.model_id for model in logged if model.name == "m"}) == 1
    files = [path for path in store.rglob("*") if "input_example" in path.name]
    assert not files, "no row of the data lies beside a model"


def test_models_of_all_kinds_have_the_same_cells(
    first: RunResult,
    evaluate: Callable[..., RunResult],
    fitted: dict[str, LogisticRegression],
    rows: pd.DataFrame,
) -> None:
    named = fitted["named"]

    def second(frame: pd.DataFrame) -> np.ndarray:
        return named.predict_proba(frame[FEATURES])[:, 1]

    def log_odds(frame: pd.DataFrame) -> np.ndarray:
        return named.decision_function(frame[FEATURES])

    class Mine:
        def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame(named.predict_proba(frame), columns=["p0", "p1"])

    scores = named.predict_proba(rows[FEATURES])
    frame = rows.assign(s0=scores[:, 0], s1=scores[:, 1])
    models = {
        "named": named,
        "array": fitted["array"],
        "function": second,
        "logit": {"model": log_odds, "output": "logit"},
        "mine": Mine(),
        "uri": yaml.safe_load(first.suite)["evaluations"][0]["models"][1]["uri"],
        "column": "s1",
        "columns": ["s0", "s1"],
        "mapping": {"scores": "s1"},
    }
    result = evaluate(frame, models, baseline="named", name="kinds")
    cells = cells_of(result)
    assert not result.outcome.evaluations[0].model_errors
    for name in models:
        own = {place[1:]: values for place, values in cells.items() if place[0] == name}
        for (where, test), values in own.items():
            assert values[0] == pytest.approx(cells["named", where, test][0], abs=1e-9), name
    texts = frame.assign(said=np.where(scores[:, 1] > 0.5, 1, 0))
    labels = evaluate(texts, {"a": "said", "b": named}, baseline=None, tests=None, name="said")
    by_metric = {(c.model.name, c.test.metric): c.measured.value for c in labels.outcome.cells}
    assert by_metric["a", "accuracy"] == by_metric["b", "accuracy"]
    assert "roc_auc" not in {metric for _, metric in by_metric}, "one of them has labels only"


@pytest.mark.frameworks
def test_networks_are_logged_and_found_again(
    evaluate: Callable[..., RunResult], rows: pd.DataFrame
) -> None:
    import torch

    from engine.models.flavors.keras import import_tensorflow

    tf = import_tensorflow()
    keras = tf.keras.Sequential(
        [tf.keras.layers.Input((3,)), tf.keras.layers.Dense(1, activation="sigmoid")]
    )
    module = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Sigmoid())

    class Own(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    values = rows[FEATURES].to_numpy(np.float32)
    with torch.inference_mode():
        scores = module.eval()(torch.from_numpy(values)).numpy()[:, 0]
    frame = rows.assign(
        t=scores.astype(float), k=keras.predict_on_batch(values)[:, 0].astype(float)
    )
    models = {
        "torch": module, "own": {"model": Own(), "output": "probability"}, "keras": keras,
        "t": "t", "k": "k",
    }  # fmt: skip
    over = {"baseline": None, "slices": None, "tests": ["roc_auc", "log_loss"], "name": "networks"}
    first = evaluate(frame, models, **over)
    cells = cells_of(first)
    assert not first.outcome.evaluations[0].model_errors
    for one, other in (("torch", "t"), ("own", "t"), ("keras", "k")):
        for test in ("roc_auc", "log_loss"):
            same = pytest.approx(cells[other, "overall", test][0], abs=1e-6)
            assert cells[one, "overall", test][0] == same, (one, test)
    assert evaluate(frame, models, **over).suite == first.suite, "each was logged once"


def test_what_the_data_say_is_told_before_the_scan(
    evaluate: Callable[..., RunResult], rows: pd.DataFrame
) -> None:
    with pytest.raises(DataError, match=r"'p' has its scores in 'p', and in .* above 1"):
        evaluate(rows.assign(p=rows["p"] * 3), {"p": "p"}, name="wrong")
    labels = rows.assign(said=rows["f0"] > 0)
    with pytest.raises(InputError, match="'roc_auc' needs scores, and the model 'said' returns"):
        evaluate(labels, {"p": "p", "said": "said"}, name="wrong")
    with pytest.raises(DataError, match="the dataset 'wrong' has no rows"):
        evaluate(rows[:0], {"p": "p"}, name="wrong")
