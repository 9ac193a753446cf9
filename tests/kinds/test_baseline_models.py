"""`baseline_models`: gains over scikit-learn's `DummyClassifier`; what knows nothing is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

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
from engine.planning import EvaluationPlan, check_fit, expand_tests
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
KIND = KINDS.get("baseline_models")


def beats(metric: str, *conditions: Condition, sets: Sequence[SliceSet] = (OVERALL,)) -> ModelTest:
    asked = {"metric": metric, "models": ["majority"]}
    return ModelTest(
        f"beats majority {metric}", f"{metric}_gain", conditions,
        tuple(slice_set.name for slice_set in sets),
        kind="baseline_models", parameters=parameters_text(asked),
    )  # fmt: skip


def plan_for(
    models: Sequence[Any], *tests: ModelTest, task: TaskKind = TaskKind.BINARY, **more: Any
) -> EvaluationPlan:
    weight = more.pop("weight", None)
    plan = plan_of(task, models, [], slice_sets=(OVERALL, BY_COUNTRY), **more)
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    plan = replace(plan, dataset=dataset, columns=replace(plan.columns, weight=weight))
    plan = replace(plan, tests=expand_tests(tests, plan.setting))
    return plan.beside(replace(dataset, name="train", table_id="other"))


def evaluated(
    plan: EvaluationPlan, table: pa.Table, train: pa.Table, parts: int = 1
) -> EvaluationResult:
    assert plan.reference is not None
    reference = merged(scanned(plan.reference, train, parts, seed=parts))
    states = merged(scanned(plan, table, parts, seed=parts))
    return measure(plan, states, beside=Beside(reference=reference))


def fit(table: pa.Table, *, blind: bool = False, seed: int = 0) -> LogisticRegression:
    frame = table.to_pandas().dropna(subset=["label"])
    label = frame["label"].astype(int).to_numpy()
    if blind:
        label = np.random.default_rng(seed).permutation(label)
    return LogisticRegression().fit(frame[["a", "b"]], label)


def skewed(table: pa.Table) -> pa.Table:
    """Fewer rows of class 0, so that there is a majority."""
    frame = table.to_pandas()
    keep = ~((frame["label"] == 0) & (np.arange(len(frame)) % 3 == 0))
    return table.filter(pa.array(keep))


SCORERS = {
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p > 0.5, sample_weight=w),
    "log_loss": lambda y, p, w: -sk.log_loss(y, p, labels=[0, 1], sample_weight=w),
    "brier_score": lambda y, p, w: -sk.brier_score_loss(y, p, sample_weight=w),
    "roc_auc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: sk.average_precision_score(y, p, sample_weight=w),
    "balanced_accuracy": lambda y, p, w: sk.balanced_accuracy_score(y, p > 0.5, sample_weight=w),
}


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("weight", [None, "w"])
def test_gains_are_those_over_a_dummy(models: Models, parts: int, weight: str | None) -> None:
    train, table = (skewed(rows_of(TaskKind.BINARY, seed=seed)) for seed in (2, 3))
    model = fit(train)
    tests = [beats(metric, sets=(OVERALL, BY_COUNTRY)) for metric in SCORERS]
    plan = plan_for([models.of("logistic", model)], *tests, weight=weight)
    checked = 0
    for cell in evaluated(plan, table, train, parts).cells:
        sides = []
        for rows in (train.to_pandas(), table.to_pandas()):
            rows = rows.dropna(subset=["label"])
            if cell.slice.kind != "overall":
                value = cell.slice.columns["country"]
                rows = rows[rows["country"].isna() if value is None else rows["country"] == value]
            sides.append(rows[["a", "b", "label", "w"]])
        known, rows = sides
        if rows["label"].nunique() < 2 or len(known) < 2:
            continue
        weights = known["w"] if weight else None
        dummy = DummyClassifier(strategy="prior").fit(
            known[["a", "b"]], known["label"].astype(int), sample_weight=weights
        )
        score = SCORERS[cell.test.metric.removesuffix("_gain")]
        label, own = rows["label"].astype(int), rows["w"] if weight else None
        gain = score(label, model.predict_proba(rows[["a", "b"]])[:, 1], own)
        gain -= score(label, dummy.predict_proba(rows[["a", "b"]])[:, 1], own)
        assert cell.measured.value == pytest.approx(gain, rel=1e-9, abs=1e-9), cell
        assert cell.measured.ci_low < cell.measured.value < cell.measured.ci_high
        checked += 1
    assert checked >= 6 * 5


def judge(models: Models, seed: int, *, blind: bool, metric: str = "log_loss") -> Verdict:
    train, table = (
        skewed(rows_of(TaskKind.BINARY, seed=base + seed, rows=800)) for base in (0, 1000)
    )
    version = models.of(f"{blind}-{seed}", fit(train, blind=blind, seed=seed))
    plan = plan_for([version], beats(metric, Condition("min_gain", 0.1)))
    return evaluated(plan, table, train).cells[0].verdict


def test_a_model_that_knows_nothing_is_found_and_a_sound_one_is_not(models: Models) -> None:
    planted = [judge(models, seed, blind=True) for seed in range(15)]
    assert set(planted) == {Verdict.FAIL}
    sound = [judge(models, seed, blind=False) for seed in range(15)]
    assert set(sound) == {Verdict.PASS}


def test_classes_of_many_and_states_of_a_baseline_beside(models: Models) -> None:
    """Pairs with the evaluation's baseline, which another test asks for, are no part of it."""
    task = TaskKind.MULTICLASS
    train, table = (rows_of(task, seed=seed) for seed in (2, 3))
    frame = train.to_pandas().dropna(subset=["label"])
    rows = table.to_pandas().dropna(subset=["label"])
    strong = LogisticRegression().fit(frame[["a", "b"]], frame["label"])
    weak = LogisticRegression(C=0.001).fit(frame[["a", "b"]], frame["label"])
    versions = [models.of("strong", strong, task), models.of("weak", weak, task)]
    paired = ModelTest("paired", "accuracy", (Condition("max_drop", 0.5),), ("overall",))
    tests = [beats("accuracy"), beats("recall_per_class"), paired]
    plan = plan_for(versions, *tests, task=task, baseline="weak")
    dummy = DummyClassifier(strategy="prior").fit(frame[["a", "b"]], frame["label"])
    for cell in evaluated(plan, table, train).cells:
        model = {"strong": strong, "weak": weak}[cell.model.name]
        said, plain = model.predict(rows[["a", "b"]]), dummy.predict(rows[["a", "b"]])
        if cell.test.metric == "accuracy_gain":
            gain = (said == rows["label"]).mean() - (plain == rows["label"]).mean()
            assert cell.measured.value == pytest.approx(gain)
        elif cell.test.metric != "accuracy":
            of_class = rows["label"] == cell.test.metric[len("recall_class_")]
            gain = (said == rows["label"])[of_class].mean() - (plain == rows["label"])[
                of_class
            ].mean()
            assert cell.measured.value == pytest.approx(gain)
    assert [test.metric for test in plan.tests[:4]] == [
        "accuracy_gain", "recall_class_x_gain", "recall_class_y_gain", "recall_class_z_gain",
    ]  # fmt: skip


def test_where_nothing_is_known_of_the_reference_there_is_no_gain(models: Models) -> None:
    train, table = (rows_of(TaskKind.BINARY, seed=seed) for seed in (2, 3))
    plan = plan_for([models.of("logistic", fit(train))], beats("accuracy", sets=(BY_COUNTRY,)))
    germans = train.filter(pa.array(train["country"].to_pandas() == "DE"))
    cells = evaluated(plan, table, germans).cells
    defined = {cell.slice.name for cell in cells if cell.measured.value is not None}
    assert defined == {"country=DE"}
    section = KIND.section(evaluated(plan_for(list(plan.models), beats("f1")), table, train).cells)
    assert section is not None
    ((name, model, gain, interval),) = section.rows
    assert (name, model) == ("beats majority f1", "logistic") and float(gain) > 0
    assert " to " in interval and KIND.section([]) is None
    (picture,) = section.pictures
    assert picture.axis == "gain of f1 over majority"
    assert f"{picture.points[0].value:.4g}" == gain


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("flip_rate", "'flip_rate' compares two versions; expected a metric of one model's"),
        ("equalized_odds_difference", "compares groups; expected a metric of one model's"),
        ("best_threshold_f1", "'best_threshold_f1' is neither better higher nor lower"),
        ("recall_class_7", "'recall_class_7' names the class '7'; expected one of"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_scan(
    models: Models, metric: str, message: str
) -> None:
    plan = plan_for(
        [models.of("logistic", fit(rows_of(TaskKind.BINARY, seed=2)))], beats("accuracy")
    )
    with pytest.raises(InputError) as refused:
        check_fit(replace(plan, tests=(beats(metric),)))
    assert message in str(refused.value)


def test_tasks_and_models_that_have_no_majority_are_refused(models: Models) -> None:
    plan = plan_for(
        [models.of("logistic", fit(rows_of(TaskKind.BINARY, seed=2)))], beats("log_loss")
    )
    check_fit(plan)
    numbers = replace(plan, problem=replace(plan.problem, task=TaskKind.REGRESSION))
    with pytest.raises(InputError, match="of a regression task has no majority"):
        check_fit(numbers)
    labels = replace(plan, models=(replace(plan.models[0], output=Output.LABEL),))
    with pytest.raises(InputError, match="'log_loss' needs scores"):
        check_fit(labels)


SUITE = """
name: s
evaluations:
  - name: e
    dataset: {delta: ./t, task: binary, label: y}
    %s
    models: [{uri: m}]
    tests: [{baseline_models: %s, metric: %s, min_gain: 0.05}]
"""
BESIDE = "reference: {delta: ./train}"


def test_it_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE % (BESIDE, "[majority]", "roc_auc"))
    suite = read_suite(path)
    (test,) = suite.evaluations[0].tests
    assert (test.name, test.metric) == ("baseline_models majority roc_auc", "roc_auc_gain")
    path.write_text(dump_suite(suite))
    assert read_suite(path) == suite


@pytest.mark.parametrize(
    ("reference", "asked", "metric", "message"),
    [
        ("", "[majority]", "roc_auc", "baseline_models in an evaluation without a reference"),
        (BESIDE, "[majority]", "roc_acu", "did you mean 'roc_auc'?"),
        (BESIDE, "[stump]", "roc_auc", "stump"),
        (BESIDE, "[]", "roc_auc", "baseline_models"),
        (BESIDE, "[majority, majority]", "roc_auc", "twice"),
    ],
)
def test_wrong_words_are_refused(
    tmp_path: Path, reference: str, asked: str, metric: str, message: str
) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE % (reference, asked, metric))
    with pytest.raises(SuiteError) as refused:
        read_suite(path)
    assert message in str(refused.value)
