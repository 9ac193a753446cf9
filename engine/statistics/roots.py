"""Where a falling function of many estimates at once is 0: the ends of intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# A float, or an array [estimate] of them.
Figures = Any
Falling = Callable[[Figures], Figures]

STEPS = 100
# So many steps along lines should do; halves of what is left do in any case.
LINES = 12
CLOSE = 1e-11
# No more than rounding is left between the bounds.
ROUNDING = 1e-15


def falling_root(falling: Falling, start: Figures, step: Figures, bounds: Figures) -> Figures:
    """Where a falling function of each estimate is 0; the bound that it does not reach.

    By secants from `start`, where the function falls by 1 in about one `step`, and by halves of
    what is left between the two `bounds` where a secant leads out of it.
    """
    at, (low, high) = np.asarray(start, np.float64), bounds
    value = falling(at)
    slope = -1 / np.asarray(step, np.float64)
    root = at
    open_ = np.ones(np.shape(value), bool)
    for turn in range(STEPS):
        root = np.where(open_, at, root)
        low, high = np.where(value > 0, at, low), np.where(value > 0, high, at)
        open_ = open_ & (np.abs(value) > CLOSE) & (high - low > ROUNDING * np.abs(high + low))
        if not open_.any():
            return root
        ahead = at - value / slope
        straight = (low < ahead) & (ahead < high) & (turn < LINES or turn % 2 == 0)
        ahead = np.where(straight, ahead, (low + high) / 2)
        further = falling(ahead)
        fall = (further - value) / (ahead - at)
        slope = np.where(fall < 0, fall, slope)
        at, value = ahead, further
    return np.where(open_, (low + high) / 2, root)
