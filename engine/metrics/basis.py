"""What an interval rests on, where that is better than the spread between buckets of rows.

A metric's function may return one of these beside its numbers. They hold the sums of all rows, so
nothing here needs a second pass. Of many slices at once the figures are arrays [slice].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from engine.states import Floats, MomentsView
from engine.statistics import Figures


@dataclass(frozen=True, slots=True)
class Counted:
    """A share of rows: the weight of the hits and of all the rows it is a share of.

    `hit_squares` and `miss_squares` are the sums of the squared weights of hits and of the others.
    Where a state does not hold them, `unweighted_only` says that they are the weights themselves:
    then the share has its own interval only where every row has weight 1.
    """

    hits: Figures
    trials: Figures
    hit_squares: Figures
    miss_squares: Figures
    unweighted_only: bool = False

    @classmethod
    def of_rows(cls, hits: Figures, misses: Figures) -> Counted:
        """A share of rows whose squared weights are not known."""
        return cls(hits, hits + misses, hits, misses, unweighted_only=True)


@dataclass(frozen=True, slots=True)
class Averaged:
    """A mean over rows, with its moments."""

    moments: MomentsView


@dataclass(frozen=True, slots=True)
class Known:
    """A standard error that is known for rows without weights, and its degrees of freedom.

    Among many slices it is NaN where it is not known.
    """

    se: Figures
    df: Figures = math.inf


@dataclass(frozen=True, slots=True)
class Ordered:
    """A quantile of rows: `counted` is the share of them that it is to be above.

    `low` and `high` are the ends between which each distinct value lies, ascending, `weight` the
    weight of its rows. `below` gives the share of rows up to the quantile that was found, with all
    rows and then without each bucket; intervals of clusters need it.
    """

    counted: Counted
    low: Floats
    high: Floats
    weight: Floats
    below: Callable[[], Floats]


Basis = Counted | Averaged | Known | Ordered


@dataclass(frozen=True, slots=True)
class Map:
    """A monotone function that makes the value of its basis, and its inverse."""

    function: Callable[[float], float]
    back: Callable[[float], float]
    rising: bool = True
