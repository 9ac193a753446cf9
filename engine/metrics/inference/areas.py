"""How sure the difference of two areas under the ROC curve is, on the same rows of many slices.

DeLong, DeLong and Clarke-Pearson (1988): the area is the mean over the positives of the share of
the negatives that each is above, and likewise the mean over the negatives. So the difference of two
areas is a mean of differences row by row, of each class by itself, and its variance is the sum of
the variances of two means.
"""

from __future__ import annotations

import numpy as np

from engine.states import Bools, Floats, Ints, ScorePairsView, sums_by_cell
from engine.statistics import Jackknifed

# Of a sample as many rows, in effect, are enough for a variance.
ENOUGH = 500
# A sample whose weight is so many standard deviations off has missed what most rows have.
FAR = 6.0


def difference_of_areas(view: ScorePairsView) -> Jackknifed:
    """DeLong's standard errors of the candidate's area less the baseline's: [slice].

    The degrees of freedom are one less than the rows of the scarcer class: Welch's for two means,
    at the least they can be. NaN where a class has fewer than two rows, or a sample of many rows
    is too uneven to go by.
    """
    cells = len(view.totals)
    kept, squares = (
        sums_by_cell(view.cell, weights, cells) for weights in (view.weight, view.weight**2)
    )
    with np.errstate(all="ignore"):
        gained = _placements(view, view.candidate, kept) - _placements(view, view.baseline, kept)
        mean = sums_by_cell(view.cell, view.weight * gained, cells) / kept
        gaps = gained - mean[view.cell]
        rows = np.where(view.levels > 0, kept**2 / squares, kept)
        variance = sums_by_cell(view.cell, view.weight * gaps**2, cells) / kept
        variance *= rows / (rows - 1) / view.totals
    known = (rows >= 2) & _is_even(view, kept, squares)
    df = np.where(known, rows - 1, np.nan).reshape(-1, 2).min(-1)
    se = np.sqrt(np.where(known, variance, np.nan).reshape(-1, 2).sum(-1))
    return Jackknifed(se, df)


def _placements(view: ScorePairsView, score: Ints, sizes: Floats) -> Floats:
    """The share of the other class that a row is on the right side of, ties half: [pair].

    `sizes` is the weight of the rows that are kept of each cell.
    """
    group, label = view.cell // 2, view.cell & 1
    # Both are whole numbers below 2^31: one number is sorted in a fraction of the time of two.
    order = np.argsort((group << 31) + score, kind="stable")
    group, score = group[order], score[order]
    new = np.r_[True, (group[1:] != group[:-1]) | (score[1:] != score[:-1])][: len(order)]
    tie = np.cumsum(new) - 1
    # Of each score the weight of negatives and of positives with it, then of those up to it.
    with_it = sums_by_cell(2 * tie + label[order], view.weight[order], 2 * int(new.sum()))
    with_it = with_it.reshape(-1, 2)
    up_to = np.cumsum(with_it, axis=0)
    first = np.searchsorted(group[new], group[new])
    below = up_to - with_it / 2 - (up_to - with_it)[first]
    shares = below[tie] / sizes.reshape(-1, 2)[group]
    placements = np.empty(len(order))
    placements[order] = np.where(label[order] == 1, shares[:, 0], 1 - shares[:, 1])
    return placements


def _is_even(view: ScorePairsView, kept: Floats, squares: Floats) -> Bools:
    """Of which cells the pairs that are kept are all, or a sample that is like the others."""
    share = 0.5**view.levels
    off = np.abs(kept - share * view.totals)
    with np.errstate(all="ignore"):
        enough = kept**2 / squares >= ENOUGH
    even = enough & (off <= FAR * np.sqrt(squares * (1 - share)))
    return np.asarray(even | (view.levels == 0))
