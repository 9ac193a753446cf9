"""Tests that come one after the other without an end: the level of the next one.

Every test spends part of an error budget, every rejection earns some back, so that of all
rejections there will ever be the expected share of false ones stays at most the level. As long as
nothing is wrong, that is the probability of any rejection in the whole sequence.

Sources: LORD++ of Ramdas, Yang, Wainwright and Jordan (2017), with the weights of Javanmard and
Montanari (2018); SAFFRON of Ramdas, Zrnic, Wainwright and Jordan (2018). Both ask that a test's
p-value be valid given the past.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import special

Floats = NDArray[Any]
Integers = NDArray[Any]

METHODS = ("lord", "saffron")

# SAFFRON: tests with a larger p-value count as true, and only these spend budget.
CANDIDATE = 0.5
SAFFRON_DECAY = 1.6
SUMMED = 100_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A test of the past: its p-value, the level it was judged at, and what came of it."""

    p: float
    alpha: float
    rejected: bool


def next_level(past: Sequence[Judged], *, level: float, method: str) -> float:
    """The level at which the next test is to be judged: it is rejected if its p is at most that.

    Args:
        past: the tests so far, oldest first, all judged by this method at this `level`. After a
            change of either a new sequence begins.
        level: the false discovery rate of the whole sequence, in (0, 1).
        method: "lord" or "saffron".

    Raises:
        ValueError: for a level that is not in (0, 1), or an unknown method.

    >>> round(next_level([], level=0.05, method="lord"), 6)
    0.00137
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level!r}")
    if method not in METHODS:
        raise ValueError(f"unknown online method {method!r}, expected one of {METHODS}")
    rejected = np.array([test.rejected for test in past], bool)
    if method == "lord":
        return _lord(rejected, level)
    return _saffron(rejected, np.array([test.p for test in past]) <= CANDIDATE, level)


def _lord(rejected: NDArray[Any], level: float) -> float:
    """Half of the level is spent from the start; the first rejection brings the other half."""
    # Tests are counted from 1: this is test `now`, and `ages` are how long ago rejections were.
    now = rejected.size + 1
    ages = now - 1 - np.flatnonzero(rejected)
    earned = _weights(level, ages.size)
    return float(level / 2 * lord_gamma(np.array([now]))[0] + earned @ lord_gamma(ages))


def _saffron(rejected: NDArray[Any], candidates: NDArray[Any], level: float) -> float:
    """As LORD++, on a clock that stands still at candidates, and the budget of true tests only."""
    waits = np.concatenate([[0], np.cumsum(~candidates)])
    since = waits[-1] - waits[1:][rejected]
    earned = _weights(level, since.size)
    total = level / 2 * saffron_gamma(waits[-1:] + 1)[0] + earned @ saffron_gamma(since + 1)
    return float(min(CANDIDATE, (1 - CANDIDATE) * total))


def _weights(level: float, rejections: int) -> Floats:
    """What each rejection earns: the first the half that was held back, the others the level."""
    weights = np.full(rejections, level)
    weights[:1] = level / 2
    return weights


def lord_gamma(t: Integers) -> Floats:
    """The share of its budget that LORD++ spends at each time t = 1, 2, ...; they sum to 1."""
    return _lord_shape(np.asarray(t, np.float64)) / _lord_sum()


def saffron_gamma(t: Integers) -> Floats:
    """The same of SAFFRON: t to the power of -1.6, by Riemann's zeta of 1.6."""
    return np.asarray(np.asarray(t, np.float64) ** -SAFFRON_DECAY / special.zeta(SAFFRON_DECAY))


def _lord_shape(t: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(t, 2)) / (t * np.exp(np.sqrt(np.log(t)))))


@cache
def _lord_sum() -> float:
    """The sum of the shape over all t, by Euler and Maclaurin: the first terms, then an integral.

    With v = sqrt(log t) the integral from n on is that of 2 v^3 exp(-v), which is
    2 * Gamma(4, sqrt(log n)); half the last term is the correction, the next one below 1e-11.
    """
    first = _lord_shape(np.arange(1, SUMMED + 1, dtype=np.float64))
    rest = 2 * math.gamma(4) * float(special.gammaincc(4, math.sqrt(math.log(SUMMED))))
    return float(first.sum()) - float(first[-1]) / 2 + rest
