"""Cross-validation of estimators that a caller has, on the folds that scikit-learn makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import check_cv

from engine.core.registry import did_you_mean
from engine.errors import DataError, InputError
from engine.training.cross_validation import Evaluator, OnProgress, no_progress
from engine.training.estimator_work import EstimatorWork
from engine.training.folds import Fold
from engine.training.journal import Journal
from engine.training.leaderboard import Candidate, Leaderboard, make_leaderboard
from engine.training.local_workers import Workers
from engine.training.model_search import all_cores
from engine.training.tasks import FoldWork

Scorers = dict[str, tuple[str | Callable[..., Any], bool]]


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows, their labels, the groups that belong together in a fold, and how they are cut.

    `cv` is as scikit-learn's `cross_validate` takes it.
    """

    inputs: Any
    labels: Any
    groups: Any = None
    cv: Any = 5


def validate_estimators(
    estimators: Any,
    samples: Samples,
    *,
    scoring: Any = None,
    make_workers: Callable[[FoldWork], Workers] = all_cores,
    on_progress: OnProgress = no_progress,
) -> Leaderboard:
    """Compares estimators on the same folds.

    Args:
        estimators: one, a list of them, or a mapping from names.
        samples: the rows and folds.
        scoring: as scikit-learn's `cross_validate` takes it, and names of errors without `neg_`.
        make_workers: who fits.
        on_progress: is told how many folds are finished, and of how many.

    Raises:
        InputError: when an estimator, a metric or the folds are wrong; nothing was fitted.
        ModelError: when all fits failed.
    """
    by_name = _by_name(estimators)
    folds = _folds(by_name, samples)
    scorers = read_scoring(scoring)
    work = EstimatorWork(by_name, samples.inputs, samples.labels, folds, scorers)
    workers = make_workers(work)
    try:
        evaluator = Evaluator("", folds, workers, Journal(None), on_progress)
        entries = evaluator.evaluate(
            [Candidate(name, _params(estimator), name) for name, estimator in by_name.items()]
        )
    finally:
        workers.close()
    _, turns = next(iter(scorers.values()))
    return make_leaderboard(tuple(scorers), not turns, entries, evaluator.fitted)


def _by_name(estimators: Any) -> dict[str, Any]:
    if isinstance(estimators, Mapping):
        by_name = {str(name): estimator for name, estimator in estimators.items()}
    else:
        many = estimators if isinstance(estimators, list | tuple) else [estimators]
        by_name = {}
        for estimator in many:
            kind = type(estimator).__name__
            same = sum(name.partition("-")[0] == kind for name in by_name)
            by_name[f"{kind}-{same + 1}" if same else kind] = estimator
    if not by_name:
        raise InputError("there are no estimators, expected one or more")
    for name, estimator in by_name.items():
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            raise InputError(
                f"the estimator {name!r} is a {_kind(estimator)}, expected an object with `fit`"
            )
    return by_name


def _kind(estimator: Any) -> str:
    return "class, not an instance" if isinstance(estimator, type) else type(estimator).__name__


def _params(estimator: Any) -> dict[str, Any]:
    """What an estimator changes of its defaults, so that a leaderboard tells them apart."""
    if not isinstance(estimator, BaseEstimator):
        return {}
    try:
        defaults = type(estimator)().get_params(deep=False)
    except TypeError:  # one of other estimators has arguments that it needs
        return {}
    params = estimator.get_params(deep=False)
    return {name: value for name, value in params.items() if repr(value) != repr(defaults[name])}


def _folds(by_name: Mapping[str, Any], samples: Samples) -> list[Fold]:
    """The splits, made once: a splitter that draws would give each estimator others."""
    kinds = {bool(is_classifier(estimator)) for estimator in by_name.values()}
    if len(kinds) > 1:
        raise InputError(
            "some of the estimators are classifiers and some are not; expected one kind, since "
            "their folds and metrics differ"
        )
    try:
        splitter = check_cv(samples.cv, samples.labels, classifier=kinds.pop())
        splits = list(splitter.split(samples.inputs, samples.labels, samples.groups))
    except (ValueError, TypeError) as error:
        raise DataError(f"the folds cannot be made: {error}") from error
    return [Fold(np.asarray(train), np.asarray(test)) for train, test in splits]


def read_scoring(scoring: Any) -> Scorers:
    """What measures, by name, and whether its sign is turned: `log_loss` is `-neg_log_loss`.

    Raises:
        InputError: for a name that is none of scikit-learn's, with or without `neg_`.
    """
    if scoring is None:
        return {"score": (_own_score, False)}
    if isinstance(scoring, str):
        return {scoring: _scorer(scoring)}
    if callable(scoring):
        return {"score": (scoring, False)}
    if isinstance(scoring, Mapping):
        return {
            str(name): _scorer(scorer) if isinstance(scorer, str) else (scorer, False)
            for name, scorer in scoring.items()
        }
    if isinstance(scoring, Sequence | set) and scoring:
        return {name: _scorer(name) for name in scoring}
    raise InputError(f"scoring is {scoring!r}, expected a name, a list of names or a mapping")


def _own_score(estimator: Any, *rows: Any) -> float:
    """What the estimator itself calls its score."""
    return float(estimator.score(*rows))


def _scorer(name: str) -> tuple[str, bool]:
    known = get_scorer_names()
    if name in known:
        return name, False
    if f"neg_{name}" in known:
        return f"neg_{name}", True
    plain = [scorer.removeprefix("neg_") for scorer in known]
    raise InputError(f"no metric is called {name!r}{did_you_mean(name, [*known, *plain])}")
