"""Every wrong input ends in one clear message and its exit code, never in a traceback."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from tests.fixtures.tables import read_rows, write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

Suites = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


@pytest.fixture
def refused(world: Any, command: Callable[..., Any]) -> Refused:
    """Runs a suite that must not run; gives the message, which nothing else surrounds."""

    def go(suite: dict[str, Any], *args: str, code: int = 2) -> str:
        path = world.write("refused", suite)
        result = command("run", path, *args)
        assert result.exit_code == code, result.stderr
        assert result.stdout == ""
        start = result.stderr.index("evalmatrix: ")
        return str(result.stderr[start:])

    return go


def has(message: str, parts: Sequence[str]) -> None:
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in: {message}"


def test_all_mistakes_of_a_suite_are_told_at_once(
    world: Any, small: Suites, refused: Refused
) -> None:
    suite = small(tests=[{"metric": "roc_acu"}, {"metric": "r2"}, {"metric": "f1", "mim": 0.5}])
    suite["evaluations"][0]["dataset"]["lable"] = suite["evaluations"][0]["dataset"].pop("label")
    message = refused(suite)
    has(message, ["refused.yml: ", "mistakes", "'roc_acu'", "did you mean 'roc_auc'?", "line "])
    has(message, ["'r2' is a metric for regression, the task is binary", "mim", "lable"])


def test_a_suite_that_is_not_there(command: Callable[..., Any], tmp_path: Path) -> None:
    result = command("run", tmp_path / "none.yml")
    assert result.exit_code == 2 and "the file does not exist" in result.stderr


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("models:/claims/9", ["registered model 'claims' has no version '9'", "1, 2"]),
        ("models:/claim/1", ["registered model 'claim' does not exist", "did you mean 'claims'?"]),
        ("models:/claims@champion", ["'claims' has no alias 'champion'"]),
        ("runs:/0123456789abcdef/model", ["no run '0123456789abcdef'"]),
        ("./nowhere/model", ["nowhere/model"]),
    ],
)
def test_a_model_that_does_not_exist(
    small: Suites, refused: Refused, uri: str, parts: list[str]
) -> None:
    has(refused(small(models=[{"uri": uri}])), ["evaluation 'few': ", *parts])


def test_a_model_that_wants_a_column_that_the_data_lack(
    world: Any, small: Suites, refused: Refused
) -> None:
    lacking = world.few.drop(columns="f1").rename(columns={"f2": "f1_new"})
    write_rows(world.table("lacking"), lacking)
    suite = small(dataset={"delta": world.table("lacking"), "version": 0})
    has(
        refused(suite),
        ["evaluation 'few'", "the model 'good'", "['f1']", "lacks; it has 'id', 'f0'", "'f1_new'"],
    )


@pytest.mark.parametrize(
    ("over", "parts"),
    [
        ({"label": "fruad"}, ["lacks label column 'fruad' (nearest: 'fraud')", "it has 'id'"]),
        ({"weight": "ww"}, ["weight column 'ww'"]),
        ({"key": ["id", "no"]}, ["key column 'no'"]),
        ({"weight": "country"}, ["the weight column 'country' is string, expected numbers"]),
        ({"weight": "f0"}, ["rows whose weight 'f0' is null, NaN, infinite or negative"]),
        ({"label": "kind"}, ["'ash'", "which the models do not know", "[0, 1]"]),
        ({"version": 9}, ["has no version 9; it has the versions 0 (", ") to 1 ("]),
        ({"version": "2001-01-01T00:00:00Z"}, ["has no version 2001-01-01 00:00:00 UTC"]),
        ({"positive_label": 7}, ["positive_label is 7", "[0, 1]"]),
        ({"delta": "./no/such/table"}, ["no Delta table at", "no/such/table"]),
    ],
)
def test_a_dataset_that_is_not_as_the_suite_says(
    small: Suites, refused: Refused, over: dict[str, Any], parts: list[str]
) -> None:
    has(refused(small(dataset=over)), ["few", *parts])


@pytest.mark.parametrize(
    ("rule", "parts"),
    [
        ({"name": "x", "where": "age <"}, ["the slice 'x' has where: 'age <'", "cannot read"]),
        ({"name": "x", "where": "agee < 3"}, ["agee", "cannot read"]),
        ({"name": "x", "where": "age + 1"}, ["which is double; expected a predicate"]),
        ({"name": "x", "where": "count(*) > 1"}, ["cannot read"]),
        ({"by": ["town"]}, ["slice column 'town'"]),
        ({"bins": {"country": [1, 2]}}, ["the slice column 'country' is string"]),
        ({"quantiles": {"device": 4}}, ["the slice column 'device' is string"]),
    ],
)
def test_a_slice_that_cannot_be_cut(
    small: Suites, refused: Refused, rule: dict[str, Any], parts: list[str]
) -> None:
    has(refused(small(slices=[rule])), ["evaluation 'few'", *parts])


def test_a_slice_that_cannot_be_computed_for_some_row(small: Suites, refused: Refused) -> None:
    message = refused(small(slices=[{"name": "x", "where": "1 / (id - 7) > 0"}]))
    has(
        message, ["dataset 'few'", "a `where` cannot be computed", "(DIVIDE_BY_ZERO)", "try_divide"]
    )


def test_a_slice_by_a_column_with_too_many_values(small: Suites, refused: Refused) -> None:
    message = refused(small(slices=[{"by": ["id"]}], max_slices=50))
    has(message, ["slices by 'id' would be about", "more than max_slices (50)", "quantiles"])


def test_a_slice_by_a_struct(
    world: Any, small: Suites, refused: Refused, spark: SparkSession
) -> None:
    frame = spark.read.format("delta").load(world.table("few"))
    struct = frame.selectExpr("*", "struct(country, device) AS place")
    struct.write.format("delta").save(world.table("struct"))
    suite = small(
        dataset={"delta": world.table("struct"), "version": 0}, slices=[{"by": ["place"]}]
    )
    has(refused(suite), ["rows cannot be sliced by 'place'", "struct<", "plain values"])


def test_labels_only_where_scores_are_needed(world: Any, small: Suites, refused: Refused) -> None:
    suite = small(
        models=[{"uri": world.model("good"), "output": "label"}], tests=[{"metric": "roc_auc"}]
    )
    has(refused(suite), ["'roc_auc' needs scores", "returns labels only", "'accuracy'"])


def test_a_drop_of_what_should_be_low(world: Any, small: Suites, refused: Refused) -> None:
    suite = small(
        models=[{"uri": world.model("good")}, {"uri": world.model("other")}],
        baseline="good",
        tests=[{"metric": "log_loss", "max_drop": 0.1}],
    )
    has(refused(suite), ["better when lower", "max_rise"])


def test_an_empty_dataset(world: Any, small: Suites, refused: Refused) -> None:
    write_rows(world.table("empty"), world.few[:0])
    unknown = pd.array([None] * len(world.few), dtype="Int64")
    write_rows(world.table("unlabelled"), world.few.assign(fraud=unknown))
    empty = small(dataset={"delta": world.table("empty"), "version": 0})
    has(refused(empty), ["evaluation 'few': the dataset 'empty' has no rows at this version"])
    unlabelled = small(dataset={"delta": world.table("unlabelled"), "version": 0})
    has(refused(unlabelled), ["has no label in 400 rows of 'fraud'"])


def test_a_version_whose_files_were_removed(world: Any, small: Suites, refused: Refused) -> None:
    table = world.table("vacuumed")
    shutil.copytree(world.table("few"), table)
    for file in Path(table).glob("*.parquet"):
        file.unlink()
    message = refused(small(dataset={"delta": table}))
    has(message, ["dataset 'vacuumed'", "data files of this version are gone", "VACUUM"])


def test_files_that_do_not_fit_their_table(
    world: Any, small: Suites, refused: Refused, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    world.few.drop(columns=["age"]).to_csv(files / "a.csv", index=False)
    dataset = {"csv": str(files / "*.csv"), "name": "misfits"}
    suite = small(name="misfits", dataset=dataset)
    for key in ("delta", "version"):
        del suite["evaluations"][0]["dataset"][key]
    world.few.drop(columns=["f2"]).to_csv(files / "b.csv", index=False)
    message = refused(suite)
    has(message, ["b.csv", "does not have the columns of", "['f2']", "['age']"])
    suite["evaluations"][0]["dataset"]["csv"] = str(tmp_path / "none*.csv")
    has(refused(suite), ["no file matches", "none*.csv"])


def test_a_value_that_does_not_fit_a_columns_type(
    world: Any, small: Suites, refused: Refused, tmp_path: Path
) -> None:
    good = pd.DataFrame({"id": [1, 2], "f0": [0.1, 0.2], "f1": [0.0, 1.0], "fraud": [0, 1]})
    good.to_csv(tmp_path / "a.csv", index=False)
    good.assign(fraud=["0", "yes"]).to_csv(tmp_path / "b.csv", index=False)
    suite = small(name="typed", dataset={"csv": str(tmp_path / "*.csv"), "name": "typed"})
    for key in ("delta", "version"):
        del suite["evaluations"][0]["dataset"][key]
    message = refused(suite)
    has(message, ["b.csv", "'fraud' is string", "a.csv", "it is int", "columns: {fraud: string}"])
    assert "yes" not in message, "no value of the data is told"


def test_a_store_that_cannot_be_written(small: Suites, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    message = refused(small(store=str(tmp_path / "file" / "store")), code=4)
    has(message, ["the store", "cannot be written", "Not a directory", "nothing was evaluated"])


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port on which nothing listens, and a client that asks it once more at once."""
    for name, value in (("MAX_RETRIES", "1"), ("BACKOFF_FACTOR", "0"), ("BACKOFF_JITTER", "0")):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_tracking_server_that_is_down_when_the_run_is_planned(
    small: Suites, refused: Refused, closed_port: int
) -> None:
    uri = f"http://127.0.0.1:{closed_port}"
    suite = small(models=[{"uri": "models:/claims/1"}], mlflow={"tracking_uri": uri})
    has(refused(suite, code=4), ["MLflow tracking server", uri, "cannot be reached"])


def test_a_tracking_server_that_is_down_at_the_end_costs_no_result(
    world: Any,
    small: Suites,
    command: Callable[..., Any],
    closed_port: int,
) -> None:
    uri = f"http://127.0.0.1:{closed_port}"
    suite = small(mlflow={"tracking_uri": uri}, tests=[{"metric": "accuracy", "min": 0.1}])
    path = world.write("down", suite)
    result = command("run", path, "--run-id", "down-1")
    assert result.exit_code == 4
    has(result.stderr, [uri, "did not take the run", "tables", "complete", "--resume down-1"])
    assert "GATE PASSED" in result.stdout
    assert len(read_rows(world.store / "results", run="down-1")) == 1
    assert (world.store / "reports" / "down-1" / "index.html").exists()
    ((_, row),) = read_rows(world.store / "runs", run="down-1").iterrows()
    assert (row["status"], row["gate"], row["exit_code"]) == ("finished", "passed", 4)


def test_arguments_that_are_wrong(world: Any, small: Suites, command: Callable[..., Any]) -> None:
    path = world.write("fine", small())
    wrong = command("run", path, "--set", "evaluations.few.min_slice_rows=many")
    assert wrong.exit_code == 2 and "min_slice_rows" in wrong.stderr and "--set" in wrong.stderr
    assert command("run", path, "--nonsense").exit_code == 2
    assert command("run").exit_code == 2
    assert command("results", "--store", world.folder / "nothing").exit_code == 2
    none = command("results", "--store", world.store, "--run", "never")
    assert none.exit_code == 2 and "has no run 'never'" in none.stderr
