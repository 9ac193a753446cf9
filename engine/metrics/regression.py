"""Metrics of predicted values.

References: scikit-learn's `mean_absolute_error`, `mean_squared_error`, `root_mean_squared_error`,
`mean_absolute_percentage_error`, `r2_score`, `max_error`.
"""

from __future__ import annotations

import math

import numpy as np

from engine.metrics.base import REGRESSION, Problem, Value, mean, mean_metric, metric
from engine.metrics.basis import Averaged, Map
from engine.states import Family, Floats, MaximaView, Maximum, MomentsView, Scored

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
    # A constant target keeps a rest of rounding in M2, far below any spread that means something.
    noise = targets.weight * (8 * _EPS * np.abs(targets.mean)) ** 2
    constant = targets.m2 <= noise
    spread = np.where(constant, np.nan, targets.m2)
    undefined = (("zero_weight", targets.weight == 0), ("constant", constant))
    return Value(1 - errors.mean * errors.weight / spread, undefined)


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
