"""What an interval rests on, where that is better than the spread between buckets of rows.

A metric's function may return one of these beside its numbers. They hold the sums of all rows, so
nothing here needs a second pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from engine.states import MomentsView


@dataclass(frozen=True, slots=True)
class Counted:
    """A share of rows: the weight of the hits and of all the rows it is a share of.

    `hit_squares` and `miss_squares` are the sums of the squared weights of hits and of the others.
    """

    hits: float
    trials: float
    hit_squares: float
    miss_squares: float


@dataclass(frozen=True, slots=True)
class Averaged:
    """A mean over rows, with its moments."""

    moments: MomentsView


@dataclass(frozen=True, slots=True)
class Known:
    """A standard error that is known for rows without weights, and its degrees of freedom."""

    se: float
    df: float = math.inf


Basis = Counted | Averaged | Known


@dataclass(frozen=True, slots=True)
class Map:
    """A monotone function that makes the value of its basis, and its inverse."""

    function: Callable[[float], float]
    back: Callable[[float], float]
    rising: bool = True
