"""A draft as a file: our loader reads what was meant, whatever names and values are in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.commands.authoring.document import Heading, suite_text
from engine.commands.authoring.wishes import Draft, Entry, Roles, Situation
from engine.core.vocabulary import TaskKind
from engine.planning.suites import read_suite
from engine.suite import dump_suite
from engine.suite.yaml_document import SuiteLoader
from tests.fixtures.tables_of import column, look, situation, table

HEADING = Heading("./store", None, ("label: 'y'",))
ODD = ["no", "on", "y", "Yes", "null", "~", "1:30", "012", "0x1F", "1e3", "1_000", "2026-01-01",
       "true", "a: b", "a #b", "", " ", "- a", "*a", "&a", "!a", "%a", "@a", "`a`", "'", '"', "=",
       "<<", "a,b", "[a]", "{a}", "0o14", ".inf", ".NaN", "+1", "-", "?", ":",
       "é", "👍"]  # fmt: skip


def make_situation() -> Situation:
    rows = table(column("a"), column("y", "whole", values=[0, 1]))
    return situation(rows, Roles("y", TaskKind.BINARY, ()), look("a"))


def draft_of(values: list[Any], name: str = "city") -> Draft:
    draft = Draft([Entry({"by": name}, "3 slices")])
    draft.add("Beside", {"metric": "accuracy", "max_drop": 0.01}, "known to +- 0.005")
    test = {"data_quality": {"allowed": {name: values}}, "max_share": 0.0, "severity": "warn"}
    draft.add("Data", test, f"the values of {name}")
    draft.omit(f"drift of {name}: no reference")
    return draft


def check(values: list[Any], name: str, over: Situation | None = None) -> str:
    meaning, text = suite_text(over or make_situation(), draft_of(values, name), HEADING)
    assert yaml.load(text, SuiteLoader) == meaning
    (evaluation,) = meaning["evaluations"]
    assert evaluation["tests"][1]["data_quality"]["allowed"] == {name: values}
    return text


@pytest.mark.parametrize("odd", ODD)
def test_odd_texts_are_read_as_texts(odd: str) -> None:
    check([odd, "plain"], odd or "city")


def test_nasty_names_and_values_come_through(nasty: ModuleType) -> None:
    for text in [*nasty.CONTROLS, *nasty.UNICODE, *nasty.SPACES, *nasty.HTML, *nasty.YAML]:
        check([text], text)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4, unique=True), st.text(min_size=1))
def test_any_text_comes_through(values: list[str], name: str) -> None:
    try:
        "".join([*values, name]).encode()
    except UnicodeEncodeError:
        return
    check(values, name)


@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False)), min_size=1, max_size=4))
def test_any_number_comes_through(values: list[float]) -> None:
    check(values, "city")


def test_what_comments_say_is_there_and_breaks_nothing(tmp_path: Path) -> None:
    name = "city\nname: other\r\u2028# x"
    text = check(["a"], name)
    comments = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
    assert any("known to +- 0.005" in line for line in comments)
    assert any(line.startswith("# - drift of city") for line in comments)
    assert text.index("known to +- 0.005") < text.index("metric: accuracy")
    assert text.startswith("# yaml-language-server: $schema=suite.schema.json\n")


def test_the_file_is_the_suite_that_was_meant(tmp_path: Path) -> None:
    own = make_situation()
    own = replace(own, dataset={**own.dataset, "key": "id", "positive_label": "no"})
    meaning, text = suite_text(own, draft_of(["NO", "on"]), HEADING)
    path = tmp_path / "suite.yml"
    path.write_text(text, encoding="utf-8")
    assert dump_suite(read_suite(path)) == dump_suite(read_suite(meaning))
    assert '"NO"' in text and '"on"' in text and '"no"' in text
