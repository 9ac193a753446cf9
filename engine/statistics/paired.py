"""The difference of two shares on the same rows, from the rows on which the two models differ.

Sources: McNemar (1947), exact by the binomial; Tango (1998), whose score interval keeps its level
where few rows differ, none included; Lugannani and Rice (1980), Daniels (1987) for the tails of
his score at a margin, where the normal curve is wrong by a factor of up to ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scipy.special import betainc, ndtr

from engine.statistics.spread import Interval, Spread, quantile, tail

FEW = 25
STEPS = 100
CLOSE = 1e-11
STEEP = 10.0
# From this many standard errors on a tail is worth more than the normal curve.
NEAR = 1.0


@dataclass(frozen=True, slots=True)
class PairedShare(Spread):
    """The candidate's share of hits minus the baseline's.

    `gained` rows are hits of the candidate only, `lost` of the baseline only, of `trials`; all in
    effective rows. `df` is finite where these were estimated.
    """

    gained: float
    lost: float
    trials: float
    df: float = math.inf

    @property
    def value(self) -> float:
        return (self.gained - self.lost) / self.trials

    def interval(self, level: float) -> Interval:
        return _interval(self, level)

    def p_below(self, limit: float) -> float:
        if limit <= -1:
            return 1.0
        if limit >= 1:
            return 0.0
        score = tail(self._score(limit), self.df)
        if limit == 0 and self.gained + self.lost < FEW:
            # Half of the rows that differ are expected to be gains.
            exact = _at_least(self.lost, self.gained + self.lost, 0.5)
        elif limit != 0 and self._score(limit) < -NEAR:
            exact = self._far_tail(limit)
        else:
            return score
        return exact if math.isinf(self.df) else max(exact, score)

    def p_above(self, limit: float) -> float:
        return PairedShare(self.lost, self.gained, self.trials, self.df).p_below(-limit)

    def errors_to(self, limit: float) -> float:
        return abs(self._score(limit)) if -1 < limit < 1 else math.inf

    def _far_tail(self, limit: float) -> float:
        """The probability of a difference as low as this, of the likeliest shares at `limit`.

        By the saddlepoint of a sum of whole steps -1, 0 and 1; exact where one of them is out.
        """
        n = self.trials
        down = self._likeliest_lost(limit)
        up = max(down + limit, 0.0)
        if down <= 0:
            return _at_least(n - self.gained, n, 1 - up)
        if up <= 0:
            return _at_least(self.lost - self.gained, n, down)
        if self.lost >= n:
            return float(down**n)
        mean = (self.lost - self.gained) / n
        # The tilt y = exp(t) under which `mean` is what a row loses on average.
        still, square = 1 - up - down, down * (1 - mean)
        half = mean * still / 2
        y = (half + math.sqrt(half * half + square * up * (1 + mean))) / square
        total = still + down * y + up / y
        variance = (down * y + up / y) / total - mean * mean
        w = math.sqrt(max(2 * n * (mean * math.log(y) - math.log(total)), 0.0))
        u = (1 - 1 / y) * math.sqrt(n * variance)
        density = math.exp(-w * w / 2) / math.sqrt(2 * math.pi)
        return min(max(float(ndtr(-w)) + density * (1 / u - 1 / w), 0.0), 1.0)

    def _likeliest_lost(self, limit: float) -> float:
        """The likeliest share of losses if the difference were `limit`."""
        n = self.trials
        b = (2 * n - self.gained + self.lost) * limit - self.gained - self.lost
        c = -self.lost * limit * (1 - limit)
        root = math.sqrt(max(b * b - 8 * n * c, 0.0))
        return (root - b) / (4 * n)

    def _score(self, limit: float) -> float:
        """Tango's statistic: how many standard errors the difference is above `limit`."""
        n = self.trials
        excess = self.gained - self.lost - n * limit
        variance = n * (2 * self._likeliest_lost(limit) + limit * (1 - limit))
        if variance <= 0:
            return 0.0 if excess == 0 else math.copysign(math.inf, excess)
        return excess / math.sqrt(variance)


# Asked for by the results and by the verdict, and many slices have the same few rows that differ.
@lru_cache(maxsize=4096)
def _interval(of: PairedShare, level: float) -> Interval:
    """The limits that are as many standard errors away as the level asks for."""
    reach, here = quantile(level, of.df), of.value
    low, high = -1.0, 1.0
    if here > -1:
        low = _root(lambda limit: of._score(limit) - reach, -1.0, here)
    if here < 1:
        high = _root(lambda limit: of._score(limit) + reach, here, 1.0)
    return low, high


def _at_least(hits: float, trials: float, share: float) -> float:
    """The binomial's probability of `hits` or more."""
    return 1.0 if hits <= 0 else float(betainc(hits, trials - hits + 1, share))


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function is 0; the end that it does not reach.

    The Illinois variant of false position: a step of a line through both ends, of which the one
    that stays counts half.
    """
    at_low, at_high = falling(low), falling(high)
    if at_low <= 0:
        return low
    if at_high >= 0:
        return high
    stayed = 0
    for _ in range(STEPS):
        middle = (low + high) / 2
        # Far out the score is steep, or has no bound: a line through it leads nowhere.
        if at_low < STEEP and at_high > -STEEP:
            middle = high - at_high * (high - low) / (at_high - at_low)
        found = falling(middle)
        if abs(found) <= CLOSE or high - low <= CLOSE:
            return middle
        if found > 0:
            low, at_low, stayed = middle, found, min(stayed, 0) - 1
            at_high = at_high / 2 if stayed < -1 else at_high
        else:
            high, at_high, stayed = middle, found, max(stayed, 0) + 1
            at_low = at_low / 2 if stayed > 1 else at_low
    return (low + high) / 2


def two_sided(spread: Spread, limit: float = 0.0) -> float:
    """The two-sided p-value of a limit: twice the smaller tail, at most 1."""
    return min(1.0, 2 * min(spread.p_below(limit), spread.p_above(limit)))
