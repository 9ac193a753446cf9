"""Suites of nasty names, damaged files and bombs: read and dumped as they are, or refused."""

from __future__ import annotations

import copy
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Mistake, SuiteError
from engine.suite import Suite, dump_suite, load_suite
from engine.suite.load import MAX_BYTES

SECONDS = 60.0


def read(text: str | bytes, *overrides: str) -> Suite:
    """Reads a suite from a text; the time it takes is bounded, whatever is in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "suite.yml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        started = time.monotonic()
        try:
            return load_suite(path, overrides=overrides, known_metrics=lambda *_: None)
        finally:
            assert time.monotonic() - started < SECONDS


def mistakes(text: str | bytes, *overrides: str) -> tuple[Mistake, ...]:
    with pytest.raises(SuiteError) as caught:
        read(text, *overrides)
    assert caught.value.mistakes
    return caught.value.mistakes


def check_told(found: tuple[Mistake, ...]) -> None:
    """A mistake has a place, and neither restyles a terminal nor fills it."""
    for mistake in found:
        assert str(mistake).isprintable(), repr(mistake)
        assert len(mistake.where) + len(mistake.message) < 6_000
        placed = mistake.line is not None or "--set" in f"{mistake.where}{mistake.message}"
        assert placed or mistake.where == "suite", mistake


def suite_of(name: Any) -> dict[str, Any]:
    """A suite with everything that can have a name; `name(n)` gives the nth of them."""
    return {
        "name": name(0),
        "store": name(1),
        "mlflow": {"tracking_uri": name(2)},
        "evaluations": [
            {
                "name": name(3),
                "dataset": {
                    "csv": name(4),
                    "name": name(5),
                    "task": "binary",
                    "label": name(6),
                    "positive_label": name(7),
                    "classes": [f"{name(7)} not", name(7)],
                    "features": [name(8), f"{name(8)} too"],
                    "key": [name(9)],
                    "cluster": name(10),
                    "weight": name(11),
                    "sensitive": [f"{name(12)} is secret"],
                },
                "models": [
                    {"uri": name(13), "name": name(14)},
                    {"uri": name(13), "name": f"{name(14)[:190]} 2"},
                ],
                "baseline": name(14),
                "slices": [
                    {"by": [name(15), f"{name(15)} too"], "name": f"{name(16)[:190]} by"},
                    {"bins": {name(15): [1, 2]}, "name": f"{name(16)[:190]} bins"},
                    {"where": f"x = '{name(17)}'", "name": f"{name(16)[:190]} where"},
                ],
                "tests": [
                    {"metric": "recall", "name": name(18), "slices": [f"{name(16)[:190]} where"]},
                    {"metric": "gap", "group": name(19), "max_drop": "1%"},
                ],
            }
        ],
    }


def check_kept(data: dict[str, Any]) -> None:
    """What a suite says stands in what is read of it, and in its dump."""
    suite = read(yaml.safe_dump(data, allow_unicode=True, default_style='"'))
    evaluation, given = suite.evaluations[0], data["evaluations"][0]
    assert (suite.name, suite.store) == (data["name"], data["store"])
    assert evaluation.dataset.label == given["dataset"]["label"]
    assert evaluation.dataset.classes == tuple(given["dataset"]["classes"])
    assert [each.name for each in evaluation.models] == [each["name"] for each in given["models"]]
    assert [rule.name for rule in evaluation.slices[1:]] == [r["name"] for r in given["slices"]]
    assert [rule.where for rule in evaluation.slices[3:]] == [given["slices"][2]["where"]]
    assert evaluation.tests[0].name == given["tests"][0]["name"]
    assert read(dump_suite(suite)) == suite
    dumped = yaml.safe_load(dump_suite(suite))
    assert dumped["name"] == data["name"]


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return suite_of(lambda place: f"n{place}")


def test_curated_names_are_read_and_dumped_as_they_are(nasty: ModuleType) -> None:
    names = nasty.NAMES
    assert len(names) > 100
    for start in range(0, len(names), 20):
        check_kept(suite_of(lambda n, at=start: names[(at + n) % len(names)]))


@settings(max_examples=25)
@given(data=st.data())
def test_any_name_is_read_and_dumped_as_it_is(data: st.DataObject, nasty: ModuleType) -> None:
    drawn = data.draw(st.lists(nasty.names(), min_size=20, max_size=20))
    check_kept(suite_of(lambda n: drawn[n]))


@settings(max_examples=60)
@given(data=st.data())
def test_no_text_is_too_much(data: st.DataObject, nasty: ModuleType, plain: dict[str, Any]) -> None:
    """Any text at any place, as a value, a key, or an override, is taken or refused."""
    made = copy.deepcopy(plain)
    holder, key = data.draw(st.sampled_from(list(places(made))))
    text = data.draw(nasty.texts(surrogates=True))
    if data.draw(st.booleans()):
        holder[key] = text
    elif isinstance(holder, dict):
        holder[text] = holder.pop(key)
    override = data.draw(
        st.sampled_from(["name={}", "{}", "evaluations.{}.name=x", "evaluations.0.{}", "{}=1"])
    ).format(text)
    dumped = yaml.safe_dump(made)
    for overrides in ((), (override,)):
        try:
            suite = read(dumped, *overrides)
        except SuiteError as error:
            check_told(error.mistakes)
        else:
            assert read(dump_suite(suite)) == suite


def places(data: Any) -> Any:
    """Every place of a suite: the mapping or list that it lies in, and its key."""
    listed = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(listed):
        yield data, key
        if isinstance(value, dict | list):
            yield from places(value)


@settings(max_examples=60)
@given(data=st.data())
def test_a_file_that_was_damaged_is_read_or_refused(
    data: st.DataObject, nasty: ModuleType, plain: dict[str, Any]
) -> None:
    raw = yaml.safe_dump(plain).encode()
    for _ in range(data.draw(st.integers(1, 3))):
        at, upto = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        put = data.draw(nasty.texts(surrogates=True)).encode("utf-8", "surrogatepass")
        raw = raw[:at] + data.draw(st.sampled_from([put, b"", b"\xff", b"\t"])) + raw[upto:]
    try:
        suite = read(raw)
    except SuiteError as error:
        check_told(error.mistakes)
    else:
        assert read(dump_suite(suite)) == suite


def test_keys_and_overrides_that_would_drive_a_terminal_are_told_by_repr() -> None:
    found = mistakes('"a\\e[31m\\n::error::b": 1\n', "c\x1b[2J=1", "evaluations.\u202ed=1")
    check_told(found)
    told = "\n".join(map(str, found))
    assert r"'a\x1b[31m\n::error::b': found the unknown key" in told
    assert r"--set 'c\x1b[2J=1'" in told


BOMBS = {
    "many parts": "[" + "a," * 150_000 + "]",
    "many anchors": "".join(f"k{n}: &a{n} [x]\n" for n in range(10_000)),
    "aliases of aliases": "a: &a [x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi")),
    "merges of merges": "a: &a {x: 1}\n"
    + "".join(f"{b}: &{b} {{<<: [{','.join([f'*{a}'] * 9)}]}}\n" for a, b in pairwise("abcdefghi")),
    "itself": "a: &a {<<: *a, b: *a}",
    "deep": "[" * 5_000,
    "deep mapping": "{a: " * 5_000,
    "a number base 60": "a: 1" + ":59" * 100_000,
    "a number": "a: " + "9" * 100_000,
    "a number base 16": "a: 0x" + "f" * 1_000_000,
    "a long key": "? " + "k" * 100_000 + "\n: 1",
    "a key many times": "k: 1\n" * 5_000,
    "documents": "---\n" * 50_000,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_file_that_would_take_forever_is_refused_in_time(text: str) -> None:
    mistakes(text)


def test_a_file_without_end_is_refused() -> None:
    (found,) = mistakes(b"# x\n" * 2**20 + b"#")
    assert found.message == "is too large, expected at most 4,194,304 bytes"
    assert MAX_BYTES == 4 * 2**20
    with pytest.raises(SuiteError, match="is too large"):
        load_suite("/dev/zero")


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch pwned']",
        "!!python/object/new:os.system ['touch pwned']",
        "!!python/name:os.system",
        "!!python/module:antigravity",
        "!!python/object:engine.core.locations.Store {root: pwned}",
        "!!binary cHduZWQ=",
        "!!set {a, b}",
        "!!omap [a: b]",
        "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch pwned']",
        "!x" + "y" * 5_000 + " z",
    ],
)
def test_nothing_in_a_file_names_code(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = mistakes(f"name: {value}\n")
    check_told(found)
    assert any("is not allowed in a suite file" in each.message for each in found)
    (refused,) = mistakes("name: x\nevaluations: []\n", f"name={value}")[-1:]
    check_told((refused,))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOME}", "${HOME}"),
        ("'{{ 7*7 }}'", "{{ 7*7 }}"),
        ('"$(id)"', "$(id)"),
        ("'~'", "~"),
        ("'null'", "null"),
        ("'1e3'", "1e3"),
        ("'yes'", "yes"),
    ],
)
def test_a_name_is_no_template_and_no_other_type(text: str, value: str) -> None:
    model = "models: [{uri: m}], tests: [{metric: f1}]"
    data = "dataset: {csv: x, task: binary, label: y}"
    suite = read(f"name: {text}\nevaluations: [{{name: e, {data}, {model}}}]\n")
    assert suite.name == value == read(dump_suite(suite)).name


def test_a_label_is_of_whole_characters() -> None:
    model = "models: [{uri: m}], tests: [{metric: f1}]"
    data = r'dataset: {csv: x, task: binary, label: y, classes: ["a\ud800", b]}'
    (found,) = mistakes(f"name: n\nevaluations: [{{name: e, {data}, {model}}}]\n")
    assert found.message == r"found 'a\ud800', expected a text of whole characters"
