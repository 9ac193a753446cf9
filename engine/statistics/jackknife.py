"""The delete-a-group jackknife over row buckets: a standard error for any figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

# With fewer degrees of freedom Student's t says nothing that anybody could use.
LEAST_DF = 0.5


@dataclass(frozen=True, slots=True)
class Jackknifed:
    """Standard errors, and the degrees of freedom that they were estimated with: [estimate]."""

    se: Any
    df: Any


def jackknives(replicates: Floats, sizes: Floats) -> Jackknifed:
    """The standard errors of estimates from what they are with each group of rows left out.

    Tukey's jackknife (1958) where the groups are of one size. Else with s the groups' shares,
    a group adds g = (1 - s) (estimate - replicate), which is exact for means, and the variance is
    the sum of (g - s sum(g))² by 1 - sum(s²): of a mean it has no bias, however unequal the groups.
    They count as 1 / sum(s²) groups (Kish 1965; Satterthwaite 1946 for the degrees of freedom).
    Unlike the weights of Busing, Meijer and van der Leeden (1999), which take the variance of a
    group's figure to be 1 / size, these stay right where a few heavy rows make a group large.

    Args:
        replicates: [estimate, 1 + groups], first the estimate itself, then without each group.
        sizes: [estimate, groups] rows or weight of each; groups of size 0 hold nothing and are
            passed over.

    Returns:
        [estimate]; NaN where fewer than two groups have rows, or one has nearly all of them, or a
        replicate is not a number.
    """
    used = sizes > 0
    estimate, left_out = replicates[:, :1], replicates[:, 1:]
    with np.errstate(all="ignore"):
        shares = np.where(used, sizes / np.where(used, sizes, 0.0).sum(-1, keepdims=True), 0.0)
        alike = (shares * shares).sum(-1)
        df = 1 / alike - 1
        # Around the estimate: sums of differences do not cancel as those of pseudo-values do.
        gaps = np.where(used, (1 - shares) * (estimate - left_out), 0.0)
        gaps -= shares * gaps.sum(-1, keepdims=True)
        se = np.sqrt((gaps * gaps).sum(-1) / (1 - alike))
    numbers = np.isfinite(estimate[:, 0]) & (np.isfinite(left_out) | ~used).all(-1)
    known = (used.sum(-1) >= 2) & numbers & (df >= LEAST_DF)
    return Jackknifed(np.where(known, se, np.nan), np.where(known, df, np.nan))
