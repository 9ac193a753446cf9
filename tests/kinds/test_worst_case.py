"""`robustness` of the worst case: of each row the worst prediction over several perturbations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from engine.core.vocabulary import Cell, Condition, DatasetVersion, ModelTest, TaskKind, Verdict
from engine.errors import InputError
from engine.kinds import KINDS, parameters_text
from engine.kinds.perturbations import changed_rows, perturb
from engine.planning import EvaluationPlan, check_fit, needs
from engine.planning.scan_columns import ROW_COLUMN
from tests.fixtures.kernel import (
    BY_COUNTRY,
    OVERALL,
    Models,
    evaluated,
    merged,
    plan_of,
    rows_of,
    scanned,
)

TYPES = (("a", "double"), ("b", "double"), ("label", "int"), ("country", "string"))
ROBUSTNESS = KINDS.get("robustness")


def worst_case(
    metric: str, *conditions: Condition, severities: Sequence[int] = (1, 3, 5), **more: Any
) -> ModelTest:
    asked: dict[str, Any] = {
        "worst_case": {"noise": ["a"], "outliers": ["a", "b"]},
        "severities": list(severities),
        **more,
    }
    test = ModelTest(
        f"worst {metric}", metric, conditions, ("overall", "country"), kind="robustness",
        parameters=parameters_text(asked),
    )  # fmt: skip
    return ROBUSTNESS.pin(test, {"a": 1.0, "b": 1.0})


def table_of(task: TaskKind, rows: int = 1200, seed: int = 1) -> pa.Table:
    table = rows_of(task, rows=rows, seed=seed)
    keys = np.random.default_rng(seed + 100).integers(-(2**63), 2**63 - 1, rows)
    return table.append_column(ROW_COLUMN, pa.array(keys, pa.int64()))


def plan_for(task: TaskKind, versions: Sequence[Any], *tests: ModelTest, **more: Any) -> Any:
    plan = plan_of(task, versions, [], slice_sets=(OVERALL, BY_COUNTRY), **more)
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    return replace(plan, tests=tests, dataset=dataset, columns=replace(plan.columns, weight=None))


def fit(model: Any, task: TaskKind) -> Any:
    table = rows_of(task, seed=9).to_pandas().dropna(subset=["label"])
    return model.fit(table[["a", "b"]], table["label"])


def overall(plan: EvaluationPlan, table: pa.Table, parts: int = 1) -> dict[Any, Cell]:
    cells = evaluated(plan, table, parts).cells
    return {
        (cell.test.metric, cell.variant): cell for cell in cells if cell.slice.kind == "overall"
    }


CASES = {
    TaskKind.BINARY: (LogisticRegression(), ("accuracy", "log_loss", "roc_auc", "regressions")),
    TaskKind.MULTICLASS: (LogisticRegression(), ("accuracy", "log_loss")),
    TaskKind.REGRESSION: (LinearRegression(), ("mean_absolute_error", "root_mean_squared_error")),
}


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("task", list(CASES))
def test_each_row_has_the_worst_of_its_predictions(
    models: Models, task: TaskKind, parts: int
) -> None:
    """By scikit-learn on predictions that are compared one by one."""
    native, metrics = CASES[task]
    native = fit(native, task)
    table = table_of(task)
    plan = plan_for(task, [models.of(f"worst-{task}", native, task)], *map(worst_case, metrics))
    cells = overall(plan, table, parts)
    whole = table.combine_chunks().to_batches()[0]
    known = table["label"].to_pandas().notna().to_numpy()
    labels = table["label"].to_pandas()[known].to_numpy()

    def predictions(batch: pa.RecordBatch) -> np.ndarray:
        frame = batch.to_pandas().loc[known, ["a", "b"]]
        if task is TaskKind.REGRESSION:
            return native.predict(frame)
        return native.predict_proba(frame)

    clean = predictions(whole)
    for variant in (one for one in plan.variants if one.members):
        behind = [perturb(whole, np.asarray(table[ROW_COLUMN]), one) for one in variant.members]
        several = [clean, *map(predictions, behind)]
        worst = np.array([_worst(native, task, labels[i], several, i) for i in range(len(labels))])
        for metric in metrics:
            expected = _figure(metric, native, labels, worst, clean)
            cell = cells[metric, variant.name]
            assert cell.measured.value == pytest.approx(expected, rel=1e-9), (metric, variant.name)
            # What compares itself has nothing beside it.
            beside = None if metric == "regressions" else f"worst-{task}"
            assert cell.baseline_model == beside
    names = [one.name for one in plan.variants if one.members]
    assert names == [f"worst_case(noise(a),outliers(a,b))@{n}" for n in (1, 3, 5)]


def _worst(native: Any, task: TaskKind, label: Any, several: list[np.ndarray], row: int) -> Any:
    """The worst prediction of a row: wrong before right, then the least sure of the label."""
    of_row = [one[row] for one in several]
    if task is TaskKind.REGRESSION:
        return max(of_row, key=lambda value: abs(value - label))
    true = list(native.classes_).index(int(label) if task is TaskKind.BINARY else label)
    return min(of_row, key=lambda scores: (np.argmax(scores) == true, scores[true]))


def _figure(
    metric: str, native: Any, labels: np.ndarray, worst: np.ndarray, clean: np.ndarray
) -> float:
    if metric == "mean_absolute_error":
        return sk.mean_absolute_error(labels, worst)
    if metric == "root_mean_squared_error":
        return sk.root_mean_squared_error(labels, worst)
    if metric == "log_loss":
        return sk.log_loss(labels, worst, labels=native.classes_)
    if metric == "roc_auc":
        return sk.roc_auc_score(labels, worst[:, 1])
    right, before = (native.classes_[np.argmax(p, axis=1)] == labels for p in (worst, clean))
    return float(np.mean(right if metric == "accuracy" else before & ~right))


def test_the_worst_case_falls_with_each_severity_and_below_each_perturbation(
    models: Models,
) -> None:
    native = fit(LogisticRegression(), TaskKind.BINARY)
    alone = {"noise": ["a"], "severities": [1, 3, 5]}
    single = ModelTest(
        "noise", "accuracy", (), ("overall", "country"), kind="robustness",
        parameters=parameters_text(alone),
    )  # fmt: skip
    single = ROBUSTNESS.pin(single, {"a": 1.0})
    plan = plan_for(
        TaskKind.BINARY, [models.of("logistic", native)], worst_case("accuracy"), single
    )
    # What another test asks for too is one variant.
    assert len(plan.variants) == 3 * 2 + 3
    table = table_of(TaskKind.BINARY)
    cells = overall(plan, table)
    worst = [cells["accuracy", f"worst_case(noise(a),outliers(a,b))@{n}"] for n in (1, 3, 5)]
    noisy = [cells["accuracy", f"noise(a)@{n}"] for n in (1, 3, 5)]
    values = [cell.measured.value for cell in worst]
    assert values == sorted(values, reverse=True)
    assert all(a.measured.value <= b.measured.value for a, b in zip(worst, noisy, strict=True))
    assert worst[0].baseline_value == noisy[0].baseline_value


def test_it_costs_the_predictions_of_its_perturbations_and_no_more(models: Models) -> None:
    models.calls.CALLS.clear()
    plan = plan_for(TaskKind.BINARY, [models.odd("")], worst_case("accuracy", severities=[1, 2]))
    table = table_of(TaskKind.BINARY, rows=300)
    labelled = table.num_rows - table["label"].null_count
    merged(scanned(plan, table))
    # As it is, and behind two perturbations at two severities.
    assert len(models.calls.CALLS) == 5 * labelled
    (told,) = [ROBUSTNESS.cost(test, plan.setting) for test in plan.tests]
    assert told == "4 variants: each model predicts each row 4 times more"


def test_labels_alone_have_a_worst_case(models: Models) -> None:
    """A model without scores: wrong where any perturbation makes it wrong."""
    native = fit(LinearSVC(), TaskKind.BINARY)
    version = models.of("labels", native)
    plan = plan_for(TaskKind.BINARY, [version], worst_case("accuracy"))
    table = table_of(TaskKind.BINARY)
    whole = table.combine_chunks().to_batches()[0]
    known = table["label"].to_pandas().notna().to_numpy()
    labels = table["label"].to_pandas()[known].to_numpy()
    cells = overall(plan, table)
    for variant in (one for one in plan.variants if one.members):
        behind = [perturb(whole, np.asarray(table[ROW_COLUMN]), one) for one in variant.members]
        right = [
            native.predict(batch.to_pandas().loc[known, ["a", "b"]]) == labels
            for batch in [whole, *behind]
        ]
        expected = np.mean(np.logical_and.reduce(right))
        assert cells["accuracy", variant.name].measured.value == pytest.approx(expected)


def test_a_perturbation_that_a_model_refuses_fails_the_worst_case(models: Models) -> None:
    plan = plan_for(TaskKind.BINARY, [models.odd("raises")], worst_case("accuracy"))
    cell = overall(plan, table_of(TaskKind.BINARY))["accuracy", plan.variants[-1].name]
    assert cell.verdict is Verdict.ERROR
    assert "the model failed: ValueError: cannot take" in cell.reason


def test_states_depend_on_the_members(models: Models) -> None:
    """Another strength of one member is another worst case; the order of severities is none."""
    native = fit(LogisticRegression(), TaskKind.BINARY)
    version = models.of("logistic", native)

    def names(spread: float, severities: Sequence[int] = (1, 3)) -> set[str | None]:
        test = worst_case("accuracy", severities=severities)
        test = ROBUSTNESS.pin(test, {"a": spread, "b": 1.0})
        plan = plan_for(TaskKind.BINARY, [version], test)
        worst = {s.number for s in plan.subjects if s.members}
        return {need.state for need in needs(plan) if need.model in worst}

    assert names(1.0) == names(1.0, (3, 1))
    assert not names(1.0) & names(4.0)


def test_against_the_baseline_and_written_as_read(models: Models) -> None:
    native = fit(LogisticRegression(), TaskKind.BINARY)
    versions = [models.of("logistic", native), models.of("again", native)]
    test = worst_case("accuracy", Condition("max_drop", 0.01), against="baseline")
    plan = plan_for(TaskKind.BINARY, versions, test, baseline="logistic")
    check_fit(plan)
    cells = evaluated(plan, table_of(TaskKind.BINARY)).cells
    again = [cell for cell in cells if cell.model.name == "again"]
    assert {cell.verdict for cell in again if cell.slice.kind == "overall"} == {Verdict.PASS}
    assert {cell.delta for cell in again} == {0.0}
    written = ROBUSTNESS.write(test)
    file = ROBUSTNESS.file().model_validate(written)
    assert ROBUSTNESS.write(replace(test, **ROBUSTNESS.read(file, lambda name: name))) == written


def test_what_makes_no_sense_is_refused(models: Models) -> None:
    (mistake,) = ROBUSTNESS.mistakes({"robustness": {"worst_case": {}}})
    assert mistake[0] == ("robustness", "worst_case") and "found no perturbation" in mistake[1]
    (mistake,) = ROBUSTNESS.mistakes({"robustness": {"worst_case": {"noise": "a"}, "noise": "a"}})
    assert "expected exactly" in mistake[1]
    native = fit(LogisticRegression(), TaskKind.BINARY)
    test = worst_case("accuracy")
    of_texts = replace(test, parameters=test.parameters.replace('"a"', '"country"'))
    with pytest.raises(InputError, match=r"noise wants numeric columns, found 'country'"):
        check_fit(plan_for(TaskKind.BINARY, [models.of("logistic", native)], of_texts))


def test_rows_that_are_left_as_they_were_are_told(models: Models) -> None:
    """Of the worst case those whose worst prediction is the clean one, or behind no change."""
    native = fit(LogisticRegression(), TaskKind.BINARY)
    plan = plan_for(
        TaskKind.BINARY, [models.of("logistic", native)], worst_case("accuracy", severities=[4])
    )
    table = table_of(TaskKind.BINARY)
    (worst,) = [one for one in plan.variants if one.members]
    whole = table.combine_chunks().to_batches()[0]
    known = table["label"].to_pandas().notna().to_numpy()
    truth = table["label"].to_pandas()[known].astype(int).to_numpy()
    behind = [perturb(whole, np.asarray(table[ROW_COLUMN]), one) for one in worst.members]
    sure = np.array(
        [
            native.predict_proba(batch.to_pandas().loc[known, ["a", "b"]])[
                np.arange(len(truth)), truth
            ]
            for batch in [whole, *behind]
        ]
    )
    changed = np.array(
        [np.zeros(len(truth), bool), *(changed_rows(whole, batch)[known] for batch in behind)]
    )
    # Wrong before right, then the least sure: of two classes that is the least sure.
    chosen = np.argmin(sure, axis=0)
    share = 1 - changed[chosen, np.arange(len(truth))].mean()
    assert 0.1 < share < 0.9
    detail = overall(plan, table)["accuracy", worst.name].measured.detail
    assert detail == f"{share:.1%} of the rows were left as they were"


def test_a_perturbation_that_changes_nothing_is_told(models: Models) -> None:
    """Noise that is lost in the rounding: nothing drops, and nobody shall read that as robust."""
    native = fit(LogisticRegression(), TaskKind.BINARY)
    asked = parameters_text({"noise": ["a"], "severities": [1]})
    faint = replace(worst_case("accuracy"), parameters=asked)
    faint = ROBUSTNESS.pin(faint, {"a": 1e-290})
    plan = plan_for(TaskKind.BINARY, [models.of("logistic", native)], faint)
    cell = overall(plan, table_of(TaskKind.BINARY))["accuracy", "noise(a)@1"]
    assert cell.measured.detail == "100.0% of the rows were left as they were"
