"""What is left out, unusable or absent: the reason stands in the place of a number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.core.vocabulary import RowCounts, TaskKind
from engine.metrics import GROUPED, METRICS, Figured, Metric, Problem, SliceStates, Value, ratio
from engine.metrics.values import add_slice_axis
from engine.states import Maximum, Mean


def fits(metric: Metric, rows: Any) -> bool:
    """Whether a metric is one of the rows of a single version, all together."""
    alone = not metric.against and metric.name not in GROUPED
    return alone and rows.problem.task in metric.tasks


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (RowCounts(0, 0.0, null_labels=4), "empty"),
        (RowCounts(3, 3.0, unknown_labels=3), "empty"),
        (RowCounts(3, 0.0), "zero_weight"),
        (RowCounts(3, 3.0, bad_scores=1), "nan_input"),
        (RowCounts(3, 0.0, bad_scores=1), "nan_input"),
    ],
)
def test_rows_that_no_metric_can_use(
    measure: Any, random_rows: Any, counts: RowCounts, reason: str
) -> None:
    for name, classes in (("accuracy", (0, 1)), ("log_loss", (0, 1)), ("r2", ())):
        rows = random_rows(0, classes=classes)
        metric = METRICS.get(name)
        states = SliceStates(counts, measure.states(name, rows).families)
        measured = metric.value(rows.problem, states)
        assert (measured.value, measured.reason) == (None, reason)


def test_the_rows_that_are_left_can_lack_weight(measure: Any, random_rows: Any) -> None:
    """Rows of unknown labels have all the weight."""
    for classes in ((), (0, 1), (0, 1, 2)):
        rows = random_rows(0, 5, classes=classes)
        rows = replace(rows, weight=np.zeros(5), unweighted=False)
        for name in METRICS.names():
            metric = METRICS.get(name)
            if not fits(metric, rows) or "_class_" in name:
                continue
            counts = RowCounts(6, 1.0, unknown_labels=1)
            states = SliceStates(counts, measure.states(name, rows).families)
            measured = metric.value(rows.problem, states)
            assert measured.value is None, name
            assert measured.reason not in (None, "empty"), name


def test_a_class_that_the_model_lacks(measure: Any, random_rows: Any) -> None:
    rows = random_rows(0, classes=("a", "b", "c"))
    assert measure("recall_class_b", rows).value is not None
    assert measure("recall_class_d", rows).reason == "unknown_class"


@pytest.mark.parametrize(
    ("classes", "texts"),
    [((False, True), ("false", "true")), ((1.0, 2.5), ("1", "2.5")), ((3, 10), ("3", "10"))],
)
def test_labels_in_names(measure: Any, random_rows: Any, classes: Any, texts: Any) -> None:
    rows = random_rows(0, classes=classes)
    for text in texts:
        assert measure(f"f1_class_{text}", rows).value is not None


def test_an_infinite_value_is_no_number(measure: Any, rows_from: Any) -> None:
    metric = Metric(
        "overflow",
        frozenset({TaskKind.REGRESSION}),
        lambda problem: (Mean("overflow", lambda batch: np.full(len(batch), np.inf)),),
        lambda problem, of: of.mean,
    )
    rows = rows_from([1.0, 2.0], [1.0, 2.0])
    problem = Problem(TaskKind.REGRESSION)
    with np.errstate(invalid="ignore"):
        states = {
            "mean(overflow)": metric.needs(problem)[0].of(rows.scored(), np.zeros(2, np.int64), 1)
        }
    measured = metric.value(problem, SliceStates(RowCounts(2, 2.0), states))
    assert (measured.value, measured.reason) == (None, "undefined")


def reason(value: Value) -> str | None:
    """Why a slice of this value is undefined."""
    return Figured.of(add_slice_axis(value)).reasons[0]


def test_the_first_reason_that_holds_counts() -> None:
    yes, no = np.array([True]), np.array([False])
    assert reason(Value(np.array([1.0]), (("a", no), ("b", yes), ("c", yes)))) == "b"
    assert reason(Value(np.array([1.0]), (("a", no),))) is None
    assert reason(Value(np.array([np.nan]))) == "undefined"


def test_a_ratio_is_undefined_over_zero() -> None:
    value = ratio(np.array([0.0, 1.0]), np.array([0.0, 2.0]), "zero_weight")
    assert reason(value) == "zero_weight"
    assert value.values[1] == 0.5


def test_a_loss_gives_a_number_for_each_row(rows_from: Any) -> None:
    batch = rows_from([1.0, 2.0], [1.0, 2.0]).scored()
    for family in (
        Mean("scalar", lambda batch: 1.0),
        Mean("matrix", lambda batch: np.ones((2, 1))),
        Maximum("short", lambda batch: np.ones(1)),
    ):
        with pytest.raises(ValueError, match="one number for each of 2 rows"):
            family.of(batch, np.zeros(2, np.int64), 1)
    counts = Mean("counts", lambda batch: [1, 3]).of(batch, np.zeros(2, np.int64), 1)
    assert counts.values[0, :2, 2].tolist() == [1.0, 3.0]


def test_every_metric_tells_its_meaning_and_bounds() -> None:
    for metric in METRICS:
        assert metric.summary.endswith("."), metric.name
        assert metric.bounds[0] < metric.bounds[1], metric.name


@pytest.mark.parametrize("classes", [(), (0, 1), (0, 1, 2)], ids=str)
def test_perfect_predictions_are_better_than_poor_ones(
    measure: Any, random_rows: Any, rows_from: Any, classes: Any
) -> None:
    """Every metric that has a direction has the right one."""
    poor = random_rows(0, classes=classes)
    scores = np.eye(len(classes))[poor.truth] if classes else poor.truth
    perfect = rows_from(poor.truth, scores, classes=classes)
    compared = 0
    for name in METRICS.names():
        metric = METRICS.get(name)
        if not fits(metric, poor) or metric.higher_is_better is None:
            continue
        best, worse = (measure(name, rows).value for rows in (perfect, poor))
        if best is not None and worse is not None:
            assert (best >= worse) if metric.higher_is_better else (best <= worse), name
            compared += best != worse
    assert compared > 5
