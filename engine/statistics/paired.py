"""The difference of two shares on the same rows, from the rows on which the two models differ.

A difference leaves open how many rows differ. Its tail is that of the likeliest shares that have it
(Storer and Kim 1990; of paired shares Lloyd 2008), as in Tango's score (1998), which by the normal
curve is wrong far out by a factor of up to ten. Of what was seen itself half is counted, as in
McNemar's mid-p (Fagerland, Lydersen and Laake 2013), which the tail of no difference is close to.

Sources of the tail: the saddlepoint of a sum of whole steps, Lugannani and Rice (1980), Daniels
(1987), in the form of Barndorff-Nielsen (1986), whose tails stay within 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.statistics import special
from engine.statistics.roots import falling_root
from engine.statistics.spread import Figures, Interval, Inverted, one_of, plain, quantile, two_ends

# Next to the estimate, by the size of the tilt, the deviate is a line: its formula is 0 by 0.
LEVEL = 1e-4
# Of less than that the saddlepoint knows nothing: as if no row differed, or all did.
HALF_A_ROW = 0.5
ROUNDING = 1e-14
# The search for an end begins within the differences that there can be.
EDGE = 1e-3


@dataclass(frozen=True, slots=True)
class PairedShare(Inverted):
    """The candidate's share of hits minus the baseline's.

    Its interval holds the differences that its tails do not reject.

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
        """The differences that are as many standard errors away as the level asks for."""
        ends = two_ends(quantile(level, self.df), self.value)
        with np.errstate(all="ignore"):
            # One row more that is gained and one that is lost (Bonett and Price 2012).
            n = self.trials + 2
            near = (self.gained - self.lost) / n
            error = np.sqrt(((self.gained + self.lost + 2) / n - near * near) / n)
            start = np.clip(near - ends * error, EDGE - 1, 1 - EDGE)
            low, high = falling_root(
                lambda limit: self.deviate(limit) - ends, start, error, (-1.0, 1.0)
            )
        # Of all rows gained the most is all of them, of all lost the least.
        low = np.where(self.trials - self.lost < HALF_A_ROW, -1.0, low)
        return plain(low), plain(np.where(self.trials - self.gained < HALF_A_ROW, 1.0, high))

    def deviate(self, limit: Figures) -> Figures:
        """The signed root of the likelihood ratio, modified: its tail is the mid-p.

        It is that of the likeliest shares whose difference is `limit`; whole steps -1, 0 and 1 of
        each row are summed.
        """
        n, inside = self.trials, np.clip(limit, -1.0, 1.0)
        # Next to the ends of what there can be the shares have lost their digits.
        inside = np.where(np.abs(inside) > 1 - ROUNDING, np.sign(inside), inside)
        with np.errstate(all="ignore"):
            up, down = self._likeliest(inside)
            # The tilt exp(t) under which a row loses on average what was seen.
            mean = (self.lost - self.gained) / n
            half = mean * np.maximum(1 - up - down, 0.0) / 2
            more, fewer = down * (1 - mean), up * (1 + mean)
            root = np.sqrt(half * half + more * fewer)
            tilt = np.where(half >= 0, (half + root) / more, fewer / (root - half))
            t = np.log(tilt)
            logs = np.log1p(down * np.expm1(t) + up * np.expm1(-t))
            w = np.copysign(np.sqrt(np.maximum(2 * n * (mean * t - logs), 0.0)), t)
            variance = (down * tilt + up / tilt) / np.exp(logs) - mean * mean
            u = 2 * np.tanh(t / 2) * np.sqrt(n * variance)
            away = -np.where(
                np.abs(t) < LEVEL, w + _skewness(up, down, n) / 6, w + np.log(u / w) / w
            )
            away = np.where(inside == 1, -math.inf, np.where(inside == -1, math.inf, away))
            away = self._exact(inside, (up, down), away)
        # Beyond what a difference can be nothing is left to chance.
        return plain(np.where(limit < -1, math.inf, np.where(limit > 1, -math.inf, away)))

    def errors_to(self, limit: Figures) -> Figures:
        with np.errstate(all="ignore"):
            away = np.abs(self._score(limit))
        return plain(np.where((limit > -1) & (limit < 1), away, math.inf))

    def _exact(self, limit: Figures, shares: tuple[Figures, Figures], away: Figures) -> Figures:
        """The deviates themselves where a single table is as extreme as the one that was seen."""
        n, (up, down) = self.trials, shares
        few = self.gained + self.lost < HALF_A_ROW
        if np.any(few):
            none = _half_of(n * np.log1p(-np.abs(limit)))
            away = np.where(few, np.copysign(none, -limit), away)
        away = np.where(n - self.lost < HALF_A_ROW, -_half_of(n * np.log(down)), away)
        return np.where(n - self.gained < HALF_A_ROW, _half_of(n * np.log(up)), away)

    def _likeliest(self, limit: Figures) -> tuple[Figures, Figures]:
        """The likeliest shares of gains and of losses if the difference were `limit`."""
        n = self.trials
        b = (2 * n - self.gained + self.lost) * limit - self.gained - self.lost
        c = -self.lost * limit * (1 - limit)
        root = np.sqrt(np.maximum(b * b - 8 * n * c, 0.0))
        down = np.maximum((root - b) / (4 * n), np.maximum(-limit, 0.0))
        return np.maximum(down + limit, 0.0), down

    def _score(self, limit: Figures) -> Figures:
        """Tango's statistic: how many standard errors the difference is above `limit`."""
        n = self.trials
        excess = self.gained - self.lost - n * limit
        variance = n * (2 * self._likeliest(limit)[1] + limit * (1 - limit))
        none = np.where(excess == 0, 0.0, np.copysign(math.inf, excess))
        return np.where(variance <= 0, none, np.divide(excess, np.sqrt(variance)))


def _half_of(log_p: Figures) -> Figures:
    """The normal deviate whose tail is half of a probability."""
    return -special.ndtri_exp(log_p - math.log(2))


def _skewness(up: Figures, down: Figures, n: Figures) -> Figures:
    """That of the sum of what `n` rows lose."""
    mean = down - up
    variance = up + down - mean * mean
    third = mean - 3 * mean * (up + down) + 2 * mean**3
    return third / (variance * np.sqrt(n * variance))
