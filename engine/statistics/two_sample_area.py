"""The area under the ROC curve between two samples of scores, whose rows may come in units.

The area is the mean over the first sample of the share of the second that each is above, ties half.
Its variance is that of DeLong, DeLong and Clarke-Pearson (1988), and of rows that belong together
in units, also across the samples, that of Obuchowski (1997), which is the same where each row is a
unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.statistics.spread import Moved, Share, Spread, StudentT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
UNIT = (0.0, 1.0)
# Of fewer units of either sample nothing is known of how they differ.
FEWEST_UNITS = 5


@dataclass(frozen=True, slots=True)
class Area:
    """An area with its standard error, and the units that the scarcer sample has."""

    value: float
    se: float
    df: float
    units: float

    def spread(self) -> Spread | None:
        """How sure it is, as of many of which it is one; None where too few units tell nothing."""
        if self.units < FEWEST_UNITS:
            return None
        value, se, df, units = (np.array([x]) for x in (self.value, self.se, self.df, self.units))
        if 0 < self.value < 1:
            return StudentT(value, se, df, UNIT)
        # All rows of one sample are above those of the other, as far as so many units can tell.
        return Moved(Share(units * value, units), *UNIT)


def area_between(first: Floats, second: Floats, units: tuple[Ints, Ints]) -> Area:
    """How often a row of the first sample scores above one of the second, ties half.

    >>> round(area_between(np.array([2., 3.]), np.array([1., 2.]),
    ...                    (np.array([0, 1]), np.array([2, 3]))).value, 3)
    0.875
    """
    above, below = placements(first, second), 1 - placements(second, first)
    area = float(above.mean())
    # Numbers of units over both samples, in which a unit of both has one number.
    count, places = _places(units)
    sums, sizes = [], []
    for placed, place in zip((above, below), places, strict=True):
        sums.append(np.bincount(place, placed - area, count))
        sizes.append(np.bincount(place, minlength=count))
    n, m = len(first), len(second)
    present = [int((size > 0).sum()) for size in sizes]
    fewest = min(present)
    if fewest < 2:
        return Area(area, math.nan, math.nan, fewest)
    parts = [
        (total**2).sum() * units_ / (units_ - 1) / rows**2
        for total, units_, rows in zip(sums, present, (n, m), strict=True)
    ]
    shared = 2 * (sums[0] * sums[1]).sum() * count / (count - 1) / (n * m)
    variance = max(float(sum(parts) + shared), 0.0)
    # Scores that are all alike are sure to be alike; the rows that say so are as few as they are.
    if variance == 0:
        variance = (n + m + 1) / (12 * n * m)
    few = sum(part**2 / (units_ - 1) for part, units_ in zip(parts, present, strict=True))
    df = float(sum(parts) ** 2 / few) if few > 0 else fewest - 1.0
    return Area(area, math.sqrt(variance), df, fewest)


def placements(scores: Floats, others: Floats) -> Floats:
    """The share of the others that each score is above, ties half."""
    ordered = np.sort(others)
    low, high = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    return np.asarray((low + high) / (2 * len(others)))


def _places(units: tuple[Ints, Ints]) -> tuple[int, tuple[Ints, Ints]]:
    """How many units there are in all, and the number of each row's."""
    distinct, places = np.unique(np.concatenate(units), return_inverse=True)
    return len(distinct), (places[: len(units[0])], places[len(units[0]) :])
