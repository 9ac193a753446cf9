"""How many rows of equal weight a share is worth whose rows have weights of their own.

Sources: Kish (1965) for rows whose weight says nothing of their outcome; else the variance of a
weighted share itself, the sum of (w r)² over rows with residual r (Horvitz and Thompson 1952), as
Korn and Graubard (1998) take it for intervals; Satterthwaite (1946) for how sure that is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Weights that differ by less than this differ by rounding.
ROUNDING = 1e-9
# Of a single hit little is known, but not as little as its one degree of freedom says.
LEAST_DF = 3.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows of one outcome: their weight, its squares, and how far a row is from the mean."""

    weight: float
    squares: float
    residual: float

    @property
    def variance(self) -> float:
        """What they add to the variance of the sum over all rows."""
        return self.squares * self.residual**2


def kish(weight: float, squares: float) -> float:
    """How many rows of equal weight some rows are worth."""
    return weight * weight / squares if squares > 0 else 0.0


def worth(outcomes: Sequence[Outcome]) -> float:
    """The rows of equal weight whose mean of these outcomes is as sure; 0 of nothing."""
    trials = sum(each.weight for each in outcomes)
    own = sum(each.variance for each in outcomes)
    spread = sum(each.weight * each.residual**2 for each in outcomes)
    if own > 0:
        return trials * spread / own
    # Nothing spreads: the weights are taken to say nothing of the outcome.
    return kish(trials, sum(each.squares for each in outcomes))


def degrees_of_freedom(outcomes: Sequence[Outcome], mean_weight: float) -> float:
    """How sure `worth` is: infinite where all weights are equal, or nothing spreads.

    It is as sure as the effective rows of each outcome make it, the more the weights differ from
    the `mean_weight` of all rows.
    """
    trials = sum(each.weight for each in outcomes)
    squares = sum(each.squares for each in outcomes)
    # The squared coefficient of variation of the weights, as far as it is known.
    unequal = min(squares / (trials * mean_weight) - 1, 1.0)
    own = sum(each.variance for each in outcomes)
    if own <= 0 or unequal <= ROUNDING:
        return math.inf
    unsure = sum(
        each.variance**2 / kish(each.weight, each.squares) for each in outcomes if each.squares > 0
    )
    return max(own**2 / (unequal * unsure), LEAST_DF)
