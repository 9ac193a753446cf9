"""The difference of two estimates of independent samples, from the interval of each.

The squared distances from the estimates to the ends of their intervals add up as variances do, each
on its own side (MOVER: Zou and Donner 2008). Of normal estimates it is the usual interval with the
variances added; of a share near 0 or 1 it is as lopsided as the share's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.statistics import special
from engine.statistics.roots import falling_root
from engine.statistics.spread import Figures, Interval, Inverted
from engine.statistics.vectors import Floats, Places, Several

# Further out a level has no digits left that tell it from 1.
FARTHEST = 7.9
NEAREST = 1e-9
# A deviate is found to eight digits: an interval's ends are known to no more than eleven.
COARSE = 1e-3
# The level of an interval of one standard error in each direction.
_ONE = math.erf(math.sqrt(0.5))


@dataclass(frozen=True, slots=True)
class Independent(Inverted):
    """The difference of many estimates, those of `first` less those of `second`, at some places.

    `values` are the estimates of all places, [estimate] each.
    """

    first: Several
    second: Several
    values: tuple[Floats, Floats]
    places: Places
    df: Figures = math.inf

    def at(self, place: int) -> Independent:
        return Independent(self.first, self.second, self.values, self.places[[place]])

    @property
    def _gaps(self) -> Floats:
        one, other = (values[self.places] for values in self.values)
        return np.asarray(one - other)

    def interval(self, level: Figures) -> Interval:
        levels = np.full(self.first.size, 0.5)
        levels[self.places] = level
        below, above = [], []
        with np.errstate(all="ignore"):
            for spread, values in zip((self.first, self.second), self.values, strict=True):
                low, high = spread.interval(levels)
                below.append(np.maximum(values - low, 0.0)[self.places])
                above.append(np.maximum(high - values, 0.0)[self.places])
        down, up = np.hypot(below[0], above[1]), np.hypot(above[0], below[1])
        return self._gaps - down, self._gaps + up

    def deviate(self, limit: Figures) -> Figures:
        """The normal deviate at which an end of the interval is at the limit."""
        gaps = self._gaps
        limits = np.broadcast_to(np.asarray(limit, np.float64), gaps.shape)
        is_below = limits < gaps
        low, high = self.interval(_ONE)
        size = np.maximum(np.where(is_below, gaps - low, high - gaps), 1e-300)
        room = self._room(limits, is_below, size)
        with np.errstate(all="ignore"):
            # A share's interval is not around the share itself: a limit beside it has no root.
            low = np.where(room(np.full(gaps.shape, FARTHEST)) > 0, FARTHEST, 0.0)
            high = np.where(room(np.full(gaps.shape, NEAREST)) > 0, FARTHEST, 0.0)
            start = np.clip(np.abs(limits - gaps) / size, low, 0.9 * high + 0.1 * low)
            step = np.full(gaps.shape, 1 / COARSE)
            away = falling_root(room, start, step, (low, high))
        return np.where(limits == gaps, 0.0, np.where(is_below, away, -away))

    def errors_to(self, limit: Figures) -> Figures:
        return np.abs(self.deviate(limit))

    def _room(self, limits: Floats, is_below: Floats, size: Floats) -> Callable[[Floats], Floats]:
        """By how much the end on the limit's side is short of it, so many deviates out."""

        def room(away: Floats) -> Floats:
            low, high = self.interval(1 - 2 * special.ndtr(-away))
            return np.asarray(np.where(is_below, low - limits, limits - high) / size * COARSE)

        return room
