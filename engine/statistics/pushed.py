"""What is known of a distance that chance alone makes larger, never smaller.

A sum of absolute differences is at least its expectation's own sum of absolute values (Jensen), and
by most where there is no difference at all. So its interval reaches down by that much more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.statistics.spread import Figures, Interval, Spread, one_of, plain, quantile, tail


@dataclass(frozen=True, slots=True)
class Pushed(Spread):
    """A distance of 0 or more, with its standard error and what chance can have added to it.

    Student's t with `df` degrees lies around it; `push` is what chance adds at most.
    """

    value: Figures
    push: Figures
    se: Figures
    df: Figures = np.inf

    def at(self, place: int) -> Pushed:
        return Pushed(*(one_of(x, place) for x in (self.value, self.push, self.se, self.df)))

    def interval(self, level: Figures) -> Interval:
        step = quantile(level, self.df) * self.se
        low = np.maximum(self.value - self.push - step, 0.0)
        return plain(low), plain(self.value + step)

    def p_below(self, limit: Figures) -> Figures:
        return self._tail(limit - self.value)

    def p_above(self, limit: Figures) -> Figures:
        return self._tail(self.value - self.push - limit)

    def _tail(self, beyond: Figures) -> Figures:
        with np.errstate(all="ignore"):
            p = tail(-np.divide(beyond, self.se), self.df)
        none = np.where(np.asarray(beyond) > 0, 0.0, 1.0)
        return plain(np.where(np.asarray(self.se) > 0, p, none))


@dataclass(frozen=True, slots=True)
class GreatestGap(Spread):
    """The greatest gap between two empirical distribution functions, of `variance` 1/n + 1/m.

    After the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant: so far above
    the true gap with a probability of at most 2 exp(-2 t²/variance), so far below it with half of
    that. In simulations it holds for the gap of two samples as for that of one to the truth.
    """

    value: Figures
    variance: Figures

    def at(self, place: int) -> GreatestGap:
        return GreatestGap(one_of(self.value, place), one_of(self.variance, place))

    def interval(self, level: Figures) -> Interval:
        tail = (1 - np.asarray(level, np.float64)) / 2
        down, up = (np.sqrt(np.log(sides / tail) * self.variance / 2) for sides in (2, 1))
        low, high = np.maximum(self.value - down, 0.0), np.minimum(self.value + up, 1.0)
        return plain(low), plain(high)

    def p_below(self, limit: Figures) -> Figures:
        return plain(self._tail(limit - self.value))

    def p_above(self, limit: Figures) -> Figures:
        return plain(np.minimum(2 * self._tail(self.value - limit), 1.0))

    def _tail(self, beyond: Figures) -> Figures:
        return np.exp(-2 * np.maximum(beyond, 0.0) ** 2 / self.variance)


def normal_push(errors: Figures) -> Figures:
    """By how much a sum of absolute values is expected above 0, of normal parts of these errors."""
    return np.sqrt(2 / np.pi) * np.sum(errors, axis=-1)
