"""`baseline_models`: gains over what scikit-learn fits by hand; what knows nothing is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from engine.core.vocabulary import (
    Condition,
    DatasetVersion,
    EvaluationResult,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.data.kept_profiles import digest_of
from engine.errors import InputError, SuiteError
from engine.evaluation.measure import measure
from engine.kinds import KINDS, parameters_text
from engine.models.trivial.fitting import FITS, Sample, learn_inputs
from engine.models.trivial.model import trivial_version
from engine.planning import EvaluationPlan, check_fit, dump_plans, expand_tests, load_plans, needs
from engine.planning.suites import read_suite
from engine.planning.trivial import asked_kinds, pin_trivial
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
NUMBERS, TEXTS = ("a", "b", "age", "score", "vip"), ("country",)
# The squares of the scores are not finite.
USED = ("a", "b", "age", "vip")


def beats(
    metric: str,
    *conditions: Condition,
    models: Sequence[str] = ("majority",),
    sets: Sequence[SliceSet] = (OVERALL,),
) -> ModelTest:
    asked = {"metric": metric, "models": list(models)}
    return ModelTest(
        f"beats {','.join(models)} {metric}", f"{metric}_gain", conditions,
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


def labelled(table: pa.Table, weight: str | None = None) -> pd.DataFrame:
    """The rows that can be learned from, with labels as class indices or targets."""
    frame = table.to_pandas().dropna(subset=["label"])
    frame = frame if weight is None else frame[frame[weight] > 0]
    if not pd.api.types.is_numeric_dtype(frame["label"]):
        frame["label"] = frame["label"].map({"x": 0, "y": 1, "z": 2})
    return frame.reset_index(drop=True)


def fit_trivial(
    plan: EvaluationPlan, train: pa.Table, names: tuple[Sequence[str], Sequence[str]] | None = None
) -> EvaluationPlan:
    """The plan with its trivial models, as a run fits them but for the rows, which are all."""
    numbers, texts = names or (NUMBERS, TEXTS)
    weight, problem = plan.columns.weight, plan.problem
    frame = labelled(train, weight)
    target = frame["label"].to_numpy(np.int64 if problem.classes else np.float64)
    weights = np.ones(len(frame)) if weight is None else frame[weight].to_numpy()
    table = pa.Table.from_pandas(frame[[*numbers, *texts]], preserve_index=False)
    sample = Sample(table, tuple(numbers), tuple(texts), target, weights, problem.n_classes)
    models = []
    for kind in asked_kinds(plan):
        if kind in FITS:
            content = FITS[kind](sample, learn_inputs(sample))
        elif kind == "mean":
            content = {"constant": float(np.average(target, weights=weights))}
        else:
            shares = np.bincount(target, weights, problem.n_classes)
            content = {"constant": (shares / shares.sum()).tolist()}
        content["fitted"] = f"{len(frame)} rows"
        models.append(
            trivial_version(
                kind, digest_of([kind, content]), content, problem.task, problem.classes
            )
        )
    return pin_trivial(replace(plan, trivial=tuple(models)))


def evaluated(plan: EvaluationPlan, table: pa.Table, parts: int = 1) -> EvaluationResult:
    return measure(plan, merged(scanned(plan, table, parts, seed=parts)))


def by_hand(kind: str, task: TaskKind, frame: pd.DataFrame, weight: str | None) -> Pipeline:
    """A trivial model as scikit-learn's own pipeline."""
    columns = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [*USED]),
        ("texts", OneHotEncoder(min_frequency=0.01, max_categories=20,
                                handle_unknown="infrequent_if_exist"), [*TEXTS]),
    ])  # fmt: skip
    estimators: dict[tuple[str, bool], Any] = {
        ("majority", True): DummyClassifier(strategy="prior"),
        ("mean", False): DummyRegressor(),
        ("stump", True): DecisionTreeClassifier(max_depth=1, random_state=0),
        ("stump", False): DecisionTreeRegressor(max_depth=1, random_state=0),
        ("linear", True): LogisticRegression(max_iter=1000),
        ("linear", False): Ridge(),
    }
    pipeline = make_pipeline(columns, estimators[kind, task is not TaskKind.REGRESSION])
    weights = np.ones(len(frame)) if weight is None else frame[weight] / frame[weight].mean()
    return pipeline.fit(
        inputs_of(frame), frame["label"], **{f"{pipeline.steps[1][0]}__sample_weight": weights}
    )


def inputs_of(frame: pd.DataFrame) -> pd.DataFrame:
    own = frame[[*USED, *TEXTS]].copy()
    own["vip"] = own["vip"].astype(float)
    own["country"] = own["country"].where(own["country"].notna(), None)
    return own


def fit(
    table: pa.Table, *, blind: bool = False, seed: int = 0, regression: bool = False
) -> Pipeline:
    frame = labelled(table)
    label = frame["label"].to_numpy(float if regression else int)
    if blind:
        label = np.random.default_rng(seed).permutation(label)
    estimator = LinearRegression() if regression else LogisticRegression()
    return estimator.fit(frame[["a", "b"]], label)


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
REGRESSION = {
    "mean_absolute_error": lambda y, p, w: -sk.mean_absolute_error(y, p, sample_weight=w),
    "root_mean_squared_error": lambda y, p, w: -sk.root_mean_squared_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: sk.r2_score(y, p, sample_weight=w),
}


@pytest.mark.parametrize("task", [TaskKind.BINARY, TaskKind.REGRESSION])
@pytest.mark.parametrize("weight", [None, "w"])
def test_gains_are_those_over_what_is_fitted_by_hand(
    models: Models, task: TaskKind, weight: str | None
) -> None:
    train, table = (rows_of(task, seed=seed) for seed in (2, 3))
    binary = task is TaskKind.BINARY
    if binary:
        train, table = skewed(train), skewed(table)
    model = fit(train, regression=not binary)
    kinds = ["majority" if binary else "mean", "stump", "linear"]
    scorers = SCORERS if binary else REGRESSION
    tests = [beats(metric, models=kinds, sets=(OVERALL, BY_COUNTRY)) for metric in scorers]
    version = models.of(f"own {task}", model, task)
    plan = fit_trivial(plan_for([version], *tests, task=task, weight=weight), train)
    assert [test.name for test in plan.tests[:3]] == [
        f"beats {kind} {next(iter(scorers))}" for kind in kinds
    ]
    results = {parts: evaluated(plan, table, parts) for parts in (1, 4)}
    hand = {kind: by_hand(kind, task, labelled(train, weight), weight) for kind in kinds}

    def says(of: Any, rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(of.predict_proba(rows)[:, 1] if binary else of.predict(rows))

    checked = 0
    for cell, other in zip(results[1].cells, results[4].cells, strict=True):
        assert cell.test == other.test and cell.slice == other.slice
        for name in ("value", "ci_low", "ci_high"):
            one, two = (getattr(side.measured, name) for side in (cell, other))
            assert one is two or one == pytest.approx(two, rel=1e-9, abs=1e-9), (cell, name)
        rows = labelled(table)
        if cell.slice.kind != "overall":
            value = cell.slice.columns["country"]
            rows = rows[rows["country"].isna() if value is None else rows["country"] == value]
        if len(rows) < 2 or rows["label"].nunique() < 2:
            continue
        kind = cell.test.name.split()[1]
        score = scorers[cell.test.metric.removesuffix("_gain")]
        own = rows[weight] if weight else None
        gain = score(rows["label"], says(model, rows[["a", "b"]]), own)
        gain -= score(rows["label"], says(hand[kind], inputs_of(rows)), own)
        assert cell.measured.value == pytest.approx(gain, rel=1e-9, abs=1e-9), cell
        assert cell.measured.ci_low < cell.measured.value < cell.measured.ci_high
        checked += 1
    assert checked >= 3 * 5 * len(scorers)


def judge(
    models: Models, seed: int, *, blind: bool, kind: str = "majority", regression: bool = False
) -> Verdict:
    task = TaskKind.REGRESSION if regression else TaskKind.BINARY
    train, table = (rows_of(task, seed=base + seed, rows=800) for base in (0, 1000))
    if not regression:
        train, table = skewed(train), skewed(table)
    native = fit(train, blind=blind, seed=seed, regression=regression)
    version = models.of(f"{task}-{blind}-{seed}", native, task)
    # What is blind may be better than the majority by chance, and not by much.
    metric, least = ("r2", 0.1) if regression else ("log_loss", 0.1 if kind == "majority" else 0.02)
    test = beats(metric, Condition("min_gain", least), models=[kind])
    plan = fit_trivial(plan_for([version], test, task=task), train, (("a", "b"), ()))
    return evaluated(plan, table).cells[0].verdict


@pytest.mark.parametrize(
    ("kind", "regression"),
    [("majority", False), ("stump", False), ("mean", True), ("stump", True)],
)
def test_a_model_that_knows_nothing_is_found_and_a_sound_one_is_not(
    models: Models, kind: str, regression: bool
) -> None:
    how = {"kind": kind, "regression": regression}
    planted = [judge(models, seed, blind=True, **how) for seed in range(15)]
    assert set(planted) == {Verdict.FAIL}
    sound = [judge(models, seed, blind=False, **how) for seed in range(15)]
    assert set(sound) == {Verdict.PASS}


def test_a_linear_model_that_is_no_better_than_ours_does_not_pass(models: Models) -> None:
    """It is ours but for the ridge: a gain of 0.02 is out of reach, and blind ones are worse."""
    same = [judge(models, seed, blind=False, kind="linear") for seed in range(15)]
    assert set(same) == {Verdict.FAIL}
    blind = [judge(models, seed, blind=True, kind="linear") for seed in range(15)]
    assert set(blind) == {Verdict.FAIL}


def test_a_model_that_knows_more_than_a_linear_one_passes(models: Models) -> None:
    """What counts is whether both columns have one sign, of which no linear model knows."""

    def product(seed: int) -> pa.Table:
        table = rows_of(TaskKind.BINARY, seed=seed, rows=800)
        sign = (table["a"].to_numpy() * table["b"].to_numpy()) > 0
        flips = np.random.default_rng(seed + 5).random(len(sign)) < 0.05
        return table.set_column(
            table.column_names.index("label"), "label", pa.array((sign ^ flips).astype(int))
        )

    def verdict(seed: int, *, blind: bool) -> Verdict:
        train, table = product(seed), product(1000 + seed)
        frame = train.to_pandas()
        label = np.random.default_rng(seed).permutation(frame["label"]) if blind else frame["label"]
        native = make_pipeline(PolynomialFeatures(2), LogisticRegression())
        native.fit(frame[["a", "b"]], label)
        test = beats("log_loss", Condition("min_gain", 0.1), models=["linear"])
        plan = plan_for([models.of(f"product-{blind}-{seed}", native)], test)
        return evaluated(fit_trivial(plan, train, (("a", "b"), ())), table).cells[0].verdict

    assert {verdict(seed, blind=True) for seed in range(15)} == {Verdict.FAIL}
    assert {verdict(seed, blind=False) for seed in range(15)} == {Verdict.PASS}


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
    tests = [beats("accuracy", models=["majority", "linear"]), beats("recall_per_class"), paired]
    plan = plan_for(versions, *tests, task=task, baseline="weak")
    plan = fit_trivial(plan, train, (("a", "b"), ()))
    scaler = StandardScaler().fit(frame[["a", "b"]])
    linear = LogisticRegression(max_iter=1000).fit(
        scaler.transform(frame[["a", "b"]]), frame["label"]
    )
    trivial = {
        "majority": np.full(len(rows), frame["label"].mode()[0]),
        "linear": linear.predict(scaler.transform(rows[["a", "b"]])),
    }
    for cell in evaluated(plan, table).cells:
        if cell.test.kind == "metric":
            continue
        model = {"strong": strong, "weak": weak}[cell.model.name]
        here = np.ones(len(rows), bool)
        if cell.test.metric != "accuracy_gain":
            label = cell.test.metric.removeprefix("recall_class_").removesuffix("_gain")
            here = (rows["label"] == label).to_numpy()
        right = (model.predict(rows[["a", "b"]]) == rows["label"])[here]
        gain = right.mean() - (trivial[cell.test.name.split()[1]] == rows["label"])[here].mean()
        assert cell.measured.value == pytest.approx(gain), cell
    assert [(test.name, test.metric) for test in plan.tests[:5]] == [
        ("beats majority accuracy", "accuracy_gain"),
        ("beats linear accuracy", "accuracy_gain"),
        ("beats majority recall_class_x", "recall_class_x_gain"),
        ("beats majority recall_class_y", "recall_class_y_gain"),
        ("beats majority recall_class_z", "recall_class_z_gain"),
    ]


def test_trivial_models_are_no_candidates_and_travel_in_the_plan(models: Models) -> None:
    train, table = (rows_of(TaskKind.BINARY, seed=seed) for seed in (2, 3))
    version = models.of("logistic", fit(train))
    tests = [beats("f1", models=["majority", "stump"])]
    plan = fit_trivial(plan_for([version], *tests), train)
    result = evaluated(plan, table)
    assert {cell.model.name for cell in result.cells} == {"logistic"}
    assert [model.name for model in result.models] == ["logistic"]
    assert not result.curves or {curve.model for curve in result.curves} == {"logistic"}
    assert load_plans(dump_plans([plan])) == (plan,)
    assert plan.reference is not None and needs(plan.reference) == ()
    by_name = {subject.model.name for subject in plan.subjects if subject.model}
    assert by_name == {"logistic", "trivial majority", "trivial stump"}
    # A run of before has the names of its states, and the digest that it had.
    old = replace(plan_for([version]), trivial=())
    assert '"trivial"' not in dump_plans([old]) and '"content"' not in dump_plans([old])
    assert plan.digest != fit_trivial(plan_for([version], *tests), table).digest
    costs = [KIND.cost(test, plan.setting) for test in plan.tests]
    rows = len(labelled(train))
    assert costs == [
        f"the majority of the reference's labels, fitted on {rows} rows; nothing is predicted "
        "for it",
        f"a decision tree of depth 1, fitted on {rows} rows; it predicts each row 1 time",
    ]
    section = KIND.section(result.cells)
    assert section is not None
    (name, model, what, gain, interval, fitted), _ = section.rows
    assert (name, model, fitted) == ("beats majority f1", "logistic", f"{rows} rows")
    assert what == "the majority of the reference's labels" and float(gain) > 0
    assert " to " in interval and KIND.section([]) is None
    pictures = {picture.axis: picture for picture in section.pictures}
    assert sorted(pictures) == ["gain of f1 over majority", "gain of f1 over stump"]
    picture = pictures["gain of f1 over majority"]
    assert f"{picture.points[0].value:.4g}" == gain


def test_a_trivial_model_that_fails_or_is_lacking_costs_its_own_gains(models: Models) -> None:
    train, table = (rows_of(TaskKind.BINARY, seed=seed) for seed in (2, 3))
    version = models.of("logistic", fit(train))
    plan = fit_trivial(plan_for([version], beats("f1", models=["majority", "linear"])), train)
    majority, linear = plan.trivial
    broken = replace(linear, content=linear.content.replace('"intercepts"', '"no intercepts"'))
    cells = evaluated(replace(plan, trivial=(majority, broken)), table).cells
    assert [cell.verdict for cell in cells] == [Verdict.RECORDED, Verdict.ERROR]
    assert "the trivial model 'linear' failed: KeyError" in cells[1].reason
    cells = evaluated(replace(plan, trivial=(majority,)), table).cells
    assert "nothing is kept of the trivial model 'linear'" in cells[1].reason


def model_of(
    kind: str, columns: dict[str, Any], target: Sequence[float], n_classes: int = 2
) -> tuple[ModelVersion, dict[str, str]]:
    """A trivial model of a few rows, and the columns that are left out."""
    table = pa.table(columns)
    texts = [f.name for f in table.schema if pa.types.is_string(f.type)]
    numbers = tuple(name for name in table.column_names if name not in texts)
    own = np.asarray(target, np.int64 if n_classes else np.float64)
    sample = Sample(table, numbers, tuple(texts), own, np.ones(len(own)), n_classes)
    inputs = learn_inputs(sample)
    task = TaskKind.MULTICLASS if n_classes else TaskKind.REGRESSION
    content = FITS[kind](sample, inputs) | {"fitted": ""}
    version = trivial_version(kind, digest_of([kind, content]), content, task, range(n_classes))
    return version, inputs.left_out


def predict(model: ModelVersion, columns: dict[str, Any]) -> np.ndarray:
    from engine.models import load

    prediction = load(model).predict(pa.table(columns))
    assert prediction.labels is None and prediction.scores is not None
    return prediction.scores


def test_columns_that_tell_nothing_are_left_out_with_the_reason() -> None:
    many = [f"{at} {'long ' * 200}" for at in range(200)]
    columns = {
        "good": pa.array([0.0, 1.0] * 100), "same": pa.array([7] * 200),
        "none": pa.array([None] * 200, pa.float64()), "huge": pa.array([1e300, -1e300] * 100),
        "unique": pa.array(many), "one": pa.array(["x"] * 200),
    }  # fmt: skip
    _, left_out = model_of("stump", columns, [0, 1] * 100)
    assert left_out == {
        "same": "its numbers do not differ", "none": "it has no numbers",
        "huge": "its numbers are too large", "unique": "no two of its values are frequent",
        "one": "no two of its values are frequent",
    }  # fmt: skip
    del columns["good"]
    with pytest.raises(InputError, match="no column tells its rows apart: 'same'"):
        model_of("stump", columns, [0, 1] * 100)


def test_texts_numbers_and_classes_that_were_not_met_are_read_as_they_should_be() -> None:
    """Rare and unknown texts are alike, null is a value, a class that is not met has the score 0"""
    texts = [*(["a"] * 90), *(["ä" * 150] * 90), *([None] * 90), *map(str, range(30))]
    columns = {"text": pa.array(texts, pa.string()), "big": pa.array([2**60] * 150 + [1] * 150)}
    target = [0] * 90 + [2] * 90 + [0] * 90 + [2] * 30
    model, _ = model_of("linear", columns, target, 3)
    asked = ["a", "ä" * 100, "ä" * 101, None, "7", "never", "A"]
    raw = pa.array([*asked, "a"], pa.string())
    scores = predict(model, {"text": raw, "big": pa.array([1] * 8)})
    assert scores.shape == (8, 3) and (scores[:, 1] == 0).all()
    assert scores.sum(axis=1) == pytest.approx(1)
    assert (scores[1] == scores[2]).all() and (scores[4] == scores[5]).all()
    assert (scores[5] == scores[6]).all() and (scores[0] == scores[7]).all()
    assert np.argmax(scores, axis=1)[[0, 1, 3, 4]].tolist() == [0, 2, 0, 2]
    # Bytes that are no text, and numbers that no row had.
    bad = pa.array([b"\xff\xfe", b"a"], pa.binary()).view(pa.string())
    far = predict(model, {"text": bad, "big": pa.array([1e308, None])})
    assert np.isfinite(far).all() and (predict(model, {"text": bad, "big": [None] * 2})).size
    value, _ = model_of(
        "stump", {"vip": pa.array([True, False, None] * 50)}, [1.0, 5.0, 5.0] * 50, 0
    )
    assert predict(value, {"vip": pa.array([True, False, None])}).tolist() == [1.0, 5.0, 5.0]


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


@pytest.mark.parametrize(
    ("task", "kind", "message"),
    [
        (TaskKind.REGRESSION, "majority", "a regression task has no majority; expected mean"),
        (TaskKind.BINARY, "mean", "a binary task has no mean; expected majority"),
        (TaskKind.RANKING, "linear", "found the task ranking; expected binary, multiclass or"),
        (TaskKind.MULTILABEL, "stump", "found the task multilabel; expected binary, multiclass"),
    ],
)
def test_tasks_that_have_no_such_model_are_refused(
    models: Models, task: TaskKind, kind: str, message: str
) -> None:
    plan = plan_for([models.of("logistic", fit(rows_of(TaskKind.BINARY, seed=2)))])
    numbers = replace(plan, problem=replace(plan.problem, task=task))
    with pytest.raises(InputError) as refused:
        check_fit(replace(numbers, tests=(beats("r2", models=[kind]),)))
    assert message in str(refused.value)


def test_models_of_labels_have_no_gain_of_scores(models: Models) -> None:
    plan = plan_for(
        [models.of("logistic", fit(rows_of(TaskKind.BINARY, seed=2)))], beats("log_loss")
    )
    check_fit(plan)
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
    path.write_text(SUITE % (BESIDE, "[majority, stump, linear]", "roc_auc"))
    suite = read_suite(path)
    (test,) = suite.evaluations[0].tests
    assert (test.name, test.metric) == (
        "baseline_models majority,stump,linear roc_auc", "roc_auc_gain",
    )  # fmt: skip
    path.write_text(dump_suite(suite))
    assert read_suite(path) == suite


@pytest.mark.parametrize(
    ("reference", "asked", "metric", "message"),
    [
        ("", "[majority]", "roc_auc", "baseline_models in an evaluation without a reference"),
        (BESIDE, "[majority]", "roc_acu", "did you mean 'roc_auc'?"),
        (BESIDE, "[forest]", "roc_auc", "forest"),
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
