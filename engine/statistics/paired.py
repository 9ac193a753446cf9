"""The difference of two shares on the same rows, from the rows on which the two models differ.

Sources: McNemar (1947), exact by the binomial; Tango (1998), whose score interval keeps its level
where few rows differ, none included; Lugannani and Rice (1980), Daniels (1987) for the tails of
his score at a margin, where the normal curve is wrong by a factor of up to ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, ndtr

from engine.statistics.spread import Figures, Interval, Spread, one_of, plain, quantile, tail

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

    gained: Figures
    lost: Figures
    trials: Figures
    df: Figures = math.inf

    def at(self, place: int) -> PairedShare:
        figures = (self.gained, self.lost, self.trials, self.df)
        return PairedShare(*(one_of(figure, place) for figure in figures))

    @property
    def value(self) -> Figures:
        return (self.gained - self.lost) / self.trials

    def interval(self, level: float) -> Interval:
        """The limits that are as many standard errors away as the level asks for."""
        reach, here = quantile(level, self.df), self.value
        with np.errstate(all="ignore"):
            low = _root(lambda limit: self._score(limit) - reach, -1.0, here)
            high = _root(lambda limit: self._score(limit) + reach, here, 1.0)
        return (
            plain(np.where(here > -1, low, -1.0)),
            plain(np.where(here < 1, high, 1.0)),
        )

    def p_below(self, limit: Figures) -> Figures:
        with np.errstate(all="ignore"):
            score = self._score(limit)
            p = by_score = tail(score, self.df)
            few = (limit == 0) & (self.gained + self.lost < FEW)
            far = (limit != 0) & (score < -NEAR)
            if np.any(few):
                # Half of the rows that differ are expected to be gains.
                p = np.where(few, _at_least(self.lost, self.gained + self.lost, 0.5), p)
            if np.any(far):
                p = np.where(far, self._far_tail(limit), p)
        p = np.where(np.isinf(self.df), p, np.maximum(p, by_score))
        return plain(np.where(limit <= -1, 1.0, np.where(limit >= 1, 0.0, p)))

    def p_above(self, limit: Figures) -> Figures:
        return PairedShare(self.lost, self.gained, self.trials, self.df).p_below(-limit)

    def errors_to(self, limit: Figures) -> Figures:
        with np.errstate(all="ignore"):
            away = np.abs(self._score(limit))
        return plain(np.where((limit > -1) & (limit < 1), away, math.inf))

    def _far_tail(self, limit: Figures) -> Figures:
        """The probability of a difference as low as this, of the likeliest shares at `limit`.

        By the saddlepoint of a sum of whole steps -1, 0 and 1; exact where one of them is out.
        """
        n = self.trials
        down = self._likeliest_losses(limit)
        up = np.maximum(down + limit, 0.0)
        mean = (self.lost - self.gained) / n
        # The tilt y = exp(t) under which `mean` is what a row loses on average.
        still, square = 1 - up - down, down * (1 - mean)
        half = mean * still / 2
        y = (half + np.sqrt(half * half + square * up * (1 + mean))) / square
        total = still + down * y + up / y
        variance = (down * y + up / y) / total - mean * mean
        w = np.sqrt(np.maximum(2 * n * (mean * np.log(y) - np.log(total)), 0.0))
        u = (1 - 1 / y) * np.sqrt(n * variance)
        density = np.exp(-w * w / 2) / math.sqrt(2 * math.pi)
        p = np.clip(ndtr(-w) + density * (1 / u - 1 / w), 0.0, 1.0)
        exact = (down <= 0) | (up <= 0) | (self.lost >= n)
        if not np.any(exact):
            return p
        no_loss, no_gain = _at_least(n - self.gained, n, 1 - up), self.lost - self.gained
        p = np.where(self.lost >= n, down**n, p)
        p = np.where(up <= 0, _at_least(no_gain, n, down), p)
        return np.where(down <= 0, no_loss, p)

    def _likeliest_losses(self, limit: Figures) -> Figures:
        """The likeliest share of losses if the difference were `limit`."""
        n = self.trials
        b = (2 * n - self.gained + self.lost) * limit - self.gained - self.lost
        c = -self.lost * limit * (1 - limit)
        root = np.sqrt(np.maximum(b * b - 8 * n * c, 0.0))
        return (root - b) / (4 * n)

    def _score(self, limit: Figures) -> Figures:
        """Tango's statistic: how many standard errors the difference is above `limit`."""
        n = self.trials
        excess = self.gained - self.lost - n * limit
        variance = n * (2 * self._likeliest_losses(limit) + limit * (1 - limit))
        none = np.where(excess == 0, 0.0, np.copysign(math.inf, excess))
        return np.where(variance <= 0, none, np.divide(excess, np.sqrt(variance)))


def _at_least(hits: Figures, trials: Figures, share: Figures) -> Figures:
    """The binomial's probability of `hits` or more."""
    return np.where(hits <= 0, 1.0, betainc(hits, trials - hits + 1, share))


def _root(falling: Callable[[Figures], Figures], low: Figures, high: Figures) -> Figures:
    """Where a falling function of each estimate is 0; the end that it does not reach.

    The Illinois variant of false position: a step of a line through both ends, of which the one
    that stays counts half.
    """
    at_low, at_high = falling(low), falling(high)
    low, high = np.broadcast_arrays(low, high)
    root: Figures = np.where(at_low <= 0, low, high)
    open_: Figures = (at_low > 0) & (at_high < 0)
    stayed: Figures = np.zeros(np.shape(root), np.int64)
    for _ in range(STEPS):
        middle = (low + high) / 2
        # Far out the score is steep, or has no bound: a line through it leads nowhere.
        straight = (at_low < STEEP) & (at_high > -STEEP)
        line = high - at_high * (high - low) / (at_high - at_low)
        middle = np.where(straight, line, middle)
        value = falling(middle)
        root = np.where(open_, middle, root)
        open_ = open_ & (np.abs(value) > CLOSE) & (high - low > CLOSE)
        if not open_.any():
            return root
        up = value > 0
        stayed = np.where(up, np.minimum(stayed, 0) - 1, np.maximum(stayed, 0) + 1)
        half_low, half_high = (np.where(np.abs(stayed) > 1, x / 2, x) for x in (at_low, at_high))
        at_low, at_high = np.where(up, value, half_low), np.where(up, half_high, value)
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    return np.where(open_, (low + high) / 2, root)
