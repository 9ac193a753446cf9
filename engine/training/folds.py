"""The folds of a cross-validation: scikit-learn's own splits of the training rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.vocabulary import TaskKind
from engine.errors import DataError
from engine.training.search_config import Cv


@dataclass(frozen=True, slots=True)
class Fold:
    """The places of the rows to fit on and of those to measure on."""

    train: np.ndarray
    test: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 of the places."""
        digest = hashlib.sha256()
        for places in (self.train, self.test):
            digest.update(np.asarray(places, dtype=np.int64).tobytes() + b"|")
        return digest.hexdigest()


def make_folds(cv: Cv, labels: np.ndarray, groups: Any, task: TaskKind, seed: int) -> list[Fold]:
    """Cuts rows into folds as scikit-learn does, one repetition after the other.

    Args:
        cv: how.
        labels: of the rows, of shape [n].
        groups: rows of one group are in one fold; None without groups.
        task: a classifier's folds are stratified unless `cv` says otherwise.
        seed: in the place of `cv.random_state`, where the rows are shuffled without one.

    Raises:
        DataError: where there are fewer rows, members of a class, or groups than folds.
    """
    is_classifier = task in (TaskKind.BINARY, TaskKind.MULTICLASS)
    stratified = is_classifier if cv.stratify is None else cv.stratify
    check_folds(cv.folds, labels, groups, stratified=stratified)
    state = seed if cv.random_state is None else cv.random_state
    generator = np.random.RandomState(state) if cv.shuffles else None
    folds: list[Fold] = []
    for _ in range(cv.repeats):
        folds += _split(cv, labels, groups, stratified, generator)
    return folds


def check_folds(count: int, labels: np.ndarray, groups: Any, *, stratified: bool) -> None:
    """Refuses rows of which so many folds cannot be made.

    Raises:
        DataError: with what there is and what the folds take.
    """
    if len(labels) < count:
        raise DataError(f"cv.folds is {count}, and there are {len(labels)} rows for training")
    if groups is not None and (known := len(set(np.asarray(groups).tolist()))) < count:
        raise DataError(
            f"cv.folds is {count}, and the rows for training are of {known} groups; expected as "
            "many groups as folds, or more"
        )
    if not stratified:
        return
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    if rarest < count:
        raise DataError(
            f"cv.folds is {count}, and a class has {rarest} rows for training; expected as many in "
            "each as folds, fewer folds, or stratify: false"
        )


def _split(
    cv: Cv, labels: np.ndarray, groups: Any, stratified: bool, generator: Any
) -> Iterator[Fold]:
    from sklearn import model_selection

    name = ("Stratified" if stratified else "") + ("Group" if groups is not None else "") + "KFold"
    splitter = getattr(model_selection, name)(
        n_splits=cv.folds, shuffle=generator is not None, random_state=generator
    )
    for train, test in splitter.split(np.zeros(len(labels)), labels, groups):
        yield Fold(train, test)
