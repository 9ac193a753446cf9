"""A whole run on 20,000 rows: every value against scikit-learn, and every place it is written."""

from __future__ import annotations

import json
import math
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as skm

from engine.states.rows import STATES_VERSION

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

FEATURES = ["f0", "f1", "f2"]
BINARY = [
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "matthews_corrcoef",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier_score",
]
MULTI = [
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "f1_weighted",
    "precision_macro",
    "recall_per_class",
    "log_loss",
    "roc_auc_ovr",
]
REGRESSION = [
    "mean_absolute_error",
    "mean_squared_error",
    "root_mean_squared_error",
    "r2",
    "mean_absolute_percentage_error",
    "max_error",
]
SLICES: list[Any] = [
    "overall",
    {"by": ["country"]},
    {"by": ["country", "device"]},
    {"name": "young-germans", "where": "age < 25 AND country = 'DE'"},
    {"bins": {"age": [18, 30, 50]}},
    {"quantiles": {"f0": 4}},
]


def big_suite(world: Any) -> dict[str, Any]:
    def dataset(task: str, label: str, table: str = "claims") -> dict[str, Any]:
        return {
            "delta": world.table(table),
            "task": task,
            "label": label,
            "key": ["id"],
            "weight": "w",
        }

    binary = [{"metric": name, **({"min": 0.5} if name == "roc_auc" else {})} for name in BINARY]
    binary.append({"name": "recall-kept", "metric": "recall", "max_drop": 0.01})
    claims = {
        "name": "claims",
        "dataset": dataset("binary", "fraud"),
        "models": [{"uri": "models:/claims/1"}, {"uri": "models:/claims/2"}],
        "baseline": "claims-v1",
        "slices": SLICES,
        "tests": binary,
    }
    return {
        "name": "big",
        "store": str(world.store),
        "evaluations": [
            claims,
            claims | {"name": "seven-files", "dataset": dataset("binary", "fraud", "claims7")},
            {
                "name": "kinds",
                "dataset": dataset("multiclass", "kind"),
                "models": [{"uri": "models:/kinds/1"}],
                "slices": SLICES,
                "tests": [{"metric": name} for name in MULTI],
            },
            {
                "name": "amounts",
                "dataset": dataset("regression", "amount"),
                "models": [{"uri": "models:/amounts/1"}],
                "slices": SLICES,
                "tests": [{"metric": name} for name in REGRESSION],
            },
        ],
    }


@pytest.fixture(scope="module")
def finished(world: Any, evaluated: Callable[..., RunResult]) -> RunResult:
    return evaluated(big_suite(world), "big", run_id="big-1")


@pytest.fixture(scope="module")
def cells(finished: RunResult, world: Any, spark: SparkSession) -> pd.DataFrame:
    """The rows that the run has in the results table, as Spark reads them."""
    table = spark.read.format("delta").load(str(world.store / "results"))
    return table.where("run_id = 'big-1'").toPandas()


def mask_of(row: pd.Series, data: pd.DataFrame) -> np.ndarray:
    """The rows of a slice, found by a plain loop over what the results table says of it."""
    if row["slice_kind"] == "where":
        return np.asarray((data["age"] < 25) & (data["country"] == "DE"))
    mask = np.ones(len(data), bool)
    for column, value in (row["slice_columns"] or {}).items():
        have = data[column]
        if value is None:
            mask &= have.isna().to_numpy()
        elif value == "NaN":
            mask &= np.isnan(have.to_numpy())
        elif row["slice_kind"] in ("bins", "quantiles"):
            mask &= in_interval(have.to_numpy(), value)
        else:
            mask &= (have == value).fillna(False).to_numpy()
    return mask


def in_interval(values: np.ndarray, text: str) -> np.ndarray:
    if text.startswith("<"):
        return values < float(text[2:])
    if text.startswith(">="):
        return values >= float(text[3:])
    low, high = map(float, text[1:-1].split(", "))
    return (values >= low) & (values < high)


def binary_truth(metric: str, y: Any, p: Any, w: Any) -> float:
    label = p[:, 1] > 0.5
    functions: dict[str, Callable[[], float]] = {
        "accuracy": lambda: skm.accuracy_score(y, label, sample_weight=w),
        "precision": lambda: skm.precision_score(y, label, sample_weight=w, zero_division=np.nan),
        "recall": lambda: skm.recall_score(y, label, sample_weight=w, zero_division=np.nan),
        "f1": lambda: skm.f1_score(y, label, sample_weight=w, zero_division=np.nan),
        "balanced_accuracy": lambda: skm.balanced_accuracy_score(y, label, sample_weight=w),
        "matthews_corrcoef": lambda: skm.matthews_corrcoef(y, label, sample_weight=w),
        "roc_auc": lambda: skm.roc_auc_score(y, p[:, 1], sample_weight=w),
        "average_precision": lambda: skm.average_precision_score(y, p[:, 1], sample_weight=w),
        "log_loss": lambda: skm.log_loss(y, p, sample_weight=w, labels=[0, 1]),
        "brier_score": lambda: skm.brier_score_loss(y, p[:, 1], sample_weight=w, labels=[0, 1]),
    }
    return functions[metric]()


def multi_truth(metric: str, y: Any, p: Any, w: Any) -> float:
    classes = np.array(["ash", "birch", "cedar"])
    label = classes[p.argmax(axis=1)]
    if metric.startswith("recall_class_"):
        only = [metric.removeprefix("recall_class_")]
        return skm.recall_score(y, label, labels=only, average="macro", sample_weight=w)
    functions: dict[str, Callable[[], float]] = {
        "accuracy": lambda: skm.accuracy_score(y, label, sample_weight=w),
        "balanced_accuracy": lambda: skm.balanced_accuracy_score(y, label, sample_weight=w),
        "f1_macro": lambda: skm.f1_score(y, label, average="macro", sample_weight=w),
        "f1_weighted": lambda: skm.f1_score(y, label, average="weighted", sample_weight=w),
        "precision_macro": lambda: skm.precision_score(y, label, average="macro", sample_weight=w),
        "log_loss": lambda: skm.log_loss(y, p, sample_weight=w, labels=classes),
        "roc_auc_ovr": lambda: skm.roc_auc_score(
            y, p, sample_weight=w, multi_class="ovr", labels=classes
        ),
    }
    return functions[metric]()


def regression_truth(metric: str, y: Any, p: Any, w: Any) -> float:
    if metric == "max_error":
        return skm.max_error(y, p)
    name = metric if metric != "r2" else "r2_score"
    return float(getattr(skm, name)(y, p, sample_weight=w))


@pytest.mark.parametrize(
    ("evaluation", "label", "truth"),
    [
        ("claims", "fraud", binary_truth),
        ("kinds", "kind", multi_truth),
        ("amounts", "amount", regression_truth),
    ],
)
def test_every_value_is_scikit_learns_on_the_mask_of_the_slice(
    world: Any, cells: pd.DataFrame, evaluation: str, label: str, truth: Callable[..., float]
) -> None:
    data = world.rows[world.rows[label].notna()]
    of = cells[cells["evaluation"] == evaluation]
    predictions = {}
    for model in of["model"].unique():
        fitted = world.fitted[model]
        method = fitted.predict_proba if hasattr(fitted, "predict_proba") else fitted.predict
        predictions[model] = method(data[FEATURES])
    y = data[label].to_numpy(dtype=float) if label != "kind" else data[label].to_numpy()
    compared = 0
    for _, row in of.iterrows():
        mask = mask_of(row, data)
        assert row["n"] == mask.sum(), row["slice"]
        assert row["weight_sum"] == pytest.approx(data["w"][mask].sum(), rel=1e-9)
        if row["value"] is None or math.isnan(row["value"]):
            # Undefined: the slice lacks a class, or the model predicts none of it.
            assert row["undefined"] in ("one_class", "no_predicted_positive", "constant"), row
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = truth(
                row["metric"], y[mask], predictions[row["model"]][mask], data["w"][mask]
            )
        allowed = row["error_bound"] + 1e-9 * max(1.0, abs(expected))
        assert abs(row["value"] - expected) <= allowed, (row["slice"], row["metric"], expected)
        compared += 1
    assert compared > 0.8 * len(of)


def test_a_slice_of_one_class_has_no_auc_and_says_why(cells: pd.DataFrame) -> None:
    one = cells[(cells["slice"] == "country=XX") & (cells["metric"] == "roc_auc")]
    assert one["value"].isna().all() and set(one["undefined"]) == {"one_class"}
    assert set(one["verdict"]) == {"INCONCLUSIVE"}


def test_null_labels_are_left_out_and_counted(world: Any, cells: pd.DataFrame) -> None:
    row = cells[(cells["evaluation"] == "claims") & (cells["slice"] == "overall")].iloc[0]
    nulls = int(world.rows["fraud"].isna().sum())
    assert nulls > 0
    assert row["n_null_label"] == nulls
    assert row["n"] == len(world.rows) - nulls


def test_there_is_one_row_for_each_cell(cells: pd.DataFrame, finished: RunResult) -> None:
    key = ["evaluation", "model", "slice", "test"]
    assert not cells.duplicated(key).any()
    # overall, countries with null, crosses, where, bins with null, quantiles
    slices = 1 + 5 + 10 + 1 + 5 + 4
    counts = cells.groupby("evaluation").size().to_dict()
    assert counts == {
        "claims": slices * 2 * 11,
        "seven-files": slices * 2 * 11,
        "kinds": slices * 10,
        "amounts": slices * 6,
    }
    assert len(finished.outcome.cells) == len(cells)


def test_results_are_the_same_on_one_file_and_on_seven(cells: pd.DataFrame) -> None:
    key = ["model", "slice", "test"]
    one, seven = (
        cells[cells["evaluation"] == name].set_index(key).sort_index()
        for name in ("claims", "seven-files")
    )
    assert (one["n"] == seven["n"]).all()
    assert (one["verdict"] == seven["verdict"]).all()
    np.testing.assert_allclose(one["value"], seven["value"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one["delta"], seven["delta"], rtol=0, atol=1e-9)


CONTRACT = {
    "string": "run_id suite evaluation model model_uri model_version model_digest dataset slice "
    "slice_kind test metric variant baseline_model condition verdict reason",
    "double": "weight_sum value ci_low ci_high error_bound baseline_value delta delta_ci_low "
    "delta_ci_high p_value q_value",
    "bigint": "dataset_version n",
    "timestamp": "started_at",
    "map<string,string>": "slice_columns",
}


def test_the_results_table_has_the_contracts_columns_and_types(
    world: Any, finished: RunResult, spark: SparkSession
) -> None:
    schema = spark.read.format("delta").load(str(world.store / "results")).schema
    types = {field.name: field.dataType.simpleString() for field in schema}
    expected = {name: kind for kind, names in CONTRACT.items() for name in names.split()}
    ours = {
        "severity",
        "n_null_label",
        "n_bad_score",
        "undefined",
        "position",
        "schema_version",
        "violation_p_value",
        "violation_q_value",
    }
    assert {name: types.get(name) for name in expected} == expected
    assert set(types) == set(expected) | ours


def test_a_row_tells_where_it_comes_from(world: Any, cells: pd.DataFrame) -> None:
    of = cells[(cells["evaluation"] == "claims") & (cells["slice"] == "overall")]
    row = of[(of["model"] == "claims-v2") & (of["test"] == "recall-kept")].iloc[0]
    assert row["model_uri"] == "models:/claims/2" and row["model_version"] == "2"
    assert len(row["model_digest"]) == 64
    assert row["dataset_version"] == 0 and row["variant"] == "clean"
    assert row["baseline_model"] == "claims-v1"
    assert row["delta"] == pytest.approx(row["value"] - row["baseline_value"], abs=1e-15)
    assert row["condition"] == "max_drop 0.01"
    crossed = cells[cells["slice"] == "country=DE & device=ios"].iloc[0]
    assert dict(crossed["slice_columns"]) == {"country": "DE", "device": "ios"}
    assert cells[cells["slice"] == "country=<null>"].iloc[0]["slice_columns"] == {"country": None}


def test_the_runs_table_has_one_complete_row(
    world: Any, finished: RunResult, spark: SparkSession
) -> None:
    runs = spark.read.format("delta").load(str(world.store / "runs"))
    rows = runs.where("run_id = 'big-1'").collect()
    assert len(rows) == 1
    row = rows[0]
    assert row["status"] == "finished" and row["suite"] == "big"
    assert row["gate"] == finished.gate.outcome.value and row["exit_code"] == finished.exit_code
    assert row["counts"] == {v.value: n for v, n in finished.gate.counts.items()}
    assert sum(row["counts"].values()) == len(finished.outcome.cells)
    assert row["timings"]["seconds"] > 0 and row["timings"]["claims/rows"] == len(world.rows)
    assert {"python", "pyspark", "delta-spark", "mlflow"} <= set(row["versions"])
    assert "name: big" in row["suite_resolved"]


def test_states_are_kept_by_model_and_dataset_version(
    world: Any, finished: RunResult, spark: SparkSession
) -> None:
    states = spark.read.format("delta").load(str(world.store / "states"))
    key = ["evaluation", "model", "slice_set", "block", "family"]
    of = states.where("run_id = 'big-1'")
    assert of.count() == of.select(*key).distinct().count() > 0
    row = of.first()
    assert row is not None
    assert row["dataset_version"] == 0 and row["dataset_id"]
    assert len(row["model_digest"]) == 64 and row["schema_version"] == STATES_VERSION


def test_the_reports_folder_is_complete(world: Any, finished: RunResult) -> None:
    folder = world.store / "reports" / "big-1"
    assert {path.name for path in folder.iterdir()} >= {
        "index.html",
        "junit.xml",
        "summary.md",
        "results.parquet",
    }
    assert "big-1" in (folder / "index.html").read_text()
    suites = ET.parse(folder / "junit.xml").getroot()
    cases = suites.findall("testsuite/testcase")
    judged = sum(cell.verdict != "RECORDED" for cell in finished.outcome.cells)
    tested = [case for case in cases if case.get("name") != "no tests"]
    assert len(tested) == judged > 0
    assert (folder / "summary.md").read_text().strip()


def test_the_parquet_file_is_the_results_table(
    world: Any, cells: pd.DataFrame, finished: RunResult
) -> None:
    table = pq.read_table(world.store / "reports" / "big-1" / "results.parquet")
    assert table.num_rows == len(cells)
    assert table.schema.field("slice_columns").type == pa.map_(pa.string(), pa.string())
    key = ["evaluation", "model", "slice", "test"]
    ours = table.to_pandas(maps_as_pydicts="strict").set_index(key).sort_index()
    theirs = cells.set_index(key).sort_index()
    np.testing.assert_array_equal(ours["value"], theirs["value"])


@pytest.fixture(scope="module")
def tracked(world: Any, finished: RunResult) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(world.tracking_uri)


def runs_of(client: Any, run_id: str) -> list[Any]:
    found = client.get_experiment_by_name("big")
    query = f"tags.`evalmatrix.run_id` = '{run_id}'"
    return list(client.search_runs([found.experiment_id], query))


def test_mlflow_has_a_parent_for_each_evaluation_and_a_child_for_each_model(
    finished: RunResult, tracked: Any
) -> None:
    runs = runs_of(tracked, "big-1")
    parents = {r.info.run_id: r for r in runs if "mlflow.parentRunId" not in r.data.tags}
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert len(parents) == 4 and len(children) == 6
    assert all(r.data.tags["mlflow.parentRunId"] in parents for r in children)
    assert all(r.info.status == "FINISHED" for r in runs)
    assert set(finished.parents.values()) == set(parents)
    assert {r.info.run_name for r in children} >= {"eval-big-claims-v1", "eval-big-claims-v2"}


def child_of(client: Any, model: str, evaluation: str = "claims") -> Any:
    for run in runs_of(client, "big-1"):
        tags = run.data.tags
        if tags.get("evalmatrix.model") == model and tags["evalmatrix.evaluation"] == evaluation:
            return run
    raise AssertionError(f"no run of {model}")


def test_a_child_run_has_mlflows_keys_with_the_results_tables_values(
    tracked: Any, cells: pd.DataFrame
) -> None:
    metrics = child_of(tracked, "claims-v2").data.metrics
    overall = cells[
        (cells["evaluation"] == "claims")
        & (cells["model"] == "claims-v2")
        & (cells["slice"] == "overall")
    ].set_index("test")
    for test, key in {
        "roc_auc": "roc_auc",
        "accuracy": "accuracy_score",
        "f1": "f1_score",
        "average_precision": "precision_recall_auc",
        "brier_score": "brier_score_loss",
    }.items():
        assert metrics[key] == overall.loc[test, "value"]
    assert metrics["example_count"] == overall.iloc[0]["n"]
    assert metrics["country_DE/roc_auc"] > 0.5
    assert "worst/roc_auc" in metrics and "verdicts/PASS" in metrics
    assert all(math.isfinite(value) for value in metrics.values())
    # one class: undefined, so it has no key at all
    assert "country_XX/roc_auc" not in metrics


def test_the_dataset_is_an_input_with_its_delta_version(
    world: Any, tracked: Any, finished: RunResult
) -> None:
    from mlflow.types import Schema

    inputs = child_of(tracked, "claims-v1").inputs.dataset_inputs
    assert len(inputs) == 1
    dataset, tags = inputs[0].dataset, {tag.key: tag.value for tag in inputs[0].tags}
    assert dataset.name == "claims@v0" and dataset.source_type == "delta_table"
    source = json.loads(dataset.source)
    assert source["path"] == world.table("claims") and source["delta_table_version"] == 0
    assert tags["evalmatrix.dataset_version"] == "0"
    schema = Schema.from_json(json.dumps(json.loads(dataset.schema)["mlflow_colspec"]))
    assert {"f0": "double", "country": "string", "fraud": "long"}.items() <= {
        column.name: column.type.name for column in schema.inputs
    }.items()
    assert json.loads(dataset.profile) == {"num_rows": len(world.rows)}


def test_registered_versions_are_tagged_with_the_gate(tracked: Any, finished: RunResult) -> None:
    for version in ("1", "2"):
        tags = tracked.get_model_version("claims", version).tags
        gate = finished.outcome.model_gates["claims", f"claims-v{version}"]
        assert tags["evalmatrix.gate"] == gate.outcome.value
        assert tags["evalmatrix.run_id"] == "big-1"


def test_the_parent_run_has_the_artifacts(tracked: Any, finished: RunResult) -> None:
    parent = finished.parents["claims"]
    names = {item.path for item in tracked.list_artifacts(parent)}
    assert names >= {
        "suite.yml",
        "index.html",
        "results.parquet",
        "roc_curve_plot.png",
        "precision_recall_curve_plot.png",
        "calibration_curve_plot.png",
        "confusion_matrix.png",
    }
    path = Path(tracked.download_artifacts(parent, "roc_curve_plot.png"))
    assert path.read_bytes().startswith(b"\x89PNG")
    tags = tracked.get_run(parent).data.tags
    assert tags["evalmatrix.dataset_version"] == "0"
    assert tags["evalmatrix.gate"] == finished.gate.outcome.value


def test_a_result_shows_itself(finished: RunResult) -> None:
    assert "claims-v2" in str(finished)
    html = finished._repr_html_()
    assert html.startswith("<iframe") and "srcdoc" in html
    frame = finished.to_pandas()
    assert isinstance(frame, pd.DataFrame) and len(frame) == len(finished.outcome.cells)
