"""What a suite says of models: the columns that one returns, or that the dataset has already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from engine.core.vocabulary import Endpoint, Output
from engine.errors import SuiteError
from engine.suite import ModelSource, PredictionsSource, dump_suite, load_suite


def read(tmp_path: Path, *models: dict[str, Any], **dataset: Any) -> Any:
    evaluation = {
        "name": "e",
        "dataset": {"delta": "./t", "task": "binary", "label": "y", **dataset},
        "models": list(models),
        "tests": [{"metric": "recall"}],
    }
    path = tmp_path / "suite.yml"
    path.write_text(yaml.safe_dump({"name": "s", "evaluations": [evaluation]}))
    return load_suite(path)


@pytest.mark.parametrize(
    ("model", "source"),
    [
        (
            {"uri": "m", "output": {"label": "predict", "scores": ["p0", "p1"]}},
            ModelSource("m", "m", None, ("p0", "p1"), "predict"),
        ),
        ({"uri": "m", "output": {"scores": "p1"}}, ModelSource("m", "m", None, ("p1",))),
        ({"uri": "m", "output": "logit"}, ModelSource("m", "m", Output.LOGIT)),
        ({"name": "v1", "scores": "s"}, ModelSource("v1", "", None, ("s",))),
        (
            {"name": "v2", "scores": ["a", "b"], "predicted": "said"},
            ModelSource("v2", "", None, ("a", "b"), "said"),
        ),
        (
            {"name": "v3", "scores": "z", "output": "logit"},
            ModelSource("v3", "", Output.LOGIT, ("z",)),
        ),
        ({"name": "v4", "predicted": "said"}, ModelSource("v4", "", None, (), "said")),
        (
            {"name": "v5", "predictions": {"delta": "./p", "key": "id", "scores": "s"}},
            ModelSource("v5", "", None, ("s",), table=PredictionsSource("./p", ("id",))),
        ),
        (
            {
                "name": "v6",
                "output": "logit",
                "predictions": {
                    "delta": "./p",
                    "version": 3,
                    "key": ["a", "b"],
                    "scores": ["s0", "s1"],
                    "predicted": "said",
                },
            },
            ModelSource(
                "v6",
                "",
                Output.LOGIT,
                ("s0", "s1"),
                "said",
                table=PredictionsSource("./p", ("a", "b"), 3),
            ),
        ),
    ],
)
def test_models_are_read_and_written_again(
    tmp_path: Path, model: dict[str, Any], source: ModelSource
) -> None:
    suite = read(tmp_path, model)
    assert suite.evaluations[0].models == (source,)
    path = tmp_path / "again.yml"
    path.write_text(dump_suite(suite))
    assert load_suite(path) == suite


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"uri": "m", "output": {}}, "expected label, scores or both"),
        ({"uri": "m", "output": {"score": "p1"}}, "did you mean 'scores'"),
        (
            {"uri": "m", "output": "probabilty"},
            "a mapping with label and scores, or one of .* 'probability'",
        ),
        ({"name": "v1"}, "found no uri, expected one, or scores or predicted: columns of the data"),
        ({"uri": "m", "scores": "p"}, "found scores with a uri, expected one of the two"),
        ({"scores": "p"}, "found no name, expected one: there is no uri from which it could come"),
        ({"name": "v1", "scores": "iban"}, "found 'iban', which is sensitive"),
        ({"name": "v1", "scores": "p", "output": {"scores": "p"}}, "found a mapping, expected pro"),
        (
            {"uri": "m", "predictions": {"delta": "p", "key": "id", "scores": "s"}},
            "found predictions with a uri",
        ),
        ({"name": "v1", "predictions": {"delta": "p", "key": "id"}}, "expected scores, predicted"),
        ({"name": "v1", "predictions": {"delta": "p", "scores": "s"}}, "key"),
        (
            {"name": "v1", "scores": "s", "predictions": {"delta": "p", "key": "id"}},
            "found scores beside predictions, expected it under predictions",
        ),
    ],
)
def test_what_is_wrong_with_a_model_is_told(
    tmp_path: Path, model: dict[str, Any], words: str
) -> None:
    with pytest.raises(SuiteError, match=words):
        read(tmp_path, model, sensitive=["iban"])


@pytest.mark.parametrize(
    ("task", "more", "words"),
    [
        ("regression", {"predicted": "said"}, "found a label for the task regression"),
        ("regression", {"scores": ["a", "b"]}, "found several columns for the task regression"),
        ("multilabel", {"predicted": "said"}, "found a label for the task multilabel"),
    ],
)
def test_columns_must_fit_the_task(tmp_path: Path, task: str, more: Any, words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        read(tmp_path, {"name": "v1", **more}, task=task)


def test_a_suite_may_be_a_mapping(tmp_path: Path) -> None:
    evaluation = {
        "name": "e",
        "dataset": {"delta": tmp_path / "t", "task": "binary", "label": "y"},
        "models": ({"uri": "m"},),
        "tests": [{"metric": "recall", "min": np.float64(0.5)}],
    }
    path = tmp_path / "suite.yml"
    loaded = load_suite({"name": "s", "evaluations": (evaluation,)})
    path.write_text(dump_suite(loaded))
    assert load_suite(path) == loaded
    assert loaded.evaluations[0].dataset.uri == str(tmp_path / "t")
    with pytest.raises(SuiteError) as told:
        load_suite({"name": "s", "evaluations": [{**evaluation, "test": []}], "stor": "x"})
    assert "the suite: 2 mistakes" in str(told.value)
    assert "stor: found the unknown key" in str(told.value)
    assert "did you mean 'store'?" in str(told.value)


URL = "http://127.0.0.1:5001"
LIVE = {"name": "live", "endpoint": URL, "protocol": "mlflow", "output": "probability"}


@pytest.mark.parametrize(
    ("model", "endpoint", "more"),
    [
        (LIVE, Endpoint(URL, "mlflow"), {"output": Output.PROBABILITY}),
        (
            {**LIVE, "rate": "600/min", "timeout": 5, "concurrency": 2, "batch": 10, "retries": 0},
            Endpoint(URL, "mlflow", None, (), 5, 0, 2, 10, 10.0),
            {"output": Output.PROBABILITY},
        ),
        (
            {
                "name": "live", "endpoint": URL, "protocol": "v2", "served_name": "a/b",
                "headers": {"Authorization": "Bearer ${TOKEN}"}, "rate": 0.5,
                "output": {"label": "l", "scores": ["p", "q"]}, "classes": ["b", "a"],
            },
            Endpoint(URL, "oip", "a/b", (("Authorization", "Bearer ${TOKEN}"),), rate=0.5),
            {"scores": ("p", "q"), "label": "l", "classes": ("b", "a")},
        ),
        (
            {"name": "live", "endpoint": URL, "protocol": "mlflow", "like": "m"},
            Endpoint(URL, "mlflow"),
            {"like": "m"},
        ),
    ],
)  # fmt: skip
def test_endpoints_are_read_and_written_again(
    tmp_path: Path, model: dict[str, Any], endpoint: Endpoint, more: dict[str, Any]
) -> None:
    suite = read(tmp_path, {"uri": "m"}, model)
    assert suite.evaluations[0].models[1] == ModelSource("live", endpoint=endpoint, **more)
    path = tmp_path / "again.yml"
    path.write_text(dump_suite(suite))
    assert load_suite(path) == suite


@pytest.mark.parametrize(
    ("model", "where", "message"),
    [
        ({"endpoint": "ftp://a"}, "endpoint", "expected a URL such as http://127.0.0.1:5001"),
        ({"endpoint": "http://"}, "endpoint", "expected a URL such as"),
        ({"endpoint": "http://a:99999"}, "endpoint", "expected a URL such as"),
        ({"endpoint": "http://me:pw@a"}, "endpoint", "expected a URL without a user"),
        ({"endpoint": "http://a?key=1"}, "endpoint", "expected a URL without a query"),
        ({"endpoint": "http://a b"}, "endpoint", "without blanks"),
        ({"protocol": "mlfow"}, "protocol", "did you mean 'mlflow'"),
        ({"protocol": None}, "", "found no protocol, expected one of azure, kserve, mlflow"),
        ({"protocol": "kserve"}, "", "found no served_name for kserve"),
        ({"served_name": "a"}, "served_name", "found a name for mlflow, which has none"),
        ({"name": None}, "", "found no name, expected one"),
        ({"uri": "m"}, "uri", "found uri with endpoint, expected one of the two"),
        ({"scores": "s"}, "scores", "found scores with endpoint"),
        ({"like": "n"}, "like", "found 'n', expected a model of the evaluation"),
        ({"like": "live"}, "like", "found 'live', expected a model of the evaluation"),
        ({"rate": "50"}, "rate", "expected a rate such as 50/s or 600/min"),
        ({"rate": 0}, "rate", "expected a rate such as"),
        ({"rate": float("nan")}, "rate", "expected a rate such as"),
        ({"rate": True}, "rate", "expected a rate such as"),
        ({"headers": {"Authorization": "s3cr3t"}}, "headers", "a variable of the environment"),
        ({"headers": {"Authorization": "${A}${"}}, "headers", "a variable of the environment"),
        ({"headers": {"A b": "${A}"}}, "headers", "names of HTTP headers"),
        ({"endpoint": None}, "protocol", "found protocol without endpoint"),
        ({"batch": 0}, "batch", "expected"),
        ({"timeout": 0}, "timeout", "expected"),
    ],
)
def test_a_wrong_endpoint_is_told_where_it_stands(
    tmp_path: Path, model: dict[str, Any], where: str, message: str
) -> None:
    with pytest.raises(SuiteError) as error:
        read(tmp_path, {"uri": "m"}, {**LIVE, **model})
    place = f"models[1].{where}" if where else "models[1]"
    assert [m for m in error.value.mistakes if m.where.endswith(place) and message in m.message], (
        str(error.value)
    )


def test_what_may_be_a_secret_is_not_told() -> None:
    """Of a URL with a password, and of a header in which one stands as it is."""
    dataset = {"delta": "./t", "task": "binary", "label": "y", "classes": [0, 1]}
    model = {"name": "live", "endpoint": "http://me:hunter2@a/", "protocol": "mlflow",
             "headers": {"Authorization": "Bearer hunter3"}}  # fmt: skip
    suite = {"name": "s", "mlflow": {"tracking_uri": 7}, "evaluations": [
        {"name": "e", "dataset": dataset, "models": [model], "tests": [{"metric": "accuracy"}]}
    ]}  # fmt: skip
    with pytest.raises(SuiteError) as told:
        load_suite(suite)
    assert "hunter" not in str(told.value) and "http://***@a/" in str(told.value)
