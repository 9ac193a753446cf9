"""The middle of paired differences, and how sure it is, by Wilcoxon's signed ranks.

The estimate is the median of the means of all pairs of differences (Walsh averages; Hodges and
Lehmann 1963), the interval lies between two of these means (Tukey 1949), and the tails are those of
the signed-rank statistic, counted exactly. It asks of the differences that they are symmetric about
their middle, and of no other shape: a few that are far off, as of a machine that did something
else for a moment, move it little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics.spread import Figures, Interval, Spread

Floats = NDArray[Any]


@dataclass(frozen=True)
class SignedRanks(Spread):
    """Where the differences of pairs are symmetric about; `differences` has one for each pair.

    By `slack` all of them may be off together, which the pairs cannot tell: the interval is wider
    by it on either side.
    """

    differences: tuple[float, ...]
    slack: float = 0.0

    @cached_property
    def middle(self) -> float:
        """The estimate of Hodges and Lehmann.

        >>> SignedRanks((1.0, 2.0, 6.0)).middle
        2.75
        """
        return float(np.median(self._means))

    @cached_property
    def _means(self) -> Floats:
        """The means of all pairs of differences, each with itself too, in their order."""
        values = np.asarray(self.differences, np.float64)
        first, second = np.triu_indices(len(values))
        return np.sort((values[first] + values[second]) / 2)

    def at(self, place: int) -> SignedRanks:
        return self

    def interval(self, level: float) -> Interval:
        """Two of the means; infinities where so few pairs cannot be so sure."""
        tail = rank_tail(len(self.differences))
        # The tail of as few as this is still within what the level leaves to one side.
        left = int(np.searchsorted(tail, (1 - level) / 2, side="right"))
        if not left:
            return -math.inf, math.inf
        low, high = self._means[left - 1], self._means[-left]
        return float(low - self.slack), float(high + self.slack)

    def p_below(self, limit: Figures) -> Figures:
        return self._tail(np.subtract(limit, self.slack), "left", above=False)

    def p_above(self, limit: Figures) -> Figures:
        return self._tail(np.add(limit, self.slack), "right", above=True)

    def _tail(self, limit: Figures, side: Any, *, above: bool) -> Figures:
        """How likely so few means are on the other side of the limit, were it the middle."""
        below = np.searchsorted(self._means, limit, side=side)
        fewer = below if above else len(self._means) - below
        p = rank_tail(len(self.differences))[np.minimum(fewer, len(self._means))]
        return p if np.ndim(limit) else float(p)


@lru_cache(maxsize=64)
def rank_tail(pairs: int) -> Floats:
    """The probability that the sum of the positive ranks of so many pairs is 0, 1, ... or less."""
    ways = np.ones(1)
    for rank in range(1, pairs + 1):
        longer = np.zeros(len(ways) + rank)
        longer[: len(ways)] += ways / 2
        longer[rank:] += ways / 2
        ways = longer
    return np.minimum(np.cumsum(ways), 1.0)


def pairs_needed(level: float) -> int:
    """The fewest pairs whose interval has ends.

    >>> pairs_needed(0.95)
    6
    """
    return math.ceil(math.log2(2 / (1 - level)))
