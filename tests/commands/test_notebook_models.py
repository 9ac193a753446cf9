"""Models as `evaluate` takes them: what stands for each in a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from engine.commands.notebook_models import Entry, Known, entries_of
from engine.errors import InputError

KNOWN = Known({"p": "double", "d": "decimal(3,2)", "said": "int", "text": "string"}, "binary")


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("p", {"scores": "p"}),
        ("d", {"scores": "d"}),
        ("said", {"predicted": "said"}),
        ("text", {"predicted": "text"}),
        (["p", "d"], {"scores": ["p", "d"]}),
        ("models:/claims/3", {"uri": "models:/claims/3"}),
        ({"scores": "p", "predicted": "said"}, {"scores": "p", "predicted": "said"}),
        ({"model": "p", "output": "logit"}, {"scores": "p", "output": "logit"}),
        ({"uri": "m", "output": "label"}, {"uri": "m", "output": "label"}),
    ],
)
def test_what_stands_for_a_model(model: Any, keys: dict[str, Any]) -> None:
    assert entries_of({"m": model}, KNOWN) == [Entry("m", keys)]


def test_a_column_of_a_regression_is_its_value() -> None:
    known = Known({"said": "int"}, "regression")
    assert entries_of("said", known) == [Entry("said", {"scores": "said"})]


def test_a_folder_is_a_uri_unless_a_column_is_called_so(tmp_path: Path) -> None:
    assert entries_of({"m": str(tmp_path)}, KNOWN)[0].keys == {"uri": str(tmp_path)}
    assert entries_of({"m": tmp_path}, KNOWN)[0].keys == {"uri": str(tmp_path)}
    known = Known({str(tmp_path): "double"}, "binary")
    assert entries_of({"m": str(tmp_path)}, known)[0].keys == {"scores": str(tmp_path)}


def test_models_without_names_are_called_by_their_types() -> None:
    def twice(frame: Any) -> Any:
        return frame

    models = [LogisticRegression(), LinearSVC(), LogisticRegression(C=2), twice]
    names = [entry.name for entry in entries_of(models, KNOWN)]
    assert names == ["LogisticRegression", "LinearSVC", "LogisticRegression-2", "twice"]
    assert [entry.native for entry in entries_of(models, KNOWN)] == models
    assert entries_of(models[0], KNOWN)[0].name == "LogisticRegression"


def test_which_may_have_scores() -> None:
    models = {
        "p": "p",
        "said": "said",
        "both": {"scores": "p", "predicted": "said"},
        "function": len,
        "logistic": LogisticRegression(),
        "linear": LinearSVC(),
    }
    scores = {entry.name: entry.gives_scores for entry in entries_of(models, KNOWN)}
    assert [name for name, gives in scores.items() if not gives] == ["said"]
    (both,) = entries_of({"both": models["both"]}, KNOWN)
    assert both.columns == ["p", "said"]


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ({}, "was given no models"),
        ([], "was given no models"),
        ({"m": "pp"}, "'m' is 'pp', which is no column .* did you mean 'p'"),
        ({"m": None}, "'m' is of the type NoneType; expected a fitted estimator"),
        ({"m": 3}, "'m' is of the type int"),
        ({"m": []}, "'m' is of the type list"),
        ({"m": ["p", 3]}, "'m' is of the type list"),
    ],
)
def test_what_can_be_no_model_is_told(models: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        entries_of(models, KNOWN)
