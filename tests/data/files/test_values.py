"""What texts of a CSV column look like, and their type, by another road: `int`, `float`."""

from __future__ import annotations

import math
from functools import reduce
from operator import or_

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.files.values import (
    MARKS,
    NOTHING,
    Seen,
    guess,
    guess_without_marks,
    misfits,
    text_class,
)

CASES = {
    Seen.INT: ["0", "1", "-1", "+49", "-0", " 5 ", "2147483647"],
    Seen.LONG: ["2147483648", "-9223372036854775808"],
    Seen.BIG: ["9223372036854775808", "9" * 38],
    Seen.DOUBLE: ["0.5", "-0.5", ".5", "1.", "1e5", "-1.5E-3", "NaN", "nan", "inf", "-Infinity"],
    Seen.ZEROS: ["00", "007", "01067", "-01", "+049", "01.50", "000123456789012345678901"],
    Seen.BOOLEAN: ["true", "False", "TRUE"],
    Seen.DATE: ["2024-02-29"],
    Seen.TIMESTAMP: [
        "2024-01-01 10:00",
        "2024-01-01T10:00:00",
        "2024-01-01 10:00:00.123456",
        "2024-01-01T10:00:00.123000000Z",
        "2024-01-01 10:00:00+02:00",
    ],
    Seen.MARK: ["NA", "-", "N/A", "null", "None", "?", "\\N"],
    Seen.TEXT: ["abc", "1d", "5f", "0x1p3", "1,5", "2024-01", "12:30", "1 2", "1\n", "9" * 39, "+",
                "2024-01-01 10:00:00.123456789", "01.02.2024"],
}  # fmt: skip


@pytest.mark.parametrize("seen", CASES, ids=lambda seen: seen.name)
def test_each_text_is_of_one_class(seen: Seen) -> None:
    assert [text_class(text) for text in CASES[seen]] == [seen] * len(CASES[seen])


def test_no_mark_is_a_value_of_a_type() -> None:
    assert {text_class(mark) for mark in MARKS} == {Seen.MARK}


@given(st.integers(-(10**40), 10**40))
def test_whole_numbers_keep_their_digits(number: int) -> None:
    kind = guess(text_class(str(number)))
    limits = {"int": 2**31, "bigint": 2**63, "decimal(38,0)": 10**38}
    fits = [name for name, limit in limits.items() if -limit <= number < limit]
    assert kind == (fits[0] if fits else "string")


@given(st.floats())
def test_numbers_are_numbers_however_python_writes_them(number: float) -> None:
    assert guess(text_class(repr(number))) == "double"
    if math.isfinite(number):
        assert guess(text_class(f"{number:.3f}")) == "double"


@given(st.integers(1, 5), st.integers(0, 10**20), st.sampled_from(["", "-", "+"]))
def test_a_leading_zero_is_never_dropped(zeros: int, number: int, sign: str) -> None:
    text = f"{sign}{'0' * zeros}{number}"
    assert guess(text_class(text) | Seen.INT) == "string"


@given(st.text(max_size=8))
def test_what_python_reads_as_no_number_is_none(text: str) -> None:
    if text_class(text) & (Seen.INT | Seen.LONG | Seen.BIG):
        assert str(int(text)) == text.strip().removeprefix("+").replace("-0", "0")
    if text_class(text) & Seen.DOUBLE:
        float(text)


@given(st.lists(st.sampled_from([text for texts in CASES.values() for text in texts]), min_size=1))
def test_the_type_holds_every_value_without_loss(texts: list[str]) -> None:
    kind = guess(reduce(or_, map(text_class, texts), NOTHING))
    if kind == "int":
        assert all(-(2**31) <= int(text) < 2**31 for text in texts)
    elif kind == "double":
        assert len([float(text) for text in texts]) == len(texts)
    if any(text in CASES[Seen.ZEROS] + CASES[Seen.TEXT] for text in texts):
        assert kind == "string"


def test_a_column_of_two_sorts_is_text_and_of_dates_and_times_times() -> None:
    assert guess(Seen.BOOLEAN | Seen.INT) == guess(Seen.DATE | Seen.INT) == "string"
    assert guess(Seen.DATE | Seen.TIMESTAMP) == "timestamp"
    assert guess(NOTHING) == guess(Seen.MARK) == "string"


def test_marks_are_told_only_where_the_rest_has_a_type() -> None:
    assert guess_without_marks(Seen.INT | Seen.MARK) == "int"
    assert guess_without_marks(Seen.DATE | Seen.MARK) == "date"
    assert guess_without_marks(Seen.TEXT | Seen.MARK) is None
    assert guess_without_marks(Seen.INT) is None


def test_what_does_not_fit_a_type_that_is_given() -> None:
    assert misfits(Seen.ZEROS | Seen.INT, "bigint") == NOTHING
    assert misfits(Seen.LONG, "int") == Seen.LONG
    assert misfits(Seen.TEXT | Seen.DOUBLE, "double") == Seen.TEXT
    assert misfits(Seen.DATE, "timestamp") == NOTHING
    assert misfits(Seen.TEXT | Seen.MARK, "string") == NOTHING
