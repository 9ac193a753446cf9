"""Quantiles: between which of the values that were seen the true one lies.

Sources: Woodruff (1952), who reads the limits of a quantile from those of the share of rows below
it; Thompson (1936) for the probabilities, which are the binomial's, of what was seen itself half.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics.spread import Interval, Share, Spread, quantile

Floats = NDArray[Any]
# Sums of weights are right but for their last digits.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class QuantileOf(Spread):
    """The value that a share of the rows lies below.

    `share` is that share, of a number of effective rows. The values that were seen ascend; each is
    known to lie between its `low` and its `high`, and `up_to` is the share of rows up to it.
    Beyond the largest of them nothing is known: with few rows the upper limit is infinite, and the
    lower one of a small share minus infinity.
    """

    share: Share
    low: Floats
    high: Floats
    up_to: Floats

    def at(self, place: int) -> QuantileOf:
        return self

    @property
    def _target_share(self) -> float:
        return float(self.share.hits / self.share.trials)

    def interval(self, level: float) -> Interval:
        """The values at which the share of rows up to them is just what chance can make of it."""
        reach = quantile(level, self.share.df)
        count = len(self.up_to)
        low, high = -math.inf, math.inf
        # The more values lie below a limit, the less they are what the target share makes them.
        below = bisect_left(range(count + 1), True, key=lambda n: self._deviate(n) >= -reach)
        if below:
            low = float(self.low[below - 1])
        above = bisect_left(range(count + 1), True, key=lambda n: self._deviate(n) >= reach)
        if above <= count:
            high = float(self.high[above - 1])
        return low, high

    def p_below(self, limit: float) -> float:
        # Rows in the bin of the limit may be on either side of it: they count as what surprises
        # less, here and above.
        return float(
            self._share_of(int(np.searchsorted(self.high, limit))).p_above(self._target_share)
        )

    def p_above(self, limit: float) -> float:
        n_values = int(np.searchsorted(self.low, limit, side="right"))
        return float(self._share_of(n_values).p_below(self._target_share))

    def _deviate(self, values: int) -> float:
        """How far the share of rows in the first so many values is above the target share."""
        return float(self._share_of(values).deviate(self._target_share))

    def _share_of(self, values: int) -> Share:
        """The share of rows in the first so many values."""
        share = float(self.up_to[values - 1]) if values else 0.0
        return Share(share * self.share.trials, self.share.trials, self.share.df)
