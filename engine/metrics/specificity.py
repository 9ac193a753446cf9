"""The specificity of each class against the others, and its averages over classes.

Reference: scikit-learn's `multilabel_confusion_matrix`, of which it is TN / (TN + FP) of a class.
As in the averages of recall, `macro` and `weighted` take the classes that occur in the slice; where
one class has all rows its specificity does not exist, and neither do they (imbalanced-learn's
`specificity_score`: 0). `micro` counts each row once for each of the K classes of the model but its
own, also for those that do not occur (torchmetrics): of an accuracy a it is 1 - (1 - a) / (K - 1).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import numpy as np

from engine.metrics.base import CLASSIFICATION, METRICS, Metric, Problem, mean, pairs_of
from engine.metrics.basis import Map
from engine.metrics.classification import (
    UNIT,
    Parts,
    average_over_classes,
    class_at,
    confusion_of,
    row_accuracy,
    unknown_class,
)
from engine.metrics.values import Value, ratio
from engine.states import ConfusionView, Floats, PairedHitsOf, PairedMean, Scored


def _parts(confusion: ConfusionView) -> Parts:
    """The rows of the other classes that are predicted so, and all of these: [replicate, class]."""
    others = confusion.total[..., None] - confusion.actual
    spared = others - (confusion.predicted - confusion.hits)
    # Of none left, rounding may make a little less than none.
    return np.maximum(spared, 0.0), others


def _average(average: str, problem: Problem, confusion: ConfusionView) -> Value:
    value = average_over_classes(_parts(confusion), average, confusion)
    one_class = (confusion.actual > 0).sum(-1) == 1
    return replace(value, undefined=(*value.undefined, ("one_class", one_class)))


@cache
def _of_accuracy(others: int) -> Map:
    """The micro specificity as a function of the accuracy, with so many other classes."""
    return Map(lambda share: 1 - (1 - share) / others, lambda value: 1 - (1 - value) * others)


def _micro(problem: Problem, confusion: ConfusionView) -> Value:
    value, by = row_accuracy(confusion), _of_accuracy(problem.n_classes - 1)
    return replace(value, values=1 - (1 - value.values) / (problem.n_classes - 1), map=by)


def share_of_others(batch: Scored, problem: Problem) -> Floats:
    """Of the classes that a row is not of, the share that are not predicted."""
    assert batch.predicted is not None, "needs predicted classes"
    shares: Floats = 1 - (batch.predicted != batch.truth) / (problem.n_classes - 1)
    return shares


def _row_pairs(problem: Problem) -> tuple[PairedMean]:
    return (pairs_of(mean(share_of_others, problem)),)


def _of_class(label: str, problem: Problem, confusion: ConfusionView) -> Value:
    k = class_at(label, problem)
    if k is None:
        return unknown_class(confusion.total.shape)
    spared, others = (part[..., k] for part in _parts(confusion))
    squares = confusion.squares
    false = squares[..., :, k].sum(-1) - squares[..., k, k]
    rest = squares.sum((-2, -1)) - squares[..., k, :].sum(-1) - false
    return ratio(spared, others, "one_class", squares=(rest, false))


def _for_class(label: str) -> Metric:
    """The metric `specificity_class_<label>`."""

    def pairs(problem: Problem) -> tuple[PairedHitsOf, ...]:
        k = class_at(label, problem)
        return () if k is None else (PairedHitsOf(k),)

    return Metric(
        f"specificity_class_{label}",
        CLASSIFICATION,
        confusion_of,
        partial(_of_class, label),
        bounds=UNIT,
        summary=f"The specificity of the class {label} against the others.",
        paired=pairs,
        hits_of=_others,
        many=True,
    )


def _others(problem: Problem) -> list[int]:
    return [0]


def _register() -> None:
    for average in ("macro", "weighted", "micro"):
        name = f"specificity_{average}"
        entry = Metric(
            name,
            CLASSIFICATION,
            confusion_of,
            _micro if average == "micro" else partial(_average, average),
            bounds=UNIT,
            summary=f"The {average} average over classes of specificity.",
            many=True,
            paired=_row_pairs if average == "micro" else None,
        )
        METRICS.add(name, entry)
    # A class may be an empty text.
    METRICS.add_pattern(r"specificity_class_(?P<label>.*)", _for_class)


_register()
