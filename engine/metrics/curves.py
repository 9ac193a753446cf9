"""Pictures of a model on a slice, drawn from the same states as its metrics."""

from __future__ import annotations

import numpy as np

from engine.core.vocabulary import ConfusionMatrix, Curve, TaskKind
from engine.metrics.base import Problem
from engine.metrics.classification import label_text
from engine.metrics.slices import Slices
from engine.states import Confusion, Floats, Scores, ScoresView, sums_by_cell

CALIBRATION_BINS = 10


def curves(problem: Problem, states: Slices, *, model: str, slice_name: str) -> list[Curve]:
    """ROC, precision-recall and calibration of each class that has a score histogram."""
    if problem.task is TaskKind.REGRESSION:
        return []
    binary = problem.task is TaskKind.BINARY
    drawn: list[Curve] = []
    for k in [problem.positive] if binary else range(problem.n_classes):
        if Scores(k).key not in states.families:
            continue
        view = states.view_at(Scores(k).key, 0)
        label = None if binary else label_text(problem.classes[k])
        for kind, draw in (
            ("roc", _roc),
            ("precision_recall", _precision_recall),
            ("calibration", _calibration),
        ):
            points = draw(view)
            if points is not None:
                x, y, weight = (axis.tolist() for axis in points)
                drawn.append(Curve(kind, model, slice_name, x, y, label, weight))
    return drawn


def confusion(
    problem: Problem, states: Slices, *, model: str, slice_name: str
) -> ConfusionMatrix | None:
    """The confusion matrix, where the states hold one of at most 50 classes."""
    key = Confusion(problem.n_classes).key
    if key not in states.families or problem.n_classes > 50:
        return None
    matrix = tuple(tuple(row) for row in states.view_at(key, 0).matrix().tolist())
    labels = tuple(label_text(label) for label in problem.classes)
    return ConfusionMatrix(model, slice_name, labels, matrix)


Points = tuple[Floats, Floats, Floats]
_NONE = np.zeros(0)


def _roc(view: ScoresView) -> Points | None:
    hits, false = np.cumsum(view.positive[0, ::-1]), np.cumsum(view.negative[0, ::-1])
    if len(hits) == 0 or hits[-1] == 0 or false[-1] == 0:
        return None
    return np.r_[0.0, false / false[-1]], np.r_[0.0, hits / hits[-1]], _NONE


def _precision_recall(view: ScoresView) -> Points | None:
    hits, false = np.cumsum(view.positive[0, ::-1]), np.cumsum(view.negative[0, ::-1])
    if len(hits) == 0 or hits[-1] == 0:
        return None
    return np.r_[0.0, hits / hits[-1]], np.r_[1.0, hits / (hits + false)], _NONE


def _calibration(view: ScoresView) -> Points | None:
    """Mean score and share of positives in ten bins of equal width, with their weights.

    As in scikit-learn's `calibration_curve`, a score on an edge belongs to the bin below it.
    """
    weight = view.positive[0] + view.negative[0]
    if weight.sum() == 0:
        return None
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    place = np.searchsorted(edges[1:-1], view.scores)
    total, score, positive = (
        sums_by_cell(place, summand, CALIBRATION_BINS)
        for summand in (weight, weight * view.scores, view.positive[0])
    )
    used = total > 0
    share: Floats = positive[used] / total[used]
    return score[used] / total[used], share, total[used]
