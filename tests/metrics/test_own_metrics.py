"""A user's own metrics: from a module of the user's to a value on rows."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from engine.core.vocabulary import TaskKind
from engine.errors import InputError
from engine.metrics import METRICS, REGRESSION, Problem, mean, mean_metric

MODULE = '''
"""Metrics of a user."""

import numpy as np

from engine.metrics import BINARY, REGRESSION, Value, mean, mean_metric, metric, ratio
from engine.states import Confusion


def pinball(alpha):
    def loss(batch, problem):
        gap = batch.truth - batch.scores
        return np.maximum(alpha * gap, (alpha - 1) * gap)

    return loss


for alpha in (0.1, 0.9):
    mean_metric(f"my_pinball_loss_{alpha}", tasks=REGRESSION, higher_is_better=False)(
        pinball(alpha)
    )


@metric("negative_recall", tasks=BINARY, needs=lambda problem: (Confusion(2),), aliases=["own_tnr"])
def negative_recall(problem, of):
    """The recall of the negative class."""
    negative = 1 - problem.positive
    return ratio(of.hits[:, negative], of.actual[:, negative], "one_class")


def signed_error(batch, problem):
    return batch.scores - batch.truth


@metric(
    "bias_in_spreads",
    tasks=REGRESSION,
    needs=lambda problem: (mean(signed_error, problem),),
    higher_is_better=None,
)
def bias_in_spreads(problem, errors):
    """The mean error, in standard deviations of the error."""
    return errors.mean / np.sqrt(errors.m2 / errors.weight)
'''


@pytest.fixture
def own_module(own_registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's, on the path and loaded as a suite would name it."""
    (tmp_path / "own_metrics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_metrics", raising=False)
    METRICS.load(["own_metrics"])
    return "own_metrics"


@pytest.mark.parametrize("alpha", [0.1, 0.9])
def test_a_mean_of_losses(own_module: str, measure: Any, random_rows: Any, alpha: float) -> None:
    """Both pinball losses come from one inner function, and do not share a state."""
    rows = random_rows(1, weights="random")
    expected = sk.mean_pinball_loss(rows.truth, rows.scores, alpha=alpha, sample_weight=rows.weight)
    measured = measure(f"my_pinball_loss_{alpha}", rows)
    assert measured.value == pytest.approx(expected, rel=1e-9)
    assert len(measure.replicates(f"my_pinball_loss_{alpha}", rows)) == 21


def test_a_function_of_the_confusion(own_module: str, measure: Any, random_rows: Any) -> None:
    rows = random_rows(1, classes=("no", "yes"), weights="random")
    expected = sk.recall_score(rows.truth == 0, rows.predicted == 0, sample_weight=rows.weight)
    assert measure("negative_recall", rows).value == pytest.approx(expected, rel=1e-9)
    assert measure("own_tnr", rows) == measure("negative_recall", rows)
    positives = rows.at(np.flatnonzero(rows.truth == 1))
    assert measure("negative_recall", positives).reason == "one_class"
    assert METRICS.get("negative_recall").summary == "The recall of the negative class."


def test_a_function_that_returns_an_array(own_module: str, measure: Any, random_rows: Any) -> None:
    rows = random_rows(1)
    gap = rows.scores - rows.truth
    assert measure("bias_in_spreads", rows).value == pytest.approx(gap.mean() / gap.std(), rel=1e-9)


def test_a_module_is_loaded_once(own_module: str) -> None:
    before = METRICS.names()
    METRICS.load([own_module, own_module])
    assert METRICS.names() == before


def test_a_name_twice_is_refused(own_registry: None) -> None:
    def loss(batch: Any, problem: Any) -> Any:
        return np.ones(len(batch))

    mean_metric("ones", tasks=REGRESSION, aliases=["unity"])(loss)
    for name, aliases in (("ones", []), ("unity", []), ("r2", []), ("other", ["f1_score"])):
        with pytest.raises(InputError, match="is registered already"):
            mean_metric(name, tasks=REGRESSION, aliases=aliases)(loss)
    assert METRICS.find("other") is None


def test_a_loss_can_be_any_callable(own_registry: None, measure: Any, random_rows: Any) -> None:
    """A partial, a lambda and an object have no name of their own; their metrics have."""

    class Constant:
        def __call__(self, batch: Any, problem: Any) -> Any:
            return np.full(len(batch), 3.0)

    def power(batch: Any, problem: Any, exponent: int) -> Any:
        return np.abs(batch.truth - batch.scores) ** exponent

    mean_metric("cubed", tasks=REGRESSION)(partial(power, exponent=3))
    mean_metric("fourth", tasks=REGRESSION)(partial(power, exponent=4))
    mean_metric("one", tasks=REGRESSION)(lambda batch, problem: np.full(len(batch), 1.0))
    mean_metric("two", tasks=REGRESSION)(lambda batch, problem: np.full(len(batch), 2.0))
    mean_metric("three", tasks=REGRESSION)(Constant())
    rows = random_rows(0)
    gap = np.abs(rows.truth - rows.scores)
    expected = {"cubed": (gap**3).mean(), "fourth": (gap**4).mean()}
    for name, value in {**expected, "one": 1.0, "two": 2.0, "three": 3.0}.items():
        assert measure(name, rows).value == pytest.approx(value, rel=1e-9)
    problem = Problem(TaskKind.REGRESSION)
    names = ("cubed", "fourth", "one", "two", "three")
    keys = {METRICS.get(name).needs(problem)[0].key for name in names}
    assert len(keys) == 5


def test_a_nameless_loss_needs_a_name() -> None:
    problem = Problem(TaskKind.REGRESSION)

    def inner(batch: Any, problem: Any) -> Any:
        return np.ones(len(batch))

    for loss in (inner, lambda batch, problem: np.ones(len(batch)), partial(inner)):
        with pytest.raises(InputError, match="give `mean` a name"):
            mean(loss, problem)
        assert mean(loss, problem, name="own").key == "mean(own)"
