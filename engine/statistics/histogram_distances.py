"""Kolmogorov-Smirnov and Wasserstein distances of two samples, with bounds, from sums over bins.

Of each sample and bin there are the rows and the sum of their distances to an edge: from the first
edge down, and from the lower edge of all other bins up. The integral of a distribution function
over a bin follows exactly, so that of the difference of two does; what is not known is where in a
bin they cross. Both distances lie between two figures, which are one unless they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.statistics.design_effect import FEWEST_BUCKETS
from engine.statistics.distances import Sizes
from engine.statistics.pushed import GreatestGap, Pushed, normal_push

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BinSums:
    """A sample in bins (-inf, e0), [e0, e1), ..., [ek, inf): arrays [..., bucket, bin].

    `distances` are sums of the rows' distances to their edge.
    """

    edges: Floats
    counts: Floats
    distances: Floats

    @property
    def rows(self) -> Floats:
        """How many there are: [...]."""
        return np.asarray(self.counts.sum(axis=(-2, -1)))

    @property
    def whole(self) -> BinSums:
        """The same with one bucket of all."""
        sums = (x.sum(axis=-2, keepdims=True) for x in (self.counts, self.distances))
        return BinSums(self.edges, *sums)

    @property
    def below(self) -> Floats:
        """The share of rows below each edge, [..., edge], of all buckets."""
        with np.errstate(all="ignore"):
            total = np.cumsum(self.counts.sum(axis=-2), axis=-1)
            return np.asarray(total[..., :-1] / total[..., -1:])

    def integrals(self) -> Floats:
        """The rows' sum of the integrals of their distribution functions, [..., bucket, bin].

        Over the last bin, which has no end, it is that of the function less 1.
        """
        widths = np.diff(self.edges)
        inner, out = self.counts[..., 1:-1], self.distances[..., 1:-1]
        before = np.cumsum(self.counts, axis=-1)[..., :-2]
        middle = before * widths + inner * widths - out
        return np.concatenate([self.distances[..., :1], middle, -self.distances[..., -1:]], axis=-1)


Pair = tuple[BinSums, BinSums]
Bounds = tuple[Floats, Floats]


def kolmogorov_smirnov(first: BinSums, second: BinSums) -> Bounds:
    """The least and the greatest that the statistic of two samples can be: [...] each."""
    ends = _Ends.of(first, second)
    lows, highs = ends.lows, ends.highs
    at_ends = np.maximum(np.abs(lows[0] - lows[1]), np.abs(highs[0] - highs[1]))
    # Of a constant and a rising function the gap is greatest at an end.
    within = np.where(ends.alone | ends.on_edge, 0.0, np.maximum(*ends.reach))
    least = at_ends.max(axis=-1)
    return least, np.maximum(within.max(axis=-1), least)


def wasserstein(first: BinSums, second: BinSums) -> Bounds:
    """The least and the greatest that the first Wasserstein distance can be: [...] each."""
    with np.errstate(all="ignore"):
        gaps = np.abs(_gap(first.whole, second.whole)[..., 0, :])
        tails = [
            sum(s.distances.sum(axis=-2)[..., at] / s.rows for s in (first, second))
            for at in (0, -1)
        ]
    ends = _Ends.of(first, second)
    up, down = (np.maximum(x[..., 1:-1], 0.0) for x in ends.reach)
    inner, widths = gaps[..., 1:-1], np.diff(first.edges)
    # Both bound it: the greatest gap all over a bin, and the smaller of its two parts twice more.
    most = np.minimum(np.maximum(up, down) * widths, inner + 2 * np.minimum(up, down) * widths)
    most = np.where(ends.on_edge[..., 1:-1], inner, np.maximum(most, inner))
    least = gaps.sum(axis=-1)
    return least, np.maximum(most.sum(axis=-1) + tails[0] + tails[1], least)


@dataclass(frozen=True, slots=True)
class _Ends:
    """Both functions at the lower and the upper ends of bins, [..., bin], and where rows lie."""

    lows: Sequence[Floats]
    highs: Sequence[Floats]
    alone: Bools
    on_edge: Bools

    @classmethod
    def of(cls, first: BinSums, second: BinSums) -> _Ends:
        lows, highs, none, on_edge = [], [], [], []
        for sample in (first, second):
            below = sample.below
            zero = np.zeros((*below.shape[:-1], 1))
            lows.append(np.concatenate([zero, below], axis=-1))
            highs.append(np.concatenate([below, zero + 1], axis=-1))
            none.append(sample.counts.sum(axis=-2) == 0)
            on_edge.append(sample.distances.sum(axis=-2) == 0)
        return cls(lows, highs, none[0] | none[1], on_edge[0] & on_edge[1])

    @property
    def reach(self) -> Bounds:
        """How far the first can be above the second within a bin, and the second above it."""
        return self.highs[0] - self.lows[1], self.highs[1] - self.lows[0]


def _gap(first: BinSums, second: BinSums) -> Floats:
    """The integrals of the difference of the functions over bins: [..., 1, bin]."""
    sides = (s.integrals() / s.rows[..., None, None] for s in (first, second))
    one, other = sides
    return np.asarray(one - other)


def wasserstein_spread(sums: Pair, middle: Floats, sizes: Sizes) -> Pushed:
    """How sure the Wasserstein distance is, which is about `middle`.

    It is a mean over the rows of a function that rises where one distribution is ahead and falls
    where the other is: its variance is that between buckets. What chance adds is the integral of
    what it makes of the functions' difference.
    """
    with np.errstate(all="ignore"):
        signs = np.sign(_gap(sums[0].whole, sums[1].whole))
        variances, degrees = zip(*(_variance(sample, signs) for sample in sums), strict=True)
        total = variances[0] + variances[1]
        df = total**2 / sum(v**2 / d for v, d in zip(variances, degrees, strict=True))
        rows = sums[0].rows + sums[1].rows
        both = sum(s.below * s.rows[..., None] for s in sums) / rows[..., None]
        # Over a bin the mean of what its ends say.
        errors = np.sqrt(both * (1 - both) * sizes.variance[..., None])
        errors = (errors[..., 1:] + errors[..., :-1]) / 2 * np.diff(sums[0].edges)
    few = np.minimum(*degrees) < FEWEST_BUCKETS - 1
    se = np.where(few, np.nan, np.sqrt(total))
    return Pushed(middle, normal_push(errors), se, np.where(df > 0, df, 1.0))


def _variance(sample: BinSums, signs: Floats) -> tuple[Floats, Floats]:
    """The variance of the mean of a function with these slopes, and its degrees of freedom."""
    heights = (sample.integrals() * signs).sum(axis=-1)
    sizes = sample.counts.sum(axis=-1)
    total, used = sizes.sum(axis=-1), (sizes > 0).sum(axis=-1)
    residual = heights - (heights.sum(axis=-1) / total)[..., None] * sizes
    return (residual**2).sum(axis=-1) * used / (used - 1) / total**2, used - 1.0


def cumulative_effect(sample: BinSums) -> Floats:
    """The mean design effect of the shares of rows below the edges, at least 1: [...]."""
    sizes = sample.counts.sum(axis=-1)
    total, used = sizes.sum(axis=-1), (sizes > 0).sum(axis=-1)
    below = sample.below
    with np.errstate(all="ignore"):
        residual = np.cumsum(sample.counts, axis=-1)[..., :-1]
        residual = residual - below[..., None, :] * sizes[..., None]
        scale = used / (used - 1) / total**2
        between = (residual**2).sum(axis=(-2, -1)) * scale
        independent = (below * (1 - below)).sum(axis=-1) / total
        effect = np.where(independent > 0, between / independent, 1.0)
    return np.where(used < FEWEST_BUCKETS, np.nan, np.maximum(effect, 1.0))


def gap_spread(middle: Floats, sizes: Sizes) -> GreatestGap:
    """How sure the Kolmogorov-Smirnov statistic is, which is about `middle`."""
    return GreatestGap(middle, sizes.variance)
