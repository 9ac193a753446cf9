"""Mistakes in the arguments of `evaluate`: told before Spark is started and anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import engine
from engine.errors import EvalMatrixError, InputError
from engine.spark import lazy_session

ROWS = pd.DataFrame(
    {"a": np.arange(6.0), "b": [1.0, 0, 1, 0, 1, 0], "y": [0, 1] * 3, "p": np.linspace(0, 1, 6)}
)
FITTED = LogisticRegression().fit(ROWS[["a", "b"]], ROWS["y"])


@pytest.fixture(autouse=True)
def _no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Spark was started")

    # Another test of this process may have left one.
    monkeypatch.setattr(lazy_session, "active_session", lambda: None)
    monkeypatch.setattr(lazy_session.LazySession, "get", refuse)


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"label": "yy"}, "lacks label column 'yy' .nearest: 'y'.; it has 'a', 'b'"),
        ({"key": "id"}, "lacks key column 'id'"),
        ({"weight": "w"}, "lacks weight column 'w'"),
        ({"slices": ["c"]}, "lacks slice column 'c'"),
        ({"task": "binari"}, r"dataset.task: found 'binari', .* did you mean 'binary'"),
        ({"tests": ["roc_auk"]}, r"tests\[0\].metric: no metric is called 'roc_auk'"),
        ({"tests": ["r2"]}, r"tests\[0\].metric: .*r2"),
        ({"tests": []}, "tests"),
        ({"tests": "roc_auc"}, "tests is of the type str; expected a list"),
        ({"slices": "a"}, "slices is of the type str; expected a list"),
        ({"tests": [{"metric": "accuracy", "minn": 1}]}, "minn"),
        ({"baseline": "o"}, "baseline: found 'o', expected a model of the evaluation, one of m"),
        ({"positive_lable": 1}, "no argument 'positive_lable'; .* did you mean 'positive_label'"),
        ({"confidense": 0.9}, "no argument 'confidense'; .* did you mean 'confidence'"),
        ({"confidence": 3}, "confidence"),
        ({"version": 3}, "was given version with a frame"),
        ({"models": {"m": LogisticRegression()}}, "'m' .LogisticRegression. is not fitted; call"),
        ({"models": {"m": LogisticRegression}}, "'m' is the class LogisticRegression"),
        ({"models": {"m": object()}}, "'m' is of the type object; expected a fitted estimator"),
        ({"models": {"m": {"scores": "p", "uri": "x"}}}, "found scores with a uri"),
        ({"models": {"m": {"socres": "p"}}}, "socres"),
        ({"data": 3}, "the data are of the type int; expected a frame"),
        ({"data": ROWS.drop(columns="y")}, "lacks label column 'y'"),
        ({"sensitive": ["p"], "models": {"m": "p"}}, "'p', which is sensitive"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    tmp_path: Path, over: dict[str, Any], words: str
) -> None:
    given = {"data": ROWS, "models": {"m": FITTED}, "label": "y", "task": "binary", **over}
    with pytest.raises(InputError, match=words):
        engine.evaluate(given.pop("data"), given.pop("models"), store=tmp_path / "store", **given)
    assert not list(tmp_path.glob("store/frames"))
    assert not list(tmp_path.glob("store/mlflow.db"))


def shifted(rows: pd.DataFrame) -> Any:
    return rows["a"] - 3


def short(rows: pd.DataFrame) -> Any:
    return [0.5]


def failing(rows: pd.DataFrame) -> Any:
    raise ValueError("secret-4711")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (shifted, "'m' gave numbers below 0 or above 1 .* 'output': 'logit'"),
        (short, r"'m' gave an array of shape \(1,\) for 6 rows; expected an answer for each"),
        (failing, "'m' raised when it was asked for 6 rows with the columns 'a', 'b', 'p'"),
        (
            LogisticRegression().fit(np.zeros((2, 5)), [0, 1]),
            "'m' was fitted on an array of 5 columns, and the data have 3 .*; say which",
        ),
        (
            LogisticRegression().fit(ROWS[["a", "b"]].rename(columns={"b": "c"}), ROWS["y"]),
            "'m' was fitted on the columns 'a', 'c', and the data have no 'c' for it",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_told(tmp_path: Path, model: Any, words: str) -> None:
    with pytest.raises(EvalMatrixError, match=words) as error:
        engine.evaluate(ROWS, {"m": model}, label="y", task="binary", store=tmp_path / "store")
    assert "4711" not in str(error.value)
