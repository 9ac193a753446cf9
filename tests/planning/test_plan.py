"""The plan as data: digests, the way to JSON and back, problems, and what does not fit."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from engine.conditions import CONDITIONS
from engine.core.labels import same_label
from engine.core.vocabulary import (
    ColumnSpec,
    Condition,
    DatasetVersion,
    DecideBy,
    Dimension,
    ModelTest,
    ModelVersion,
    Output,
    OverRuns,
    Severity,
    SliceSet,
    TaskKind,
    TensorSpec,
    Within,
)
from engine.errors import DataError, InputError, ModelError
from engine.kinds import Setting
from engine.metrics import METRICS, Problem, mean_metric
from engine.planning import (
    Columns,
    EvaluationPlan,
    check_fit,
    dump_plans,
    expand_tests,
    free_name,
    label_codes,
    load_plans,
    make_problem,
    metric_mistake,
)
from engine.planning.classes import fit_classes

BINARY, MULTI, REGRESSION = TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION
MULTILABEL = TaskKind.MULTILABEL


def model(name: str = "m", *classes: Any, **more: Any) -> ModelVersion:
    made = ModelVersion(
        name, f"models:/{name}/1", "1", f"digest of {name}", f"/models/{name}", "sklearn",
        BINARY, Output.PROBABILITY, classes, (ColumnSpec("a", "double"),), ("a",),
    )  # fmt: skip
    return replace(made, **more)


PLAN = EvaluationPlan(
    name="claims",
    dataset=DatasetVersion(
        "claims", "/lake/claims", 4, "some id", 100,
        dt.datetime(2026, 11, 23, 1, 2, 3, 456, tzinfo=dt.UTC), False,
        (("a", "double"), ("y", "int")),
    ),
    columns=Columns("y", "w", ("id",), "customer", ("iban",)),
    problem=Problem(BINARY, (0, 1)),
    models=(model("m", 0, 1), model("n", 0, 1)),
    baseline="m",
    slice_sets=(
        SliceSet("overall", "overall"),
        SliceSet("country", "by", (Dimension("country"),)),
        SliceSet("age", "bins", (Dimension("age", (18.0, 30.5)),)),
        SliceSet("young", "where", where="age < 25"),
    ),
    tests=(
        ModelTest("auc", "roc_auc", (Condition("min", 0.8),), ("overall", "country")),
        ModelTest("recall", "recall", (Condition("max_drop", 0.05, True),), ("overall",)),
    ),
    min_slice_rows=30,
    max_slices=1000,
    plugins=("own_metrics",),
)  # fmt: skip


def with_model(**change: Any) -> EvaluationPlan:
    return replace(PLAN, models=(replace(PLAN.models[0], **change), PLAN.models[1]))


def with_test(**change: Any) -> EvaluationPlan:
    return replace(PLAN, tests=(replace(PLAN.tests[0], **change), PLAN.tests[1]))


def test_equal_plans_have_equal_digests() -> None:
    assert PLAN.digest == replace(PLAN).digest == load_plans(dump_plans([PLAN]))[0].digest
    assert len(PLAN.digest) == 64
    # Written down, because states are kept under it: it may only change with the states.
    assert PLAN.digest.startswith("dbfcd2b682364c78"), PLAN.digest


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, dataset=replace(PLAN.dataset, version=5)),
        replace(PLAN, dataset=replace(PLAN.dataset, table_id="another")),
        replace(PLAN, columns=replace(PLAN.columns, weight=None)),
        replace(PLAN, columns=replace(PLAN.columns, cluster=None)),
        replace(PLAN, columns=replace(PLAN.columns, label="z")),
        replace(PLAN, problem=Problem(BINARY, (0, 1), 0)),
        replace(PLAN, problem=Problem(BINARY, ("0", "1"))),
        with_model(digest="another"),
        with_model(output=Output.LOGIT),
        with_model(features=("b",)),
        replace(PLAN, models=PLAN.models[::-1]),
        replace(PLAN, models=PLAN.models[:1]),
        replace(PLAN, slice_sets=PLAN.slice_sets[:3]),
        replace(
            PLAN,
            slice_sets=(
                *PLAN.slice_sets[:2],
                SliceSet("age", "bins", (Dimension("age", (18.0, 31.0)),)),
                PLAN.slice_sets[3],
            ),
        ),
        with_test(metric="log_loss"),
        with_test(slice_sets=("overall",)),
        replace(PLAN, plugins=()),
        replace(PLAN, baseline=None),
        replace(PLAN, baseline="n"),
    ],
)
def test_what_changes_the_states_changes_the_digest(other: EvaluationPlan) -> None:
    assert other.digest != PLAN.digest


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, name="renamed"),
        replace(PLAN, min_slice_rows=1),
        replace(PLAN, max_slices=2000),
        replace(PLAN, columns=replace(PLAN.columns, sensitive=())),
        replace(PLAN, dataset=replace(PLAN.dataset, uri="/moved", name="x", timestamp=None)),
        replace(PLAN, confidence=0.9, correction=Within.BY, over_runs=OverRuns.LORD),
        replace(
            with_model(name="x", uri="x", path="/elsewhere", registered_name="x"), baseline="x"
        ),
        with_test(conditions=()),
        with_test(decide=DecideBy.POINT, corrected=False),
        with_test(severity=Severity.WARN),
        with_test(name="another"),
        replace(PLAN, tests=PLAN.tests[::-1]),
    ],
)
def test_what_only_judges_the_states_does_not(other: EvaluationPlan) -> None:
    assert other.digest == PLAN.digest


CLASSES: list[tuple[Any, ...]] = [
    (0, 1),
    (False, True),
    ("0", "1"),
    ("no", 'say "yes" 😀\n'),
    (0.0, 1.0),
    (0.5, 1.5),
    (-1, 1),
    (),
    (2**60, 2**60 + 1),
]


def types_of(values: tuple[Any, ...]) -> list[type]:
    return [type(value) for value in values]


@pytest.mark.parametrize("classes", CLASSES)
def test_plans_come_back_as_they_were_with_labels_of_every_type(classes: tuple[Any, ...]) -> None:
    plan = replace(with_model(classes=classes), problem=Problem(MULTI, classes, 0))
    (loaded,) = load_plans(dump_plans([plan]))
    assert loaded == plan
    assert types_of(loaded.problem.classes) == types_of(classes)
    assert types_of(loaded.models[0].classes) == types_of(classes)


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (ColumnSpec("a", "double"), ColumnSpec("b")),
        (TensorSpec(None, "float32", (-1, 32, 32, 3)),),
        (TensorSpec("image", "float32", (32, 32, 3)), TensorSpec("age", "int64", ())),
    ],
)
def test_plans_come_back_with_inputs_of_every_kind(inputs: Any) -> None:
    plan = with_model(inputs=inputs, version=None, model_id="m-1")
    (loaded,) = load_plans(dump_plans([plan]))
    assert loaded == plan
    assert types_of(loaded.models[0].inputs) == types_of(inputs)


def setting_of(problem: Problem) -> Setting:
    return replace(PLAN, problem=problem).setting


def test_many_plans_come_back_in_order() -> None:
    plans = (PLAN, replace(PLAN, name="b", baseline=None, plugins=()), replace(PLAN, name="c"))
    assert load_plans(dump_plans(plans)) == plans
    assert load_plans(dump_plans([])) == ()


def test_a_metric_of_each_class_is_one_test_for_each() -> None:
    problem = Problem(MULTI, ("cat", "dog"))
    floor = (Condition("min", 0.5),)
    tests = (
        ModelTest("recall_per_class min", "recall_per_class", floor, ("overall",), Severity.WARN),
        ModelTest("no class is forgotten", "f1_per_class"),
        ModelTest("accuracy", "accuracy"),
    )
    expanded = expand_tests(tests, setting_of(problem))
    assert [(test.name, test.metric) for test in expanded] == [
        ("recall_class_cat min", "recall_class_cat"),
        ("recall_class_dog min", "recall_class_dog"),
        ("no class is forgotten f1_class_cat", "f1_class_cat"),
        ("no class is forgotten f1_class_dog", "f1_class_dog"),
        ("accuracy", "accuracy"),
    ]
    assert expanded[0].conditions == floor
    assert expanded[0].severity is Severity.WARN
    for test in expanded:
        assert MULTI in METRICS.get(test.metric).tasks


def test_a_metric_of_each_label_is_one_test_for_each() -> None:
    setting = setting_of(Problem(MULTILABEL, ("cat", "dog")))
    expanded = expand_tests((ModelTest("each", "multilabel_f1_per_label"),), setting)
    assert [test.metric for test in expanded] == [
        "multilabel_f1_label_cat",
        "multilabel_f1_label_dog",
    ]
    cow = ModelTest("cow", "multilabel_f1_label_cow")
    problem = Problem(MULTILABEL, ("cat", "dog"))
    with pytest.raises(InputError, match="names the label 'cow'; expected one of"):
        check_fit(replace(PLAN, problem=problem, tests=(cow,)))


def test_expanded_tests_have_names_of_their_own() -> None:
    tests = (
        ModelTest("recall_per_class", "recall_per_class"),
        ModelTest("recall_class_0", "recall_class_0"),
    )
    names = [test.name for test in expand_tests(tests, setting_of(Problem(BINARY, (0, 1))))]
    assert names == ["recall_class_0 #2", "recall_class_1", "recall_class_0"]
    assert free_name("a", {"a", "a #2"}) == "a #3"


@pytest.mark.parametrize(
    ("classes", "labels", "positive_label", "positive"),
    [
        ((0, 1), (0, 1), None, 1),
        ((0, 1), (0, 1), 0, 0),
        ((0, 1), (1,), None, 1),
        ((0, 1), (False, True), True, 1),
        ((False, True), (0, 1), 1, 1),
        ((0, 1), (0.0, 1.0), 1.0, 1),
        ((0, 1), (Decimal("0.00"), Decimal("1.00")), None, 1),
        ((0, 1), (np.int64(0), np.int64(1)), np.int64(0), 0),
        ((False, True), (np.False_, np.True_), np.True_, 1),
        (("no", "yes"), (np.str_("yes"),), "no", 0),
        (("no", "yes"), ("no", "yes"), "yes", 1),
        ((1, 2), (1, 2), None, 1),
    ],
)
def test_classes_come_from_the_models(
    classes: Any, labels: Any, positive_label: Any, positive: int
) -> None:
    models = [model("m", *classes), model("n")]
    problem = make_problem(BINARY, models, labels=labels, positive_label=positive_label)
    assert problem == Problem(BINARY, classes, positive, is_ordered=not isinstance(classes[0], str))
    codes = label_codes(problem)
    assert sorted(codes.values()) == [0, 1]
    assert all(same_label(label) in codes for label in labels)


def test_classes_come_from_the_labels_where_no_model_names_them() -> None:
    problem = make_problem(MULTI, [model()], labels=("b", "c", "a"), positive_label=None)
    assert problem.classes == ("a", "b", "c")
    assert make_problem(REGRESSION, [model()], labels=(), positive_label=None).classes == ()


def test_long_numbers_are_labels_of_their_own() -> None:
    assert same_label(2**53) != same_label(2**53 + 1)
    assert same_label(10**30) == same_label(Decimal(10**30))
    assert same_label(0.5) == same_label(Decimal("0.5"))
    assert same_label(-0.0) == same_label(0)
    assert same_label("1") != same_label(1)
    assert same_label(float("inf")) == "number inf"


@pytest.mark.parametrize(
    ("classes", "labels", "positive", "message"),
    [
        ((0, 1), (0, 2), None, r"holds \[2\], which the models do not know; expected .* \[0, 1\]"),
        (
            ("01", "1"),
            (0, 1),
            None,
            r"holds \[0\], which .* expected their classes \['01', '1'\]",
        ),
        ((0, 1), ("no",), None, r"holds \['no'\]"),
        ((), (0, 1, 2), None, r"a binary task has 2 classes, found 3: \[0, 1, 2\]"),
        ((), (1,), None, r"a binary task has 2 classes, found 1: \[1\]"),
        ((0, 1), (0, 1), "2", r"positive_label is '2', expected one of the classes \[0, 1\]"),
        ((0, 1), (0, 1), 2, r"positive_label is 2"),
        ((0, 1), tuple(range(50)), None, r"holds \[2, 3, .*, 11, \.\.\.\]"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    classes: Any, labels: Any, positive: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make_problem(BINARY, [model("m", *classes)], labels=labels, positive_label=positive)


def test_models_must_agree_on_their_classes() -> None:
    same = [model("m", 0, 1), model("n", False, True)]
    assert make_problem(BINARY, same, labels=(0,), positive_label=None).classes == (0, 1)
    with pytest.raises(ModelError, match=r"expected \[0, 1\], 'n' has \[0, 2\]"):
        fit_classes(model("n", 0, 2), Problem(BINARY, (0, 1)))
    turned = fit_classes(model("n", 1, 0), Problem(BINARY, (0, 1)))
    assert (turned.classes, turned.own_classes, turned.places) == ((0, 1), (1, 0), (1, 0))


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("roc_auc", BINARY, None),
        ("recall_per_class", MULTI, None),
        ("recall_class_cat", MULTI, None),
        ("roc_auc_per_class", MULTI, None),
        ("multilabel_recall_per_label", MULTILABEL, None),
        ("multilabel_roc_auc_label_cat", MULTILABEL, None),
        ("rmse", REGRESSION, None),
        ("roc_acu", BINARY, "no metric is called 'roc_acu'; did you mean 'roc_auc'?"),
        ("accuracy_per_class", MULTI, "no metric is called 'accuracy_per_class'; did you mean"),
        ("zzz", REGRESSION, "no metric is called 'zzz'; expected one of "),
        ("r2", BINARY, "'r2' is a metric for regression, the task is binary"),
        ("roc_auc", MULTI, "'roc_auc' is a metric for binary, the task is multiclass; did you"),
        ("accuracy", REGRESSION, "'accuracy' is a metric for binary and multiclass, the task is"),
    ],
)
def test_metrics_that_do_not_fit_are_told(name: str, task: TaskKind, message: str | None) -> None:
    found = metric_mistake(name, task)
    assert found is None if message is None else str(found).startswith(message)


@pytest.mark.parametrize(
    ("name", "kind", "meant"),
    [
        ("roc_auc", "max_drop", None),
        ("log_loss", "max_rise", None),
        ("log_loss", "max_drop", "max_rise"),
        ("roc_auc", "max_rise", "max_drop"),
        ("roc_auc", "min", None),
        ("log_loss", "min", None),
    ],
)
def test_margins_of_the_wrong_direction_are_told(name: str, kind: str, meant: str | None) -> None:
    found = CONDITIONS.get(kind).misfit(METRICS.get(name))
    if meant is None:
        assert found is None
    else:
        assert str(found).endswith(f"is no harm; did you mean {meant!r}?")


def test_a_plan_that_fits_is_not_refused() -> None:
    check_fit(PLAN)


def test_models_of_labels_are_refused_for_metrics_of_scores() -> None:
    with pytest.raises(InputError) as caught:
        check_fit(with_model(output=Output.LABEL))
    assert str(caught.value) == (
        "evaluation 'claims': test 'auc': 'roc_auc' needs scores, and the model 'm' returns "
        "labels only; choose a metric of labels such as 'accuracy', or a model with probabilities"
    )
    both = replace(PLAN, models=tuple(replace(m, output=Output.LABEL) for m in PLAN.models))
    with pytest.raises(InputError, match="the models 'm', 'n' return labels only"):
        check_fit(both)


def test_all_that_does_not_fit_is_told_at_once() -> None:
    tests = (
        ModelTest("a", "recall_class_9"),
        ModelTest("b", "log_loss", (Condition("max_drop", 0.1),)),
        ModelTest("c", "recall_class_1"),
    )
    with pytest.raises(InputError) as caught:
        check_fit(replace(PLAN, tests=tests))
    assert str(caught.value).splitlines() == [
        "evaluation 'claims': test 'a': 'recall_class_9' names the class '9'; expected one of "
        "['0', '1']",
        "evaluation 'claims': test 'b': 'log_loss' is better when lower, so a drop is no harm; "
        "did you mean 'max_rise'?",
    ]


def test_a_metric_of_ones_own_may_have_class_in_its_name() -> None:
    mean_metric("own_class_metric", tasks=frozenset({BINARY}))(lambda batch, problem: batch.weight)
    try:
        check_fit(replace(PLAN, tests=(ModelTest("own", "own_class_metric"),)))
    finally:
        del METRICS._things["own_class_metric"]


def test_the_states_of_a_slice_set_are_what_its_tests_need() -> None:
    model = PLAN.subjects[0]

    def keys(number: int) -> list[str]:
        return [family.key for family in PLAN.families(PLAN.slice_sets[number], model)]

    assert keys(1) == ["scores(1)"]
    assert keys(2) == keys(3) == []
    assert sorted(keys(0)) == ["confusion(2)", "scores(1)"]
    assert "scores(1)" not in [
        family.key
        for family in replace(PLAN, tests=()).families(
            PLAN.slice_sets[0], replace(model, model=replace(PLAN.models[0], output=Output.LABEL))
        )
    ]
    many = replace(PLAN, problem=Problem(MULTI, tuple(range(21))), tests=())
    assert many.families(PLAN.slice_sets[0], model) == ()
    regression = replace(PLAN, problem=Problem(REGRESSION), tests=())
    assert regression.families(PLAN.slice_sets[0], model) == ()


def test_tests_apply_to_the_sets_they_name() -> None:
    assert [test.name for test in PLAN.tests_on("overall")] == ["auc", "recall"]
    assert [test.name for test in PLAN.tests_on("country")] == ["auc"]
    assert PLAN.tests_on("age") == []
    assert PLAN.sets_by_name["young"].where == "age < 25"


def test_a_class_of_any_text_has_a_metric_of_its_own(nasty: ModuleType) -> None:
    problem = Problem(MULTI, tuple(nasty.CURATED))
    for stem in ("recall", "f1"):
        tests = expand_tests([ModelTest("each", f"{stem}_per_class")], setting_of(problem))
        assert [METRICS.get(test.metric).name for test in tests] == [
            f"{stem}_class_{label}" for label in nasty.CURATED
        ]
        assert len({test.name for test in tests}) == len(nasty.CURATED)


def test_a_class_that_is_none_is_refused_also_when_it_is_empty() -> None:
    plan = replace(PLAN, tests=(ModelTest("r", "recall_class_"), ModelTest("s", "recall_class_\n")))
    with pytest.raises(InputError, match="names the class ''; expected one of") as refused:
        check_fit(plan)
    assert r"names the class '\n'" in str(refused.value)


def test_the_groups_of_slices_are_never_another_set() -> None:
    names = ("overall", "a in b", "b", "groups of sex in overall", "groups of x in a in b")
    sets = tuple(SliceSet(name, "where", where="true") for name in names)
    tests = tuple(
        ModelTest(f"t {group}", "selection_rate_ratio", (), names, group=group)
        for group in ("sex", "x", "x in a")
    )
    made = replace(PLAN, slice_sets=sets, tests=tests).scanned_sets
    assert len({each.name for each in made}) == len(made) == 5 + 3 * 5
    assert {(each.parent, each.dimensions[-1].column) for each in made[5:]} == {
        (name, group) for name in names for group in ("sex", "x", "x in a")
    }
    # What runs have stored under is not renamed.
    alone = replace(PLAN, tests=(ModelTest("t", "selection_rate_ratio", group="sex"),))
    assert [each.name for each in alone.group_sets] == ["groups of sex in overall"]


def test_plans_of_any_names_come_back_from_json(nasty: ModuleType) -> None:
    for text in nasty.CURATED:
        plan = replace(
            PLAN,
            name=text,
            columns=Columns(text, text, (text,), text, (text,), text),
            problem=Problem(BINARY, (text, f"{text}2")),
            slice_sets=(SliceSet(text, "by", (Dimension(text),), text),),
            tests=(ModelTest(text, "recall", slice_sets=(text,), group=text),),
        )
        assert load_plans(dump_plans([plan])) == (plan,)
