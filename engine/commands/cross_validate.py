"""`evalmatrix cv` of estimators from Python: scikit-learn's figures, spread over workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.commands.fold_workers import fold_progress, worker_maker
from engine.training import Leaderboard
from engine.training.estimator_folds import Samples, validate_estimators

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def cross_validate(
    estimators: Any,
    X: Any,
    y: Any = None,
    *,
    scoring: Any = None,
    cv: Any = 5,
    groups: Any = None,
    workers: int | str | None = None,
    spark: SparkSession | None = None,
) -> Leaderboard:
    """Compares estimators on the same folds, each (estimator, fold) fitted once.

    The values of the folds are those of `sklearn.model_selection.cross_validate` for the same
    arguments. A fold that fails is NaN, and costs its own estimator the mean.

    Args:
        estimators: an unfitted estimator with scikit-learn's interface, a list of them, or a
            mapping from names. They, `X` and `y` are pickled for the workers.
        X: the rows: a frame, an array, a sparse matrix.
        y: their labels or values.
        scoring: as `cross_validate` takes it; names of errors may lack `neg_`, then they are
            positive and less is better. The first one ranks. Default: the estimators' own score.
        cv: a number of folds, a splitter, or the splits, as `cross_validate` takes it.
        groups: what a splitter keeps together.
        workers: how many processes of this machine, or "spark"; default: all cores, or Spark where
            a session is given.
        spark: the session to use.

    Raises:
        InputError: when an estimator, a metric or the folds are wrong; nothing was fitted.
        ModelError: when all fits failed.
    """
    maker = worker_maker(workers, spark)
    with fold_progress("cross-validation") as on_progress:
        return validate_estimators(
            estimators,
            Samples(X, y, groups, cv),
            scoring=scoring,
            make_workers=maker,
            on_progress=on_progress,
        )
