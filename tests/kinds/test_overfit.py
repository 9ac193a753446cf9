"""`overfit`: gaps by another road; what knows its rows by heart is found, sound models are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from engine.core.vocabulary import (
    Condition,
    DatasetVersion,
    EvaluationResult,
    ModelTest,
    Output,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.errors import InputError, SuiteError
from engine.evaluation.measure import Beside, measure
from engine.kinds import KINDS, parameters_text
from engine.planning import EvaluationPlan, check_fit, expand_tests, needs
from engine.planning.suites import read_suite
from engine.suite import dump_suite
from tests.fixtures.kernel import (
    BY_COUNTRY,
    OVERALL,
    Models,
    merged,
    plan_of,
    rows_of,
    scanned,
)

TYPES = (("a", "double"), ("b", "double"), ("label", "int"), ("country", "string"))
KIND = KINDS.get("overfit")


def overfit(
    metric: str = "roc_auc", *conditions: Condition, sets: Sequence[SliceSet] = (OVERALL,)
) -> ModelTest:
    return ModelTest(
        f"overfit {metric}", f"{metric}_gap", conditions,
        tuple(slice_set.name for slice_set in sets),
        kind="overfit", parameters=parameters_text({"metric": metric}),
    )  # fmt: skip


def plan_for(
    models: Sequence[Any], *tests: ModelTest, task: TaskKind = TaskKind.BINARY, **more: Any
) -> EvaluationPlan:
    plan = plan_of(task, models, [], slice_sets=(OVERALL, BY_COUNTRY), **more)
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    plan = replace(plan, dataset=dataset, columns=replace(plan.columns, weight=None))
    plan = replace(plan, tests=expand_tests(tests, plan.setting))
    return plan.beside(replace(dataset, name="train", table_id="other"))


def evaluated(
    plan: EvaluationPlan, table: pa.Table, train: pa.Table, parts: int = 1
) -> EvaluationResult:
    assert plan.reference is not None
    reference = merged(scanned(plan.reference, train, parts, seed=parts))
    states = merged(scanned(plan, table, parts, seed=parts))
    return measure(plan, states, beside=Beside(reference=reference))


def fit(model: Any, train: pa.Table, task: TaskKind = TaskKind.BINARY) -> Any:
    frame = train.to_pandas().dropna(subset=["label"])
    label = frame["label"] if task is TaskKind.REGRESSION else frame["label"].astype(int)
    return model.fit(frame[["a", "b"]], label)


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "accuracy"])
def test_gaps_are_those_of_scikit_learn(models: Models, metric: str, parts: int) -> None:
    train, table = rows_of(TaskKind.BINARY, seed=2), rows_of(TaskKind.BINARY, seed=3)
    forest = fit(RandomForestClassifier(30, min_samples_leaf=5, random_state=0), train)
    plan = plan_for([models.of("leafy", forest)], overfit(metric, sets=(OVERALL, BY_COUNTRY)))
    cells = evaluated(plan, table, train, parts).cells
    figures = {
        "roc_auc": lambda y, p: sk.roc_auc_score(y, p) if len(set(y)) == 2 else None,
        "log_loss": lambda y, p: sk.log_loss(y, p, labels=[0, 1]),
        "accuracy": lambda y, p: sk.accuracy_score(y, p > 0.5),
    }
    checked = 0
    for cell in cells:
        sides = []
        for rows in (train.to_pandas(), table.to_pandas()):
            rows = rows.dropna(subset=["label"])
            if cell.slice.kind != "overall":
                value = cell.slice.columns["country"]
                rows = rows[rows["country"].isna() if value is None else rows["country"] == value]
            scores = forest.predict_proba(rows[["a", "b"]])[:, 1]
            sides.append(figures[metric](rows["label"].astype(int), scores))
        if cell.measured.value is None:
            assert None in sides and "class" in cell.reason
            continue
        on_reference = cell.test.metric == f"{metric}_reference"
        worse = sides[0] - sides[1] if metric != "log_loss" else sides[1] - sides[0]
        expected = sides[0] if on_reference else worse
        assert cell.measured.value == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert cell.test.metric in (f"{metric}_gap", f"{metric}_reference")
        checked += 1
    assert checked >= 10


def test_its_interval_adds_the_variances(models: Models) -> None:
    train = rows_of(TaskKind.REGRESSION, seed=2, rows=400)
    table = rows_of(TaskKind.REGRESSION, seed=3, rows=900)
    task = TaskKind.REGRESSION
    line = fit(LinearRegression(), train, task)
    plan = plan_for([models.of("line", line, task)], overfit("mean_absolute_error"), task=task)
    gap, before = evaluated(plan, table, train).cells
    losses = [
        np.abs(rows["label"] - line.predict(rows[["a", "b"]]))
        for rows in (side.to_pandas().dropna(subset=["label"]) for side in (train, table))
    ]
    assert before.measured.value == pytest.approx(losses[0].mean())
    se = np.sqrt(sum(loss.var() / len(loss) for loss in losses))
    low, high = gap.measured.ci_low, gap.measured.ci_high
    # The interval of a mean that is above 0 lies on a scale of its own.
    assert high - low == pytest.approx(2 * 1.96 * se, rel=0.02)
    assert low < losses[1].mean() - losses[0].mean() < high


def judge(models: Models, model: str, seed: int, limit: float = 0.05) -> Verdict:
    train = rows_of(TaskKind.BINARY, seed=seed, rows=1200)
    table = rows_of(TaskKind.BINARY, seed=1000 + seed, rows=800)
    kinds = {"sound": LogisticRegression(), "by-heart": KNeighborsClassifier(1)}
    version = models.of(f"{model}-{seed}", fit(kinds[model], train))
    plan = plan_for([version], overfit("accuracy", Condition("max_gap", limit)))
    return evaluated(plan, table, train).cells[0].verdict


def test_a_model_by_heart_is_found_and_a_sound_one_is_not(models: Models) -> None:
    planted = [judge(models, "by-heart", seed) for seed in range(10)]
    assert set(planted) == {Verdict.FAIL}
    sound = [judge(models, "sound", seed) for seed in range(40)]
    assert sound.count(Verdict.FAIL) == 0
    at_limit = [judge(models, "sound", seed, limit=0.0) for seed in range(40)]
    assert at_limit.count(Verdict.FAIL) <= 4, "its gap is about 0: 2.5 % of 40 are 1"


def test_where_either_side_is_undefined_there_is_no_gap(models: Models) -> None:
    train, table = rows_of(TaskKind.BINARY, seed=2), rows_of(TaskKind.BINARY, seed=3)
    plan = plan_for([models.of("logistic", fit(LogisticRegression(), train))], overfit())
    label = train.schema.get_field_index("label")
    ones = train.set_column(label, "label", pa.array([1] * train.num_rows))
    gap, before = evaluated(plan, table, ones).cells
    assert gap.measured.value is None and before.measured.value is None
    assert gap.reason.endswith("(on the reference)")
    # A model that fails on the training data fails here too.
    broken = plan_for([models.odd("raises")], overfit())
    for cell in evaluated(broken, table.slice(0, 3), train).cells:
        assert cell.verdict is Verdict.ERROR


def test_the_baseline_has_a_gap_of_its_own_beside(models: Models) -> None:
    train, table = rows_of(TaskKind.BINARY, seed=2), rows_of(TaskKind.BINARY, seed=3)
    versions = [
        models.of("logistic", fit(LogisticRegression(), train)),
        models.of("heart", fit(KNeighborsClassifier(1), train)),
    ]
    plan = plan_for(versions, overfit("accuracy"), baseline="logistic")
    cells = evaluated(plan, table, train).cells
    gaps = {c.model.name: c for c in cells if c.test.metric == "accuracy_gap"}
    assert gaps["heart"].baseline_value == gaps["logistic"].measured.value
    assert gaps["heart"].delta > 0.1
    section = KIND.section(cells)
    assert section is not None
    assert [row[:2] for row in section.rows] == [
        ["overfit accuracy", "logistic"], ["overfit accuracy", "heart"],
    ]  # fmt: skip
    _, _, reference, dataset, gap, interval = section.rows[1]
    assert float(reference) == 1.0 and float(gap) == pytest.approx(1 - float(dataset), abs=1e-3)
    assert " to " in interval
    assert [(one.title, one.names) for one in section.pictures] == [
        ("overfit accuracy", ["logistic", "heart"])
    ]
    assert section.pictures[0].points[1].value == gaps["heart"].measured.value
    assert KIND.section([]) is None


def test_a_metric_of_each_class_is_a_gap_of_each(models: Models) -> None:
    train, table = rows_of(TaskKind.BINARY, seed=2), rows_of(TaskKind.BINARY, seed=3)
    plan = plan_for(
        [models.of("logistic", fit(LogisticRegression(), train))], overfit("recall_per_class")
    )
    assert [(test.name, test.metric) for test in plan.tests] == [
        ("overfit recall_class_0", "recall_class_0_gap"),
        ("overfit recall_class_0 on the reference", "recall_class_0_reference"),
        ("overfit recall_class_1", "recall_class_1_gap"),
        ("overfit recall_class_1 on the reference", "recall_class_1_reference"),
    ]
    check_fit(plan)
    assert all(cell.measured.value is not None for cell in evaluated(plan, table, train).cells)


def test_states_are_those_of_the_metric_itself(models: Models) -> None:
    line = models.of("logistic", fit(LogisticRegression(), rows_of(TaskKind.BINARY, seed=2)))
    plain = ModelTest("plain", "roc_auc", (), ("overall",))
    before = plan_for([line], plain)
    after = plan_for([line], plain, overfit())
    assert {need.state for need in needs(before)} == {need.state for need in needs(after)}


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("flip_rate", "'flip_rate' compares two versions; expected a metric of one model's"),
        ("demographic_parity_difference", "compares groups; expected a metric of one model's"),
        ("best_threshold_f1", "'best_threshold_f1' is neither better higher nor lower"),
        ("recall_class_7", "'recall_class_7' names the class '7'; expected one of"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_scan(
    models: Models, metric: str, message: str
) -> None:
    line = models.of("logistic", fit(LogisticRegression(), rows_of(TaskKind.BINARY, seed=2)))
    plan = plan_for([line], overfit("accuracy"))
    with pytest.raises(InputError) as refused:
        check_fit(replace(plan, tests=(overfit(metric),)))
    assert message in str(refused.value)


def test_metrics_without_an_interval_or_scores_are_refused(models: Models) -> None:
    line = models.of("logistic", fit(LogisticRegression(), rows_of(TaskKind.BINARY, seed=2)))
    plan = plan_for([line], overfit())
    labels = replace(plan, models=(replace(plan.models[0], output=Output.LABEL),))
    with pytest.raises(InputError, match="'roc_auc' needs scores"):
        check_fit(labels)
    with pytest.raises(InputError, match="'max_error' has no interval"):
        check_fit(replace(plan, tests=(overfit("max_error"),)))


SUITE = """
name: s
evaluations:
  - name: e
    dataset: {delta: ./t, task: binary, label: y}
    %s
    models: [{uri: m}]
    tests: [{overfit: %s, max_gap: %s}]
"""
BESIDE = "reference: {delta: ./train}"


def test_it_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE % (BESIDE, "roc_auc", "0.05"))
    suite = read_suite(path)
    (test,) = suite.evaluations[0].tests
    assert (test.name, test.metric) == ("overfit roc_auc", "roc_auc_gap")
    path.write_text(dump_suite(suite))
    assert read_suite(path) == suite


@pytest.mark.parametrize(
    ("reference", "metric", "limit", "message"),
    [
        ("", "roc_auc", "0.05", "found overfit in an evaluation without a reference"),
        (BESIDE, "roc_acu", "0.05", "did you mean 'roc_auc'?"),
        (BESIDE, "r2", "0.05", "tests[0].overfit"),
        (BESIDE, "roc_auc", "-0.1", "max_gap"),
        (BESIDE, "roc_auc", "big", "max_gap"),
    ],
)
def test_wrong_words_are_refused(
    tmp_path: Path, reference: str, metric: str, limit: str, message: str
) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE % (reference, metric, limit))
    with pytest.raises(SuiteError) as refused:
        read_suite(path)
    assert message in str(refused.value)
