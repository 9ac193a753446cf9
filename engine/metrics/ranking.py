"""Metrics of the order of scores, read from score histograms.

References: scikit-learn's `roc_auc_score` and `average_precision_score`. Exact while a slice has
few distinct scores. On the grid the true order within a bin is unknown; the value takes its rows
as tied, and the bound is the larger of what the best and the worst order could change.
"""

from __future__ import annotations

import math

import numpy as np

from engine.metrics.base import BINARY, MULTICLASS, Problem, Value, metric
from engine.metrics.basis import Known
from engine.states import Bools, Floats, Scores, ScoresView

UNIT = (0.0, 1.0)


def _scores(problem: Problem) -> tuple[Scores]:
    return (Scores(problem.positive),)


def _scores_of_each(problem: Problem) -> tuple[Scores, ...]:
    return tuple(Scores(k) for k in range(problem.n_classes))


def area_under_roc(positive: Floats, negative: Floats) -> Floats:
    """P(score of a positive > of a negative), ties half; [replicate] from [replicate, score]."""
    below = np.cumsum(negative, axis=-1) - negative / 2
    pairs = positive.sum(-1) * negative.sum(-1)
    wins = (positive * below).sum(-1)
    area: Floats = np.divide(wins, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)
    return area


def roc_bound(of: ScoresView) -> float:
    """Pairs in one bin count half a win; each can have been none or a whole one."""
    if of.exact:
        return 0.0
    positive, negative = of.positive[0], of.negative[0]
    pairs = positive.sum() * negative.sum()
    return float((positive * negative).sum() / (2 * pairs)) if pairs > 0 else 0.0


def _one_class(of: ScoresView) -> Bools:
    missing: Bools = (of.positive.sum(-1) == 0) | (of.negative.sum(-1) == 0)
    return missing


@metric(
    "roc_auc",
    tasks=BINARY,
    needs=_scores,
    aliases=["roc_auc_score"],
    mlflow="roc_auc",
    needs_scores=True,
    bounds=UNIT,
)
def roc_auc(problem: Problem, of: ScoresView) -> Value:
    """The area under the ROC curve: how often a positive scores above a negative."""
    return whole_area(of)


def whole_area(of: ScoresView) -> Value:
    """The area under the ROC curve, with DeLong's standard error."""
    values = area_under_roc(of.positive, of.negative)
    return Value(
        values,
        (("one_class", _one_class(of)),),
        roc_bound(of),
        basis=delong(of.positive[0], of.negative[0]),
        support=scarcest(of),
    )


def scarcest(of: ScoresView) -> float:
    """The weight of the class with less of it."""
    return float(min(of.positive[0].sum(), of.negative[0].sum()))


def delong(positive: Floats, negative: Floats) -> Known | None:
    """The standard error of the area under the ROC curve, from counts by score.

    DeLong, DeLong and Clarke-Pearson (1988). The degrees of freedom are those that Brunner and
    Munzel (2000) give the same sum of two variances. None with fewer than two rows of a class.
    """
    n, m = float(positive.sum()), float(negative.sum())
    if n < 2 or m < 2:
        return None
    # How many of the other class each positive is above, and each negative below, ties half.
    above = (np.cumsum(negative) - negative / 2) / m
    below = 1 - (np.cumsum(positive) - positive / 2) / n
    area = float((positive * above).sum()) / n
    of_positive = float((positive * (above - area) ** 2).sum()) / (n - 1) / n
    of_negative = float((negative * (below - area) ** 2).sum()) / (m - 1) / m
    variance = of_positive + of_negative
    if variance == 0:
        return Known(0.0)
    df = variance**2 / (of_positive**2 / (n - 1) + of_negative**2 / (m - 1))
    return Known(math.sqrt(variance), df)


def _ovr(problem: Problem, views: tuple[ScoresView, ...], *, by_prevalence: bool) -> Value:
    areas = np.stack([area_under_roc(of.positive, of.negative) for of in views])
    shares = np.ones_like(areas)
    if by_prevalence:
        shares = np.stack([of.positive.sum(-1) for of in views])
    shares = shares / shares.sum(0)
    missing: Bools = np.any([_one_class(of) for of in views], axis=0)
    bound = sum(share * roc_bound(of) for share, of in zip(shares[:, 0], views, strict=True))
    support = min(scarcest(of) for of in views)
    values = (areas * shares).sum(0)
    return Value(values, (("one_class", missing),), float(bound), support=support)


@metric(
    "roc_auc_ovr",
    tasks=MULTICLASS,
    needs=_scores_of_each,
    aliases=["roc_auc_ovr_macro"],
    needs_scores=True,
    bounds=UNIT,
)
def roc_auc_ovr(problem: Problem, *views: ScoresView) -> Value:
    """The mean area under the ROC curves of each class against the others."""
    return _ovr(problem, views, by_prevalence=False)


@metric(
    "roc_auc_ovr_weighted",
    tasks=MULTICLASS,
    needs=_scores_of_each,
    needs_scores=True,
    mlflow="roc_auc",
    bounds=UNIT,
)
def roc_auc_ovr_weighted(problem: Problem, *views: ScoresView) -> Value:
    """The mean of the one-against-others ROC areas, weighted by how frequent the classes are."""
    return _ovr(problem, views, by_prevalence=True)


@metric(
    "average_precision",
    tasks=BINARY,
    needs=_scores,
    aliases=["average_precision_score"],
    mlflow="precision_recall_auc",
    needs_scores=True,
    bounds=UNIT,
)
def average_precision(problem: Problem, of: ScoresView) -> Value:
    """The mean of the precisions at the scores of the positives, from the highest score down."""
    positive, negative = of.positive[:, ::-1], of.negative[:, ::-1]
    hits = np.cumsum(positive, axis=-1)
    taken = hits + np.cumsum(negative, axis=-1)
    precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
    total = positive.sum(-1)
    values = np.divide(
        (positive * precision).sum(-1), total, out=np.full(total.shape, np.nan), where=total > 0
    )
    bound = 0.0 if of.exact else _precision_bound(positive[0], negative[0], float(values[0]))
    return Value(values, (("one_class", total == 0),), bound, support=float(total[0]))


def _precision_bound(positive: Floats, negative: Floats, value: float) -> float:
    """The larger gap of `value` to the average precision of the best and the worst order.

    Best: in each bin the positives come first, tied. Worst: after the bin's negatives, one
    infinitely small part at a time, hence the integral of (h + t) / (h + t + f) over the bin.
    """
    total = positive.sum()
    if total == 0:
        return 0.0
    hits = np.cumsum(positive) - positive
    false = np.cumsum(negative) - negative
    has = positive > 0
    p, n, h, f = positive[has], negative[has], hits[has], false[has]
    best = (p * (h + p) / (h + p + f)).sum() / total
    misses = f + n
    worst = (p - misses * np.log1p(p / np.where(h + misses > 0, h + misses, 1.0))).sum() / total
    return float(max(best - value, value - worst, 0.0))
