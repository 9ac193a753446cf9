"""The trivial models of a plan: fitted once on the reference's rows, the same however they lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engine.core.locations import Store
from engine.core.vocabulary import Columns, DatasetVersion, ModelTest, ModelVersion, TaskKind
from engine.data.source import pin_table
from engine.data.table_rows import TableRows
from engine.errors import DataError, InputError
from engine.kinds import parameters_text
from engine.pieces import NotThisWay
from engine.planning import EvaluationPlan, trivial
from engine.planning.trivial import trivial_inputs, with_trivial
from engine.spark.lazy_session import LazySession
from tests.fixtures.kernel import OVERALL, plan_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS, FIRST = 2_000, 600
TYPES = (
    ("id", "bigint"), ("a.b", "double"), ("text", "string"), ("when", "date"), ("name", "string"),
    ("w", "double"), ("label", "string"), ("amount", "double"),
)  # fmt: skip
FEATURES = ("a.b", "text", "when", "name")
FITTED = (
    f"{FIRST:,} rows of 'train' at version 3, columns 'a.b', 'text'; left out: 'when' (date), "
    "'name' (sensitive)"
)


def make_rows() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    a = rng.normal(size=ROWS)
    text = rng.choice(["x", "y", "z" * 150, None], ROWS)
    label = np.where(a + (text == "x") + rng.normal(size=ROWS) > 0.5, "bad", "good").astype(object)
    label[rng.random(ROWS) < 0.05] = None
    amount = np.where(rng.random(ROWS) < 0.05, np.nan, 3 * a + rng.normal(size=ROWS))
    return pd.DataFrame({
        "id": np.arange(ROWS), "a.b": a, "text": text,
        "when": pd.to_datetime("2026-01-01").date(), "name": "someone",
        "w": rng.choice([0.0, 0.5, 3.0], ROWS), "label": label, "amount": amount,
    })  # fmt: skip


def plan_for(*kinds: str, task: TaskKind = TaskKind.BINARY) -> EvaluationPlan:
    is_regression = task is TaskKind.REGRESSION
    metric = "r2" if is_regression else "accuracy"
    asked = parameters_text({"metric": metric, "models": list(kinds)})
    test = ModelTest("t", f"{metric}_gain", kind="baseline_models", parameters=asked)
    output = "value" if is_regression else "probability"
    model = ModelVersion("m", "m", None, "d", "", "sklearn", task, output, features=FEATURES)  # type: ignore[arg-type]
    plan = plan_of(task, [model], [], slice_sets=(OVERALL,))
    columns = Columns("amount" if is_regression else "label", "w", ("id",), sensitive=("name",))
    dataset = DatasetVersion("claims", "here", 9, "one", ROWS, schema=TYPES)
    problem = replace(plan.problem, classes=() if is_regression else ("good", "bad"))
    plan = replace(plan, dataset=dataset, columns=columns, problem=problem)
    plan = replace(plan, tests=tuple(_one_each(test, kinds)))
    return plan.beside(replace(dataset, name="train", table_id="two", version=3))


def _one_each(test: ModelTest, kinds: tuple[str, ...]) -> Iterator[ModelTest]:
    for kind in kinds:
        asked = {**json.loads(test.parameters), "models": [kind]}
        yield replace(test, name=f"beats {kind}", parameters=parameters_text(asked))


@dataclass
class Given:
    """Rows that only Spark can read."""

    frame: Callable[[], DataFrame]
    session: LazySession = field(default_factory=LazySession)

    def rows_here(self) -> TableRows:
        raise NotThisWay("they are no table")


def fit(plan: EvaluationPlan, folder: Path, frame: Any) -> dict[str, ModelVersion]:
    inputs = trivial_inputs(plan, None)
    rows = Given(frame) if callable(frame) else frame
    fitted = with_trivial(Store(str(folder)), plan, inputs, rows, lambda text: None)
    return {model.trivial_kind: model for model in fitted.trivial}


def refuse() -> DataFrame:
    raise AssertionError("no row is read")


@pytest.mark.spark
@pytest.mark.parametrize("task", [TaskKind.BINARY, TaskKind.REGRESSION])
def test_they_are_fitted_once_on_the_rows_of_the_smallest_hashes(
    task: TaskKind, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql import functions as F
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    monkeypatch.setattr(trivial, "MOST_ROWS", FIRST)
    binary = task is TaskKind.BINARY
    rows = make_rows()
    frame = spark.createDataFrame(rows, schema=", ".join(f"`{n}` {kind}" for n, kind in TYPES))
    constant = "majority" if binary else "mean"
    plan = plan_for(constant, "stump", "linear", task=task)
    models = fit(plan, tmp_path / "one", lambda: frame.repartition(5, "w"))
    again = fit(plan, tmp_path / "two", lambda: frame.orderBy(F.rand()).coalesce(1))
    assert fit(plan, tmp_path / "one", refuse) == models
    table = str(tmp_path / "table")
    frame.repartition(3, "id").write.format("delta").save(table)
    source = pin_table(LazySession(spark), table, "latest")
    monkeypatch.setattr(type(source), "frame", lambda self: refuse())
    without_spark = fit(plan, tmp_path / "three", source)
    for kind in models:
        ours, theirs = (json.loads(side[kind].content) for side in (models, without_spark))
        if kind == constant:
            assert ours.pop("constant") == pytest.approx(theirs.pop("constant"), rel=1e-12)
        assert ours == theirs, kind
    for kind, model in models.items():
        ours, theirs = (json.loads(side[kind].content) for side in (models, again))
        if kind == constant:
            assert ours.pop("constant") == pytest.approx(theirs.pop("constant"), rel=1e-12)
        assert ours == theirs, kind
        assert model.is_constant == (kind == constant)

    column = "label" if binary else "amount"
    usable = rows[rows[column].notna() & (rows["w"] > 0)]
    hashes = frame.select("id", F.xxhash64("id").alias("hash")).toPandas().set_index("id")["hash"]
    sample = usable.loc[usable["id"].map(hashes).sort_values().index[:FIRST]]
    label = (usable["label"] == "bad").astype(float) if binary else usable["amount"]
    share = np.average(label, weights=usable["w"])
    content = json.loads(models[constant].content)
    assert content["constant"] == pytest.approx([1 - share, share] if binary else share)
    assert content["fitted"] == f"{len(usable):,} rows of 'train' at version 3"
    linear = json.loads(models["linear"].content)
    assert linear["fitted"] == FITTED == json.loads(models["stump"].content)["fitted"]
    text = sample["text"].where(sample["text"].notna(), None).str[:100].to_numpy(object)[:, None]
    text[pd.isna(text)] = None
    inputs = np.hstack([
        StandardScaler().fit_transform(sample[["a.b"]]),
        OneHotEncoder(sparse_output=False).fit_transform(text),
    ])  # fmt: skip
    hand = LogisticRegression(max_iter=1000) if binary else Ridge()
    weight = sample["w"] / sample["w"].mean()
    hand.fit(inputs, label.loc[sample.index], sample_weight=weight)
    assert np.ravel(linear["weights"]) == pytest.approx(np.ravel(hand.coef_), rel=1e-6, abs=1e-9)
    assert linear["intercepts"] == pytest.approx(np.ravel(hand.intercept_), rel=1e-6)
    # What they are fitted on is the version, the label, the columns: another is fitted anew.
    assert plan.reference is not None
    newer = plan.beside(replace(plan.reference.dataset, version=4))
    with pytest.raises(AssertionError, match="no row is read"):
        fit(newer, tmp_path / "one", refuse)
    (tmp_path / "one" / "cache" / "trivial").rename(tmp_path / "elsewhere")
    for file in (tmp_path / "elsewhere").iterdir():
        file.write_text("{")
    (tmp_path / "elsewhere").rename(tmp_path / "one" / "cache" / "trivial")
    anew = fit(plan, tmp_path / "one", lambda: frame)
    assert [model.digest for model in anew.values()] == [m.digest for m in models.values()]
    assert anew["linear"] == models["linear"]


@pytest.mark.spark
def test_numbers_that_are_too_large_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    rows = make_rows()
    rows["amount"] = np.where(rows["a.b"] > 0, 1e308, -1e308)
    frame = spark.createDataFrame(rows, schema=", ".join(f"`{n}` {kind}" for n, kind in TYPES))
    for kind in ("mean", "linear"):
        plan = plan_for(kind, task=TaskKind.REGRESSION)
        with pytest.raises(DataError, match=f"'{kind}' cannot be fitted .* 'train': .*too large"):
            fit(plan, tmp_path, lambda: frame)


def test_what_the_models_read_is_what_they_may_read() -> None:
    plan = plan_for("linear")
    inputs = trivial_inputs(plan, None)
    assert (inputs.numbers, inputs.texts) == (("a.b",), ("text",))
    assert inputs.left_out == {"when": "date", "name": "sensitive"}
    assert trivial_inputs(plan_for("majority"), None).columns == ()
    stored = replace(plan, models=(replace(plan.models[0], flavor="columns"),))
    assert trivial_inputs(stored, ["a.b"]).columns == ("a.b",)
    with pytest.raises(InputError, match="read no columns that are known, and the suite names no"):
        trivial_inputs(stored, None)
    with pytest.raises(InputError, match=r"none can be used: 'when' .date.; expected columns of"):
        trivial_inputs(stored, ["when"])
