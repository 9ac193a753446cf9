"""Metrics of predicted probabilities that are means over the rows.

References: scikit-learn's `log_loss`, `brier_score_loss`, `top_k_accuracy_score`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.metrics.base import (
    CLASSIFICATION,
    METRICS,
    MULTICLASS,
    Metric,
    Problem,
    mean,
    mean_metric,
    pairs_of,
    share_of,
)
from engine.states import Floats, Mean, Scored

_EPS = float(np.finfo(np.float64).eps)


def _scores(batch: Scored) -> Floats:
    assert batch.scores is not None, "needs scores"
    return batch.scores


@mean_metric(
    "log_loss",
    tasks=CLASSIFICATION,
    higher_is_better=False,
    needs_scores=True,
    needs_probabilities=True,
    mlflow="log_loss",
    bounds=(0.0, np.inf),
)
def log_loss(batch: Scored, problem: Problem) -> Floats:
    """Minus the log of the probability of the true class, clipped to [eps, 1 - eps]."""
    of_truth: Floats = np.take_along_axis(_scores(batch), batch.truth[:, None], axis=1)[:, 0]
    loss: Floats = -np.log(np.clip(of_truth, _EPS, 1 - _EPS))
    return loss


@mean_metric(
    "brier_score",
    tasks=CLASSIFICATION,
    aliases=["brier_score_loss"],
    higher_is_better=False,
    needs_scores=True,
    needs_probabilities=True,
    mlflow="brier_score_loss",
    bounds=(0.0, 2.0),
)
def brier_score(batch: Scored, problem: Problem) -> Floats:
    """The squared difference of probability and label (Brier 1950).

    In a binary problem that of the positive class, from 0 to 1; of more classes the sum over them
    all, from 0 to 2, as scikit-learn has it.
    """
    scores = _scores(batch)
    if problem.n_classes == 2:
        gap = scores[:, problem.positive] - (batch.truth == problem.positive)
        return np.asarray(gap * gap)
    gaps = scores.copy()
    gaps[np.arange(len(batch)), batch.truth] -= 1
    return np.asarray((gaps * gaps).sum(axis=1))


def _top_k_hit(batch: Scored, problem: Problem, k: int) -> Floats:
    """1 where the true class is among the k best; of equal scores the later class ranks first."""
    scores = _scores(batch)
    own = np.take_along_axis(scores, batch.truth[:, None], axis=1)
    later = np.arange(scores.shape[1])[None, :] > batch.truth[:, None]
    ahead = (scores > own).sum(axis=1) + ((scores == own) & later).sum(axis=1)
    return np.asarray(ahead < k, np.float64)


def _top_k(k: str) -> Metric:
    """The metric `top_<k>_accuracy`, the share of rows whose class is among the k best."""

    def hit(batch: Scored, problem: Problem) -> Floats:
        return _top_k_hit(batch, problem, int(k))

    def needs(problem: Problem) -> tuple[Mean]:
        return (mean(hit, problem, name=f"top_{k}_hit"),)

    return Metric(
        f"top_{k}_accuracy",
        MULTICLASS,
        needs,
        share_of,
        paired=lambda problem: (pairs_of(*needs(problem)),),
        needs_scores=True,
        bounds=(0.0, 1.0),
        many=True,
        summary=f"The share of rows whose class is among the {k} with the highest scores.",
    )


METRICS.add_pattern(r"top_(?P<k>[1-9][0-9]*)_accuracy", _top_k)
METRICS.add_pattern(r"top_k_accuracy_(?P<k>[1-9][0-9]*)", _top_k)
METRICS.add(
    "top_k_accuracy",
    replace(
        _top_k("2"),
        name="top_k_accuracy",
        summary="top_2_accuracy, as scikit-learn's scorer of this name.",
    ),
    aliases=["top_k_accuracy_score"],
)
