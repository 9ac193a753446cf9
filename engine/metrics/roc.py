"""Metrics of the order of scores, read from score histograms.

References: scikit-learn's `roc_auc_score` and `average_precision_score`. Exact while a slice has
few distinct scores. On the grid the true order within a bin is unknown; the value takes its rows
as tied, and the bound is the larger of what the best and the worst order could change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.metrics.base import BINARY, Problem, metric
from engine.metrics.basis import Known
from engine.metrics.values import Value
from engine.states import Bools, Floats, PairedScores, Scores, ScoresView
from engine.statistics import Figures

UNIT = (0.0, 1.0)


def _scores(problem: Problem) -> tuple[Scores]:
    return (Scores(problem.positive),)


def pairs_of_scores(problem: Problem) -> tuple[PairedScores]:
    """The states by which areas under the ROC curve are compared."""
    return (PairedScores(problem.positive),)


@dataclass(frozen=True, slots=True)
class Below:
    """Weights up to each score and with it, [replicate, score], and of all scores, [replicate]."""

    positive: Floats
    negative: Floats
    positives: Floats
    negatives: Floats

    @classmethod
    def of(cls, view: ScoresView) -> Below:
        """Those of a view, which its metrics share."""
        if "below" not in view.made:
            view.made["below"] = cls._of(view)
        below: Below = view.made["below"]
        return below

    @classmethod
    def _of(cls, view: ScoresView) -> Below:
        positive, negative = (
            np.cumsum(weights, axis=-1) for weights in (view.positive, view.negative)
        )
        if view.positive.shape[-1] == 0:
            nothing = np.zeros(view.positive.shape[:-1])
            return cls(positive, negative, nothing, nothing)
        return cls(positive, negative, positive[..., -1], negative[..., -1])

    @property
    def first(self) -> Below:
        """Those of the first replicate, with no axis of replicates."""
        return Below(
            self.positive[..., 0, :],
            self.negative[..., 0, :],
            self.positives[..., 0],
            self.negatives[..., 0],
        )

    @property
    def one_class(self) -> Bools:
        """Which replicates lack positives or negatives."""
        return np.asarray((self.positives == 0) | (self.negatives == 0))


def dot(left: Floats, right: Floats) -> Floats:
    """The sum over the last axis of a product."""
    return np.asarray(np.einsum("...s,...s->...", left, right))


def area_under_roc(view: ScoresView) -> Floats:
    """P(score of a positive > of a negative), ties half: [replicate]."""
    below = Below.of(view)
    wins = dot(view.positive, below.negative) - dot(view.positive, view.negative) / 2
    pairs = below.positives * below.negatives
    area: Floats = np.divide(wins, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)
    return area


def roc_bound(view: ScoresView) -> Figures:
    """Pairs in one bin count half a win; each can have been none or a whole one."""
    if view.exact:
        return 0.0
    positive, negative = view.positive[..., 0, :], view.negative[..., 0, :]
    pairs = positive.sum(-1) * negative.sum(-1)
    tied = dot(positive, negative)
    return np.where(pairs > 0, tied / np.where(pairs > 0, 2 * pairs, 1.0), 0.0)


@metric(
    "roc_auc",
    tasks=BINARY,
    needs=_scores,
    aliases=["roc_auc_score"],
    mlflow="roc_auc",
    needs_scores=True,
    bounds=UNIT,
    many=True,
    paired=pairs_of_scores,
)
def roc_auc(problem: Problem, view: ScoresView) -> Value:
    """The area under the ROC curve: how often a positive scores above a negative."""
    return whole_area(view)


def whole_area(view: ScoresView) -> Value:
    """The area under the ROC curve, with DeLong's standard error."""
    if "whole_area" not in view.made:
        view.made["whole_area"] = Value(
            area_under_roc(view),
            (("one_class", Below.of(view).one_class),),
            roc_bound(view),
            basis=delong(view),
            support=scarcest(view),
        )
    area: Value = view.made["whole_area"]
    return area


def scarcest(view: ScoresView) -> Figures:
    """The weight of the class with less of it."""
    return np.minimum(view.positive[..., 0, :].sum(-1), view.negative[..., 0, :].sum(-1))


def delong(view: ScoresView) -> Known:
    """The standard error of the area under the ROC curve of all rows.

    DeLong, DeLong and Clarke-Pearson (1988). The degrees of freedom are those that Brunner and
    Munzel (2000) give the same sum of two variances. NaN with fewer than two rows of a class.
    """
    positive, negative = view.positive[..., 0, :], view.negative[..., 0, :]
    up_to = Below.of(view).first
    n, m = up_to.positives, up_to.negatives
    with np.errstate(all="ignore"):
        # How many of the other class each positive is above, and each negative below, ties half.
        above = (up_to.negative - negative / 2) / m[..., None]
        below = 1 - (up_to.positive - positive / 2) / n[..., None]
        area = (dot(positive, above) / n)[..., None]
        of_positive = dot(positive, (above - area) ** 2) / ((n - 1) * n)
        of_negative = dot(negative, (below - area) ** 2) / ((m - 1) * m)
        variance = of_positive + of_negative
        few = of_positive**2 / (n - 1) + of_negative**2 / (m - 1)
        df = np.where(variance == 0, math.inf, variance**2 / few)
    enough = (n >= 2) & (m >= 2)
    return Known(np.where(enough, np.sqrt(variance), np.nan), np.where(enough, df, np.nan))


@metric(
    "average_precision",
    tasks=BINARY,
    needs=_scores,
    aliases=["average_precision_score"],
    mlflow="precision_recall_auc",
    needs_scores=True,
    bounds=UNIT,
    many=True,
)
def average_precision(problem: Problem, view: ScoresView) -> Value:
    """The mean of the precisions at the scores of the positives, from the highest score down."""
    return mean_precision(view)


def mean_precision(view: ScoresView) -> Value:
    """The average precision: the mean of the precisions at the scores of the positives."""
    if "mean_precision" not in view.made:
        view.made["mean_precision"] = _mean_precision(view)
    precision: Value = view.made["mean_precision"]
    return precision


def _mean_precision(view: ScoresView) -> Value:
    below, total = Below.of(view), Below.of(view).positives
    # What is at or above a score, itself with it.
    hits = (total[..., None] - below.positive) + view.positive
    taken = (below.negatives[..., None] - below.negative) + view.negative
    taken += hits
    hits = np.divide(hits, taken, out=hits, where=view.positive > 0)
    sums = dot(view.positive, hits)
    values = np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0)
    bound: Figures = 0.0
    if not view.exact:
        bound = _precision_bound(view, values[..., 0])
    return Value(values, (("one_class", total == 0),), bound, support=total[..., 0])


def _precision_bound(view: ScoresView, value: Floats) -> Floats:
    """The larger gap of `value` to the average precision of the best and the worst order.

    Best: in each bin the positives come first, tied. Worst: after the bin's negatives, one
    infinitely small part at a time, hence the integral of (h + t) / (h + t + f) over the bin.
    """
    positive, negative = view.positive[..., 0, :], view.negative[..., 0, :]
    p, below = positive, Below.of(view).first
    total = below.positives
    # What is above a bin.
    h = total[..., None] - below.positive
    f = below.negatives[..., None] - below.negative
    has = positive > 0
    misses = f + negative
    with np.errstate(all="ignore"):
        best = np.where(has, p * (h + p) / (h + p + f), 0.0).sum(-1) / total
        before = np.where(h + misses > 0, h + misses, 1.0)
        worst = np.where(has, p - misses * np.log1p(p / before), 0.0).sum(-1) / total
    bound = np.maximum(np.maximum(best - value, value - worst), 0.0)
    return np.where(total > 0, bound, 0.0)
