"""How far an estimate may lie from the truth: intervals, and how surely a limit is broken.

A `Spread` answers both questions from one model of the estimate, so that an interval that lies
wholly beyond a limit and a small probability are the same fact.

Sources: Wilson (1927) for proportions; Clopper and Pearson (1934) for their tails, where the
normal curve is wrong by orders of magnitude; Student's t for means; Busing, Meijer and van der
Leeden (1999) for the delete-a-group jackknife with groups of unequal size.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scipy.special import betainc, ndtr, ndtri, stdtr, stdtrit

Interval = tuple[float, float]

REALS = (-math.inf, math.inf)


class Spread(ABC):
    """What is known of the truth behind an estimate."""

    @abstractmethod
    def interval(self, level: float) -> Interval:
        """The two-sided interval that covers the truth with probability `level` in (0, 1)."""

    @abstractmethod
    def p_below(self, limit: float) -> float:
        """How likely an estimate as low as this is, were the truth at `limit`."""

    @abstractmethod
    def p_above(self, limit: float) -> float:
        """How likely an estimate as high as this is, were the truth at `limit`."""

    def errors_to(self, limit: float) -> float:
        """How many standard errors the estimate is away from a limit, about."""
        p = min(self.p_below(limit), self.p_above(limit))
        return max(-float(ndtri(p)), 0.0)


@lru_cache(maxsize=4096)
def quantile(level: float, df: float = math.inf) -> float:
    """The point that Student's t with `df` degrees exceeds in size with probability 1 - level.

    >>> round(quantile(0.95), 4)
    1.96
    """
    upper = (1 + level) / 2
    return float(ndtri(upper) if math.isinf(df) else stdtrit(df, upper))


def tail(t: float, df: float = math.inf) -> float:
    """The probability that Student's t with `df` degrees is `t` or less."""
    return float(ndtr(t) if math.isinf(df) else stdtr(df, t))


@dataclass(frozen=True, slots=True)
class StudentT(Spread):
    """An estimate with a standard error, Student's t around it on a scale without bounds.

    With two finite bounds the scale is the logit between them, with one the log of the distance
    to it, else the estimate itself. `se` is in the estimate's own unit.
    """

    value: float
    se: float
    df: float = math.inf
    bounds: Interval = REALS

    def interval(self, level: float) -> Interval:
        reach = quantile(level, self.df)
        step = reach * self._scaled_se
        here = self._scaled(self.value)
        return self._plain(here - step), self._plain(here + step)

    def p_below(self, limit: float) -> float:
        return self._tail(limit, 1.0)

    def p_above(self, limit: float) -> float:
        return self._tail(limit, -1.0)

    def errors_to(self, limit: float) -> float:
        low, high = self.bounds
        if not low < limit < high or self.se == 0:
            return math.inf
        return abs(self._scaled(self.value) - self._scaled(limit)) / self._scaled_se

    def _tail(self, limit: float, sign: float) -> float:
        low, high = self.bounds
        if limit <= low:
            return 1.0 if sign > 0 else 0.0
        if limit >= high:
            return 0.0 if sign > 0 else 1.0
        distance = sign * (self._scaled(self.value) - self._scaled(limit))
        if self.se == 0:
            return 0.0 if distance < 0 else 1.0
        return tail(distance / self._scaled_se, self.df)

    @property
    def _scaled_se(self) -> float:
        low, high = self.bounds
        slope = 1.0
        if math.isfinite(low):
            slope /= self.value - low
        if math.isfinite(high):
            slope /= high - self.value
        if math.isfinite(low) and math.isfinite(high):
            slope *= high - low
        return self.se * slope

    def _scaled(self, value: float) -> float:
        low, high = self.bounds
        if math.isfinite(low) and math.isfinite(high):
            return math.log((value - low) / (high - value))
        if math.isfinite(low):
            return math.log(value - low)
        return -math.log(high - value) if math.isfinite(high) else value

    def _plain(self, scaled: float) -> float:
        low, high = self.bounds
        if math.isfinite(low) and math.isfinite(high):
            return low + (high - low) * _expit(scaled)
        if math.isfinite(low):
            return low + _exp(scaled)
        return high - _exp(-scaled) if math.isfinite(high) else scaled


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


@dataclass(frozen=True, slots=True)
class Share(Spread):
    """A proportion: `hits` of `trials`, both in effective rows, so neither need be a whole number.

    The interval is Wilson's, the probabilities are the binomial's own. `df` is finite where the
    number of effective rows is itself an estimate.
    """

    hits: float
    trials: float
    df: float = math.inf

    def interval(self, level: float) -> Interval:
        n, share = self.trials, self.hits / self.trials
        z2 = quantile(level, self.df) ** 2
        centre = share + z2 / (2 * n)
        reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n)))
        low, high = (centre - reach) / (1 + z2 / n), (centre + reach) / (1 + z2 / n)
        # Of none the least is none, of all the most is all, whatever the rounding.
        return (
            0.0 if self.hits <= 0 else max(low, 0.0),
            1.0 if self.hits >= n else min(high, 1.0),
        )

    def p_below(self, limit: float) -> float:
        return self._p_few(self.hits, limit)

    def p_above(self, limit: float) -> float:
        return self._p_few(self.trials - self.hits, 1 - limit)

    def errors_to(self, limit: float) -> float:
        if not 0 < limit < 1:
            return math.inf
        return abs(self.hits / self.trials - limit) / math.sqrt(limit * (1 - limit) / self.trials)

    def _p_few(self, hits: float, limit: float) -> float:
        """The probability of `hits` or fewer, were their true share `limit`."""
        if limit <= 0 or hits >= self.trials:
            return 1.0
        if limit >= 1:
            return 0.0
        exact = float(betainc(self.trials - hits, hits + 1, 1 - limit))
        if math.isinf(self.df):
            return exact
        spread = math.sqrt(limit * (1 - limit) / self.trials)
        return max(exact, tail((hits / self.trials - limit) / spread, self.df))


@dataclass(frozen=True, slots=True)
class Mapped(Spread):
    """What a monotone function makes of another estimate: F1 of Jaccard, RMSE of the MSE.

    `back` is the function's inverse; of limits outside its range it gives infinities.
    """

    inner: Spread
    function: Callable[[float], float]
    back: Callable[[float], float]
    rising: bool = True

    def interval(self, level: float) -> Interval:
        ends = [self.function(end) for end in self.inner.interval(level)]
        return (ends[0], ends[1]) if self.rising else (ends[1], ends[0])

    def errors_to(self, limit: float) -> float:
        return self.inner.errors_to(self.back(limit))

    def p_below(self, limit: float) -> float:
        back = self.back(limit)
        return self.inner.p_below(back) if self.rising else self.inner.p_above(back)

    def p_above(self, limit: float) -> float:
        back = self.back(limit)
        return self.inner.p_above(back) if self.rising else self.inner.p_below(back)


def growth_to_decide(spread: Spread, limit: float, level: float) -> float:
    """How many times as many rows would put the limit at the end of the interval.

    By how many standard errors an estimate is beyond a limit grows as the root of the rows.
    """
    errors = spread.errors_to(limit)
    return (quantile(level) / errors) ** 2 if errors > 0 else math.inf
