"""Metrics of predicted classes, all read from one confusion.

References: scikit-learn's `accuracy_score`, `precision_recall_fscore_support`,
`balanced_accuracy_score`, `matthews_corrcoef`, `jaccard_score`. Averages over classes take, as
scikit-learn does, the classes that occur in the slice (as a label or as a prediction), and a class
without predictions or without labels counts 0 in them; a single undefined ratio is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from engine.metrics.base import BINARY, CLASSIFICATION, METRICS, Function, Metric, Problem, metric
from engine.metrics.basis import Counted, Map
from engine.metrics.values import Value, ratio
from engine.states import Confusion, ConfusionView, Floats, PairedHits

UNIT = (0.0, 1.0)


def confusion_of(problem: Problem) -> tuple[Confusion]:
    """The confusion of all classes, which every metric here reads."""
    return (Confusion(problem.n_classes),)


def pairs_of_hits(problem: Problem) -> tuple[PairedHits]:
    """The states by which two versions' shares of hits are compared row by row."""
    return (PairedHits(problem.n_classes),)


Parts = tuple[Floats, Floats]

# Numerator and denominator of each class, [replicate, class], and why a denominator is 0.
_FRACTIONS: dict[str, tuple[Callable[[ConfusionView], Parts], str]] = {
    "precision": (lambda counts: (counts.hits, counts.predicted), "no_predicted_positive"),
    "recall": (lambda counts: (counts.hits, counts.actual), "one_class"),
    "f1": (lambda counts: (2 * counts.hits, counts.actual + counts.predicted), "one_class"),
    "jaccard": (
        lambda counts: (counts.hits, counts.actual + counts.predicted - counts.hits),
        "one_class",
    ),
}


def _of_class(name: str, confusion: ConfusionView, k: int) -> Value:
    parts, reason = _FRACTIONS[name]
    numerator, denominator = parts(confusion)
    value = ratio(numerator[..., k], denominator[..., k], reason)
    hits = confusion.squares[..., k, k]
    actual, predicted = confusion.squares[..., k, :].sum(-1), confusion.squares[..., :, k].sum(-1)
    right, rows, said = (
        counts[..., 0, k] for counts in (confusion.hits, confusion.actual, confusion.predicted)
    )
    either = (rows + said - right, actual + predicted - 2 * hits)
    trials, squares = {
        "precision": (said, predicted - hits),
        "recall": (rows, actual - hits),
        "f1": either,
        "jaccard": either,
    }[name]
    counted = Counted(right, trials, hits, squares)
    return replace(value, basis=counted, map=F1_OF_JACCARD if name == "f1" else None)


def _jaccard_of(f1: float) -> float:
    return f1 / (2 - f1) if f1 < 2 else math.inf


# F1 is 2 J / (1 + J), where J, the Jaccard index, is a share of rows: TP of TP + FP + FN.
F1_OF_JACCARD = Map(lambda share: 2 * share / (1 + share), _jaccard_of)
JACCARD_OF_ACCURACY = Map(_jaccard_of, lambda share: 2 * share / (1 + share))


@metric(
    "accuracy",
    tasks=CLASSIFICATION,
    needs=confusion_of,
    aliases=["accuracy_score"],
    mlflow="accuracy_score",
    bounds=UNIT,
    paired=pairs_of_hits,
    hits_of=lambda problem: range(problem.n_classes),
    many=True,
)
def accuracy(problem: Problem, confusion: ConfusionView) -> Value:
    """The share of rows whose class was predicted."""
    return row_accuracy(confusion)


def row_accuracy(confusion: ConfusionView) -> Value:
    """The share of rows whose class was predicted, of which other metrics are functions."""
    hits = np.trace(confusion.squares, axis1=-2, axis2=-1)
    squares = (hits, confusion.squares.sum((-2, -1)) - hits)
    return ratio(confusion.hits.sum(-1), confusion.total, "zero_weight", squares=squares)


@metric(
    "balanced_accuracy",
    tasks=CLASSIFICATION,
    needs=confusion_of,
    aliases=["balanced_accuracy_score"],
    bounds=UNIT,
    many=True,
)
def balanced_accuracy(problem: Problem, confusion: ConfusionView) -> Value:
    """The mean recall of the classes that have rows."""
    return _mean_recall(confusion)


def _mean_recall(confusion: ConfusionView) -> Value:
    has_rows = confusion.actual > 0
    recalls = np.divide(
        confusion.hits, confusion.actual, out=np.zeros_like(confusion.hits), where=has_rows
    )
    return ratio(recalls.sum(-1), has_rows.sum(-1).astype(np.float64), "zero_weight")


@metric(
    "balanced_accuracy_adjusted",
    tasks=CLASSIFICATION,
    needs=confusion_of,
    bounds=(-1.0, 1.0),
    many=True,
)
def balanced_accuracy_adjusted(problem: Problem, confusion: ConfusionView) -> Value:
    """The balanced accuracy beyond chance: 0 of guesses, 1 at best; at the least -1 / (K - 1)."""
    plain = _mean_recall(confusion)
    chance = 1 / np.maximum((confusion.actual > 0).sum(-1), 1)
    values = (plain.values - chance) / (1 - chance)
    rows = confusion.actual[..., 0, :]
    scarcest = np.where(rows > 0, rows, np.inf).min(-1)
    return Value(values, (*plain.undefined, ("one_class", chance == 1)), support=scarcest)


@metric(
    "matthews_corrcoef",
    tasks=CLASSIFICATION,
    needs=confusion_of,
    aliases=["matthews_corrcoef_score", "mcc"],
    bounds=(-1.0, 1.0),
    many=True,
)
def matthews_corrcoef(problem: Problem, confusion: ConfusionView) -> Value:
    """The correlation of labels and predictions (Matthews 1975; Gorodkin 2004 for many classes)."""
    covariance = confusion.hits.sum(-1) * confusion.total - (
        confusion.actual * confusion.predicted
    ).sum(-1)
    # total² - sum of squares, written so that it does not cancel when one class has nearly all.
    actual = (confusion.actual * (confusion.total[..., None] - confusion.actual)).sum(-1)
    predicted = (confusion.predicted * (confusion.total[..., None] - confusion.predicted)).sum(-1)
    one_class = (confusion.actual > 0).sum(-1) < 2
    constant = (confusion.predicted > 0).sum(-1) < 2
    values = covariance / (np.sqrt(actual) * np.sqrt(predicted))
    return Value(values, (("one_class", one_class), ("constant", constant)))


def _of_positive(name: str, problem: Problem, confusion: ConfusionView) -> Value:
    return _of_class(name, confusion, problem.positive)


def _of_label(name: str, label: str, problem: Problem, confusion: ConfusionView) -> Value:
    k = class_at(label, problem)
    if k is None:
        return unknown_class(confusion.total.shape)
    return _of_class(name, confusion, k)


def class_at(label: str, problem: Problem) -> int | None:
    """The place of the class, or the label, that a metric's name has; None where there is none."""
    texts = [label_text(class_label) for class_label in problem.classes]
    return texts.index(label) if label in texts else None


def unknown_class(shape: tuple[int, ...]) -> Value:
    """The value of a class that the model does not have: [..., replicate]."""
    return Value(np.full(shape, np.nan), (("unknown_class", np.ones(shape, bool)),))


def label_text(label: object) -> str:
    """How a class is written in a metric's name: 3, setosa, true."""
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def _average(name: str, average: str, problem: Problem, confusion: ConfusionView) -> Value:
    return average_over_classes(_FRACTIONS[name][0](confusion), average, confusion)


def average_over_classes(parts: Parts, average: str, confusion: ConfusionView) -> Value:
    """The `macro` or `weighted` mean of a fraction of each class, [replicate, class]."""
    numerator, denominator = parts
    zeros = np.zeros_like(numerator)
    fractions = np.divide(numerator, denominator, out=zeros, where=denominator > 0)
    present = (confusion.actual > 0) | (confusion.predicted > 0)
    shares = confusion.actual if average == "weighted" else present.astype(np.float64)
    return ratio((fractions * shares).sum(-1), shares.sum(-1), "zero_weight")


def _jaccard_micro(problem: Problem, confusion: ConfusionView) -> Value:
    """All hits of all rows that are of a class or predicted so: a / (2 - a) of the accuracy a."""
    value = row_accuracy(confusion)
    return replace(value, values=value.values / (2 - value.values), map=JACCARD_OF_ACCURACY)


_PAIRED: dict[str, Any] = {"paired": pairs_of_hits, "hits_of": lambda problem: [problem.positive]}
_ALL_PAIRED: dict[str, Any] = {
    "paired": pairs_of_hits,
    "hits_of": lambda problem: range(problem.n_classes),
}


def _register() -> None:
    for name in _FRACTIONS:
        METRICS.add(
            name,
            Metric(
                name,
                BINARY,
                confusion_of,
                partial(_of_positive, name),
                mlflow=f"{name}_score",
                bounds=UNIT,
                summary=f"The {name} of the positive class.",
                many=True,
                **(_PAIRED if name == "recall" else {}),
            ),
            aliases=[f"{name}_score"],
        )
        functions: dict[str, Function] = {
            "macro": partial(_average, name, "macro"),
            "weighted": partial(_average, name, "weighted"),
            # Every row has one class and one prediction, so all but Jaccard's are the accuracy.
            "micro": _jaccard_micro if name == "jaccard" else accuracy,
        }
        for average, function in functions.items():
            METRICS.add(
                f"{name}_{average}",
                Metric(
                    f"{name}_{average}",
                    CLASSIFICATION,
                    confusion_of,
                    function,
                    bounds=UNIT,
                    summary=f"The {average} average over classes of {name}.",
                    many=True,
                    **(_ALL_PAIRED if function is accuracy else {}),
                ),
                aliases=[f"{name}_score_{average}"],
            )
        # A class may be an empty text.
        METRICS.add_pattern(rf"{name}_class_(?P<label>.*)", partial(_for_label, name))


def _for_label(name: str, label: str) -> Metric:
    def rows(problem: Problem) -> list[int]:
        k = class_at(label, problem)
        return [] if k is None else [k]

    paired: dict[str, Any] = {"paired": pairs_of_hits, "hits_of": rows} if name == "recall" else {}
    return Metric(
        f"{name}_class_{label}",
        CLASSIFICATION,
        confusion_of,
        partial(_of_label, name, label),
        bounds=UNIT,
        summary=f"The {name} of the class {label} against the others.",
        many=True,
        **paired,
    )


_register()
