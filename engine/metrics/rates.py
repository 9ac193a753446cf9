"""Rates and counts of binary predictions, and the F scores, read from one confusion.

References: scikit-learn's `confusion_matrix`, `fbeta_score`; fairlearn's `true_negative_rate`,
`false_positive_rate`, `false_negative_rate`, `selection_rate`. A rate is a share of rows: those in
some cells of the confusion, of those in these and some others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from engine.metrics.base import BINARY, CLASSIFICATION, METRICS, Metric, Problem
from engine.metrics.classification import average_over_classes, confusion_of, pairs_of_hits
from engine.metrics.values import Value, ratio
from engine.states import ConfusionView, Floats

UNIT = (0.0, 1.0)

# Cells of the confusion by (is positive, is predicted positive).
TP, FN, FP, TN = CELLS = ((1, 1), (1, 0), (0, 1), (0, 0))
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of rows: those in `hits`, of those in `hits` and `misses`."""

    summary: str
    hits: tuple[Cell, ...]
    misses: tuple[Cell, ...]
    undefined: str
    higher: bool | None
    aliases: tuple[str, ...] = ()


RATES = {
    "specificity": Rate(
        "The share of the negatives that are predicted so.",
        (TN,),
        (FP,),
        "one_class",
        True,
        ("true_negative_rate", "tnr"),
    ),
    "npv": Rate(
        "The share of the predicted negatives that are negative.",
        (TN,),
        (FN,),
        "no_predicted_negative",
        True,
        ("negative_predictive_value",),
    ),
    "fpr": Rate(
        "The share of the negatives that are predicted positive.",
        (FP,),
        (TN,),
        "one_class",
        False,
        ("false_positive_rate",),
    ),
    "fnr": Rate(
        "The share of the positives that are predicted negative.",
        (FN,),
        (TP,),
        "one_class",
        False,
        ("false_negative_rate",),
    ),
    "fdr": Rate(
        "The share of the predicted positives that are negative.",
        (FP,),
        (TP,),
        "no_predicted_positive",
        False,
        ("false_discovery_rate",),
    ),
    "false_omission_rate": Rate(
        "The share of the predicted negatives that are positive.",
        (FN,),
        (TN,),
        "no_predicted_negative",
        False,
        ("for",),
    ),
    "selection_rate": Rate(
        "The share of the rows that are predicted positive.",
        (TP, FP),
        (FN, TN),
        "zero_weight",
        None,
    ),
    "prevalence": Rate(
        "The share of the rows that are positive.", (TP, FN), (FP, TN), "zero_weight", None
    ),
}

COUNTS = {
    "true_positives": ("The weight of the positives that are predicted so.", TP, True),
    "false_positives": ("The weight of the negatives that are predicted positive.", FP, False),
    "true_negatives": ("The weight of the negatives that are predicted so.", TN, True),
    "false_negatives": ("The weight of the positives that are predicted negative.", FN, False),
}


def _cells(problem: Problem, matrix: Floats, cells: tuple[Cell, ...]) -> Floats:
    """The sum over cells of a confusion, whose last axes are the true and the predicted class."""
    index = (1 - problem.positive, problem.positive)
    parts = [matrix[..., index[i], index[j]] for i, j in cells]
    return np.asarray(sum(parts[1:], start=parts[0]))


def _rate(rate: Rate, problem: Problem, confusion: ConfusionView) -> Value:
    matrix = confusion.by_replicate()
    hits, misses = (_cells(problem, matrix, cells) for cells in (rate.hits, rate.misses))
    squares = [_cells(problem, confusion.squares, cells) for cells in (rate.hits, rate.misses)]
    return ratio(hits, hits + misses, rate.undefined, squares=(squares[0], squares[1]))


def _youden(problem: Problem, confusion: ConfusionView) -> Value:
    matrix = confusion.by_replicate()
    hits, misses, kept, taken = (_cells(problem, matrix, (cell,)) for cell in (TP, FN, TN, FP))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = hits / (hits + misses) + kept / (kept + taken) - 1
    positives, negatives = hits + misses, kept + taken
    lacking = (positives == 0) | (negatives == 0)
    scarcest = np.minimum(positives, negatives)[..., 0]
    return Value(values, (("one_class", lacking),), support=scarcest)


def _count(cell: Cell, problem: Problem, confusion: ConfusionView) -> Value:
    return Value(
        _cells(problem, confusion.by_replicate(), (cell,)), (("zero_weight", confusion.total == 0),)
    )


def _fbeta(beta: float, problem: Problem, confusion: ConfusionView) -> Value:
    k, square = problem.positive, beta * beta
    hits, actual, predicted = (
        counts[..., k] for counts in (confusion.hits, confusion.actual, confusion.predicted)
    )
    value = ratio((1 + square) * hits, square * actual + predicted, "one_class")
    rows = actual[..., 0] + predicted[..., 0] - hits[..., 0]
    return Value(value.values, value.undefined, support=rows)


def _average_fbeta(beta: float, average: str, problem: Problem, confusion: ConfusionView) -> Value:
    square = beta * beta
    parts = ((1 + square) * confusion.hits, square * confusion.actual + confusion.predicted)
    return average_over_classes(parts, average, confusion)


def _for_beta(beta: str, average: str | None) -> Metric:
    """The metric `fbeta_<beta>`, or one of its averages over classes."""
    name = f"fbeta_{beta}" + (f"_{average}" if average else "")
    if average == "micro":
        # Every row has one class and one prediction, so the accuracy, whatever beta.
        accuracy = METRICS.get("accuracy")
        summary = f"The micro average over classes of F with beta {beta}: the accuracy."
        return Metric(
            name,
            CLASSIFICATION,
            confusion_of,
            accuracy.function,
            bounds=UNIT,
            summary=summary,
            paired=accuracy.paired,
            hits_of=accuracy.hits_of,
            many=True,
        )
    if average is not None:
        function = partial(_average_fbeta, float(beta), average)
        summary = f"The {average} average over classes of F with beta {beta}."
        about: dict[str, Any] = {"bounds": UNIT, "summary": summary, "many": True}
        return Metric(name, CLASSIFICATION, confusion_of, function, **about)
    summary = f"Precision and recall in one number, where recall weighs {beta} times as much."
    return Metric(
        name,
        BINARY,
        confusion_of,
        partial(_fbeta, float(beta)),
        bounds=UNIT,
        summary=summary,
        many=True,
    )


def _register() -> None:
    for name, rate in RATES.items():
        # Only the rows of one true class that are predicted right can be compared as hits.
        paired: dict[str, Any] = {}
        if name == "specificity":
            paired = {"paired": pairs_of_hits, "hits_of": lambda problem: [1 - problem.positive]}
        about = Metric(
            name,
            BINARY,
            confusion_of,
            partial(_rate, rate),
            higher_is_better=rate.higher,
            bounds=UNIT,
            summary=rate.summary,
            many=True,
            **paired,
        )
        METRICS.add(name, about, aliases=rate.aliases)
    for name, (summary, cell, higher) in COUNTS.items():
        counted = Metric(
            name,
            BINARY,
            confusion_of,
            partial(_count, cell),
            higher_is_better=higher,
            bounds=(0.0, np.inf),
            summary=summary,
            intervals=False,
            many=True,
        )
        METRICS.add(name, counted)
    informed = Metric(
        "youden_j",
        BINARY,
        confusion_of,
        _youden,
        bounds=(-1.0, 1.0),
        summary="Recall and specificity, less 1 (Youden 1950): 0 of guesses.",
        many=True,
    )
    METRICS.add("youden_j", informed, aliases=["informedness"])
    # Any number above 0: 2, 0.5.
    beta = r"(?P<beta>(?=[0-9.]*[1-9])[0-9]+(?:\.[0-9]+)?)"
    METRICS.add_pattern(rf"fbeta_{beta}(?:_(?P<average>macro|micro|weighted))?", _for_beta)


_register()
