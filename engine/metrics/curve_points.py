"""Metrics that are read off the curves of scores: at a point, at a cut, up to a limit.

A target is reached at a threshold that some row's score is: nothing is interpolated (the step
convention), so each value is one that the model reaches. References: scikit-learn's `roc_curve`,
`precision_recall_curve`, `roc_auc_score(max_fpr=)`, `auc`; scipy's `ks_2samp`. `lift` and `gain`
take a share of the rows by their scores, and of rows tied at the cut as many as are left to take,
with the positives that are to be expected of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from engine.metrics.base import BINARY, METRICS, Metric, Problem, metric
from engine.metrics.basis import Known
from engine.metrics.roc import Below, pairs_of_scores, scarcest, whole_area
from engine.metrics.score_grid import (
    REACHED,
    SHARE,
    UNIT,
    RocCurve,
    best_curve,
    curve_of,
    pick_from_curve,
    positive_scores,
    share,
    worst_curve,
)
from engine.metrics.values import Value
from engine.states import Bools, Floats, ScoresView
from engine.statistics import Figures


@metric(
    "ks_statistic",
    tasks=BINARY,
    needs=positive_scores,
    aliases=["ks"],
    needs_scores=True,
    bounds=UNIT,
    many=True,
)
def ks_statistic(problem: Problem, view: ScoresView) -> Value:
    """The largest gap between the distributions of the positives' and the negatives' scores."""
    below = Below.of(view)
    gaps = below.positive * (1 / below.positives)[..., None]
    gaps -= below.negative * (1 / below.negatives)[..., None]
    values = np.abs(gaps, out=gaps).max(-1, initial=0.0)
    bound: Figures = 0.0
    if not view.exact:
        bound = np.where(below.one_class[..., 0], 0.0, _ks_bound(view) - values[..., 0])
        bound = np.maximum(bound, 0.0)
    return Value(values, (("one_class", below.one_class),), bound, support=scarcest(view))


def _ks_bound(view: ScoresView) -> Floats:
    """The largest gap that an order within the bins can make: one class of a bin first."""
    first = Below.of(view).first
    positives, negatives = first.positives[..., None], first.negatives[..., None]
    positive, negative = view.positive[..., 0, :], view.negative[..., 0, :]
    above = first.negative / negatives - (first.positive - positive) / positives
    under = first.positive / positives - (first.negative - negative) / negatives
    return np.asarray(np.maximum(above, under).max(-1, initial=0.0))


@metric(
    "gini",
    tasks=BINARY,
    needs=positive_scores,
    aliases=["gini_coefficient", "somers_d"],
    needs_scores=True,
    bounds=(-1.0, 1.0),
    many=True,
    paired=pairs_of_scores,
)
def gini(problem: Problem, view: ScoresView) -> Value:
    """Twice the area under the ROC curve, less 1 (Somers' D)."""
    value = whole_area(view)
    basis = value.basis
    if isinstance(basis, Known):
        basis = replace(basis, se=2 * basis.se)
    return replace(value, values=2 * value.values - 1, bound=2 * value.bound, basis=basis)


@metric(
    "pr_auc_trapezoid",
    tasks=BINARY,
    needs=positive_scores,
    needs_scores=True,
    bounds=UNIT,
)
def pr_auc_trapezoid(problem: Problem, view: ScoresView) -> Value:
    """The area under the straight lines between the points of the precision-recall curve."""
    curve = curve_of(view)
    # Before any row is taken the curve begins at a precision of 1.
    precision = np.nan_to_num(curve.precision, nan=1.0)
    width = np.diff(curve.recall, axis=-1)
    values = (width * (precision[:, 1:] + precision[:, :-1]) / 2).sum(-1)
    bound = 0.0
    if not view.exact and not curve.no_positives[0]:
        bound = _trapezoid_bound(view, float(values[0]))
    undefined = (("one_class", curve.no_positives),)
    return Value(values, undefined, bound, support=float(view.positive[0].sum()))


def _trapezoid_bound(view: ScoresView, value: float) -> float:
    """The larger gap to the area with the best, and with the worst, precision of each step.

    Within a step every point of the curve has at most the precision with all of the step's
    positives and none of its negatives, and at least the one with the reverse.
    """
    curve = RocCurve.of(view.positive[:1], view.negative[:1])
    hits, false = curve.hits[0], curve.false[0]
    width = np.diff(hits) / hits[-1]
    best = share(hits[1:], hits[1:] + false[:-1])
    worst = share(hits[:-1], hits[:-1] + false[1:])
    high = float((width[width > 0] * best[width > 0]).sum())
    # Without a row before it, a step of positives only has a precision of 1.
    low = float((width[width > 0] * np.nan_to_num(worst[width > 0], nan=1.0)).sum())
    return max(high - value, value - low, 0.0)


@dataclass(frozen=True, slots=True)
class At:
    """What is best on the curve where something else reaches a target."""

    pick: Callable[[float, RocCurve], Floats]
    needs_negatives: bool
    higher: bool
    summary: str


def _precision_at_recall(target: float, curve: RocCurve) -> Floats:
    return _largest(curve.precision, curve.recall >= target - REACHED)


def _recall_at_precision(target: float, curve: RocCurve) -> Floats:
    return _largest(curve.recall, curve.precision >= target - REACHED)


def _tpr_at_fpr(target: float, curve: RocCurve) -> Floats:
    return _largest(curve.recall, curve.false_share <= target + REACHED)


def _fpr_at_tpr(target: float, curve: RocCurve) -> Floats:
    return -_largest(-curve.false_share, curve.recall >= target - REACHED)


def _largest(values: Floats, allowed: Bools) -> Floats:
    """The largest of the values that are allowed: [replicate], NaN where none is."""
    most = np.where(allowed & ~np.isnan(values), values, -np.inf).max(-1)
    return np.where(np.isfinite(most), most, np.nan)


AT = {
    "precision_at_recall": At(
        _precision_at_recall, False, True, "The highest precision with a recall of at least"
    ),
    "recall_at_precision": At(
        _recall_at_precision, False, True, "The highest recall with a precision of at least"
    ),
    "tpr_at_fpr": At(
        _tpr_at_fpr, True, True, "The highest recall with a false positive rate of at most"
    ),
    "fpr_at_tpr": At(
        _fpr_at_tpr, True, False, "The lowest false positive rate with a recall of at least"
    ),
}


def _at(name: str, target: float, problem: Problem, view: ScoresView) -> Value:
    at = AT[name]
    values, bound = pick_from_curve(partial(at.pick, target), view)
    curve = RocCurve(
        *(weights.sum(-1, keepdims=True) for weights in (view.positive, view.negative))
    )
    missing = curve.one_class if at.needs_negatives else curve.no_positives
    support = scarcest(view) if at.needs_negatives else float(view.positive[0].sum())
    undefined = (("one_class", missing), ("unreachable", np.isnan(values)))
    return Value(values, undefined, bound, support=support)


def _for_target(name: str, target: str) -> Metric:
    """The metric `<name>_<target>`."""
    return Metric(
        f"{name}_{target}",
        BINARY,
        positive_scores,
        partial(_at, name, float(target)),
        higher_is_better=AT[name].higher,
        needs_scores=True,
        bounds=UNIT,
        summary=f"{AT[name].summary} {target}.",
    )


def partial_area(limit: float, curve: RocCurve) -> Floats:
    """The area under the ROC curve up to a false positive rate, on McClish's scale (1989).

    0.5 is what chance has and 1 what is perfect.
    """
    x, y = curve.false_share, curve.recall
    start, end = x[:, :-1], np.minimum(x[:, 1:], limit)
    width = np.maximum(end - start, 0.0)
    # The line between two points is cut at the limit.
    slope = share(np.diff(y, axis=-1), np.diff(x, axis=-1))
    top = y[:, :-1] + np.where(width > 0, slope * width, 0.0)
    area = np.where(width > 0, width * (y[:, :-1] + top) / 2, 0.0).sum(-1)
    least, most = limit * limit / 2, limit
    scaled: Floats = 0.5 * (1 + (area - least) / (most - least))
    return scaled


def _partial_auc(limit: float, problem: Problem, view: ScoresView) -> Value:
    curve = curve_of(view)
    values = partial_area(limit, curve)
    bound = 0.0
    if not view.exact and not curve.one_class[0]:
        ends = [float(partial_area(limit, draw(view))[0]) for draw in (best_curve, worst_curve)]
        bound = max(abs(end - float(values[0])) for end in ends)
    return Value(values, (("one_class", curve.one_class),), bound, support=scarcest(view))


def _for_limit(limit: str) -> Metric:
    """The metric `roc_auc_max_fpr_<limit>`."""
    return Metric(
        f"roc_auc_max_fpr_{limit}",
        BINARY,
        positive_scores,
        partial(_partial_auc, float(limit)),
        needs_scores=True,
        bounds=UNIT,
        summary=f"The area under the ROC curve up to a false positive rate of {limit}, scaled so "
        "that chance has 0.5 (McClish 1989).",
    )


def _gain(part: float, curve: RocCurve) -> tuple[Floats, float, float]:
    """The share of the positives in the top `part` of the rows; the first's least and most."""
    taken = curve.hits + curve.false
    cut = part * taken[:, -1]
    place = np.array([np.searchsorted(t, c) for t, c in zip(taken, cut, strict=True)])
    place = np.clip(place, 1, taken.shape[1] - 1)
    row = np.arange(len(taken))
    before, left = curve.hits[row, place - 1], cut - taken[row, place - 1]
    tied, hits = (np.diff(sums, axis=-1)[row, place - 1] for sums in (taken, curve.hits))
    positives = curve.hits[:, -1]
    values = share(before + hits * np.nan_to_num(share(left, tied)), positives)
    least = before[0] + max(left[0] - (tied[0] - hits[0]), 0.0)
    most = before[0] + min(left[0], hits[0])
    return values, float(least / positives[0]), float(most / positives[0])


def _gain_at(part: float, per: float, problem: Problem, view: ScoresView) -> Value:
    """The gain at a share of the rows, divided by `per`."""
    if view.positive.shape[1] == 0:
        nothing = np.ones(len(view.positive), bool)
        return Value(np.full(len(nothing), np.nan), (("one_class", nothing),))
    values, least, most = _gain(part, RocCurve.of(view.positive, view.negative))
    bound = 0.0 if view.exact else float(max(most - values[0], values[0] - least, 0.0))
    missing = view.positive.sum(-1) == 0
    undefined = (("one_class", missing),)
    return Value(values / per, undefined, bound / per, support=float(view.positive[0].sum()))


def _for_part(name: str, part: str) -> Metric:
    """The metric `gain_at_<part>` or `lift_at_<part>`."""
    top = f"the top {part} of the rows by score"
    lift = name == "lift"
    per = float(part) if lift else 1.0
    summary = f"The share of the positives that are among {top}"
    return Metric(
        f"{name}_at_{part}",
        BINARY,
        positive_scores,
        partial(_gain_at, float(part), per),
        needs_scores=True,
        bounds=(0.0, 1 / per),
        summary=f"{summary}, divided by {part}." if lift else f"{summary}.",
    )


def _register() -> None:
    for name in AT:
        METRICS.add_pattern(rf"{name}_(?P<target>{SHARE})", partial(_for_target, name))
    METRICS.add_pattern(rf"roc_auc_max_fpr_(?P<limit>{SHARE})", _for_limit)
    METRICS.add_pattern(rf"lift_at_(?P<part>{SHARE})", partial(_for_part, "lift"))
    METRICS.add_pattern(rf"(?:gain|capture_rate)_at_(?P<part>{SHARE})", partial(_for_part, "gain"))


_register()
