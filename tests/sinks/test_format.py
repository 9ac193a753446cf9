from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sinks import format as fmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.91234567, "0.9123"),
        (-0.02, "-0.0200"),
        (43.71234, "43.712"),
        (2981.31, "2,981.3"),
        (12345678.0, "1.23e+07"),
        (0.00001234, "1.23e-05"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert fmt.number(value) == text


def test_signed_has_a_sign_on_both_sides_and_none_on_zero() -> None:
    assert [fmt.signed_number(value) for value in (0.5, -0.5, 0.0, None)] == [
        "+0.5000",
        "-0.5000",
        "0",
        "-",
    ]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0.8714, 0.8423, 0.8991), "0.871 [0.842, 0.899]"),
        ((0.5, 0.1, 0.9), "0.50 [0.10, 0.90]"),
        ((0.9265, 0.9221, 0.9306), "0.9265 [0.9221, 0.9306]"),
        ((2981.31, 2702.2, 3260.4), "2981 [2702, 3260]"),
        ((43.7, 41.23, 46.1), "43.7 [41.2, 46.1]"),
        ((1.0, 1.0, 1.0), "1.0000 [1.0000, 1.0000]"),
        ((0.9, None, None), "0.9000"),
        ((0.9, 0.8, None), "0.9000"),
        ((None, 0.1, 0.2), "-"),
        ((2e-6, 1e-6, 3e-6), "2e-06 [1e-06, 3e-06]"),
        ((0.5, float("-inf"), float("nan")), "0.5000 [-inf, nan]"),
    ],
)
def test_measured(given: tuple[float | None, float | None, float | None], text: str) -> None:
    assert fmt.estimate(*given) == text


def test_a_change_has_signs_and_no_sign_on_a_zero() -> None:
    assert fmt.change(-0.0121, -0.02, -0.0042) == "-0.012 [-0.020, -0.004]"
    assert fmt.change(0.0001, -0.02, 0.0202) == "0.000 [-0.020, +0.020]"
    assert fmt.change(0.5, None, None) == "+0.5000"
    assert fmt.change(None, None, None) == "-"


@given(*[st.floats()] * 3)
def test_an_interval_of_any_numbers_is_text(value: float, low: float, high: float) -> None:
    assert fmt.estimate(value, low, high).isascii()
    assert fmt.change(value, low, high).endswith("]")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (0.0, "<0.0001"),
        (0.00042, "0.0004"),
        (0.0123, "0.012"),
        (0.4123, "0.41"),
        (1.0, "1.00"),
    ],
)
def test_chance(value: float | None, text: str) -> None:
    assert fmt.chance(value) == text


@given(st.floats(allow_nan=False))
def test_exact_reads_back(value: float) -> None:
    assert float(fmt.exact(value)) == value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (-3, "0.0 s"), (12.4, "12 s"), (59.6, "1 min 0 s"), (7500, "2 h 5 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert fmt.duration(seconds) == text


def test_moment_is_utc_where_the_zone_is_known() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    assert fmt.moment(dt.datetime(2026, 1, 1, 1, 0, tzinfo=zone)) == "2025-12-31 23:00:00 UTC"
    assert fmt.moment(dt.datetime(2026, 1, 1, 1, 0)) == "2026-01-01 01:00:00"


@given(st.text(st.characters(exclude_categories=())), st.integers(4, 40))
def test_one_line_is_one_shown_line(text: str, limit: int) -> None:
    line = fmt.one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert not any(ord(mark) < 32 or 0x7F <= ord(mark) < 0xA0 for mark in line)
    line.encode("utf-8")


def test_one_line_takes_out_what_acts() -> None:
    assert fmt.one_line("a\x1b[31mb\u202ec\r\n\td") == "a [31mb c d"


def test_clean_keeps_lines_and_tabs() -> None:
    assert fmt.clean("a:\r\n\tb\x00c\n") == "a:\n\tb c\n"


def test_plural_and_joined() -> None:
    assert fmt.plural(1, "row") == "1 row"
    assert fmt.plural(2000, "entry", "entries") == "2,000 entries"
    assert fmt.list_names(["a", "b"]) == "a, b"
    assert fmt.list_names(list("abcde")) == "a, b, c and 2 more"
