"""A slice more in a suite's file: all else stays as it is, whatever form the list has."""

from __future__ import annotations

import pytest
import yaml

from engine.errors import InputError
from engine.suite.add_slice import PinnedSlice, add_slice

ADDED = PinnedSlice('a="b" & c >= 3', "a = 'b' AND c >= 3")
ITEM = {"where": ADDED.where, "name": ADDED.name}

BLOCK = """# mine
name: s
evaluations:
  - name: one   # the first
    slices:
      - overall
      # by country, as agreed
      - by: [country]
    tests:
      - metric: accuracy   # at least
  - name: two
    slices: [overall]  # no more
    tests: [{metric: f1}]
"""


def slices(text: str, place: int) -> list[object]:
    return yaml.safe_load(text)["evaluations"][place]["slices"]


def test_a_list_of_lines_gets_an_item_and_keeps_its_comments() -> None:
    changed = add_slice(BLOCK, "one", ADDED)
    assert slices(changed, 0) == ["overall", {"by": ["country"]}, ITEM]
    assert slices(changed, 1) == ["overall"]
    left = [line for line in changed.splitlines() if line not in BLOCK.splitlines()]
    assert len(left) == 2
    assert [line for line in changed.splitlines() if line not in left] == BLOCK.splitlines()


def test_a_list_within_a_line_gets_an_item() -> None:
    changed = add_slice(BLOCK, "two", ADDED)
    assert slices(changed, 1) == ["overall", ITEM]
    assert "# no more" in changed
    empty = BLOCK.replace("slices: [overall]  # no more", "slices: [ ]")
    assert slices(add_slice(empty, "two", ADDED), 1) == [ITEM]
    trailing = BLOCK.replace("[overall]  # no more", "[overall,\n      {by: [x]},\n    ]")
    assert slices(add_slice(trailing, "two", ADDED), 1) == ["overall", {"by": ["x"]}, ITEM]


@pytest.mark.parametrize("last", ["      - by: [country]\n", "      - by:\n          - country\n"])
def test_the_last_item_may_be_of_several_lines_and_end_the_file(last: str) -> None:
    text = "evaluations:\n  - name: one\n    tests: []\n    slices:\n      - overall\n" + last
    for form in (text, text.rstrip("\n"), text + "\n\n# the end\n"):
        assert slices(add_slice(form, "one", ADDED), 0) == ["overall", {"by": ["country"]}, ITEM]


def test_an_evaluation_without_slices_gets_a_list_that_keeps_all_rows() -> None:
    text = "evaluations:\n- name: one\n  dataset:\n    delta: t\n  tests:\n  - metric: f1\n"
    changed = add_slice(text, "one", ADDED)
    assert slices(changed, 0) == ["overall", ITEM]
    assert yaml.safe_load(changed)["evaluations"][0]["tests"] == [{"metric": "f1"}]
    first = "evaluations:\n- tests:\n  - metric: f1\n  name: one"
    changed = add_slice(first, "one", ADDED)
    assert slices(changed, 0) == ["overall", ITEM]
    assert yaml.safe_load(changed)["evaluations"][0]["tests"] == [{"metric": "f1"}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BLOCK, "has no evaluation 'three'; it has 'one', 'two'"),
        ("evaluations: [{name: three, tests: []}]", "add the slice by hand"),
        ("evaluations:\n  - name: three\n    slices: overall\n", "add the slice by hand"),
    ],
)
def test_what_cannot_be_changed_is_said(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        add_slice(text, "three", ADDED)
