"""Distances between two samples from their counts over the same bins, and how sure they are.

Counts are arrays [..., bin]; `first` is the sample that the bins were made from. Definitions: PSI
is Jeffreys' divergence, with half a row added to every bin of both, so that an empty bin has one;
Jensen and Shannon's distance is the root of their divergence to base 2; Hellinger's is that of
square roots; Cramér's V is of the table of the samples by the bins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import special
from engine.statistics.noncentral import NoncentralChi2
from engine.statistics.pushed import Pushed, normal_push
from engine.statistics.spread import Figures, Spread

Floats = NDArray[np.float64]
Counts = tuple[Floats, Floats]


def shares(counts: Floats) -> Floats:
    """The share of each bin; NaN of no rows."""
    with np.errstate(all="ignore"):
        return np.asarray(counts / counts.sum(axis=-1, keepdims=True))


def filled_bins(first: Floats, second: Floats) -> Floats:
    """How many bins have a row in either sample: [...]."""
    return np.asarray((first + second > 0).sum(axis=-1, dtype=np.float64))


def psi(first: Floats, second: Floats) -> Floats:
    """The population stability index, sum of (q - p) ln(q / p): [...]."""
    # A bin that both lack is none.
    half = np.where(first + second > 0, 0.5, 0.0)
    return _divergence(first + half, second + half)


def _divergence(first: Floats, second: Floats) -> Floats:
    """Jeffreys' divergence: [...]."""
    p, q = shares(first), shares(second)
    return np.asarray((special.rel_entr(p, q) + special.rel_entr(q, p)).sum(axis=-1))


def jensen_shannon(first: Floats, second: Floats) -> Floats:
    """The divergence to the mean of both, in nats: [...]."""
    p, q = shares(first), shares(second)
    mean = (p + q) / 2
    both = special.rel_entr(p, mean) + special.rel_entr(q, mean)
    return np.asarray(np.maximum(both.sum(axis=-1) / 2, 0.0))


def js_distance(first: Floats, second: Floats) -> Floats:
    """The root of the Jensen-Shannon divergence to base 2: [...] in [0, 1]."""
    return np.asarray(np.minimum(np.sqrt(jensen_shannon(first, second) / np.log(2)), 1.0))


def hellinger(first: Floats, second: Floats) -> Floats:
    """The root of half the sum of squared differences of square roots: [...] in [0, 1]."""
    p, q = shares(first), shares(second)
    return np.asarray(np.minimum(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2), 1.0))


def pearson(first: Floats, second: Floats) -> Floats:
    """The sum of squared differences of shares over the pooled share: [...]."""
    pooled = shares(first + second)
    with np.errstate(all="ignore"):
        terms = (shares(first) - shares(second)) ** 2 / pooled
    return np.asarray(np.where(pooled > 0, terms, 0.0).sum(axis=-1))


def cramers_v(first: Floats, second: Floats) -> Floats:
    """Cramér's V of the table of samples by bins: [...] in [0, 1]."""
    return np.asarray(np.minimum(np.sqrt(_balance(first, second) * pearson(first, second)), 1.0))


def total_variation(first: Floats, second: Floats) -> Floats:
    """Half the sum of absolute differences of shares: [...] in [0, 1]."""
    return np.asarray(np.abs(shares(first) - shares(second)).sum(axis=-1) / 2)


def _balance(first: Floats, second: Floats) -> Floats:
    """The share of one sample in both times that of the other."""
    n, m = first.sum(axis=-1), second.sum(axis=-1)
    with np.errstate(all="ignore"):
        return np.asarray(n / (n + m) * (m / (n + m)))


@dataclass(frozen=True, slots=True)
class Sizes:
    """The effective rows of two samples: [...] each.

    `stretch` is how many times as much as by these the mean of what has moved varies.
    """

    first: Floats
    second: Floats
    stretch: Figures = 1.0

    @property
    def both(self) -> tuple[Floats, Floats]:
        """One after the other."""
        return self.first, self.second

    @property
    def variance(self) -> Floats:
        """1/n + 1/m."""
        with np.errstate(all="ignore"):
            return np.asarray(1 / self.first + 1 / self.second)


# A bin in which fewer effective rows are expected says nothing by itself.
SPARSE = 2.0


def pool_sparse(counts: Counts, sizes: Sizes) -> Counts:
    """Counts in effective rows, those of all sparse bins in one more, the last."""
    both = shares(counts[0] + counts[1])
    sparse = both * np.minimum(sizes.first, sizes.second)[..., None] < SPARSE
    parts = []
    for count, size in zip(counts, sizes.both, strict=True):
        rows = shares(count) * size[..., None]
        rest = np.where(sparse, rows, 0.0).sum(axis=-1, keepdims=True)
        parts.append(np.concatenate([np.where(sparse, 0.0, rows), rest], axis=-1))
    return parts[0], parts[1]


def quadratic_spread(name: str, counts: Counts, sizes: Sizes) -> Spread:
    """How sure a distance is whose square, or which itself, is about noncentral chi-squared."""
    own = pool_sparse(counts, sizes)
    df = np.maximum(filled_bins(*own) - 1, 1.0)
    # Half an effective row more in every bin, without which sparse ones make distances too large.
    half = np.where(own[0] + own[1] > 0, 0.5, 0.0)
    first, second = (x + half for x in own)
    k, by = 1 / sizes.variance, sizes.stretch
    if name == "psi":
        return NoncentralChi2(k * _divergence(first, second), df, k, 1, by)
    if name == "js_distance":
        return NoncentralChi2(8 * k * jensen_shannon(first, second), df, 8 * k * np.log(2), 2, by)
    if name == "hellinger":
        return NoncentralChi2(8 * k * hellinger(first, second) ** 2, df, 8 * k, 2, by)
    return NoncentralChi2(
        k * pearson(first, second), df, k / np.maximum(_balance(*counts), 1e-300), 2, by
    )


def variation_spread(counts: Counts, sizes: Sizes) -> Spread:
    """How sure the total variation is: that of the bins that have gained, and what chance adds."""
    first, second = counts
    p, q = shares(first), shares(second)
    gained = q > p
    ours, theirs = (np.where(gained, x, 0.0).sum(axis=-1) for x in (p, q))
    variance = ours * (1 - ours) / sizes.first + theirs * (1 - theirs) / sizes.second
    pooled = shares(first + second)
    errors = np.sqrt(pooled * (1 - pooled) * sizes.variance[..., None]) / 2
    # Where nothing has moved, what may have moved unseen: three rows of either.
    unseen = 1 / np.minimum(sizes.first, sizes.second)
    se = np.maximum(np.sqrt(np.maximum(variance, 0.0)), unseen)
    return Pushed(total_variation(first, second), normal_push(errors), se)


DISTANCES: dict[str, Callable[[Floats, Floats], Any]] = {
    "psi": psi,
    "js_distance": js_distance,
    "total_variation": total_variation,
    "hellinger": hellinger,
    "cramers_v": cramers_v,
}
"""Distances of counts by their names."""


def distance_spread(name: str, counts: Counts, sizes: Sizes) -> Spread:
    """How sure the distance of this name is."""
    if name == "total_variation":
        return variation_spread(counts, sizes)
    return quadratic_spread(name, counts, sizes)
