from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conditions import rule
from engine.core.vocabulary import Condition
from engine.sinks.report.axis import Scale, around_zero, bar, fit_scale, zone

NUMBERS = st.floats(-1e6, 1e6)
SPANS = st.lists(st.tuples(NUMBERS, NUMBERS).map(sorted), min_size=1, max_size=40)


@given(SPANS, st.lists(NUMBERS, max_size=3))
def test_what_is_to_be_kept_is_on_the_line_and_places_are_percentages(
    spans: list[tuple[float, float]], keep: list[float]
) -> None:
    for scale in (fit_scale(spans, keep), around_zero(spans, keep)):
        assert scale is not None
        assert scale.low < scale.high
        assert all(scale.holds(value) for value in keep)
        for low, high in spans:
            drawn = bar(scale, low, low, high)
            assert 0 <= drawn.point <= 100
            assert drawn.start is not None
            assert 0 <= drawn.start <= 100
            assert 0.3 <= drawn.width <= 100
        assert 1 <= len(scale.ticks()) <= 5
        assert all(0 <= place <= 100 for place, _ in scale.ticks())


def test_a_few_wide_intervals_do_not_stretch_the_line() -> None:
    spans = [(0.85 + place * 0.001, 0.9) for place in range(40)] + [(0.0, 1.0)]
    scale = fit_scale(spans, [0.8])
    assert scale is not None
    assert scale.low > 0.78
    assert scale.high < 0.92
    assert bar(scale, 0.1, 0.0, 1.0).beyond == "left"
    assert bar(scale, 0.99, 0.0, 1.0).beyond == "right"
    assert bar(scale, 0.85, 0.8, 0.9).beyond == ""


def test_a_line_of_nothing_is_none_and_of_one_value_has_room() -> None:
    assert fit_scale([], []) is None
    assert fit_scale([(math.nan, math.inf)], []) is None
    scale = fit_scale([(0.5, 0.5)], [])
    assert scale is not None
    assert scale.at(0.5) == 50
    assert bar(scale, 0.5, None, None).start is None


def test_zero_is_the_middle_of_a_difference() -> None:
    scale = around_zero([(-0.01, 0.05)], [-0.02])
    assert scale is not None
    assert scale.at(0.0) == 50
    assert scale.at(-scale.high) == 0


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.71, 0.99, ["0.8", "0.9"]),
        (0.0, 1.0, ["0.0", "0.5", "1.0"]),
        (-0.11, 0.11, ["−0.1", "0.0", "0.1"]),
        (2000, 3400, ["2000", "2500", "3000"]),
    ],
)
def test_ticks_are_round(low: float, high: float, texts: list[str]) -> None:
    assert [text for _, text in Scale(low, high).ticks()] == texts


@pytest.mark.parametrize(
    ("condition", "baseline", "limit"),
    [
        (Condition("min", 0.85), None, 0.85),
        (Condition("max_drop", 0.02), 0.9, -0.02),
        (Condition("max_rise", 0.02), 0.9, 0.02),
        (Condition("max_drop", 0.1, relative=True), -0.5, -0.05),
        (Condition("max_rise", 0.1, relative=True), None, None),
        (Condition("no_worse", 0.0), 0.9, 0.0),
    ],
)
def test_limits(condition: Condition, baseline: float | None, limit: float | None) -> None:
    limits = rule(condition).limits(condition, baseline, None)
    assert [found.at for found in limits] == ([] if limit is None else [limit])


@pytest.mark.parametrize(
    ("kind", "better", "start", "width"),
    [
        ("min", None, 0, 75),
        ("max", None, 75, 25),
        ("max_drop", False, 0, 75),
        ("max_rise", True, 75, 25),
        ("no_worse", True, 0, 75),
        ("no_worse", False, 75, 25),
        ("no_worse", None, 75, 0),
    ],
)
def test_the_bad_side_is_the_conditions_or_the_metrics(
    kind: str, better: bool | None, start: float, width: float
) -> None:
    (limit,) = rule(Condition(kind, 0.75)).limits(Condition(kind, 0.75), 1.0, better)
    found = zone(Scale(0.0, 1.0), replace(limit, at=0.75))
    assert (found.start, found.width, found.limit) == (start, width, 75)
