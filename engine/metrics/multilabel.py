"""Metrics of tasks whose rows have any number of labels.

References: scikit-learn's `precision_score`, `recall_score`, `f1_score`, `jaccard_score`,
`hamming_loss` and `accuracy_score` of indicator matrices,
`label_ranking_average_precision_score`, `coverage_error`, `label_ranking_loss`, `log_loss`. As
there, averages over labels take all labels of the model, and one with nothing to divide by counts 0
(no row has it and no row is predicted to have it; of a precision, none is predicted to), but where
no label has anything to divide by. Averages over samples count such a row 0. A single label's
figure is undefined then. Labels of one score share the last of their places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from engine.metrics.base import (
    METRICS,
    MULTILABEL,
    Metric,
    Problem,
    mean,
    mean_metric,
    metric,
    pairs_of,
    share_of,
)
from engine.metrics.basis import Counted, Map
from engine.metrics.classification import F1_OF_JACCARD, class_at, unknown_class
from engine.metrics.values import Value, ratio
from engine.states import Floats, Ints, Labels, LabelsView, MomentsView, PairedHitsOf, Scored

UNIT = (0.0, 1.0)
_EPS = float(np.finfo(np.float64).eps)

Pair = tuple[Floats, Floats]


def _labels(problem: Problem) -> tuple[Labels]:
    return (Labels(problem.n_classes),)


@dataclass(frozen=True, slots=True)
class Fraction:
    """A fraction of weights: its parts, from those of hits, of labels and of predictions.

    `undefined` is the reason where there is nothing to divide by. Of one label it is a share of
    rows, or what `map` makes of the Jaccard index, which is one.
    """

    parts: Callable[[Floats, Floats, Floats], Pair]
    undefined: str
    map: Map | None = None


def _jaccard(hits: Floats, actual: Floats, predicted: Floats) -> Pair:
    return hits, actual + predicted - hits


_FRACTIONS = {
    "precision": Fraction(
        lambda hits, actual, predicted: (hits, predicted), "no_predicted_positive"
    ),
    "recall": Fraction(lambda hits, actual, predicted: (hits, actual), "one_class"),
    "f1": Fraction(
        lambda hits, actual, predicted: (2 * hits, actual + predicted), "one_class", F1_OF_JACCARD
    ),
    "jaccard": Fraction(_jaccard, "one_class"),
}


def _or_zero(numerator: Floats, denominator: Floats) -> Floats:
    zeros = np.zeros(numerator.shape)
    shares: Floats = np.divide(numerator, denominator, out=zeros, where=denominator > 0)
    return shares


def _micro(name: str, problem: Problem, counts: LabelsView) -> Value:
    fraction = _FRACTIONS[name]
    parts = fraction.parts(counts.hits.sum(-1), counts.actual.sum(-1), counts.predicted.sum(-1))
    return ratio(*parts, fraction.undefined)


def _macro(name: str, problem: Problem, counts: LabelsView) -> Value:
    fraction = _FRACTIONS[name]
    numerator, denominator = fraction.parts(counts.hits, counts.actual, counts.predicted)
    nothing = (fraction.undefined, denominator.sum(-1) == 0)
    return Value(_or_zero(numerator, denominator).mean(-1), (nothing,))


def _weighted_mean(name: str, problem: Problem, counts: LabelsView) -> Value:
    fraction = _FRACTIONS[name]
    numerator, denominator = fraction.parts(counts.hits, counts.actual, counts.predicted)
    of_label = _or_zero(numerator, denominator)
    value = ratio((of_label * counts.actual).sum(-1), counts.actual.sum(-1), "one_class")
    nothing = (fraction.undefined, denominator.sum(-1) == 0)
    return replace(value, undefined=(*value.undefined, nothing))


_AVERAGES: dict[str, tuple[Callable[[str, Problem, LabelsView], Value], str]] = {
    "micro": (_micro, "The {name} of all labels of all rows together."),
    "macro": (_macro, "The mean {name} of the labels."),
    "weighted": (
        _weighted_mean,
        "The mean {name} of the labels, weighted by how many rows have them.",
    ),
}


def _of_label(name: str, label: str, problem: Problem, counts: LabelsView) -> Value:
    k = class_at(label, problem)
    if k is None:
        return unknown_class(counts.hits.shape[:-1])
    fraction = _FRACTIONS[name]
    of_one = [weights[..., k] for weights in (counts.hits, counts.actual, counts.predicted)]
    value = ratio(*fraction.parts(*of_one), fraction.undefined)
    hits, rows = (_jaccard if fraction.map else fraction.parts)(*(w[..., 0] for w in of_one))
    return replace(value, basis=Counted.of_rows(hits, rows - hits), map=fraction.map)


def _for_label(name: str, label: str) -> Metric:
    """The metric `multilabel_<name>_label_<label>`."""

    def pairs(problem: Problem) -> tuple[PairedHitsOf, ...]:
        k = class_at(label, problem)
        return () if k is None else (PairedHitsOf(k),)

    # Only the rows that have the label are the same of two versions.
    paired: dict[str, Any] = {"paired": pairs, "hits_of": _its_own} if name == "recall" else {}
    return Metric(
        f"multilabel_{name}_label_{label}",
        MULTILABEL,
        _labels,
        partial(_of_label, name, label),
        bounds=UNIT,
        summary=f"The {name} of the label {label}.",
        **paired,
    )


def _its_own(problem: Problem) -> list[int]:
    return [1]


def _register() -> None:
    for name in _FRACTIONS:
        for average, (function, summary) in _AVERAGES.items():
            full = f"multilabel_{name}_{average}"
            measure = partial(function, name)
            about = summary.format(name=name)
            METRICS.add(
                full, Metric(full, MULTILABEL, _labels, measure, bounds=UNIT, summary=about)
            )
        # A label may be an empty text.
        METRICS.add_pattern(rf"multilabel_{name}_label_(?P<label>.*)", partial(_for_label, name))


_register()


def _predicted_labels(batch: Scored) -> Ints:
    assert batch.predicted is not None, "needs predicted labels"
    return batch.predicted


def _scores(batch: Scored) -> Floats:
    assert batch.scores is not None, "needs scores"
    return batch.scores


def _of_row(name: str, batch: Scored) -> Floats:
    truth, predicted = batch.truth, _predicted_labels(batch)
    counts = [(truth & predicted).sum(1), truth.sum(1), predicted.sum(1)]
    return _or_zero(*_FRACTIONS[name].parts(*(count.astype(np.float64) for count in counts)))


@mean_metric("multilabel_precision_samples", tasks=MULTILABEL, bounds=UNIT)
def precision_of_row(batch: Scored, problem: Problem) -> Floats:
    """The mean over rows of the share of the labels predicted that the row has."""
    return _of_row("precision", batch)


@mean_metric("multilabel_recall_samples", tasks=MULTILABEL, bounds=UNIT)
def recall_of_row(batch: Scored, problem: Problem) -> Floats:
    """The mean over rows of the share of the row's labels that are predicted."""
    return _of_row("recall", batch)


@mean_metric("multilabel_f1_samples", tasks=MULTILABEL, bounds=UNIT)
def f1_of_row(batch: Scored, problem: Problem) -> Floats:
    """The mean over rows of the F1 of the labels a row has and those predicted."""
    return _of_row("f1", batch)


@mean_metric("multilabel_jaccard_samples", tasks=MULTILABEL, bounds=UNIT)
def jaccard_of_row(batch: Scored, problem: Problem) -> Floats:
    """The mean over rows of what a row's labels and those predicted share, of all of both."""
    return _of_row("jaccard", batch)


@mean_metric("hamming_loss", tasks=MULTILABEL, higher_is_better=False, bounds=UNIT)
def wrong_labels(batch: Scored, problem: Problem) -> Floats:
    """The mean share of labels that are wrong."""
    shares: Floats = (batch.truth != _predicted_labels(batch)).mean(1)
    return shares


def all_labels_right(batch: Scored, problem: Problem) -> Floats:
    """1 where every label of a row is right."""
    return np.asarray((batch.truth == _predicted_labels(batch)).all(1), np.float64)


@metric(
    "subset_accuracy",
    tasks=MULTILABEL,
    needs=lambda problem: (mean(all_labels_right, problem),),
    bounds=UNIT,
    paired=lambda problem: (pairs_of(mean(all_labels_right, problem)),),
)
def subset_accuracy(problem: Problem, right: MomentsView) -> Value:
    """The share of rows whose labels are all right."""
    return share_of(problem, right)


@mean_metric(
    "multilabel_log_loss",
    tasks=MULTILABEL,
    higher_is_better=False,
    needs_scores=True,
    needs_probabilities=True,
    bounds=(0.0, np.inf),
)
def binary_cross_entropy(batch: Scored, problem: Problem) -> Floats:
    """Minus the log of the probability of what is true of a label, the mean over labels."""
    scores = _scores(batch)
    of_truth = np.clip(np.where(batch.truth != 0, scores, 1 - scores), _EPS, 1 - _EPS)
    loss: Floats = -np.log(of_truth).mean(1)
    return loss


@dataclass(frozen=True, slots=True)
class _Ranking:
    """The labels of each row by descending score: arrays of [row, place].

    `last` is the place, from 1, of the last label with the same score; `true_up_to` how many of
    the row's own labels there are up to it.
    """

    true: Ints
    last: Ints
    true_up_to: Ints


def _ranking(batch: Scored) -> _Ranking:
    scores = _scores(batch)
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, 1)
    true = np.take_along_axis(batch.truth, order, 1)
    n, k = scores.shape
    ends = np.ones((n, k), bool)
    ends[:, :-1] = ordered[:, 1:] != ordered[:, :-1]
    last = np.where(ends, np.arange(1, k + 1), k)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    return _Ranking(true, last, np.take_along_axis(np.cumsum(true, axis=1), last - 1, 1))


def _ranking_of(batch: Scored) -> _Ranking:
    return batch.once("labels by score", lambda: _ranking(batch))


@mean_metric(
    "label_ranking_average_precision",
    tasks=MULTILABEL,
    aliases=["label_ranking_average_precision_score"],
    needs_scores=True,
    bounds=UNIT,
)
def precision_of_ranking(batch: Scored, problem: Problem) -> Floats:
    """The mean share of true labels among those ranked as high as a true one; 1 without any."""
    ranking = _ranking_of(batch)
    count = ranking.true.sum(1)
    total = (ranking.true * ranking.true_up_to / ranking.last).sum(1)
    precision: Floats = np.where(count > 0, total / np.maximum(count, 1), 1.0)
    return precision


@mean_metric(
    "coverage_error",
    tasks=MULTILABEL,
    higher_is_better=False,
    needs_scores=True,
    bounds=(0.0, np.inf),
)
def coverage(batch: Scored, problem: Problem) -> Floats:
    """How many labels one must take, from the best on, to have all true ones; 0 without any."""
    ranking = _ranking_of(batch)
    return np.asarray((ranking.true * ranking.last).max(1), np.float64)


@mean_metric(
    "label_ranking_loss",
    tasks=MULTILABEL,
    higher_is_better=False,
    needs_scores=True,
    bounds=UNIT,
)
def misordered_pairs(batch: Scored, problem: Problem) -> Floats:
    """The share of pairs of a true and another label of which the other scores as high."""
    ranking = _ranking_of(batch)
    count = ranking.true.sum(1)
    wrong = (ranking.true * (ranking.last - ranking.true_up_to)).sum(1)
    pairs = count * (ranking.true.shape[1] - count)
    return _or_zero(wrong.astype(np.float64), pairs.astype(np.float64))
