"""The round trip of a suite, its JSON Schema, and that nothing but SuiteError comes out."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SuiteError
from engine.suite import Outline, dump_suite, load_suite, outline, schema

RICH = """\
name: "1e3"
store: catalog.schema
plugins: [my.metrics]
confidence: 0.9
decide: point
false_alarms: {within: by, over_runs: lord}
mlflow: {max_slice_metrics: 0}
evaluations:
  - name: "null"
    dataset: {parquet: "data/*", name: "ü #1: x", version: 2026-11-01 10:00:00, task: multiclass,
      label: y, classes: [1, two, 3.5, true], key: [a, b]}
    models: [{uri: "runs:/0123456789/model"}, {uri: out/m, name: "=", output: label}]
    baseline: "="
    max_slices: 5
    costs: [[0, 1, 2, 3], [1, 0, 1, 1], [1.5, 1, 0, 1], [-1, 1, 1, 0]]
    slices:
      - {quantiles: {"2024": 3}, bins: {x: [-1.0e-7, 3]}, by: "no"}
      - where: |
          a = "x"
            AND b
    tests:
      - {metric: f1_macro, max_drop: 0.3%}
      - {metric: f1_macro, max_rise: 1e-5, min: 0, max: 1}
      - {metric: accuracy, slices: [overall], name: "yes"}
      - {metric: accuracy, no_worse: true, decide: interval, corrected: false}
  - name: two
    dataset: {delta: t, task: binary, label: y}
    models: [{uri: models:/m/1}]
    tests:
      - {metric: recall, threshold: 0.25, min: 0.5}
      - {metric: f1, threshold: {best: youden, evaluation: "null"}}
      - {metric: demographic_parity_ratio, group: sex, decide: point}
  - name: three
    dataset: {delta: t, task: ranking, label: y, query: q}
    models: [{uri: models:/m/1}]
    tests: [{metric: ndcg}]
gate: {on_inconclusive: pass, on_error: warn}
promote: {alias: "no", undecided: 0.25}
"""


def again(suite):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "suite.yml")
        path.write_text(dump_suite(suite), encoding="utf-8")
        return load_suite(path)


def test_a_dumped_suite_loads_to_an_equal_one(example, minimal, load):
    for text in (example, minimal, RICH):
        suite = load(text)
        assert again(suite) == suite
        assert dump_suite(again(suite)) == dump_suite(suite)


TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30)
NAME = TEXT.filter(str.strip)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(NAME, min_size=3, max_size=3, unique=True), share=st.floats(0, 10))
def test_any_name_and_any_share_survive(names, share):
    data = {
        "name": names[0],
        "evaluations": [
            {
                "name": names[0],
                "dataset": {"csv": "x", "task": "binary", "label": names[1]},
                "models": [{"uri": "a", "name": names[1]}],
                "baseline": names[1],
                "slices": [{"by": "c", "name": f"s{names[2]}"}],
                "tests": [{"metric": "m", "name": names[2], "max_drop": share}],
            }
        ],
    }
    # PyYAML leaves 1e3 without quotes, which it takes for a text and the suite for a number.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "suite.yml")
        path.write_text(yaml.safe_dump(data, default_style='"'), encoding="utf-8")
        suite = load_suite(path)
        path.write_text(dump_suite(suite), encoding="utf-8")
        assert load_suite(path) == suite


@given(share=st.floats(0, 1e6))
def test_a_share_written_in_per_cent_is_read_as_itself(share):
    from engine.fields.values import _margin, percent

    assert _margin(percent(share)).bound == share


def test_the_schema_accepts_right_suites(example, minimal):
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    validator = jsonschema.Draft202012Validator(made)
    for text in (example, minimal):
        validator.validate(yaml.safe_load(text))


def test_the_schema_accepts_what_is_dumped(example, load):
    validator = jsonschema.Draft202012Validator(schema())
    for text in (example, RICH):
        validator.validate(yaml.safe_load(dump_suite(load(text))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("stroe",), "x"),
        (("name",), 5),
        (("confidence",), 1),
        (("gate", "on_error"), "stop"),
        (("evaluations",), []),
        (("evaluations", 0, "dataset", "csv"), "x.csv"),
        (("evaluations", 0, "dataset", "task"), "binray"),
        (("evaluations", 0, "dataset", "version"), -1),
        (("evaluations", 0, "dataset", "version"), "newest"),
        (("evaluations", 0, "slices", 0), "overal"),
        (("evaluations", 0, "slices", 1), {}),
        (("evaluations", 0, "slices", 1), {"by": "a", "where": "x"}),
        (("evaluations", 0, "slices", 4), {"bins": {"age": []}}),
        (("evaluations", 0, "slices", 4), {"quantiles": {"age": 1}}),
        (("evaluations", 0, "tests", 0, "min"), "0.9"),
        (("evaluations", 0, "tests", 0, "min"), True),
        (("evaluations", 0, "tests", 1, "max_drop"), "1 percent"),
        (("evaluations", 0, "tests", 1, "max_drop"), -1),
        (("evaluations", 0, "tests", 0, "severity"), "error"),
    ],
)
def test_the_schema_refuses_mistakes(path, value, example):
    data = copy.deepcopy(yaml.safe_load(example))
    part = data
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(data)


def test_every_key_is_described():
    made = schema()
    for part in (made, *made["$defs"].values()):
        for key, value in part.get("properties", {}).items():
            assert value.get("description"), key


WORDS = """name store evaluations dataset delta csv version task label models uri baseline slices
by bins quantiles where tests metric min max max_drop severity gate on_error plugins classes key
positive_label confidence mlflow"""
KEYS = st.sampled_from(WORDS.split())
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, 10**400, "overall", "1%", "latest", "binary", "a/b/"]),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=3),
)
KEY = st.one_of(KEYS, st.text(max_size=5))
ANY = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEY, inner, max_size=6)),
    max_leaves=25,
)
RULE = st.dictionaries(st.sampled_from(["by", "bins", "quantiles", "where", "name"]), ANY)
EVALUATION = st.fixed_dictionaries(
    {},
    optional={
        "name": ANY,
        "dataset": st.dictionaries(KEY, ANY, max_size=6),
        "models": st.lists(st.dictionaries(KEY, ANY, max_size=3), max_size=3),
        "baseline": ANY,
        "slices": st.lists(st.one_of(RULE, ANY), max_size=3),
        "tests": st.lists(st.dictionaries(KEY, ANY, max_size=4), max_size=3),
    },
)
SUITE = st.fixed_dictionaries(
    {"name": ANY, "evaluations": st.lists(EVALUATION, max_size=2)}, optional={"gate": ANY}
)


def load_or_refuse(text: bytes, override: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "suite.yml")
        path.write_bytes(text)
        mistakes = None
        try:
            suite = load_suite(path, overrides=[override], known_metrics=lambda *_: None)
        except SuiteError as error:
            mistakes = error.mistakes
    assert mistakes is None or mistakes
    if mistakes is None:
        assert again(suite) == suite


OVERRIDE = st.one_of(
    st.text(max_size=20),
    st.builds("{}.{}={}".format, KEY, st.integers(0, 3), st.text(max_size=5)),
    st.just("evaluations.0.slices.0=overall"),
)


@settings(max_examples=150, deadline=None)
@given(data=st.one_of(ANY, SUITE), override=OVERRIDE)
def test_any_data_is_loaded_or_refused(data, override):
    text = yaml.safe_dump(data, allow_unicode=True)
    load_or_refuse(text.encode("utf-8", "surrogatepass"), override)


@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(
        st.binary(max_size=60),
        st.text("ab:-[]{}&*!|>%@'\"\\#, \n\t0<=?~.e", max_size=60).map(str.encode),
    ),
    override=OVERRIDE,
)
def test_any_bytes_are_loaded_or_refused(text, override):
    load_or_refuse(text, override)


def test_where_the_runs_of_a_suite_are_is_read_without_its_plugins(tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(RICH)
    text = dump_suite(load_suite(path))
    assert outline(text) == Outline("1e3", ("null", "two", "three"), None)
    tracked = text.replace("mlflow:\n", "mlflow:\n  tracking_uri: http://mlflow:5000\n")
    without = tracked.replace("my.metrics", "gone").replace("f1_macro", "unknown")
    assert outline(without) == Outline("1e3", ("null", "two", "three"), "http://mlflow:5000")
