"""How many rows of equal weight a share is worth whose rows have weights of their own.

Sources: Kish (1965) for rows whose weight says nothing of their outcome; else the variance of a
weighted share itself, the sum of (w r)² over rows with residual r (Horvitz and Thompson 1952), as
Korn and Graubard (1998) take it for intervals; Satterthwaite (1946) for how sure that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.statistics.spread import Figures, plain

# Weights that differ by less than this differ by rounding.
ROUNDING = 1e-9
# Of a single hit little is known, but not as little as its one degree of freedom says.
LEAST_DF = 3.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows of one outcome: their weight, its squares, and how far a row is from the mean."""

    weight: Figures
    squares: Figures
    residual: Figures

    @property
    def variance(self) -> Figures:
        """What they add to the variance of the sum over all rows."""
        return self.squares * self.residual**2


def kish(weight: Figures, squares: Figures) -> Figures:
    """How many rows of equal weight some rows are worth."""
    some = squares > 0
    return plain(np.where(some, weight * weight / np.where(some, squares, 1.0), 0.0))


def worth(outcomes: Sequence[Outcome]) -> Figures:
    """The rows of equal weight whose mean of these outcomes is as sure; 0 of nothing."""
    trials = sum(outcome.weight for outcome in outcomes)
    own = sum(outcome.variance for outcome in outcomes)
    spread = sum(outcome.weight * outcome.residual**2 for outcome in outcomes)
    # Where nothing spreads, the weights are taken to say nothing of the outcome.
    alike = kish(trials, sum(outcome.squares for outcome in outcomes))
    some = own > 0
    return plain(np.where(some, trials * spread / np.where(some, own, 1.0), alike))


def degrees_of_freedom(outcomes: Sequence[Outcome], mean_weight: Figures) -> Figures:
    """How sure `worth` is: infinite where all weights are equal, or nothing spreads.

    It is as sure as the effective rows of each outcome make it, the more the weights differ from
    the `mean_weight` of all rows.
    """
    trials = sum(outcome.weight for outcome in outcomes)
    squares = sum(outcome.squares for outcome in outcomes)
    own = sum(outcome.variance for outcome in outcomes)
    with np.errstate(all="ignore"):
        # The squared coefficient of variation of the weights, as far as it is known.
        unequal = np.minimum(np.divide(squares, trials * mean_weight) - 1, 1.0)
        unsure = sum(
            np.where(
                outcome.squares > 0,
                np.divide(outcome.variance**2, kish(outcome.weight, outcome.squares)),
                0.0,
            )
            for outcome in outcomes
        )
        df = np.maximum(np.divide(own**2, unequal * unsure), LEAST_DF)
    return plain(np.where((own <= 0) | (unequal <= ROUNDING), np.inf, df))
