"""How far a share differs between groups: between which limits the largest gap lies.

The largest of many noisy gaps is too large. So the end of its interval that says "at least this"
is the best of what all pairs of groups say, at a level corrected for their number (Bonferroni).
The end that says "at most this" is the worst of what they say and needs no correction: it is wrong
only where the one pair that truly differs most is wrong (Berger 1982). Beside it stands an estimate
that is freed of the noise, see `debiased_gap`.

Sources: Newcombe (1998) for the difference of two shares, Donner and Zou (2012) for their ratio,
both from limits of each share: Wilson's (1927), and where the level is corrected Clopper and
Pearson's (1934) if they are wider, since far out the normal curve is wrong by orders of magnitude;
Paule and Mandel (1982) for the variance between groups; Louis (1984) for estimates that spread as
the truth does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import special
from engine.statistics.spread import Interval, Share, Spread

Floats = NDArray[Any]
Ints = NDArray[Any]

# From this many groups on, pairs that cannot be the extreme one are left out; nothing changes.
MANY = 24
# No tail is told to be smaller than the normal curve's at this point, some 6e-16.
FAR = 8.0
STEPS = 40
# A debiased gap is at least what the raw one surely is, at this level.
SURE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """A share in each of several groups: `hits` of `trials` effective rows, arrays of [group].

    `df` is finite where the number of effective rows is itself an estimate.
    """

    hits: Floats
    trials: Floats
    df: Floats

    @classmethod
    def of(cls, shares: Sequence[Share]) -> Shares:
        """The shares of groups, one for each."""
        rows = np.array([(share.hits, share.trials, share.df) for share in shares], np.float64)
        return cls(*rows.reshape(-1, 3).T)

    @property
    def values(self) -> Floats:
        """The shares themselves, [group]."""
        values: Floats = self.hits / self.trials
        return values


@dataclass(frozen=True, slots=True, eq=False)
class LargestDifference(Spread):
    """The largest share less the smallest; of several kinds of shares, where that is more.

    Each kind has two groups or more.
    """

    kinds: tuple[Shares, ...]

    @property
    def value(self) -> float:
        return max(float(np.ptp(kind.values)) for kind in self.kinds)

    @property
    def debiased_value(self) -> float:
        """The gap freed of its noise, though not below what is surely there."""
        surely, _ = self.interval(SURE)
        return max(float(surely), *(debiased_gap(kind) for kind in self.kinds))

    def interval(self, level: float) -> Interval:
        tail = (1 - level) / 2
        return self._least(tail), self._most(tail)

    def p_below(self, limit: float) -> float:
        if not 0 < limit < 1:
            return 1.0 if limit <= 0 else 0.0
        return _tail_where(lambda tail: limit - self._most(tail))

    def p_above(self, limit: float) -> float:
        if not 0 <= limit < 1:
            return 0.0 if limit < 0 else 1.0
        tail = _tail_where(lambda tail: self._least(tail) - limit)
        return _in_either_direction(tail, _pairs(self.kinds), self.value, limit)

    def _least(self, tail: float) -> float:
        pair_tail = tail / _pairs(self.kinds)
        return max(0.0, *(_gap(_wider_limits(kind, pair_tail), sure=True) for kind in self.kinds))

    def _most(self, tail: float) -> float:
        return min(1.0, max(_gap(_limits(kind, tail), sure=False) for kind in self.kinds))


@dataclass(frozen=True, slots=True, eq=False)
class AverageDifference(Spread):
    """The mean, over kinds of shares, of the largest share less the smallest.

    Each kind is held between its own limits, with an equal part of what may err (Bonferroni): then
    the mean lies between the means of the limits, however the kinds hang together.
    """

    kinds: tuple[Shares, ...]

    @property
    def value(self) -> float:
        return sum(float(np.ptp(kind.values)) for kind in self.kinds) / len(self.kinds)

    @property
    def debiased_value(self) -> float:
        """The mean gap freed of its noise, though not below what is surely there."""
        surely, _ = self.interval(SURE)
        return max(float(surely), sum(map(debiased_gap, self.kinds)) / len(self.kinds))

    def interval(self, level: float) -> Interval:
        tail = (1 - level) / 2
        return self._least(tail), self._most(tail)

    def p_below(self, limit: float) -> float:
        if not 0 < limit < 1:
            return 1.0 if limit <= 0 else 0.0
        return _tail_where(lambda tail: limit - self._most(tail))

    def p_above(self, limit: float) -> float:
        if not 0 <= limit < 1:
            return 0.0 if limit < 0 else 1.0
        tail = _tail_where(lambda tail: self._least(tail) - limit)
        return _in_either_direction(tail, _pairs(self.kinds), self.value, limit)

    def _least(self, tail: float) -> float:
        return sum(kind._least(tail / len(self.kinds)) for kind in self._alone) / len(self.kinds)

    def _most(self, tail: float) -> float:
        return sum(kind._most(tail / len(self.kinds)) for kind in self._alone) / len(self.kinds)

    @property
    def _alone(self) -> tuple[LargestDifference, ...]:
        return tuple(LargestDifference((kind,)) for kind in self.kinds)


@dataclass(frozen=True, slots=True, eq=False)
class SmallestRatio(Spread):
    """The smallest share over the largest; of several kinds of shares, where that is less.

    Each kind has two groups or more, of which one has a share above 0.
    """

    kinds: tuple[Shares, ...]

    @property
    def value(self) -> float:
        return min(float(kind.values.min() / kind.values.max()) for kind in self.kinds)

    def interval(self, level: float) -> Interval:
        tail = (1 - level) / 2
        return self._least(tail), self._most(tail)

    def p_below(self, limit: float) -> float:
        if not 0 < limit <= 1:
            return 1.0 if limit <= 0 else 0.0
        tail = _tail_where(lambda tail: limit - self._most(tail))
        gap = -math.log(self.value) if self.value > 0 else math.inf
        return _in_either_direction(tail, _pairs(self.kinds), gap, -math.log(limit))

    def p_above(self, limit: float) -> float:
        if not 0 < limit < 1:
            return 0.0 if limit <= 0 else 1.0
        return _tail_where(lambda tail: self._least(tail) - limit)

    def _least(self, tail: float) -> float:
        return min(1.0, *(_quotient(_limits(kind, tail), sure=False) for kind in self.kinds))

    def _most(self, tail: float) -> float:
        pair_tail = tail / _pairs(self.kinds)
        return min(
            1.0, *(_quotient(_wider_limits(kind, pair_tail), sure=True) for kind in self.kinds)
        )


def _pairs(kinds: Sequence[Shares]) -> int:
    """The number of comparisons: pairs of groups, of each kind."""
    return sum(len(kind.hits) * (len(kind.hits) - 1) // 2 for kind in kinds)


@dataclass(frozen=True, slots=True, eq=False)
class _Limits:
    """Shares, and how far below and above them their limits lie: [group]."""

    share: Floats
    below: Floats
    above: Floats

    def at(self, groups: Ints) -> _Limits:
        return _Limits(self.share[groups], self.below[groups], self.above[groups])


def _limits(shares: Shares, tail: float) -> _Limits:
    """Wilson's limits, each of which errs with probability `tail`."""
    n, share = shares.trials, shares.values
    known = np.isfinite(shares.df)
    reach = np.where(
        known, special.stdtrit(np.where(known, shares.df, 1.0), tail), special.ndtri(tail)
    )
    z2 = reach**2
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n)))
    centre = share + z2 / (2 * n)
    low, high = (centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)
    # Of none the least is none, of all the most is all, whatever the rounding.
    below = np.where(shares.hits <= 0, 0.0, np.clip(share - low, 0.0, share))
    return _Limits(
        share, below, np.where(shares.hits >= n, 0.0, np.clip(high - share, 0.0, 1 - share))
    )


def _wider_limits(shares: Shares, tail: float) -> _Limits:
    """Wilson's limits or Clopper and Pearson's, whichever are wider."""
    wilson = _limits(shares, tail)
    hits, misses = shares.hits, shares.trials - shares.hits
    some, not_all = hits > 0, misses > 0
    low = special.betaincinv(np.where(some, hits, 1.0), misses + 1, tail)
    high = 1 - special.betaincinv(np.where(not_all, misses, 1.0), hits + 1, tail)
    share = wilson.share
    below = np.where(some, np.maximum(wilson.below, share - low), 0.0)
    above = np.where(not_all, np.maximum(wilson.above, high - share), 0.0)
    return _Limits(share, below, above)


def _gap(limits: _Limits, *, sure: bool) -> float:
    """The largest difference between two groups: what it surely, or what it possibly is."""
    high, low, others = _candidates(limits, sure=sure)
    gap = high.share[:, None] - low.share
    if sure:
        gap = gap - np.hypot(high.below[:, None], low.above)
    else:
        gap = gap + np.hypot(high.above[:, None], low.below)
    return float(gap[others].max())


def _quotient(limits: _Limits, *, sure: bool) -> float:
    """The smallest ratio of two groups: what it surely is at most, or what it possibly is.

    The ratio r at which `low - r * high`, in units of its own limits, is 0.
    """
    high, low, others = _candidates(limits, sure=sure)
    down, up = (high.below, low.above) if sure else (high.above, low.below)
    product = high.share[:, None] * low.share
    a = (high.share**2 - down**2)[:, None]
    c = low.share**2 - up**2
    root = product + np.sqrt(np.maximum(product**2 - a * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = root / a if sure else np.where(c > 0, c / root, 0.0)
    return float(np.nanmin(ratio[others], initial=math.inf))


def _candidates(limits: _Limits, *, sure: bool) -> tuple[_Limits, _Limits, NDArray[np.bool_]]:
    """The groups that the extreme pair may have: as the high one, as the low one, and which differ.

    A group stays out where two others lie further out and have limits that say more; of two, since
    one of them may be the pair's other end.
    """
    groups = np.arange(len(limits.share))
    highs = lows = groups
    if len(groups) >= MANY:
        highs = _front(-limits.share, limits.below if sure else -limits.above)
        lows = _front(limits.share, limits.above if sure else -limits.below)
    return limits.at(highs), limits.at(lows), highs[:, None] != lows


def _front(first: Floats, second: Floats) -> Ints:
    """The places to which at most one other is at least as small in both numbers, or a few more."""
    order = np.lexsort((second, first))
    kept = []
    for _ in range(2):
        least_before = np.minimum.accumulate(np.r_[np.inf, second[order][:-1]])
        best = second[order] < least_before
        kept.append(order[best])
        order = order[~best]
    return np.concatenate(kept)


def _tail_where(excess: Callable[[float], float]) -> float:
    """The tail at which a rising function of it is 0; 1 where it is above a half."""
    low, high = 0.0, FAR
    if excess(0.5) <= 0:
        return 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if excess(float(special.ndtr(-middle))) > 0:
            low = middle
        else:
            high = middle
    return float(special.ndtr(-low))


def _in_either_direction(tail: float, pairs: int, gap: float, limit: float) -> float:
    """Adds to the tail of a gap the other one: a pair may differ as much in the other direction.

    It doubles the tail where the limit is no gap at all, and is nothing where the limit is large.
    """
    if tail >= 0.5 or gap <= limit:
        return 1.0
    reach = -float(special.ndtri(tail / pairs))
    further = (gap + limit) / (gap - limit) if math.isfinite(gap) else 1.0
    return min(1.0, tail + pairs * float(special.ndtr(-reach * further)))


def debiased_gap(shares: Shares) -> float:
    """The largest share less the smallest, of shares that spread as far as the truth does.

    Noise drives shares apart. Their deviations from the mean are shrunk so that their variance is
    the one between groups (Louis 1984); where there is none, the gap is 0.
    """
    between, mean = between_variance(shares)
    if between == 0:
        return 0.0
    scale = np.sqrt(between / (between + _noise(shares)))
    return float(np.ptp((shares.values - mean) * scale))


def between_variance(shares: Shares) -> tuple[float, float]:
    """The variance of the true shares between groups, and their mean.

    Paule and Mandel's: with it, the squared deviations are worth as many as there are groups, less
    one. The noise of a group is that of the share of all groups together, in its own rows.
    """
    values, noise = shares.values, _noise(shares)

    def deviance(between: float) -> tuple[float, float]:
        weight = 1 / (between + noise)
        mean = float((weight * values).sum() / weight.sum())
        return float((weight * (values - mean) ** 2).sum()), mean

    if not noise.any() or deviance(0.0)[0] <= len(values) - 1:
        return 0.0, float(shares.hits.sum() / shares.trials.sum())
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if deviance(middle)[0] > len(values) - 1:
            low = middle
        else:
            high = middle
    return high, deviance(high)[1]


def _noise(shares: Shares) -> Floats:
    """The variance of each share around its truth, were that the share of all groups together."""
    share = float(shares.hits.sum() / shares.trials.sum())
    noise: Floats = share * (1 - share) / shares.trials
    return noise
