"""Overrides from the command line: by index, by name, and what cannot be overridden."""

from __future__ import annotations

import pytest

from engine.core.vocabulary import Condition, GateRule


def test_by_index_and_by_name(example, load):
    suite = load(
        example,
        "evaluations.claims.models.0.uri=models:/claims/4",
        "evaluations.0.models.claims-v2.output=logit",
        "evaluations.0.tests.1.max_drop=2%",
        "evaluations.claims.min_slice_rows=5",
        "gate.on_error=warn",
        "mlflow.max_slice_metrics=7",
    )
    (claims,) = suite.evaluations
    assert claims.models[0].uri == "models:/claims/4"
    assert claims.models[1].output == "logit"
    assert claims.tests[1].conditions == (Condition("max_drop", 0.02, relative=True),)
    assert claims.min_slice_rows == 5
    assert suite.gate.on_error is GateRule.WARN
    assert suite.mlflow.max_slice_metrics == 7


def test_a_mapping_that_is_not_there_is_made(minimal, load):
    assert load(minimal, "gate.on_inconclusive=fail").gate.on_inconclusive is GateRule.FAIL


def test_values_are_yaml(minimal, load):
    suite = load(
        minimal, "evaluations.only.slices=[overall, {by: [a, b]}]", "store=a=b", "name=x.y"
    )
    assert [rule.name for rule in suite.evaluations[0].slices] == ["overall", "a x b"]
    assert (suite.store, suite.name) == ("a=b", "x.y")


def test_null_takes_a_key_back(example, load):
    suite = load(example, "evaluations.claims.tests.0.min=null")
    assert suite.evaluations[0].tests[0].conditions == ()


def test_names_may_hold_dots(minimal, load):
    text = minimal.replace("name: only", "name: a.b")
    assert load(text, "evaluations.a.b.min_slice_rows=3").evaluations[0].min_slice_rows == 3


def test_later_overrides_win(minimal, load):
    assert load(minimal, "name=a", "name=b").name == "b"


def test_an_override_mends_the_file(example, load):
    text = example.replace("task: binary", "task: binray")
    suite = load(text, "evaluations.0.dataset.task=binary")
    assert suite.evaluations[0].dataset.task == "binary"


@pytest.mark.parametrize(
    ("override", "where", "words"),
    [
        ("gaet.on_error=warn", "gaet", "did you mean 'gate'?"),
        ("gate.on_eror=warn", "gate.on_eror", "did you mean 'on_error'?"),
        ("gate.on_error=stop", "gate.on_error", "one of pass, warn, fail"),
        ("evaluations.clams.min_slice_rows=1", None, "did you mean 'claims'?"),
        ("evaluations.3.min_slice_rows=1", None, "expected an index from 0 to 0"),
        ("evaluations.claims.models.claims-v4.uri=x", None, "claims-v3, claims-v2; did you mean"),
        ("name.first=x", None, "name is 'nightly', which has no keys below it"),
        ("evaluations.0.slices.0.by=x", None, "which has no keys below it"),
        ("gate", None, "expected dotted.key=value"),
        ("=x", None, "expected dotted.key=value"),
        ("gate..x=1", None, "expected dotted.key=value"),
        ("store=[", None, "expected YAML"),
        ("evaluations.claims.datset.version=3", "evaluations[0].datset", "mean 'dataset'?"),
    ],
)
def test_overrides_that_are_wrong(override, where, words, example, mistakes):
    (mistake,) = mistakes(example, override)
    assert mistake.where == (where or f"--set {override}")
    assert words in mistake.message
    assert mistake.line is None
    if where:
        assert f"(given by --set {override})" in mistake.message


def test_mistakes_of_file_and_overrides_come_together(example, mistakes):
    found = mistakes(example.replace("min: 0.85", "min: x"), "gate.on_error=stop", "nonsense")
    assert [item.line for item in found] == [33, None, None]
