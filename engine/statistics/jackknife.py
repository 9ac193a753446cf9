"""The delete-a-group jackknife over row buckets: a standard error for any figure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

# With fewer degrees of freedom Student's t says nothing that anybody could use.
LEAST_DF = 0.5


@dataclass(frozen=True, slots=True)
class Jackknifed:
    """A standard error, and the degrees of freedom that it was estimated with."""

    se: float
    df: float


def jackknife(replicates: Floats, sizes: Floats) -> Jackknifed | None:
    """The standard error of an estimate from what it is with each group of rows left out.

    Tukey's jackknife (1958) where the groups are of one size. Else with s the groups' shares,
    a group adds g = (1 - s) (estimate - replicate), which is exact for means, and the variance is
    the sum of (g - s sum(g))² by 1 - sum(s²): of a mean it has no bias, however unequal the groups.
    They count as 1 / sum(s²) groups (Kish 1965; Satterthwaite 1946 for the degrees of freedom).
    Unlike the weights of Busing, Meijer and van der Leeden (1999), which take the variance of a
    group's figure to be 1 / size, these stay right where a few heavy rows make a group large.

    Args:
        replicates: [1 + groups], first the estimate itself, then without each group.
        sizes: [groups] rows or weight of each; groups of size 0 hold nothing and are passed over.

    Returns:
        None where fewer than two groups have rows, or one has nearly all of them, or a replicate
        is not a number.
    """
    used = sizes > 0
    estimate, left_out = replicates[0], replicates[1:][used]
    if used.sum() < 2 or not (math.isfinite(estimate) and np.isfinite(left_out).all()):
        return None
    shares = sizes[used] / sizes[used].sum()
    alike = float((shares * shares).sum())
    df = 1 / alike - 1
    if df < LEAST_DF:
        return None
    # Around the estimate: sums of differences do not cancel as those of pseudo-values do.
    gaps = (1 - shares) * (estimate - left_out)
    gaps -= shares * gaps.sum()
    return Jackknifed(math.sqrt(float((gaps * gaps).sum()) / (1 - alike)), df)
