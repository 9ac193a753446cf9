"""The smallest or the largest share of several groups: between which limits it lies.

The smallest of many noisy shares is too small. So the end of its interval that says "at most this"
is the least of what all groups say, each at a level corrected for their number (Bonferroni). The
end that says "at least this" is the least of what they say at the level itself, and needs no
correction: it is wrong only where the limit of the one group whose share truly is the smallest is
(Berger 1982). Of the largest share it is the other way round. The limits of a group are those of
`Share`, so that of a single group the interval is its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.statistics.spread import Figures, Interval, Share, Spread


@dataclass(frozen=True, slots=True, eq=False)
class ExtremeShare(Spread):
    """The smallest of some shares, or the largest: `shares` has figures [group]."""

    shares: Share
    largest: bool = False

    @property
    def value(self) -> float:
        shares = np.asarray(self.shares.hits / self.shares.trials)
        return float(shares.max() if self.largest else shares.min())

    def interval(self, level: float) -> Interval:
        lows, highs = (np.asarray(ends) for ends in self.shares.interval(level))
        sure_lows, sure_highs = self.shares.interval(1 - (1 - level) / self._groups)
        if self.largest:
            return float(np.max(sure_lows)), float(highs.max())
        return float(lows.min()), float(np.min(sure_highs))

    def p_below(self, limit: Figures) -> Figures:
        p = np.asarray(self.shares.p_below(limit))
        return float(p.max()) if self.largest else self._any_of(p)

    def p_above(self, limit: Figures) -> Figures:
        p = np.asarray(self.shares.p_above(limit))
        return self._any_of(p) if self.largest else float(p.max())

    @property
    def _groups(self) -> int:
        return len(np.atleast_1d(self.shares.hits))

    def _any_of(self, p: Figures) -> float:
        """How likely it is that any group says as much."""
        return min(1.0, self._groups * float(np.min(p)))
