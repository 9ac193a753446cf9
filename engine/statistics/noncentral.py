"""What is known of a distance between two samples whose square is about noncentral chi-squared.

Of counts of two samples over bins, quadratic distances times the size k = nm/(n+m) are about
noncentral chi-squared, with the true distance times k as noncentrality: also where there is no
difference at all, where a normal interval around the distance leaves out the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.statistics import special
from engine.statistics.spread import Figures, Interval, Spread, one_of, plain

HALVINGS = 80


@dataclass(frozen=True, slots=True)
class NoncentralChi2(Spread):
    """A distance d of which `scale` times d to the `power` is the noncentrality.

    `statistic` is the chi-squared that was seen, of `df` degrees of freedom. The interval has the
    distances of which neither so much nor so little would be too unlikely. Where clusters differ
    the most along what has moved, the variance that goes with the distance is `stretch` times that
    of a noncentral chi-squared.
    """

    statistic: Figures
    df: Figures
    scale: Figures
    power: int = 1
    stretch: Figures = 1.0

    def at(self, place: int) -> NoncentralChi2:
        statistic, df, scale = (one_of(x, place) for x in (self.statistic, self.df, self.scale))
        return NoncentralChi2(statistic, df, scale, self.power, one_of(self.stretch, place))

    def interval(self, level: Figures) -> Interval:
        tail = (1 - np.asarray(level, np.float64)) / 2
        ends = [noncentrality(self.statistic, self.df, p, self.stretch) for p in (1 - tail, tail)]
        low, high = ((end / self.scale) ** (1 / self.power) for end in ends)
        return plain(low), plain(high)

    def p_below(self, limit: Figures) -> Figures:
        return plain(np.where(np.asarray(limit) < 0, 0.0, self._cdf(limit)))

    def p_above(self, limit: Figures) -> Figures:
        with np.errstate(all="ignore"):
            above = 1 - self._cdf(limit)
        return plain(np.where(np.asarray(limit) < 0, 0.0, np.clip(above, 0.0, 1.0)))

    def _cdf(self, limit: Figures) -> Figures:
        nc = self.scale * np.maximum(limit, 0.0) ** self.power
        return tail_below(self.statistic, self.df, nc, self.stretch)


def tail_below(statistic: Figures, df: Figures, nc: Figures, stretch: Figures = 1.0) -> Figures:
    """The probability of at most `statistic`, where what goes with the distance is stretched."""
    centre = df + nc
    # Both parts of the variance of a noncentral chi-squared: without a distance, and with it.
    narrow = np.sqrt((2 * df + 4 * nc) / (2 * df + 4 * nc * stretch))
    return special.chndtr(np.maximum(centre + (statistic - centre) * narrow, 0.0), df, nc)


def noncentrality(statistic: Figures, df: Figures, p: Figures, stretch: Figures = 1.0) -> Figures:
    """The noncentrality of which a chi-squared of at most `statistic` has the probability `p`.

    0 where even a central one has less.

    >>> round(float(noncentrality(16.9, 9, 0.5)), 2)
    8.46
    """
    figures = (np.asarray(x, np.float64) for x in (statistic, df, p, stretch))
    statistic, df, p, stretch = np.broadcast_arrays(*figures)
    low = np.zeros(statistic.shape)
    # Beyond this less than the probability of nine standard errors is left.
    high = statistic + 40 * np.sqrt((statistic + df) * stretch) + 900 * stretch
    none = tail_below(statistic, df, low) <= p
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        beyond = tail_below(statistic, df, middle, stretch) < p
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return np.where(none, 0.0, (low + high) / 2)
