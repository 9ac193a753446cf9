from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sinks.report.simplify import thin

LINE = st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2), max_size=60)


@pytest.mark.parametrize("bend", [0.05, 0.5, 3.0])
def test_a_long_curve_is_thinned_without_visible_change(bend: float) -> None:
    x = np.linspace(0, 1, 10_000)
    y = x**bend
    keep = thin(x, y)
    assert len(keep) <= 400
    # No point is off the drawn line by half a pixel in a picture of 1,000.
    after = np.clip(np.searchsorted(keep, np.arange(len(x))), 1, len(keep) - 1)
    start, end = keep[after - 1], keep[after]
    dx, dy = x[end] - x[start], y[end] - y[start]
    off = np.abs(dx * (y - y[start]) - dy * (x - x[start])) / np.hypot(dx, dy)
    assert off.max() <= 0.0005


def test_a_noisy_line_keeps_to_the_limit() -> None:
    y = np.random.default_rng(7).random(10_000)
    assert len(thin(np.arange(10_000), y)) == 400


def test_a_straight_line_needs_its_ends_only() -> None:
    assert thin(range(1000), range(1000)).tolist() == [0, 999]


def test_a_corner_stays() -> None:
    assert thin([0, 0, 0, 0.5, 1], [0, 0.5, 1, 1, 1]).tolist() == [0, 2, 4]


@given(LINE)
def test_any_line_keeps_its_ends_and_order(points: list[tuple[float, float]]) -> None:
    x, y = [point[0] for point in points], [point[1] for point in points]
    keep = thin(x, y).tolist()
    assert keep == sorted(set(keep))
    if points:
        assert keep[0] == 0
        assert keep[-1] == len(points) - 1
