"""Mistakes in a suite file: what each says, where it stands, and that all are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SuiteError
from engine.suite import load_suite


def edit(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} must stand once in the text"
    return text.replace(old, new)


# What is changed in the example; then the place, line and words of the one mistake it makes.
WRONG = {
    "unknown key": ("gate: {on_i", "gaet: {on_i", "gaet", 41, "unknown key 'gaet'", "'gate'"),
    "unknown key below": (
        "- metric: roc_auc",
        "- metirc: roc_auc",
        "evaluations[0].tests[0].metirc",
        32,
        "unknown key 'metirc'",
        "did you mean 'metric'?",
    ),
    "missing key": (
        "      label: is_fraud\n",
        "",
        "evaluations[0].dataset.label",
        7,
        "is missing",
        "'label'",
    ),
    "text for a number": (
        "min: 0.85",
        "min: '0.85'",
        "evaluations[0].tests[0].min",
        33,
        "found '0.85'",
        "expected a number; take the quotes away",
    ),
    "bool for a number": (
        "min: 0.85",
        "min: true",
        "evaluations[0].tests[0].min",
        33,
        "found True",
        "expected a number",
    ),
    "not finite": (
        "min: 0.85",
        "min: .inf",
        "evaluations[0].tests[0].min",
        33,
        "found inf",
        "expected a finite number",
    ),
    "number for a text": (
        "weight: w",
        "weight: 5",
        "evaluations[0].dataset.weight",
        14,
        "found 5",
        "expected a text; put it in quotes",
    ),
    "float for an integer": (
        "min_slice_rows: 30",
        "min_slice_rows: 30.5",
        "evaluations[0].min_slice_rows",
        30,
        "found 30.5",
        "expected a whole number",
    ),
    "unknown task": (
        "task: binary",
        "task: binray",
        "evaluations[0].dataset.task",
        9,
        "found 'binray'",
        "did you mean 'binary'?",
    ),
    "unknown gate rule": (
        "on_error: fail",
        "on_error: fial",
        "gate.on_error",
        41,
        "found 'fial'",
        "one of pass, warn, fail; did you mean 'fail'?",
    ),
    "bad version": (
        "version: latest",
        "version: -1",
        "evaluations[0].dataset.version",
        8,
        "found -1",
        "a version number of 0 or more",
    ),
    "number of many digits": (
        "min: 0.85",
        f"min: 0x{'f' * 5000}",
        "evaluations[0].tests[0].min",
        33,
        "an int too large to show",
        "a number",
    ),
    "bool version": (
        "version: latest",
        "version: true",
        "evaluations[0].dataset.version",
        8,
        "found True",
        "latest",
    ),
    "two sources": (
        "      version: latest\n",
        "      csv: x.csv\n",
        "evaluations[0].dataset",
        7,
        "found delta and csv",
        "exactly one of delta, csv, parquet",
    ),
    "unknown baseline": (
        "baseline: claims-v2",
        "baseline: claims-v1",
        "evaluations[0].baseline",
        22,
        "found 'claims-v1'",
        "did you mean",
    ),
    "equal model names": (
        "uri: models:/claims/2",
        "{uri: a, name: claims-v2}\n      - uri: models:/claims/2",
        "evaluations[0].models[2].uri",
        22,
        "second model called 'claims-v2'",
        "a name of its own",
    ),
    "edges": (
        "[18, 30, 50]",
        "[18, 50, 30]",
        "evaluations[0].slices[4].bins.age",
        29,
        "found [18, 50, 30]",
        "strictly increase",
    ),
    "no edges": ("[18, 30, 50]", "[]", "evaluations[0].slices[4].bins.age", 29, "[]", "at least 1"),
    "too few quantiles": (
        "bins: {age: [18, 30, 50]}",
        "quantiles: {age: 1}",
        "evaluations[0].slices[4].quantiles.age",
        29,
        "found 1",
        "2 or more",
    ),
    "misspelt overall": (
        "      - overall\n",
        "      - overal\n",
        "evaluations[0].slices[0]",
        24,
        "found 'overal'",
        "did you mean 'overall'?",
    ),
    "equal slice sets": (
        "- by: [country, device]",
        "- by: country",
        "evaluations[0].slices[2]",
        26,
        "second slice set called 'country'",
        "a name of its own",
    ),
    "reserved name": (
        "name: young-germans",
        "name: overall",
        "evaluations[0].slices[3]",
        27,
        "the name 'overall'",
        "another one",
    ),
    "slice set without a rule": (
        "- by: [country, device]",
        "- name: nothing",
        "evaluations[0].slices[2]",
        26,
        "no rule",
        "by, bins, quantiles or where",
    ),
    "where with by": (
        "name: young-germans",
        "by: [x]",
        "evaluations[0].slices[3]",
        27,
        "where with by",
        "where on its own",
    ),
    "column in two rules": (
        "- bins: {age: [18, 30, 50]}",
        "- {bins: {age: [18]}, by: age, name: z}",
        "evaluations[0].slices[4]",
        29,
        "the column 'age' in two rules",
        "in one",
    ),
    "column twice": (
        "[country, device]",
        "[country, country]",
        "evaluations[0].slices[2].by",
        26,
        "'country' stands twice",
        "items that differ",
    ),
    "unknown slice set": (
        "slices: [overall]",
        "slices: [cuontry]",
        "evaluations[0].tests[2].slices[0]",
        38,
        "found 'cuontry'",
        "did you mean 'country'?",
    ),
    "min above max": (
        "min: 0.85",
        ["{min: 0.85}", "        max: 0.5\n        min: 0.85"][1].strip(),
        "evaluations[0].tests[0].min",
        34,
        "min 0.85 above max 0.5",
        "max or less",
    ),
    "negative margin": (
        "max_drop: 0.01",
        "max_drop: -0.01",
        "evaluations[0].tests[1].max_drop",
        35,
        "found -0.01",
        "0 or more",
    ),
    "margin in words": (
        "max_drop: 0.01",
        "max_drop: 1 percent",
        "evaluations[0].tests[1].max_drop",
        35,
        "found '1 percent'",
        "such as '1%'",
    ),
    "key twice": (
        "store: ./store\n",
        "name: other\n",
        "name",
        2,
        "given twice, first in line 1",
        "once",
    ),
    "key that is no text": (
        "bins: {age: [18, 30, 50]}",
        "bins: {2024: [18]}",
        "evaluations[0].slices[4].bins",
        29,
        "found a key '2024' (int)",
        "put it in quotes",
    ),
    "sensitive label": (
        "sensitive: [name, iban]",
        "sensitive: [is_fraud]",
        "evaluations[0].dataset.label",
        10,
        "found 'is_fraud', which is sensitive",
        "expected a column that is not: results and states are made of its values",
    ),
    "sensitive weight": (
        "sensitive: [name, iban]",
        "sensitive: [w]",
        "evaluations[0].dataset.weight",
        14,
        "found 'w', which is sensitive",
        "sums of its values",
    ),
    "slices by a sensitive column": (
        "sensitive: [name, iban]",
        "sensitive: [iban, device]",
        "evaluations[0].slices[2].by",
        26,
        "found 'device', which is sensitive",
        "slices are named by its values",
    ),
    "quantiles of a sensitive column": (
        "bins: {age: [18, 30, 50]}",
        "quantiles: {iban: 4}",
        "evaluations[0].slices[4].quantiles",
        29,
        "found 'iban', which is sensitive",
        "it would be cut at some of its values",
    ),
    "control character": (
        "name: claims-v3",
        'name: "a\\tb"',
        "evaluations[0].models[0].name",
        19,
        "found 'a\\tb'",
        "without control characters",
    ),
    "lone surrogate": (
        "name: claims-v3",
        'name: "\\ud800"',
        "evaluations[0].models[0].name",
        19,
        "found '\\ud800'",
        "without control characters",
    ),
    "blank name": (
        "name: claims-v3",
        'name: " "',
        "evaluations[0].models[0].name",
        19,
        "found ' '",
        "not empty",
    ),
    "long name": (
        "name: claims-v3",
        f"name: {'x' * 201}",
        "evaluations[0].models[0].name",
        19,
        "found 'xxx",
        "at most 200 characters",
    ),
    "positive label that is no class": (
        "positive_label: 1",
        ["{positive_label: 2}", "      classes: [0, 1]\n      positive_label: 2"][1].strip(),
        "evaluations[0].dataset.positive_label",
        17,
        "found 2",
        "one of the classes [0, 1]",
    ),
    "python tag": (
        "weight: w",
        "weight: !!python/name:os.system x",
        "evaluations[0].dataset.weight",
        14,
        "python/name:os.system",
        "not allowed",
    ),
    "impossible date": (
        "version: latest",
        "version: 2026-13-45",
        "evaluations[0].dataset.version",
        8,
        "'2026-13-45'",
        "no valid YAML timestamp",
    ),
    "no truth value": (
        "        min: 0.85",
        "        min: 0.85\n        corrected: perhaps",
        "evaluations[0].tests[0].corrected",
        34,
        "found 'perhaps'",
        "expected true or false",
    ),
    "empty value": (
        "min_slice_rows: 30",
        "min_slice_rows:",
        "evaluations[0].min_slice_rows",
        30,
        "found null",
        "a whole number",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_one_mistake_has_its_place_line_and_words(case, example, mistakes):
    old, new, where, line, found, wanted = case
    (mistake,) = mistakes(edit(example, old, new))
    assert (mistake.where, mistake.line) == (where, line)
    assert found in mistake.message
    assert wanted in mistake.message
    assert mistake.column >= 1


def test_a_sensitive_column_may_be_used_where_nothing_of_it_is_shown(example, load):
    sensitive = "sensitive: [f0, age, claim_id, customer_id]"
    (claims,) = load(edit(example, "sensitive: [name, iban]", sensitive)).evaluations
    assert {"f0", "age", "claim_id", "customer_id"} == set(claims.dataset.sensitive)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(example, mistakes):
    text = edit(example, "store: ./store", "stroe: ./store")
    text = edit(text, "task: binary", "task: binray")
    text = edit(text, "baseline: claims-v2", "baseline: claims-v9")
    text = edit(text, "min: 0.85", "min: high")
    text = edit(text, "severity: warn", "severity: wran\n        slices: [overall]")
    text = edit(text, "on_error: fail", "on_error: stop")
    found = mistakes(text)
    assert [mistake.where for mistake in found] == [
        "stroe",
        "evaluations[0].dataset.task",
        "evaluations[0].baseline",
        "evaluations[0].tests[0].min",
        "evaluations[0].tests[2].severity",
        "evaluations[0].tests[2].slices",
        "gate.on_error",
    ]
    assert [mistake.line for mistake in found] == [2, 9, 22, 33, 39, 40, 42]


def test_a_wrong_type_and_a_wrong_reference_in_one_test_are_both_told(example, mistakes):
    text = edit(example, "severity: warn", "severity: wran")
    found = mistakes(edit(text, "slices: [overall]", "slices: [contry]"))
    assert [item.where.rsplit(".")[-1] for item in found] == ["slices[0]", "severity"]


def test_the_error_names_the_file_and_counts(tmp_path):
    path = tmp_path / "suite.yml"
    path.write_text("name: 5\n")
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert str(caught.value).splitlines()[0] == f"{path}: 2 mistakes"
    assert "line 1, name: found 5, expected a text" in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_column_is_that_of_the_key_or_value(minimal, mistakes):
    (mistake,) = mistakes(edit(minimal, "{metric: roc_auc}", "{metric: roc_auc, mn: 1}"))
    assert (mistake.line, mistake.column) == (6, 31)
    (mistake,) = mistakes(edit(minimal, "{metric: roc_auc}", "{metric: roc_auc, min: x}"))
    assert (mistake.line, mistake.column) == (6, 36)


@pytest.mark.parametrize("margin", ["max_drop", "max_rise"])
def test_a_margin_needs_a_baseline(margin, minimal, mistakes):
    (mistake,) = mistakes(edit(minimal, "roc_auc", f"roc_auc, {margin}: 1%"))
    assert mistake.where == f"evaluations[0].tests[0].{margin}"
    assert "without a baseline" in mistake.message
    assert "m-v1" in mistake.message


def test_names_of_evaluations_and_tests_are_their_own(minimal, mistakes):
    text = minimal + minimal[minimal.index("  - name") :]
    text = text.replace("[{metric: roc_auc}]", "[{metric: a, name: t}, {metric: b, name: t}]", 1)
    found = mistakes(text)
    assert [item.where for item in found] == ["evaluations[0].tests[1].name", "evaluations[1].name"]


@pytest.mark.parametrize("key", ["evaluations", "models", "tests"])
def test_lists_that_must_not_be_empty(key, mistakes):
    texts = {
        "evaluations": "name: x\nevaluations: []\n",
        "models": "models: []\n    tests: [{metric: m}]\n",
        "tests": "models: [{uri: p}]\n    tests: []\n",
    }
    head = "name: x\nevaluations:\n  - name: e\n    dataset: {csv: a, task: binary, label: y}\n    "
    text = texts[key] if key == "evaluations" else head + texts[key]
    (mistake,) = mistakes(text)
    assert mistake.where.endswith(key)
    assert "expected at least 1 of them" in mistake.message


def test_task_and_keys_that_do_not_fit(minimal, mistakes):
    text = edit(minimal, "task: binary", "task: regression, positive_label: 1, classes: [a, b]")
    text = edit(text, '"models:/m/1"', '"models:/m/1", output: logit')
    found = mistakes(text)
    assert {item.where.rsplit(".")[-1] for item in found} == {"positive_label", "classes", "output"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("[1, 2]", "found [1, 2], expected a mapping"),
        ("just text", "found 'just text', expected a mapping"),
        ("a: [1\nb: 2", "is not YAML"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("a: \x07", "U+0007 is not allowed"),
        (b"a: \xff\xfe\xfa", "is not UTF-8"),
        ("a: &x [*x]", "an alias stands inside"),
        ("[" * 5000, "nested too deeply"),
        ('a: "\\UFFFFFFFF"', "cannot be read as YAML"),
        ("!!python/object/apply:os.system [ls]", "not allowed"),
    ],
)
def test_what_is_no_suite_at_all(content, words, mistakes):
    assert any(words in mistake.message for mistake in mistakes(content))


def test_an_unknown_key_may_be_called_anything(minimal, mistakes):
    # Pydantic marks errors in keys with this very text.
    (mistake,) = mistakes('"[key]": 1\n' + minimal)
    assert (mistake.where, mistake.line) == ("[key]", 1)


def test_syntax_errors_have_their_place(mistakes):
    (mistake,) = mistakes("name: x\n\tstore: y\n")
    assert (mistake.line, mistake.column) == (2, 1)


def test_aliases_that_grow_without_end_are_refused(mistakes):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "more than 100000 parts" in mistakes("\n".join(lines))[0].message


@pytest.mark.parametrize("name", ["absent.yml", "", "a\0b"])
def test_a_file_that_cannot_be_read(name, tmp_path):
    with pytest.raises(SuiteError):
        load_suite(tmp_path / name)


def known(metric, task):
    return (
        None if (metric, task.value) in {("f1", "binary"), ("r2", "regression")} else "no: " + task
    )


def test_metrics_are_judged_by_the_caller(minimal, load, mistakes):
    (mistake,) = mistakes(edit(minimal, "roc_auc", "r2"), known_metrics=known)
    assert (mistake.where, mistake.line) == ("evaluations[0].tests[0].metric", 6)
    assert mistake.message == "no: binary"
    load(edit(minimal, "roc_auc", "f1"), known_metrics=known)


def test_aliases_are_resolved_before_the_metric_is_judged(minimal, load):
    suite = load(
        edit(minimal, "roc_auc", "f1_score"),
        known_metrics=known,
        canonical=lambda name: name.removesuffix("_score"),
    )
    assert suite.evaluations[0].tests[0].metric == "f1"
    assert suite.evaluations[0].tests[0].name == "f1"


def test_an_unknown_metric_is_told_beside_an_unknown_task(minimal, mistakes):
    text = edit(minimal, "task: binary", "task: binari")
    assert len(mistakes(text, known_metrics=lambda *_: "unknown")) == 2
    assert len(mistakes(edit(text, "roc_auc", "f1"), known_metrics=known)) == 1


def test_plugins_are_loaded_before_metrics_are_judged(minimal, load, mistakes):
    calls = []
    load(
        "plugins: [my.metrics]\n" + minimal,
        load_plugin=lambda name: calls.append(name),
        known_metrics=lambda metric, task: calls.append(metric),
    )
    assert calls == ["my.metrics", "roc_auc"]
    found = mistakes(
        "plugins: [my.metrics, 'no module']\n" + minimal, load_plugin=lambda name: f"no {name}"
    )
    assert [item.where for item in found] == ["plugins[0]", "plugins[1]"]
    assert found[0].message == "no my.metrics"
    assert "a Python module's dotted name" in found[1].message


def test_a_threshold_is_refused_of_a_metric_that_takes_none(minimal, load, mistakes):
    def takes(metric, task):
        return None if metric in {"roc_auc", "f1", "f1_at_threshold_0.5"} else "unknown"

    at = edit(minimal, "metric: roc_auc", "metric: roc_auc, threshold: 0.5")
    (mistake,) = mistakes(at, known_metrics=takes)
    assert mistake.where == "evaluations[0].tests[0].threshold"
    assert mistake.message == (
        "found a threshold for 'roc_auc', which takes none in the task binary"
    )
    load(edit(at, "roc_auc", "f1"), known_metrics=takes)
    (mistake,) = mistakes(edit(at, "threshold: 0.5", "threshold: 2"), known_metrics=takes)
    assert "expected a number from 0 to 1" in mistake.message


def test_a_key_that_yaml_takes_for_a_truth_value_is_a_key(tmp_path: Path) -> None:
    """YAML 1.1 reads `on`, `off`, `yes` and `no` as booleans; true and false stay what they are."""
    path = tmp_path / "s.yml"
    path.write_text(
        "name: s\n"
        "notify: [{webhook: '${HOOK}', on: [passed]}]\n"
        "evaluations:\n"
        "  - name: e\n"
        "    dataset: {csv: t.csv, task: binary, label: y, columns: {no: string, Yes: int}}\n"
        "    models: [{name: m, scores: s}]\n"
        "    tests: [{metric: accuracy}]\n"
    )
    suite = load_suite(path)
    assert suite.notify[0].on == ("passed",)
    assert dict(suite.evaluations[0].dataset.columns).keys() == {"no", "Yes"}
    path.write_text(path.read_text().replace("on:", "true:"))
    with pytest.raises(SuiteError, match="found a key"):
        load_suite(path)
