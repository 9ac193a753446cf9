"""Limits from a champion's intervals, held against the arithmetic that they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.commands.authoring.figures import (
    HALF_WIDTHS,
    Figure,
    round_down,
    round_up,
    step_above,
    step_below,
    zero_bound,
)
from engine.commands.authoring.task_metrics import TaskMetric

NUMBERS = st.floats(1e-9, 1e9) | st.floats(-1e9, -1e-9)


@given(NUMBERS)
def test_rounding_keeps_to_its_side_and_near(value: float) -> None:
    low, high = round_down(value), round_up(value)
    slack = 1e-8 * abs(value)
    assert low <= value + slack and high >= value - slack
    assert high - low <= 0.11 * abs(value) + slack


@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e2))
def test_a_limit_is_within_a_tenth_of_a_half_width(value: float, step: float) -> None:
    low, high = step_below(value, step), step_above(value, step)
    assert value - 0.101 * step <= low <= value + 1e-5
    assert value + 0.101 * step >= high >= value - 1e-5


@pytest.mark.parametrize("rows", [50, 284, 5_000])
def test_the_bound_of_zero_rows_is_the_binomials(rows: int) -> None:
    exact = 1 - 0.05 ** (1 / rows)
    assert exact <= zero_bound(rows) <= 1.12 * exact


def test_the_same_model_on_fresh_rows_passes_in_nine_of_ten() -> None:
    # The oracle: two samples of one value, each with a half width of 1.96 standard errors.
    random = np.random.default_rng(5)
    first, second = random.normal(0.9, 0.01, (2, 20_000))
    width = stats.norm.ppf(0.975) * 0.01
    limit = first - HALF_WIDTHS * width
    rate = np.mean(second - width > limit)
    expected = stats.norm.cdf((HALF_WIDTHS - 1) * width / (0.01 * math.sqrt(2)))
    assert rate == pytest.approx(expected, abs=0.01)
    assert 0.91 <= expected <= 0.92
    assert np.mean(second + width < limit) == 0


def test_a_limit_is_only_where_knowing_nothing_would_fail() -> None:
    metric = TaskMetric("accuracy", 0.6)
    for width, decides in ((0.05, True), (0.099, True), (0.101, False), (0.2, False), (0.0, False)):
        figure = Figure(0.9, width, width, 100)
        assert metric.decides(figure, metric.headroom(figure)) is decides
        # A model of the trivial value, with as wide an interval.
        limit = 0.9 - HALF_WIDTHS * width
        assert (0.6 + width <= limit) is decides or width == 0
    worse = TaskMetric("log_loss", 0.5)
    figure = Figure(0.8, 0.01, 0.01, 100)
    assert not worse.decides(figure, worse.headroom(figure)), "worse than knowing nothing"
