"""Curves from states lie on scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from sklearn.calibration import calibration_curve

from engine.core.vocabulary import RowCounts, TaskKind
from engine.metrics import Problem, SliceStates, confusion, curves
from engine.states import Confusion, Scores
from engine.states.score_histogram import FINE_BITS, on_grid


def states_of(rows: Any) -> SliceStates:
    k = len(rows.classes)
    zeros = np.zeros(len(rows), np.int64)
    families = [Confusion(k), *(Scores(each) for each in range(k))]
    states = {family.key: family.of(rows.scored(), zeros, 1) for family in families}
    return SliceStates(RowCounts(len(rows), float(rows.weight.sum())), states)


def drawn(rows: Any) -> dict[tuple[str, str | None], Any]:
    made = curves(rows.problem, states_of(rows), model="m", slice_name="overall")
    assert all((curve.model, curve.slice) == ("m", "overall") for curve in made)
    return {(curve.kind, curve.label): curve for curve in made}


@pytest.mark.parametrize("weights", ["none", "random"])
@pytest.mark.parametrize("positive", [0, 1])
def test_binary_curves(random_rows: Any, weights: str, positive: int) -> None:
    rows = random_rows(3, classes=("no", "yes"), weights=weights, positive=positive)
    actual, scores = rows.truth == positive, rows.scores[:, positive]
    made = drawn(rows)
    assert set(made) == {(kind, None) for kind in ("roc", "precision_recall", "calibration")}
    check_roc(made["roc", None], actual, scores, rows.weight)
    check_precision_recall(made["precision_recall", None], actual, scores, rows.weight)


def check_roc(curve: Any, actual: Any, scores: Any, weight: Any) -> None:
    false, true, _ = sk.roc_curve(actual, scores, sample_weight=weight, drop_intermediate=False)
    np.testing.assert_allclose(curve.x, false, atol=1e-12)
    np.testing.assert_allclose(curve.y, true, atol=1e-12)


def check_precision_recall(curve: Any, actual: Any, scores: Any, weight: Any) -> None:
    precision, recall, _ = sk.precision_recall_curve(actual, scores, sample_weight=weight)
    np.testing.assert_allclose(curve.x, recall[::-1], atol=1e-12)
    np.testing.assert_allclose(curve.y, precision[::-1], atol=1e-12)


def test_curves_of_each_class(random_rows: Any) -> None:
    rows = random_rows(3, classes=("a", "b", "c"))
    made = drawn(rows)
    assert {label for _, label in made} == {"a", "b", "c"}
    for k, label in enumerate("abc"):
        actual, scores = rows.truth == k, rows.scores[:, k]
        check_roc(made["roc", label], actual, scores, None)
        check_precision_recall(made["precision_recall", label], actual, scores, None)
        check_calibration(made["calibration", label], actual, scores)


def check_calibration(curve: Any, actual: Any, scores: Any) -> None:
    share, mean = calibration_curve(actual, scores, n_bins=10, strategy="uniform")
    np.testing.assert_allclose(curve.x, mean, atol=1e-12)
    np.testing.assert_allclose(curve.y, share, atol=1e-12)
    assert sum(curve.weight) == pytest.approx(len(scores))


def test_calibration_with_scores_on_the_edges_of_bins(rows_from: Any) -> None:
    edges = np.linspace(0, 1, 11)
    scores = np.r_[edges, np.arange(11) / 10, 0.35, 0.05, np.nextafter(edges[1:], 0)]
    rows = rows_from(np.arange(len(scores)) % 2, scores, classes=(0, 1))
    check_calibration(drawn(rows)["calibration", None], rows.truth == 1, scores)


def test_calibration_weighs_its_rows(rows_from: Any) -> None:
    rows = rows_from([0, 1, 1], [0.21, 0.29, 0.95], classes=(0, 1), weight=[3.0, 1.0, 0.5])
    curve = drawn(rows)["calibration", None]
    assert curve.x == pytest.approx([0.23, 0.95])
    assert curve.y == pytest.approx([0.25, 1.0])
    assert curve.weight == pytest.approx([4.0, 0.5])


def test_a_curve_that_is_undefined_is_not_drawn(rows_from: Any) -> None:
    scores = [0.1, 0.9]
    kinds = {kind for kind, _ in drawn(rows_from([0, 0], scores, classes=(0, 1)))}
    assert kinds == {"calibration"}
    kinds = {kind for kind, _ in drawn(rows_from([1, 1], scores, classes=(0, 1)))}
    assert kinds == {"calibration", "precision_recall"}
    assert drawn(rows_from([], np.zeros((0, 2)), classes=(0, 1))) == {}


def test_without_scores_there_is_no_curve(random_rows: Any) -> None:
    rows = random_rows(0, classes=(0, 1))
    key = Confusion(2).key
    only = SliceStates(RowCounts(1, 1.0), {key: states_of(rows).families[key]})
    assert curves(rows.problem, only, model="m", slice_name="s") == []
    regression = Problem(TaskKind.REGRESSION)
    assert curves(regression, only, model="m", slice_name="s") == []


def test_curves_beyond_the_cap_take_some_of_the_points(rows_from: Any) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    rows = rows_from(rng.random(20_000) < scores, scores, classes=(0, 1))
    made = drawn(rows)
    rounded = on_grid(rows.scores[:, 1], FINE_BITS)
    assert len(made["roc", None].x) < 10_000
    check_roc(made["roc", None], rows.truth, rounded, None)
    check_precision_recall(made["precision_recall", None], rows.truth, rounded, None)
    false, true, _ = sk.roc_curve(rows.truth, scores, drop_intermediate=False)
    exact = set(zip(false.round(9), true.round(9), strict=True))
    ours = zip(np.round(made["roc", None].x, 9), np.round(made["roc", None].y, 9), strict=True)
    assert set(ours) <= exact


@pytest.mark.parametrize("classes", [("no", "yes"), (False, True), tuple(range(10))], ids=str)
def test_confusion_matrix(random_rows: Any, classes: Any) -> None:
    rows = random_rows(3, classes=classes, weights="random")
    made = confusion(rows.problem, states_of(rows), model="m", slice_name="overall")
    expected = sk.confusion_matrix(rows.truth, rows.predicted, sample_weight=rows.weight)
    assert made is not None
    np.testing.assert_allclose(made.matrix, expected, rtol=1e-12)
    assert made.labels[0] in ("no", "false", "0")


def test_no_confusion_matrix_of_very_many_classes(random_rows: Any) -> None:
    rows = random_rows(3, classes=tuple(range(51)))
    assert confusion(rows.problem, states_of(rows), model="m", slice_name="overall") is None
