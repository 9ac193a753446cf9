"""Fewer points for the same line."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_INVISIBLE = 0.0005
"""A share of the picture's side below which no reader sees a difference."""

Floats = NDArray[np.float64]


def thin(
    x: Sequence[float] | Floats, y: Sequence[float] | Floats, limit: int = 400
) -> NDArray[np.intp]:
    """Chooses the points of a line that keep its picture: at most `limit` of them.

    Douglas and Peucker's rule (1973): the point farthest from the chord is kept, and the two
    halves are treated alike, the coarsest first, until no point is off by more than 0.05% of the
    picture or `limit` is reached. First and last point always stay.

    Returns:
        The indices of the points to draw, ascending.
    """
    xs, ys = _unit(np.asarray(x, dtype=float)), _unit(np.asarray(y, dtype=float))
    if len(xs) <= 2:
        return np.arange(len(xs))
    kept = {0, len(xs) - 1}
    waiting = [_farthest(xs, ys, 0, len(xs) - 1)]
    while waiting and len(kept) < limit:
        distance, middle, first, last = heapq.heappop(waiting)
        if -distance < _INVISIBLE:
            break
        kept.add(middle)
        for start, end in ((first, middle), (middle, last)):
            if end - start > 1:
                heapq.heappush(waiting, _farthest(xs, ys, start, end))
    return np.array(sorted(kept))


def _unit(values: Floats) -> Floats:
    """Scales to [0, 1], so that distances are shares of the picture."""
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _farthest(xs: Floats, ys: Floats, first: int, last: int) -> tuple[float, int, int, int]:
    """The inner point farthest from the chord, as a heap's entry (distance negated)."""
    dx, dy = xs[last] - xs[first], ys[last] - ys[first]
    px, py = xs[first + 1 : last] - xs[first], ys[first + 1 : last] - ys[first]
    length = float(np.hypot(dx, dy))
    off = np.abs(dx * py - dy * px) / length if length > 0 else np.hypot(px, py)
    place = int(np.argmax(off))
    return -float(off[place]), first + 1 + place, first, last
