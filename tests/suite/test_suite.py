"""A right suite: the typed nouns, the defaults, and the names that things get."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from engine.core.vocabulary import (
    Condition,
    DecideBy,
    Dimension,
    GateRule,
    ModelTest,
    Output,
    Severity,
    SliceSet,
    TaskKind,
)
from engine.suite import DatasetSource, GateConfig, MlflowConfig, ModelSource, SliceRule
from engine.suite.default_names import default_test_names, model_name


def test_the_example_of_the_interface(example, load):
    suite = load(example)
    (claims,) = suite.evaluations
    assert suite.mlflow == MlflowConfig("http://localhost:5000", 1000)
    assert claims.dataset == DatasetSource(
        format="delta",
        uri="./store/lake/claims",
        name="claims",
        task=TaskKind.BINARY,
        label="is_fraud",
        positive_label=1,
        features=("f0", "f1"),
        key=("claim_id",),
        cluster="customer_id",
        weight="w",
        sensitive=("name", "iban"),
    )
    assert claims.models == (
        ModelSource("claims-v3", "models:/claims/3", Output.PROBABILITY),
        ModelSource("claims-v2", "models:/claims/2"),
    )
    sets = ("overall", "country", "country x device", "young-germans", "age")
    assert tuple(rule.name for rule in claims.slices) == sets
    assert claims.slices[4] == SliceRule("age", "bins", (Dimension("age", (18.0, 30.0, 50.0)),))
    assert claims.min_slice_rows == 30
    assert claims.tests == (
        ModelTest("roc_auc", "roc_auc", (Condition("min", 0.85),), sets),
        ModelTest("recall", "recall", (Condition("max_drop", 0.01),), sets),
        ModelTest(
            "log_loss", "log_loss", (Condition("max_rise", 0.02),), ("overall",), Severity.WARN
        ),
        ModelTest("accuracy", "accuracy", (), sets),
    )


def test_defaults(minimal, load):
    suite = load(minimal)
    (only,) = suite.evaluations
    assert (suite.store, suite.confidence, suite.plugins) == ("./store", 0.95, ())
    assert suite.gate == GateConfig(GateRule.WARN, GateRule.FAIL)
    assert suite.mlflow == MlflowConfig(None, 1000)
    assert only.slices == (SliceRule("overall", "overall"),)
    assert (only.min_slice_rows, only.max_slices, only.baseline) == (1, 10_000, None)
    assert only.dataset == DatasetSource("delta", "lake/rows", "rows", TaskKind.BINARY, "y")
    assert only.tests == (ModelTest("roc_auc", "roc_auc"),)


def test_a_suite_is_frozen(minimal, load):
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(minimal).name = "other"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("models:/claims/3", "claims-v3"),
        ("models:/claims@champion", "claims@champion"),
        ("models:/cat.schema.claims/12", "cat.schema.claims-v12"),
        ("models:/m-0123456789abcdef", "m-0123456789abcdef"),
        ("runs:/0123456789abcdef/model", "run-01234567-model"),
        ("./out/forest", "forest"),
        ("s3://bucket/models/forest/", "forest"),
        ("/", "/"),
    ],
)
def test_a_models_name_comes_from_its_uri(uri, name):
    assert model_name(uri) == name


def test_overall_is_added_first_or_stays_where_it_is(minimal, load):
    added = load(minimal.replace("    tests", "    slices: [{by: a}]\n    tests"))
    assert [rule.name for rule in added.evaluations[0].slices] == ["overall", "a"]
    kept = load(minimal.replace("    tests", "    slices: [{by: a}, overall]\n    tests"))
    assert [rule.name for rule in kept.evaluations[0].slices] == ["a", "overall"]


def test_rules_in_one_entry_are_crossed(minimal, load):
    entry = "{by: [a, b], bins: {c: [1, 2]}, quantiles: {d: 4}}"
    suite = load(minimal.replace("    tests", f"    slices: [{entry}]\n    tests"))
    rule = suite.evaluations[0].slices[1]
    columns = (Dimension("a"), Dimension("b"), Dimension("c", (1.0, 2.0)), Dimension("d"))
    assert rule == SliceRule("a x b x c x d", "quantiles", columns, None, (("d", 4),))
    with pytest.raises(KeyError):
        rule.make_slice_set()
    pinned = rule.make_slice_set({"d": (0.1, 0.2, 0.3)})
    assert pinned == SliceSet(
        "a x b x c x d", "quantiles", (*columns[:3], Dimension("d", (0.1, 0.2, 0.3)))
    )


def test_a_predicate_names_its_set(minimal, load):
    text = minimal.replace(
        "    tests", "    slices:\n    - where: |\n        x > 1\n        AND y\n    tests"
    )
    rule = load(text).evaluations[0].slices[1]
    assert rule == SliceRule("x > 1 AND y", "where", (), "x > 1\nAND y\n")


@pytest.mark.parametrize(
    ("tests", "names"),
    [
        ([(None, "recall", ["min"])], ["recall"]),
        (
            [(None, "recall", ["min"]), (None, "recall", ["max_drop"]), (None, "recall", [])],
            ["recall min", "recall max_drop", "recall"],
        ),
        ([(None, "f1", ["min"]), (None, "f1", ["min"])], ["f1 min", "f1 min #2"]),
        ([(None, "f1", []), ("f1", "recall", [])], ["f1 #2", "f1"]),
        ([(None, "f1", ["min", "max_drop"]), ("x", "f1", [])], ["f1 min max_drop", "x"]),
    ],
)
def test_default_names_of_tests(tests, names):
    assert default_test_names(tests) == names


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("1%", Condition("max_drop", 0.01, relative=True)),
        ("0.5 %", Condition("max_drop", 0.005, relative=True)),
        ("0", Condition("max_drop", 0.0)),
        ("1e-3", Condition("max_drop", 0.001)),
    ],
)
def test_margins(text, condition, example, load):
    suite = load(example.replace("max_drop: 0.01", f"max_drop: {text}"))
    assert suite.evaluations[0].tests[1].conditions == (condition,)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("7", 7),
        ("2026-11-01", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)),
        ("2026-11-01 12:30:00", dt.datetime(2026, 11, 1, 12, 30, tzinfo=dt.UTC)),
        ("2026-11-01T12:30:00+02:00", dt.datetime(2026, 11, 1, 10, 30, tzinfo=dt.UTC)),
        ('"2026-11-01T12:30:00Z"', dt.datetime(2026, 11, 1, 12, 30, tzinfo=dt.UTC)),
    ],
)
def test_versions(text, version, example, load):
    suite = load(example.replace("version: latest", f"version: {text}"))
    assert suite.evaluations[0].dataset.version == version


@pytest.mark.parametrize("label", ["true", "yes it is", "1", "0.5"])
def test_labels_keep_their_type(label, example, load):
    suite = load(example.replace("positive_label: 1", f"positive_label: {label}"))
    value = suite.evaluations[0].dataset.positive_label
    assert type(value) is {"true": bool, "1": int, "0.5": float}.get(label, str)


def test_files_are_named_by_the_evaluation(minimal, load):
    dataset = load(minimal.replace("delta: lake/rows", "csv: data/*.csv")).evaluations[0].dataset
    assert (dataset.format, dataset.uri, dataset.name) == ("csv", "data/*.csv", "only")


def test_merge_keys_are_read_as_yaml_means_them(minimal, load):
    text = minimal.replace(
        "[{metric: roc_auc}]",
        "\n    - &strict {metric: f1, min: 0.5, severity: warn}"
        "\n    - {<<: *strict, metric: recall}",
    )
    tests = load(text).evaluations[0].tests
    assert [(test.metric, test.severity) for test in tests] == [
        ("f1", Severity.WARN),
        ("recall", Severity.WARN),
    ]


def test_how_much_a_test_must_prove(minimal, load):
    tests = (
        "[{metric: recall, no_worse: true, corrected: false}, "
        "{metric: recall, decide: interval, threshold: 0.25}, "
        "{metric: equalized_odds_ratio, group: sex}]"
    )
    text = minimal.replace("name: small", "name: small\ndecide: point")
    text = text.replace("[{metric: roc_auc}]", tests).rstrip() + "\n    baseline: m-v1\n"
    worse, at, groups = load(text).evaluations[0].tests
    assert worse.conditions == (Condition("no_worse", 0.0),)
    assert (worse.decide, worse.corrected) == (DecideBy.POINT, False)
    assert (at.metric, at.decide) == ("recall_at_threshold_0.25", DecideBy.INTERVAL)
    assert groups.group == "sex"


@pytest.mark.parametrize(
    ("tail", "place", "message"),
    [
        ("{metric: recall, max_drop: -0.1}", "max_drop", "expected a number of 0 or more"),
        ("{metric: recall, no_worse: true}", "no_worse", "expected the key 'baseline'"),
        ("{metric: f1, threshold: 1.5}", "threshold", "expected a number from 0 to 1"),
        (
            "{metric: f1, threshold: {best: f1, evaluation: nope}}",
            "threshold.evaluation",
            "expected an earlier evaluation",
        ),
        ("{metric: f1, decide: maybe}", "decide", "expected one of interval, point"),
    ],
)
def test_demands_that_make_no_sense(minimal, mistakes, tail, place, message):
    found = mistakes(minimal.replace("{metric: roc_auc}", tail))
    assert any(place in each.where and message in each.message for each in found), found


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, 95])
def test_levels_lie_between_0_and_1(minimal, mistakes, level):
    found = mistakes(minimal.replace("name: small", f"name: small\nconfidence: {level}"))
    assert any(each.where == "confidence" for each in found), found
