"""How many independent rows a clustered sample is worth, from counts of buckets of clusters.

A cluster is wholly in one bucket, so the variance between buckets has that of clusters in it. Held
against the variance of as many independent rows it is the design effect (Kish 1965); of counts in
several bins their mean, by which Rao and Scott (1981) divide a chi-squared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of fewer buckets with rows nothing is known of how clusters differ.
FEWEST_BUCKETS = 5


def between_buckets(counts: Floats) -> Floats:
    """The variance of the share of each bin, from counts [..., bucket, bin]: [..., bin]."""
    sizes = counts.sum(axis=-1)
    total = sizes.sum(axis=-1)
    used = (sizes > 0).sum(axis=-1)
    with np.errstate(all="ignore"):
        share = counts.sum(axis=-2) / total[..., None]
        residual = counts - share[..., None, :] * sizes[..., None]
        scale = used / (used - 1) / total**2
        return np.asarray((residual**2).sum(axis=-2) * scale[..., None])


def design_effect(counts: Floats) -> Floats:
    """The mean design effect of the bins, at least 1, from counts [..., bucket, bin]: [...].

    NaN where too few buckets have rows to tell.
    """
    total = counts.sum(axis=(-2, -1))
    with np.errstate(all="ignore"):
        share = counts.sum(axis=-2) / total[..., None]
        independent = (share * (1 - share)).sum(axis=-1) / total
        effect = between_buckets(counts).sum(axis=-1) / independent
    # Rows that are all alike have no variance of either kind.
    effect = np.where(independent > 0, effect, 1.0)
    used = (counts.sum(axis=-1) > 0).sum(axis=-1)
    return np.where(used < FEWEST_BUCKETS, np.nan, np.maximum(effect, 1.0))


def stretch_along(counts: tuple[Floats, Floats], effects: tuple[Floats, Floats]) -> Floats:
    """By how much the mean of what has moved varies more than by the mean design effects: [...].

    What has moved is the logarithm of the ratio of shares, from counts [..., bucket, bin] of both
    samples; at least 1.
    """
    half = [sample.sum(axis=-2) + 0.5 for sample in counts]
    first, second = (x / x.sum(axis=-1, keepdims=True) for x in half)
    heights = np.log(second / first)
    between, expected = 0.0, 0.0
    with np.errstate(all="ignore"):
        for sample, effect in zip(counts, effects, strict=True):
            sizes = sample.sum(axis=-1)
            total, used = sizes.sum(axis=-1), (sizes > 0).sum(axis=-1)
            share = sample.sum(axis=-2) / total[..., None]
            away = heights - (share * heights).sum(axis=-1, keepdims=True)
            residual = (sample * away[..., None, :]).sum(axis=-1)
            between = between + (residual**2).sum(axis=-1) * used / (used - 1) / total**2
            expected = expected + effect * (share * away**2).sum(axis=-1) / total
        return np.asarray(np.where(expected > 0, np.maximum(between / expected, 1.0), 1.0))
