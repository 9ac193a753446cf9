"""A README between its marks: what a person wrote stays, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.training.experiments.readme import BEGIN, END, check_readme, rewrite_readme

LINES = st.binary(max_size=60).filter(lambda data: b"<!--" not in data)


def rewrite(path, block="**0.97** `a`"):
    check_readme(path)
    rewrite_readme(path, "depth", "How deep?", block)
    return path.read_bytes()


@given(before=LINES, old=LINES, after=LINES, ends=st.sampled_from([b"\n", b"\r\n"]))
def test_all_around_the_marks_is_kept(tmp_path_factory, before, old, after, ends):
    path = tmp_path_factory.mktemp("readme") / "README.md"
    head = before + ends + BEGIN.encode()
    tail = END.encode() + ends + after
    path.write_bytes(head + ends + old + ends + tail)
    first = rewrite(path, "x")
    assert first.startswith(head) and first.endswith(tail)
    assert first[len(head) : -len(tail)].split() == [b"x"]
    # The same again changes nothing.
    assert rewrite(path, "x") == first


@given(text=LINES)
def test_marks_are_added_behind_a_text_without_any(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("readme") / "README.md"
    path.write_bytes(text)
    data = rewrite(path)
    assert data.startswith(text)
    lines = data[len(text) :].split()
    assert lines == [*BEGIN.encode().split(), b"**0.97**", b"`a`", *END.encode().split()]


def test_a_new_one_begins_with_the_question(tmp_path):
    path = tmp_path / "README.md"
    assert rewrite(path).decode() == (f"# depth\n\nHow deep?\n\n{BEGIN}\n**0.97** `a`\n{END}\n")


def test_a_mark_within_a_line_is_a_persons_word(tmp_path):
    path = tmp_path / "README.md"
    text = f"Results stand between `{BEGIN}` and `{END}`.\n"
    path.write_text(text)
    assert rewrite(path).decode() == f"{text}\n{BEGIN}\n**0.97** `a`\n{END}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"a\n{BEGIN}\nb\n", "begin on line 2;"),
        (f"{END}\n", "end on line 1;"),
        (f"{END}\n\n{BEGIN}\n", "end on line 1, begin on line 3;"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n", "begin on line 1, begin on line 2, end on line 3;"),
        (f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", "begin on line 3"),
    ],
)
def test_marks_that_are_no_pair_are_refused(tmp_path, text, words):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        check_readme(path)
    with pytest.raises(InputError, match=words):
        rewrite_readme(path, "a", "b", "c")
    assert path.read_text() == text
