"""How far an estimate may lie from the truth: intervals, and how surely a limit is broken.

A `Spread` answers both questions from one model of the estimate: an interval holds the limits
that a test would not reject (Neyman 1937), so its end is where the tail's probability is just what
the level leaves to it, and an interval wholly beyond a limit and a small probability are the same
fact. The figures of a spread may be numbers, or arrays of many estimates of one kind: the same
formulas serve both.

Sources: the binomial's tails for proportions, of what was seen itself half (mid-p: Lancaster 1961;
Berry and Armitage 1995 for the interval; Brown, Cai and DasGupta 2001 on how often it holds the
truth). The normal curve is wrong by orders of magnitude in the tails, and so are intervals made of
it on their one side (Cai 2005); of the whole probability of what was seen they are too wide.
Student's t for means and for whatever the jackknife measures, on the logarithm or the logit where a
metric has bounds.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.statistics import binomial, special
from engine.statistics.roots import Figures as Figures

Interval = tuple[Figures, Figures]

REALS = (-math.inf, math.inf)


def plain(figures: Figures) -> Figures:
    """A float of what has no axis; arrays as they are."""
    return figures if np.ndim(figures) else float(figures)


def one_of(figures: Figures, place: int) -> float:
    """One of many figures; a float stands for all of them."""
    return float(figures[place]) if np.ndim(figures) else float(figures)


class Spread(ABC):
    """What is known of the truth behind an estimate, or behind each of many."""

    @abstractmethod
    def interval(self, level: Figures) -> Interval:
        """The two-sided interval that covers the truth with probability `level` in (0, 1).

        Of many estimates each may have a level of its own.
        """

    @abstractmethod
    def p_below(self, limit: Figures) -> Figures:
        """How likely an estimate as low as this is, were the truth at `limit`."""

    @abstractmethod
    def p_above(self, limit: Figures) -> Figures:
        """How likely an estimate as high as this is, were the truth at `limit`."""

    def at(self, place: int) -> Spread | None:
        """The spread of one of many estimates; None where it is not known."""
        raise NotImplementedError(f"{type(self).__name__} is the spread of a single estimate")

    def errors_to(self, limit: Figures) -> Figures:
        """How many standard errors the estimate is away from a limit, about."""
        p = np.minimum(self.p_below(limit), self.p_above(limit))
        return plain(np.maximum(-special.ndtri(p), 0.0))


def quantile(level: Figures, df: Figures = math.inf) -> Figures:
    """The point that Student's t with `df` degrees exceeds in size with probability 1 - level.

    Of many estimates each may have a level of its own.

    >>> round(quantile(0.95), 4)
    1.96
    """
    if np.ndim(level):
        upper, sure = (1 + level) / 2, np.isinf(df)
        by_t = special.stdtrit(np.where(sure, 1.0, df), upper)
        return np.where(sure, special.ndtri(upper), by_t)
    if not np.ndim(df):
        return _quantile(level, float(df))
    sure = np.isinf(df)
    if sure.all():
        return _quantile(level, math.inf)
    by_t = special.stdtrit(np.where(sure, 1.0, df), (1 + level) / 2)
    return np.where(sure, _quantile(level, math.inf), by_t)


@lru_cache(maxsize=4096)
def _quantile(level: float, df: float) -> float:
    upper = (1 + level) / 2
    return float(special.ndtri(upper) if math.isinf(df) else special.stdtrit(df, upper))


def tail(t: Figures, df: Figures = math.inf) -> Figures:
    """The probability that Student's t with `df` degrees is `t` or less."""
    sure = np.isinf(df)
    if np.all(sure):
        return plain(special.ndtr(t))
    if not np.any(sure):
        return plain(special.stdtr(df, t))
    return np.where(sure, special.ndtr(t), special.stdtr(np.where(sure, 1.0, df), t))


@dataclass(frozen=True, slots=True)
class StudentT(Spread):
    """An estimate with a standard error, Student's t around it on a scale without bounds.

    With two finite bounds the scale is the logit between them, with one the log of the distance
    to it, else the estimate itself. `se` is in the estimate's own unit.
    """

    value: Figures
    se: Figures
    df: Figures = math.inf
    bounds: tuple[float, float] = REALS

    def at(self, place: int) -> StudentT:
        value, se, df = (one_of(figure, place) for figure in (self.value, self.se, self.df))
        return StudentT(value, se, df, self.bounds)

    def interval(self, level: Figures) -> Interval:
        with np.errstate(all="ignore"):
            step = quantile(level, self.df) * self._scaled_se
            here = self._scale(self.value)
            return plain(self._plain(here - step)), plain(self._plain(here + step))

    def p_below(self, limit: Figures) -> Figures:
        return self._tail(limit, 1.0)

    def p_above(self, limit: Figures) -> Figures:
        return self._tail(limit, -1.0)

    def errors_to(self, limit: Figures) -> Figures:
        low, high = self.bounds
        with np.errstate(all="ignore"):
            gap = np.abs(self._scale(self.value) - self._scale(limit))
            away = np.divide(gap, self._scaled_se)
        none = np.logical_not((low < limit) & (limit < high)) | (self.se == 0)
        return plain(np.where(none, math.inf, away))

    def _tail(self, limit: Figures, sign: float) -> Figures:
        low, high = self.bounds
        with np.errstate(all="ignore"):
            distance = sign * (self._scale(self.value) - self._scale(limit))
            p = tail(np.divide(distance, self._scaled_se), self.df)
            p = np.where(self.se == 0, np.where(distance < 0, 0.0, 1.0), p)
        if math.isfinite(low):
            p = np.where(limit <= low, 1.0 if sign > 0 else 0.0, p)
        if math.isfinite(high):
            p = np.where(limit >= high, 0.0 if sign > 0 else 1.0, p)
        return plain(p)

    @property
    def _scaled_se(self) -> Figures:
        low, high = self.bounds
        slope: Figures = 1.0
        if math.isfinite(low):
            slope = slope / (self.value - low)
        if math.isfinite(high):
            slope = slope / (high - self.value)
        if math.isfinite(low) and math.isfinite(high):
            slope = slope * (high - low)
        return self.se * slope

    def _scale(self, value: Figures) -> Figures:
        low, high = self.bounds
        if math.isfinite(low) and math.isfinite(high):
            return np.log(np.divide(value - low, high - value))
        if math.isfinite(low):
            return np.log(value - low)
        return -np.log(high - value) if math.isfinite(high) else value

    def _plain(self, scaled: Figures) -> Figures:
        low, high = self.bounds
        if math.isfinite(low) and math.isfinite(high):
            return low + (high - low) * (1 / (1 + np.exp(-scaled)))
        if math.isfinite(low):
            return low + np.exp(scaled)
        return high - np.exp(-scaled) if math.isfinite(high) else scaled


def two_ends(reach: Figures, figures: Figures) -> Figures:
    """How far the estimate is above the lower end of its interval and above the upper: [2, ...]."""
    reach = np.broadcast_to(reach, np.broadcast_shapes(np.shape(reach), np.shape(figures)))
    return np.stack([reach, -reach])


class Inverted(Spread):
    """A spread of one function of the limit, from which both the tails and the interval come."""

    df: Figures

    @abstractmethod
    def deviate(self, limit: Figures) -> Figures:
        """How far above a limit the estimate is, on the scale of Student's t with `df` degrees.

        It falls as the limit rises.
        """

    def p_below(self, limit: Figures) -> Figures:
        return tail(self.deviate(limit), self.df)

    def p_above(self, limit: Figures) -> Figures:
        return tail(-self.deviate(limit), self.df)


@dataclass(frozen=True, slots=True)
class Share(Inverted):
    """A proportion: `hits` of `trials`, both in effective rows, so neither need be a whole number.

    The probabilities are the binomial's mid-p, the interval holds the shares that they do not
    reject. `df` is finite where the number of effective rows is itself an estimate.
    """

    hits: Figures
    trials: Figures
    df: Figures = math.inf

    def at(self, place: int) -> Share:
        return Share(*(one_of(figure, place) for figure in (self.hits, self.trials, self.df)))

    def interval(self, level: Figures) -> Interval:
        ends = two_ends(quantile(level, self.df), self.hits / self.trials)
        none, whole = self.hits <= 0, self._misses <= 0
        with np.errstate(all="ignore"):
            low, high = binomial.share_at(self.hits, self._misses, ends)
        # Of none the least is none, of all the most is all; else neither, whatever the rounding.
        low, high = np.maximum(low, math.ulp(0.0)), np.minimum(high, 1 - math.ulp(0.5))
        return plain(np.where(none, 0.0, low)), plain(np.where(whole, 1.0, high))

    def deviate(self, limit: Figures) -> Figures:
        with np.errstate(all="ignore"):
            away = binomial.deviate(self.hits, self._misses, np.clip(limit, 0.0, 1.0))
        # Beyond what a share can be nothing is left to chance.
        return plain(np.where(limit < 0, math.inf, np.where(limit > 1, -math.inf, away)))

    def errors_to(self, limit: Figures) -> Figures:
        # With more rows the mid-p goes to the score's, from either side: the nearer of the two.
        with np.errstate(all="ignore"):
            error = np.sqrt(limit * (1 - limit) / self.trials)
            score = np.abs(self.hits / self.trials - limit) / error
            away = np.minimum(score, np.abs(self.deviate(limit)))
        return plain(np.where((limit > 0) & (limit < 1), away, math.inf))

    @property
    def _misses(self) -> Figures:
        # Of all hits, rounding may make a little more than all.
        return np.maximum(self.trials - self.hits, 0.0)


def _apply(function: Callable[[float], float], figures: Figures) -> Figures:
    """What a function of one number makes of each."""
    if not np.ndim(figures):
        return float(function(float(figures)))
    return np.array([function(figure) for figure in figures.tolist()], np.float64)


@dataclass(frozen=True, slots=True)
class Mapped(Spread):
    """What a monotone function makes of another estimate: F1 of Jaccard, RMSE of the MSE.

    `back` is the function's inverse; of limits outside its range it gives infinities.
    """

    inner: Spread
    function: Callable[[float], float]
    back: Callable[[float], float]
    rising: bool = True

    def interval(self, level: Figures) -> Interval:
        low, high = (_apply(self.function, end) for end in self.inner.interval(level))
        return (low, high) if self.rising else (high, low)

    def at(self, place: int) -> Mapped:
        inner = self.inner.at(place)
        assert inner is not None, "an estimate of one kind has a spread"
        return Mapped(inner, self.function, self.back, self.rising)

    def errors_to(self, limit: Figures) -> Figures:
        return self.inner.errors_to(_apply(self.back, limit))

    def p_below(self, limit: Figures) -> Figures:
        back = _apply(self.back, limit)
        return self.inner.p_below(back) if self.rising else self.inner.p_above(back)

    def p_above(self, limit: Figures) -> Figures:
        back = _apply(self.back, limit)
        return self.inner.p_above(back) if self.rising else self.inner.p_below(back)


@dataclass(frozen=True, slots=True)
class Moved(Spread):
    """Another estimate times a positive `width`, and `origin` added."""

    inner: Spread
    origin: Figures
    width: float

    def interval(self, level: Figures) -> Interval:
        low, high = self.inner.interval(level)
        return self.origin + low * self.width, self.origin + high * self.width

    def p_below(self, limit: Figures) -> Figures:
        return self.inner.p_below(self._back(limit))

    def p_above(self, limit: Figures) -> Figures:
        return self.inner.p_above(self._back(limit))

    def errors_to(self, limit: Figures) -> Figures:
        return self.inner.errors_to(self._back(limit))

    def at(self, place: int) -> Moved:
        inner = self.inner.at(place)
        assert inner is not None, "an estimate of one kind has a spread"
        return Moved(inner, one_of(self.origin, place), self.width)

    def _back(self, limit: Figures) -> Figures:
        return (limit - self.origin) / self.width


def growth_of(errors: float, level: float) -> float:
    """How many times as many rows would put a limit at the end of the interval.

    By how many standard errors an estimate is beyond a limit, `errors`, grows as the root of the
    rows.
    """
    # What is near enough to a limit overflows: no number of rows would.
    return (_quantile(level, math.inf) / errors) ** 2 if errors > 1e-100 else math.inf


def two_sided_p(spread: Spread, limit: float = 0.0) -> Figures:
    """The two-sided p-value of a limit: twice the smaller tail, at most 1."""
    both = np.minimum(spread.p_below(limit), spread.p_above(limit))
    return plain(np.minimum(1.0, 2 * both))
