"""What a suite says of models: the columns that one returns, or that the dataset has already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from engine.core.vocabulary import Output
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
