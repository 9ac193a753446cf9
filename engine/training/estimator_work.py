"""Estimators with scikit-learn's interface, fitted and measured on folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from engine.training.folds import Fold
from engine.training.scoring import measure_by
from engine.training.tasks import FoldTask


@dataclass(frozen=True)
class EstimatorWork:
    """Some unfitted estimators, rows and folds.

    Attributes:
        estimators: by name; each fold fits a clone.
        inputs: rows: a frame, an array, a sparse matrix.
        labels: of the rows.
        folds: places in both.
        scorers: by name: what measures, and whether its sign is turned.
    """

    estimators: Mapping[str, Any]
    inputs: Any
    labels: Any
    folds: Sequence[Fold]
    scorers: Mapping[str, tuple[str | Callable[..., Any], bool]]

    @property
    def framework(self) -> str:
        """Estimators bring their own; torch and TensorFlow read the number of threads."""
        return "sklearn"

    def prepare(self) -> None:
        """Nothing: the estimators came with what they take."""

    def fit(self, task: FoldTask) -> tuple[Any, int]:
        """Fits a clone of a task's estimator on its fold."""
        assert isinstance(task.candidate, str), "the candidates are names of estimators"
        places = self.folds[task.fold].train
        estimator = clone(self.estimators[task.candidate])
        labels = None if self.labels is None else _take(self.labels, places)
        inputs = _take(self.inputs, places)
        fitted = estimator.fit(inputs) if labels is None else estimator.fit(inputs, labels)
        return fitted, len(places)

    def measure(self, task: FoldTask, model: Any) -> tuple[dict[str, float], int, str | None]:
        """Measures it on its fold by each scorer."""
        places = self.folds[task.fold].test
        labels = None if self.labels is None else _take(self.labels, places)
        values, error = measure_by(self.scorers, model, _take(self.inputs, places), labels)
        return values, len(places), error


def _take(rows: Any, places: np.ndarray) -> Any:
    """Rows at places, in the container that they are in."""
    if hasattr(rows, "iloc"):
        return rows.iloc[places]
    # A list; an array and a sparse matrix take places as they are.
    return rows[places] if hasattr(rows, "shape") else [rows[place] for place in places]
