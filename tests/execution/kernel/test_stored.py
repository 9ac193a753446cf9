"""Predictions that a dataset has already, beside the same ones of a model that is loaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from engine.core.vocabulary import Condition, Output, TaskKind
from engine.errors import ModelError
from engine.metrics import Problem
from engine.models import stored_predictions
from engine.planning.classes import fit_classes
from engine.planning.inputs import check_scores
from tests.fixtures.kernel import FEATURES, OVERALL, Models, by_key, evaluated, plan_of, rows_of

BINARY, MULTI, REGRESSION = TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION
CLASSES = {BINARY: (0, 1), MULTI: ("x", "y", "z"), REGRESSION: ()}
METRICS = {
    BINARY: ["roc_auc", "log_loss", "accuracy", "f1", "ece"],
    MULTI: ["accuracy", "log_loss", "f1_macro", "roc_auc_ovr"],
    REGRESSION: ["r2", "mean_absolute_error"],
}


def fitted(task: TaskKind):
    frame = rows_of(task).to_pandas()
    frame = frame[frame["label"].notna()]
    labels = frame["label"].astype(int) if task is BINARY else frame["label"]
    kind = LinearRegression if task is REGRESSION else LogisticRegression
    return kind().fit(frame[list(FEATURES)], labels)


def with_predictions(task: TaskKind, native) -> pa.Table:
    """The rows with what a model says of them."""
    table = rows_of(task)
    features = table.to_pandas()[list(FEATURES)]
    labels = native.predict(features)
    if task is REGRESSION:
        return table.append_column("said", pa.array(labels))
    scores = native.predict_proba(features)
    # In an order of their own: the names tell.
    for place in reversed(range(scores.shape[1])):
        table = table.append_column(f"p_{native.classes_[place]}", pa.array(scores[:, place]))
    return table.append_column("said", pa.array(labels))


def stored(task: TaskKind, name: str, scores, predicted=None, **more):
    made = stored_predictions(name, task, scores, predicted, **more)
    return fit_classes(made, Problem(task, CLASSES[task]))


@pytest.mark.parametrize("task", [BINARY, MULTI, REGRESSION])
def test_columns_are_as_the_model_that_wrote_them(models: Models, task: TaskKind) -> None:
    native = fitted(task)
    table = with_predictions(task, native)
    loaded = models.of(f"writer-{task}", native, task)
    columns = [name for name in table.column_names if name.startswith("p_")] or ["said"]
    versions = [loaded, stored(task, "columns", columns)]
    if task is not REGRESSION:
        versions.append(stored(task, "both", columns[::-1], "said"))
    if task is BINARY:
        versions += [stored(task, "one", ["p_1"]), stored(task, "first", ["p_0"])]
    plan = plan_of(task, versions, METRICS[task], baseline=loaded.name)
    tests = [replace(test, conditions=(Condition("no_worse", 0.0),)) for test in plan.tests]
    result = evaluated(replace(plan, tests=tuple(tests)), table, parts=3)
    cells = by_key(result)
    for (name, where, test), cell in cells.items():
        other = cells[loaded.name, where, test]
        assert cell.counts == other.counts
        if other.measured.value is None:
            assert (cell.measured.value, cell.measured.reason) == (None, other.measured.reason)
            continue
        same = pytest.approx(other.measured.value, rel=1e-12, abs=1e-12)
        assert cell.measured.value == same, (name, where, test)
        if other.measured.ci_low is None:
            assert cell.measured.ci_low is None
        else:
            assert cell.measured.ci_low == pytest.approx(other.measured.ci_low, rel=1e-9, abs=1e-9)
        if name != loaded.name and cell.delta is not None:
            assert cell.delta == pytest.approx(0.0, abs=1e-12)
    # Nothing is loaded for them, and nothing predicts.
    assert result.timings["loads"] <= 1
    assert result.timings["predictions"] == rows_of(task)["label"].is_valid().to_pandas().sum()


def test_labels_alone_and_logits(models: Models) -> None:
    native = fitted(BINARY)
    table = with_predictions(BINARY, native)
    logits = native.decision_function(table.to_pandas()[list(FEATURES)])
    table = table.append_column("z", pa.array(logits))
    label = stored(BINARY, "label", [], "said")
    assert label.output is Output.LABEL
    plan = plan_of(BINARY, [label], ["accuracy"], slice_sets=(OVERALL,))
    logit = plan_of(
        BINARY,
        [stored(BINARY, "z", ["z"], output=Output.LOGIT), stored(BINARY, "p", ["p_1"])],
        ["accuracy", "log_loss"],
        slice_sets=(OVERALL,),
    )
    (only,) = evaluated(plan, table).cells
    cells = by_key(evaluated(logit, table))
    assert only.measured.value == cells["p", "overall", "accuracy"].measured.value
    for test in ("accuracy", "log_loss"):
        values = [cells[name, "overall", test].measured.value for name in ("z", "p")]
        assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_what_is_missing_or_no_probability_is_an_error_of_its_rows(models: Models) -> None:
    table = with_predictions(BINARY, fitted(BINARY))
    scores = table["p_1"].to_numpy().copy()
    scores[:3] = np.nan
    scores[3:5] = 7.0
    table = table.append_column("odd", pa.array(scores, from_pandas=True))
    plan = plan_of(BINARY, [stored(BINARY, "odd", ["odd"])], ["accuracy"], slice_sets=(OVERALL,))
    (cell,) = evaluated(plan, table).cells
    bad = int(table["label"].slice(0, 5).is_valid().to_pandas().sum())
    assert cell.reason == (f"{bad} of {cell.counts.n:,} predictions are NaN or below 0 or above 1")


def test_scores_are_numbers() -> None:
    made = stored_predictions("v1", BINARY, ["s"], None)
    check_scores(made, {"s": "decimal(3,2)"})
    with pytest.raises(ModelError, match="'v1' has its scores in 's', which is string; expected n"):
        check_scores(made, {"s": "string"})
