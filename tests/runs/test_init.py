"""`evalmatrix init`: suites that pass for good models and fail for broken ones.

One suite is drafted by Spark; that it is the same without, a test says, so the runs are local.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jsonschema
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

import engine
from engine.core.vocabulary import GateOutcome, TaskKind, Verdict
from engine.data.looks import profile_table, spread_of
from engine.data.source import pin_table
from engine.errors import InputError, ModelError
from engine.models.look import look_at_model
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession
from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.first_draft import Drafted

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

ROWS = 1_500
# By `auto`, in a process of its own that counts its JVMs.
HERE = """
import json, os, sys
from pathlib import Path
import engine

def jvms():
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return sum("java" in Path(f"/proc/{pid}/cmdline").read_text() for pid in children)

if __name__ == "__main__":
    texts = [engine.init(**asked).text for asked in json.loads(sys.argv[1])]
    imported = sorted(name for name in sys.modules if name.split(".")[0] in ("pyspark", "delta"))
    print(json.dumps({"texts": texts, "jvms": jvms(), "imported": imported}))
"""


@pytest.fixture(scope="module")
def worlds(root: Path) -> Iterator[ModuleType]:
    """The models and tables of the benchmark."""
    folder = str(root / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module("init_worlds")
    sys.path.remove(folder)


@pytest.fixture(scope="module")
def store(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(world.make_store(tmp_path_factory.mktemp("init") / "store"))


@pytest.fixture(scope="module")
def claims(worlds: ModuleType, store: Path) -> Any:
    """A pipeline over strings, numbers and nulls, with tables of a draft, fresh and swapped."""
    own = worlds.claims_world(store.parent, ROWS)
    draft, fresh = own.draw(0)
    for name, rows in {
        "reference": own.reference, "draft": draft, "fresh": fresh, "swapped": own.swap(fresh),
        "empty": draft.head(0), "unlabelled": draft.drop(columns="fraud"),
    }.items():  # fmt: skip
        write_rows(store.parent / name, rows)
    return own


@pytest.fixture(scope="module")
def drafted(claims: Any, store: Path, spark: SparkSession) -> Drafted:
    return engine.init(
        claims.champion,
        data=str(store.parent / "draft"),
        reference=str(store.parent / "reference"),
        out=store.parent / "suite.yml",
        store=str(store),
        spark=spark,
    )


def fresh_suite(drafted: Drafted, claims: Any, table: Path, candidate: str) -> dict[str, Any]:
    """The suite as it was drafted, on another table and with a candidate beside the champion."""
    suite: dict[str, Any] = yaml.safe_load(drafted.text)
    (evaluation,) = suite["evaluations"]
    evaluation["dataset"]["delta"] = str(table)
    evaluation["models"] = [{"uri": claims.champion}, {"uri": candidate, "name": "candidate"}]
    evaluation["tests"] = [test for test in evaluation["tests"] if "speed" not in test]
    return {**suite, "name": table.name, "executor": "local"}


def test_it_is_a_suite_that_says_what_it_rests_on(drafted: Drafted, store: Path) -> None:
    assert drafted.out is not None
    assert drafted.text == drafted.out.read_text(encoding="utf-8")
    (evaluation,) = read_suite(drafted.out).evaluations
    assert evaluation.dataset.label == "fraud" and evaluation.dataset.key == ("claim_id",)
    assert evaluation.dataset.task is TaskKind.BINARY
    jsonschema.Draft202012Validator(engine.schema()).validate(yaml.safe_load(drafted.text))
    kinds = {test.kind for test in evaluation.tests}
    assert kinds >= {
        "metric", "contract", "data_quality", "drift", "prediction_drift", "overfit", "leakage",
        "baseline_models", "robustness", "speed",
    }  # fmt: skip
    first = evaluation.tests[0]
    assert (first.metric, first.conditions[0].kind) == ("roc_auc", "max_drop")
    lines = [line.strip() for line in drafted.text.splitlines()]
    tests = [at for at, line in enumerate(lines) if line.startswith(("- {metric", "- metric"))]
    assert all(lines[at - 1].startswith("# ") for at in tests)
    assert f"on {ROWS:,} rows" in drafted.text
    assert "# Left out, and why:" in lines
    # Texts that YAML takes for truth values.
    assert '"NO"' in drafted.text and '"on"' in drafted.text


def test_it_passes_for_a_good_model_on_fresh_rows(
    drafted: Drafted, claims: Any, store: Path
) -> None:
    suite = fresh_suite(drafted, claims, store.parent / "fresh", claims.good)
    result = engine.run(suite)
    assert result.gate.outcome is GateOutcome.PASSED, result.gate
    own = [cell for cell in result.outcome.cells if cell.model.name in ("candidate", "")]
    judged = Counter(cell.verdict for cell in own if cell.test.conditions)
    assert judged[Verdict.ERROR] == 0
    assert judged[Verdict.PASS] >= 0.9 * sum(judged.values())


@pytest.mark.parametrize("broken", ["shuffled", "swapped"])
def test_it_fails_for_a_broken_one(drafted: Drafted, claims: Any, store: Path, broken: str) -> None:
    table = "fresh" if broken == "shuffled" else "swapped"
    candidate = claims.shuffled if broken == "shuffled" else claims.good
    result = engine.run(fresh_suite(drafted, claims, store.parent / table, candidate))
    assert result.gate.outcome is GateOutcome.FAILED
    failed = {
        cell.test.name
        for cell in result.outcome.cells
        if cell.verdict is Verdict.FAIL and cell.model.name == "candidate"
    }
    assert any(name.startswith("roc_auc") for name in failed), failed


def test_a_file_that_is_there_stays_unless_it_is_said(
    drafted: Drafted, claims: Any, store: Path, spark: SparkSession
) -> None:
    with pytest.raises(InputError, match="give --force to overwrite"):
        engine.init(claims.champion, data="nowhere", out=drafted.out, store=str(store))


@pytest.mark.usefixtures("no_session")
def test_predictions_that_are_there_need_no_model(world: Any, store: Path) -> None:
    rows = world.rows.head(1_000).dropna(subset=["fraud"])[["id", "country", "age", "fraud"]]
    rows["p"] = 1 / (1 + np.exp(-1.2 * world.rows["f0"].loc[rows.index]))
    write_rows(store.parent / "stored", rows)
    drafted = engine.init(
        data=str(store.parent / "stored"), from_predictions="p", label="fraud", store=str(store),
    )  # fmt: skip
    (evaluation,) = yaml.safe_load(drafted.text)["evaluations"]
    assert evaluation["models"] == [{"name": "p", "scores": "p"}]
    assert {"metric": "roc_auc"}.items() <= evaluation["tests"][0].items()
    assert any("no model to ask" in text for text in drafted.omissions)
    assert drafted.out is None
    assert engine.run(drafted_suite(drafted, store)).exit_code == 0


def drafted_suite(drafted: Drafted, store: Path) -> Path:
    path = store.parent / "printed.yml"
    path.write_text(drafted.text, encoding="utf-8")
    return path


@pytest.mark.usefixtures("no_session")
def test_a_regression_by_the_command_line_with_two_models(
    command: Callable[..., Any], world: Any, store: Path
) -> None:
    rows = world.rows.head(1_200)[["id", "f0", "f1", "f2", "device", "amount"]]
    write_rows(store.parent / "amounts", rows)
    for seed, name in enumerate(("first", "second")):
        part = world.rows.iloc[2_000 + 3_000 * seed :].head(3_000)
        inputs = part[["f0", "f1", "f2"]]
        model = LinearRegression().fit(inputs, part["amount"])
        mlflow.sklearn.save_model(
            model,
            store.parent / name,
            signature=infer_signature(inputs, model.predict(inputs)),
            pip_requirements=["scikit-learn"],
        )
    out = store.parent / "amounts.yml"
    given = ["--model", store.parent / "first", store.parent / "second", "--store", store]
    result = command("init", *given, "--data", store.parent / "amounts", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out)
    (evaluation,) = read_suite(out).evaluations
    assert evaluation.dataset.task is TaskKind.REGRESSION
    assert [model.name for model in evaluation.models] == ["first", "second"]
    assert evaluation.baseline == "first"
    assert evaluation.tests[0].metric == "mean_absolute_error"
    # The second is nearly the first: the margin is narrower than two half widths of a value.
    assert "differences to the champion are known to" in out.read_text()


def test_bad_input_is_told_before_anything_is_measured(
    claims: Any, store: Path, spark: SparkSession, world: Any
) -> None:
    def refuse(words: str, data: str = "draft", model: str = claims.champion, **over: Any) -> None:
        out = store.parent / "never.yml"
        with pytest.raises(InputError, match=words):
            engine.init(
                model, data=str(store.parent / data), out=out, store=str(store), spark=spark, **over
            )
        assert not out.exists()

    bare = store.parent / "bare"
    mlflow.sklearn.save_model(LinearRegression().fit([[0.0], [1.0]], [0, 1]), bare,
                              pip_requirements=["scikit-learn"])  # fmt: skip
    refuse("has no rows at version 0", data="empty")
    refuse("has no signature", model=str(bare))
    refuse("no Delta table at", data="nowhere")
    refuse("no column of the table can be the label", data="unlabelled")
    refuse("--label is 'fruad'.*did you mean 'fraud'", label="fruad")
    refuse("the task is regression, and Pipeline has 2 classes", task="regression")
    refuse("the task is multilabel; expected binary", task="multilabel")
    refuse("reads 'f0', 'f1'", model=world.model("good"))
    refuse("no folder at", model=str(store.parent / "nothing"))
    with pytest.raises(InputError, match="no model is given"):
        engine.init(data=str(store.parent / "draft"), store=str(store), spark=spark)


@pytest.mark.usefixtures("no_session")
def test_without_spark_it_is_the_same_suite_to_the_byte(
    drafted: Drafted, claims: Any, world: Any, store: Path, spark: SparkSession, root: Path
) -> None:
    """A table beside its training data, and stored predictions in CSV."""
    folder = store.parent
    rows = world.rows.head(900).dropna(subset=["fraud"])[["id", "country", "age", "fraud"]]
    rows["p"] = 1 / (1 + np.exp(-1.2 * world.rows["f0"].loc[rows.index]))
    rows.to_csv(folder / "files.csv", index=False)
    shared = {"store": str(store)}
    asked: list[dict[str, Any]] = [
        {"models": [claims.champion], "data": str(folder / "draft"),
         "reference": str(folder / "reference"), **shared},
        {"data": str(folder / "files.csv"), "from_predictions": ["p"], "label": "fraud", **shared},
    ]  # fmt: skip
    by_spark = [drafted.text, engine.init(**asked[1], spark=spark).text]
    script = folder / "here.py"
    script.write_text(HERE)
    # Files that Spark has taken into their table are taken anew.
    shutil.rmtree(store / "lake")
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(asked)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["texts"] == by_spark
    assert told["jvms"] == 0 and told["imported"] == []
    # Files that have changed since are looked at, and measured, as they are now.
    rows.head(800).to_csv(folder / "files.csv", index=False)
    assert f"{len(rows.head(800))} rows" in engine.init(**asked[1]).text


def test_a_look_at_a_model_is_what_it_was_trained_for(claims: Any, store: Path, world: Any) -> None:
    own = look_at_model(claims.champion, "", store / "cache", store / "cache" / "descriptions")
    assert own.features == ("country", "device", "age", "amount")
    assert own.types == dict(zip(own.features, ["string"] * 2 + ["double"] * 2, strict=True))
    assert (own.classes, own.task, own.gives_scores) == ((0, 1), TaskKind.BINARY, True)
    amounts = look_at_model("models:/amounts/1", world.tracking_uri, store, store / "d")
    assert (amounts.task, amounts.classes) == (TaskKind.REGRESSION, ())
    with pytest.raises(ModelError, match="no version"):
        look_at_model("models:/amounts/9", world.tracking_uri, store, store / "d")


def test_the_profile_is_what_pandas_says(claims: Any, store: Path, spark: SparkSession) -> None:
    rows: pd.DataFrame = claims.draw(0)[0]
    source = pin_table(LazySession(spark), str(store.parent / "draft"), "latest")
    table = profile_table(source)
    assert table.rows == len(rows)
    assert list(table.columns) == list(rows.columns)
    for name, column in table.columns.items():
        own = rows[name]
        assert column.nulls == own.isna().sum()
        if column.values:
            counts = own.dropna().value_counts().to_dict()
            assert dict(column.values) == counts and column.distinct == len(counts)
        else:
            assert column.distinct == pytest.approx(own.nunique(), rel=0.15)
        if column.is_number:
            assert (column.least, column.greatest) == (own.min(), own.max())
        assert column.is_unique is (name in ("claim_id", "note"))
    spread = spread_of(source, "amount")
    assert spread.deviation == pytest.approx(rows["amount"].std(ddof=0))
    middle = rows["amount"].median()
    assert spread.absolute == pytest.approx((rows["amount"] - middle).abs().mean())
