"""Rows in bins of their scores: what calibration errors are made of.

Uniform bins are of one width over [0, 1]; as in scikit-learn's `calibration_curve` a score on an
edge belongs to the bin below it. Quantile bins hold equal weights as far as ties allow: rows of one
score stay together, in the bin that the middle of their weight falls into.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from engine.metrics.score_grid import share, steps
from engine.states import Bools, Floats, Ints, ScoresView, sums_by_cell

# The middle of a score's weight can lie on the edge of two bins, but for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Bins:
    """Sums over the rows of each bin, [replicate, bin]: weight, weighted score, of positives."""

    weight: Floats
    score: Floats
    positive: Floats

    @property
    def gap(self) -> Floats:
        """The mean score less the share of positives; NaN where a bin is empty."""
        return share(self.score, self.weight) - self.positive_share

    @property
    def positive_share(self) -> Floats:
        """The share of positives."""
        return share(self.positive, self.weight)

    @property
    def part(self) -> Floats:
        """The share of all rows."""
        return share(self.weight, self.weight.sum(-1, keepdims=True))


def bin_scores(view: ScoresView, count: int, *, quantile: bool) -> Bins:
    """The view's rows in `count` bins, which are the same in all replicates."""
    weight = view.positive + view.negative
    place = middles(weight[0], count) if quantile else uniform_place(view.scores, count)
    replicates = len(weight)
    cells = (np.arange(replicates)[:, None] * count + place).reshape(-1)
    sums = [
        sums_by_cell(cells, summand.reshape(-1), replicates * count).reshape(replicates, count)
        for summand in (weight, weight * view.scores, view.positive)
    ]
    return Bins(*sums)


def uniform_place(scores: Floats, count: int) -> Ints:
    """The uniform bin of each score."""
    edges = np.linspace(0.0, 1.0, count + 1)
    return np.searchsorted(edges[1:-1], scores)


def middles(weight: Floats, count: int) -> Ints:
    """The quantile bin of each score, from the weight at each: [score]."""
    upto = np.cumsum(weight)
    place = share(upto - weight / 2, upto[-1:]) * count + _ROUNDING
    inside: Ints = np.clip(np.nan_to_num(place), 0, count - 1).astype(np.int64)
    return inside


@dataclass(frozen=True, slots=True)
class Ranges:
    """The least and the most that the grid allows of each bin of the first replicate: [2, bin].

    `gap` is of the distance between mean score and share of positives, `part` of the share of all
    rows, `spread` of the variance of the share of positives, p (1 - p) / rows.
    """

    gap: Floats
    part: Floats
    spread: Floats

    @classmethod
    def of(cls, view: ScoresView, count: int, *, quantile: bool) -> Ranges:
        """What is possible when rows of a step may lie anywhere in it."""
        first, last = _places(view, count, quantile=quantile)
        low, high = steps(view)
        middle = (low + high) / 2
        apart = float((high - low).max(initial=0.0)) / 2
        positive, negative = view.positive[0], view.negative[0]
        table = np.stack([positive, negative, (positive + negative) * middle])
        total = positive.sum() + negative.sum()
        shared: Bools = first < last
        ends = [
            _ends_of_bin(table[:, within & ~shared].sum(-1), table[:, within & shared])
            for within in ((first <= k) & (k <= last) for k in range(count))
        ]
        gaps = np.array([gap for gap, _, _ in ends]).reshape(count, 2).T
        gaps = np.stack([np.maximum(gaps[0] - apart, 0.0), gaps[1] + apart])
        rows = np.array([weight for _, weight, _ in ends]).reshape(count, 2).T
        variance = np.array([variances for _, _, variances in ends]).reshape(count, 2).T
        spread = np.stack([share(variance[0], rows[1]), share(variance[1], rows[0])])
        return cls(gaps, rows / total, np.nan_to_num(spread, nan=np.inf))


def _places(view: ScoresView, count: int, *, quantile: bool) -> tuple[Ints, Ints]:
    """The first and the last bin that rows of each step can be in."""
    if not quantile:
        first, last = (uniform_place(scores, count) for scores in steps(view))
        return first, last
    weight = view.positive[0] + view.negative[0]
    upto = np.cumsum(weight)
    ends = np.stack([upto - weight, upto]) / upto[-1] * count
    # A score that is exact, such as 0, 0.5 or 1, holds all its rows.
    low, high = steps(view)
    ends = np.where(low == high, ends.mean(0), ends)
    first, last = np.clip(ends + np.array([[_ROUNDING], [-_ROUNDING]]), 0, count - 1).astype(int)
    return first, np.maximum(first, last)


Range = tuple[float, float]


def _ends_of_bin(sure: Floats, unsure: Floats) -> tuple[Range, Range, Range]:
    """The ends of |gap|, of the weight, and of p (1 - p), over what rows a bin can hold.

    `sure` has positives, negatives and the weighted score of the rows that lie in it, `unsure` the
    same of each step that it shares with other bins, two at most. Of such a step any part of the
    positives and of the negatives can be here; the ends are reached with all or none of them.
    """
    parts = []
    for positive, negative, score in unsure.T:
        mean = score / (positive + negative)
        parts += [(positive, 0.0, positive * mean), (0.0, negative, negative * mean)]
    chosen = np.array(list(product((0.0, 1.0), repeat=len(parts))))
    corners = sure + (chosen @ np.array(parts) if parts else np.zeros((1, 3)))
    weight = corners[:, 0] + corners[:, 1]
    some = weight > 0
    if not some.any():
        return (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)
    observed = corners[some, 0] / weight[some]
    gap = corners[some, 2] / weight[some] - observed
    crossed = not some.all() or gap.min() <= 0 <= gap.max()
    least = 0.0 if crossed else float(np.abs(gap).min())
    variance = observed * (1 - observed)
    most = 0.25 if observed.min() <= 0.5 <= observed.max() else float(variance.max())
    return (
        (least, float(np.abs(gap).max())),
        (float(weight.min()), float(weight.max())),
        (float(variance.min()), most),
    )
