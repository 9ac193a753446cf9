"""Metrics of predicted values.

References: scikit-learn's `mean_absolute_error`, `mean_squared_error`, `root_mean_squared_error`,
`mean_absolute_percentage_error`, `r2_score`, `explained_variance_score`, `max_error`; SciPy's
`pearsonr`; MLflow's `mean_on_target`. `smape` is 2 |e| / (|target| + |prediction|), in [0, 2] and 0
where both are 0; `wape` the sum of |e| over that of |target|.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.metrics.base import REGRESSION, Problem, mean, mean_metric, mean_of, metric, share_of
from engine.metrics.basis import Averaged, Map
from engine.metrics.values import Value, ratio
from engine.states import Bools, Family, Floats, MaximaView, Maximum, MomentsView, Scored

_EPS = float(np.finfo(np.float64).eps)
POSITIVE = (0.0, np.inf)


def _residual(batch: Scored) -> Floats:
    assert batch.scores is not None, "needs predicted values"
    residual: Floats = batch.truth - batch.scores
    return residual


@mean_metric(
    "mean_absolute_error",
    tasks=REGRESSION,
    aliases=["mae"],
    higher_is_better=False,
    mlflow="mean_absolute_error",
    bounds=POSITIVE,
)
def absolute_error(batch: Scored, problem: Problem) -> Floats:
    """The mean distance of the prediction from the target."""
    return np.abs(_residual(batch))


@mean_metric(
    "mean_squared_error",
    tasks=REGRESSION,
    aliases=["mse"],
    higher_is_better=False,
    mlflow="mean_squared_error",
    bounds=POSITIVE,
)
def squared_error(batch: Scored, problem: Problem) -> Floats:
    """The mean squared distance of the prediction from the target."""
    return _residual(batch) ** 2


@mean_metric(
    "mean_absolute_percentage_error",
    tasks=REGRESSION,
    aliases=["mape"],
    higher_is_better=False,
    mlflow="mean_absolute_percentage_error",
    bounds=POSITIVE,
)
def absolute_percentage_error(batch: Scored, problem: Problem) -> Floats:
    """The mean distance in shares of the target; enormous where a target is 0."""
    share: Floats = np.abs(_residual(batch)) / np.maximum(np.abs(batch.truth), _EPS)
    return share


def target(batch: Scored, problem: Problem) -> Floats:
    """The target itself, whose spread R² compares with."""
    return np.asarray(batch.truth, np.float64)


@metric(
    "root_mean_squared_error",
    tasks=REGRESSION,
    needs=lambda problem: (mean(squared_error, problem),),
    aliases=["rmse"],
    higher_is_better=False,
    mlflow="root_mean_squared_error",
    bounds=POSITIVE,
)
def root_mean_squared_error(problem: Problem, errors: MomentsView) -> Value:
    """The square root of the mean squared error, in the target's own unit."""
    return Value(
        np.sqrt(errors.mean),
        (("zero_weight", errors.weight == 0),),
        basis=Averaged(errors),
        map=ROOT,
    )


ROOT = Map(
    lambda square: math.sqrt(max(square, 0.0)),
    lambda root: root * root if root >= 0 else -math.inf,
)


def _errors_and_targets(problem: Problem) -> tuple[Family, ...]:
    return mean(squared_error, problem), mean(target, problem)


@metric(
    "r2",
    tasks=REGRESSION,
    needs=_errors_and_targets,
    aliases=["r2_score"],
    mlflow="r2_score",
    bounds=(-np.inf, 1.0),
)
def r2(problem: Problem, errors: MomentsView, targets: MomentsView) -> Value:
    """The share of the target's variance that is explained; undefined for a constant target."""
    return _explained_share(errors.mean * errors.weight, targets)


def is_constant(moments: MomentsView) -> Bools:
    """Where all rows have one number: [replicate].

    Of it M2 keeps a rest of rounding, far below any spread that means something.
    """
    constant: Bools = moments.m2 <= moments.weight * (8 * _EPS * np.abs(moments.mean)) ** 2
    return constant


def _explained_share(left: Floats, targets: MomentsView) -> Value:
    constant = is_constant(targets)
    spread = np.where(constant, np.nan, targets.m2)
    undefined = (("zero_weight", targets.weight == 0), ("constant", constant))
    return Value(1 - left / spread, undefined)


@mean_metric("bias", tasks=REGRESSION, higher_is_better=None)
def excess(batch: Scored, problem: Problem) -> Floats:
    """The mean of prediction less target: above 0 where the model predicts too much."""
    return -_residual(batch)


@metric(
    "explained_variance",
    tasks=REGRESSION,
    needs=lambda problem: (mean(excess, problem), mean(target, problem)),
    aliases=["explained_variance_score"],
    bounds=(-np.inf, 1.0),
)
def explained_variance(problem: Problem, errors: MomentsView, targets: MomentsView) -> Value:
    """The share of the target's variance that is explained, whatever the bias."""
    return _explained_share(errors.m2, targets)


def predicted_value(batch: Scored, problem: Problem) -> Floats:
    """The prediction itself."""
    assert batch.scores is not None, "needs predicted values"
    return batch.scores


@metric(
    "pearson",
    tasks=REGRESSION,
    needs=lambda problem: (
        mean(excess, problem),
        mean(target, problem),
        mean(predicted_value, problem),
    ),
    aliases=["pearsonr"],
    bounds=(-1.0, 1.0),
)
def pearson(
    problem: Problem, errors: MomentsView, targets: MomentsView, predictions: MomentsView
) -> Value:
    """The linear correlation of targets and predictions (Pearson)."""
    constant = is_constant(targets) | is_constant(predictions)
    # Spreads around means: sums of products of the numbers themselves would cancel.
    covariance = (targets.m2 + predictions.m2 - errors.m2) / 2
    scale = np.sqrt(targets.m2) * np.sqrt(predictions.m2)
    values = np.clip(covariance / np.where(constant, np.nan, scale), -1.0, 1.0)
    return Value(values, (("zero_weight", targets.weight == 0), ("constant", constant)))


@mean_metric("smape", tasks=REGRESSION, higher_is_better=False, bounds=(0.0, 2.0))
def symmetric_percentage_error(batch: Scored, problem: Problem) -> Floats:
    """The mean distance in shares of the mean size of target and prediction."""
    distance, size = absolute_error(batch, problem), np.abs(predicted_value(batch, problem))
    size = size / 2 + np.abs(batch.truth) / 2
    shares: Floats = np.divide(distance, size, out=np.zeros(len(batch)), where=size > 0)
    return shares


def target_size(batch: Scored, problem: Problem) -> Floats:
    """The distance of the target from 0."""
    return np.abs(target(batch, problem))


@metric(
    "wape",
    tasks=REGRESSION,
    needs=lambda problem: (mean(absolute_error, problem), mean(target_size, problem)),
    higher_is_better=False,
    bounds=POSITIVE,
)
def wape(problem: Problem, errors: MomentsView, sizes: MomentsView) -> Value:
    """The sum of the distances in shares of the sum of the targets' sizes."""
    shares = ratio(errors.mean, sizes.mean, "zero_targets")
    return replace(shares, undefined=(("zero_weight", sizes.weight == 0), *shares.undefined))


@metric(
    "mean_on_target",
    tasks=REGRESSION,
    needs=lambda problem: (mean(target, problem),),
    higher_is_better=None,
    mlflow="mean_on_target",
)
def mean_on_target(problem: Problem, targets: MomentsView) -> Value:
    """The mean of the targets, which no model has a part in."""
    return mean_of(problem, targets)


def zero_target(batch: Scored, problem: Problem) -> Floats:
    """1 where the target is 0."""
    return np.asarray(batch.truth == 0, np.float64)


@metric(
    "zero_target_share",
    tasks=REGRESSION,
    needs=lambda problem: (mean(zero_target, problem),),
    higher_is_better=None,
    bounds=(0.0, 1.0),
)
def zero_target_share(problem: Problem, zeros: MomentsView) -> Value:
    """The share of rows whose target is 0, for which no percentage error means anything."""
    return share_of(problem, zeros)


@metric(
    "max_error",
    tasks=REGRESSION,
    needs=lambda problem: (
        Maximum("absolute_error", lambda batch: absolute_error(batch, problem)),
    ),
    higher_is_better=False,
    mlflow="max_error",
    bounds=POSITIVE,
    intervals=False,
)
def max_error(problem: Problem, largest: MaximaView) -> Value:
    """The largest distance of a prediction from its target, over all rows of any weight."""
    return Value(largest.value, (("zero_weight", largest.value == -np.inf),))
