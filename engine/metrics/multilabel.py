"""Metrics of tasks whose rows have any number of labels.

References: scikit-learn's `f1_score`, `jaccard_score`, `hamming_loss` and `accuracy_score` of
indicator matrices, `label_ranking_average_precision_score`, `coverage_error`,
`label_ranking_loss`, `log_loss`. As there, averages over labels take all labels of the model, and
one that no row has and no row is predicted to have counts 0; averages over samples count a row
without labels of both kinds 0. Labels of one score share the last of their places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
from engine.metrics.values import Value, ratio
from engine.states import Floats, Ints, Labels, LabelsView, MomentsView, Scored

UNIT = (0.0, 1.0)
_EPS = float(np.finfo(np.float64).eps)

Pair = tuple[Floats, Floats]


def _labels(problem: Problem) -> tuple[Labels]:
    return (Labels(problem.n_classes),)


def _f1(hits: Floats, actual: Floats, predicted: Floats) -> Pair:
    return 2 * hits, actual + predicted


def _jaccard(hits: Floats, actual: Floats, predicted: Floats) -> Pair:
    return hits, actual + predicted - hits


_FRACTIONS: dict[str, Callable[[Floats, Floats, Floats], Pair]] = {"f1": _f1, "jaccard": _jaccard}


def _or_zero(numerator: Floats, denominator: Floats) -> Floats:
    zeros = np.zeros(numerator.shape)
    shares: Floats = np.divide(numerator, denominator, out=zeros, where=denominator > 0)
    return shares


def _micro(name: str, problem: Problem, counts: LabelsView) -> Value:
    parts = _FRACTIONS[name](counts.hits.sum(-1), counts.actual.sum(-1), counts.predicted.sum(-1))
    return ratio(*parts, "one_class")


def _macro(name: str, problem: Problem, counts: LabelsView) -> Value:
    values = _or_zero(*_FRACTIONS[name](counts.hits, counts.actual, counts.predicted)).mean(-1)
    return Value(values, (("one_class", (counts.actual + counts.predicted).sum(-1) == 0),))


def _weighted_mean(name: str, problem: Problem, counts: LabelsView) -> Value:
    of_label = _or_zero(*_FRACTIONS[name](counts.hits, counts.actual, counts.predicted))
    return ratio((of_label * counts.actual).sum(-1), counts.actual.sum(-1), "one_class")


_AVERAGES: dict[str, tuple[Callable[[str, Problem, LabelsView], Value], str]] = {
    "micro": (_micro, "The {name} of all labels of all rows together."),
    "macro": (_macro, "The mean {name} of the labels."),
    "weighted": (
        _weighted_mean,
        "The mean {name} of the labels, weighted by how many rows have them.",
    ),
}


def _register() -> None:
    for name in _FRACTIONS:
        for average, (function, summary) in _AVERAGES.items():
            full = f"multilabel_{name}_{average}"
            measure = partial(function, name)
            about = summary.format(name=name)
            METRICS.add(
                full, Metric(full, MULTILABEL, _labels, measure, bounds=UNIT, summary=about)
            )


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
    return _or_zero(*_FRACTIONS[name](*(count.astype(np.float64) for count in counts)))


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
