"""Whether rows lose more than others: one-sided tests of two groups of rows that share none.

Sources: Fisher (1935) for counts; Welch (1947) for means; McNemar (1947) by the exact binomial for
rows on which two versions differ; for clusters Student's t of linearised totals by bucket (Cochran
1977, 6.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.statistics import special

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GroupMean:
    """The mean of a group of rows, the square of its standard error, and its effective rows."""

    mean: float
    error2: float
    rows: float


def fisher_p(hits: float, trials: float, other_hits: float, other_trials: float) -> float:
    """The probability of as many hits or more, were the shares of two groups alike.

    >>> round(fisher_p(8, 10, 1, 10), 6)
    0.002739
    """
    # The hypergeometric tail is a sum over the hits that the first group may have.
    all_hits, most = hits + other_hits, min(trials, hits + other_hits)
    counts = np.arange(hits, most + 1)
    logs = (
        _log_choose(trials, counts)
        + _log_choose(other_trials, all_hits - counts)
        - _log_choose(trials + other_trials, all_hits)
    )
    return float(min(1.0, np.exp(special.logsumexp(logs)))) if counts.size else 1.0


def _log_choose(n: float, k: Floats | float) -> Floats:
    k = np.asarray(k, np.float64)
    with np.errstate(all="ignore"):
        logs = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return np.where((k < 0) | (k > n), -math.inf, logs)


def welch_p(one: GroupMean, other: GroupMean, gap: float = 0.0) -> float:
    """The p-value of the first mean being at most `gap` above the second."""
    error2 = one.error2 + other.error2
    if not error2 > 0 or min(one.rows, other.rows) <= 1:
        return 1.0
    df = error2**2 / sum(group.error2**2 / (group.rows - 1) for group in (one, other))
    return student_p(one.mean - other.mean - gap, math.sqrt(error2), df)


def student_p(value: float, error: float, df: float) -> float:
    """The p-value of a value whose truth is 0 or less."""
    if not error > 0 or df < 1:
        return 1.0
    return float(special.stdtr(df, -value / error))


def sign_p(more: float, less: float) -> float:
    """The probability of so many rows that got worse or more, among those that changed.

    >>> round(sign_p(8, 2), 6)
    0.054688
    """
    return float(special.bdtrc(more - 1, int(more + less), 0.5)) if more > 0 else 1.0
