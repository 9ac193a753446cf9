"""The delete-a-group jackknife over row buckets: a standard error for any figure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Jackknifed:
    """A standard error, and the degrees of freedom that it was estimated with."""

    se: float
    df: float


def jackknife(replicates: Floats, sizes: Floats) -> Jackknifed | None:
    """The standard error of an estimate from what it is with each group of rows left out.

    The delete-m_j jackknife of Busing, Meijer and van der Leeden (1999), which is Tukey's where
    the groups are of one size.

    Args:
        replicates: [1 + groups], first the estimate itself, then without each group.
        sizes: [groups] rows or weight of each; groups of size 0 hold nothing and are passed over.

    Returns:
        None where fewer than two groups have rows, or a replicate is not a number.
    """
    used = sizes > 0
    groups = int(used.sum())
    estimate, left_out = replicates[0], replicates[1:][used]
    if groups < 2 or not (math.isfinite(estimate) and np.isfinite(left_out).all()):
        return None
    shares = sizes[used].sum() / sizes[used]
    # Around the estimate: sums of differences do not cancel as those of pseudo-values do.
    pseudo = (shares - 1) * (estimate - left_out)
    gaps = pseudo - ((1 - 1 / shares) * (estimate - left_out)).sum()
    variance = float((gaps * gaps / (shares - 1)).mean())
    return Jackknifed(math.sqrt(variance), groups - 1)
