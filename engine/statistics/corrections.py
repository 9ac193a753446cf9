"""Many tests at once: p-values corrected for their number.

The false discovery rate is the expected share of false alarms among all alarms. Where nothing is
wrong every alarm is false, and it is the probability of any alarm at all.

Sources: Simes (1986); Benjamini and Hochberg (1995), for tests that are independent or positively
dependent; Benjamini and Yekutieli (2001), for any dependence; Benjamini and Bogomolov (2014), for
families of tests. `scipy.stats` has the first two; importing it costs each command and each worker
a second and more, so it is the oracle of the tests only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[Any]


def adjust_p_values(p: ArrayLike, method: str) -> Floats:
    """The p-values corrected for their number: an alarm is one that is at most the level.

    Args:
        p: [tests] p-values in any order; there may be none.
        method: "bh", "by", or "none" for the p-values as they are.

    Returns:
        [tests] float64, in the order of `p`.

    Raises:
        ValueError: for a p-value that is not in [0, 1], or an unknown method.

    >>> adjust_p_values([0.01, 0.04, 0.03, 0.2], "bh").round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.2]
    """
    if method == "none":
        return _check_p_values(p).copy()
    if method == "bh":
        return benjamini_hochberg(p)
    if method == "by":
        return benjamini_yekutieli(p)
    raise ValueError(f"unknown correction {method!r}, expected 'bh', 'by' or 'none'")


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """The smallest levels at which Benjamini and Hochberg's procedure rejects each test.

    Raises:
        ValueError: for a p-value that is not in [0, 1].
    """
    return _step_up(_check_p_values(p), 1.0)


def benjamini_yekutieli(p: ArrayLike) -> Floats:
    """The same under any dependence; it costs a factor of some log(tests) + 0.6.

    Raises:
        ValueError: for a p-value that is not in [0, 1].
    """
    values = _check_p_values(p)
    return _step_up(values, float((1 / np.arange(1, values.size + 1)).sum()))


def simes(p: ArrayLike) -> float:
    """The p-value of "nothing is wrong anywhere": the smallest that `benjamini_hochberg` gives.

    1.0 of no tests.

    Raises:
        ValueError: for a p-value that is not in [0, 1].
    """
    return float(benjamini_hochberg(p).min(initial=1.0))


def family_levels(simes_p: ArrayLike, level: float) -> float:
    """The level within each family of tests, once the families were selected at `level`.

    Families whose Simes p-value Benjamini and Hochberg reject at `level` are selected, R of m.
    With the tests of each judged at level * R / m the average, over the selected families, of the
    share of false alarms is at most `level` (Benjamini and Bogomolov, 2014). Of a family that is
    not selected no test can be rejected at that level.

    Args:
        simes_p: [families] the p-value of each family as a whole.
        level: in (0, 1).

    Returns:
        level * R / m; 0.0 where none is selected.

    Raises:
        ValueError: for a p-value that is not in [0, 1], or a level that is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level!r}")
    families = benjamini_hochberg(simes_p)
    selected = int((families <= level).sum())
    return level * selected / families.size if selected else 0.0


def _step_up(p: Floats, factor: float) -> Floats:
    """For each p-value the least of p * tests / rank over its own rank and those above it."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * (p.size * factor / np.arange(1, p.size + 1))
    least = np.minimum.accumulate(scaled[::-1])[::-1]
    result = np.empty(p.size)
    result[order] = np.minimum(least, 1.0)
    return result


def _check_p_values(p: ArrayLike) -> Floats:
    """The p-values as float64 [tests]."""
    values = np.asarray(p, np.float64)
    if values.ndim != 1:
        raise ValueError(f"expected p-values in one dimension, got the shape {values.shape}")
    # Written so that NaN counts as bad.
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        raise ValueError(f"expected p-values in [0, 1], got {float(values[bad][0])!r}")
    return values
