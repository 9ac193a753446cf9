"""The spreads of many estimates, which are of one kind here and of another there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics.order_statistics import QuantileOf
from engine.statistics.spread import Figures, Interval, Spread

Places = NDArray[np.int64]
Floats = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Several(Spread):
    """The spreads of `size` estimates: those at some places are of one kind, in arrays.

    An estimate that is in no part has no known spread: all figures of it are NaN.
    """

    size: int
    parts: tuple[tuple[Places, Spread], ...]

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Which estimates have a spread."""
        mask = np.zeros(self.size, bool)
        for places, _ in self.parts:
            mask[places] = True
        return mask

    def interval(self, level: Figures) -> Interval:
        ends = np.full((2, self.size), np.nan)
        for places, spread in self.parts:
            own = level
            if np.ndim(level):
                own = float(level[places[0]]) if isinstance(spread, QuantileOf) else level[places]
            ends[0, places], ends[1, places] = spread.interval(own)
        return ends[0], ends[1]

    def p_below(self, limit: Figures) -> Floats:
        return self._map_parts(lambda spread, at: spread.p_below(at), limit)

    def p_above(self, limit: Figures) -> Floats:
        return self._map_parts(lambda spread, at: spread.p_above(at), limit)

    def errors_to(self, limit: Figures) -> Floats:
        return self._map_parts(lambda spread, at: spread.errors_to(at), limit)

    def at(self, place: int) -> Spread | None:
        """The spread of one estimate; None where it is not known."""
        for places, spread in self.parts:
            for within in np.flatnonzero(places == place).tolist():
                return spread.at(within)
        return None

    def _map_parts(self, function: Callable[[Spread, Figures], Figures], limit: Figures) -> Floats:
        figures = np.full(self.size, np.nan)
        limits = np.broadcast_to(np.asarray(limit, np.float64), self.size)
        for places, spread in self.parts:
            # A quantile is a spread of its own: it has the values of its slice.
            single = isinstance(spread, QuantileOf)
            at = float(limits[places[0]]) if single else limits[places]
            figures[places] = function(spread, at)
        return figures
