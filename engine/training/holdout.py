"""Figures of a freshly trained model on held-out rows, by scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.core.vocabulary import TaskKind
from engine.errors import DataError
from engine.models import Prediction, Predictor


def held_out_metrics(predictor: Predictor, rows: pd.DataFrame, label: str) -> dict[str, float]:
    """Predicts the rows as a worker would, and measures what comes out.

    Args:
        predictor: The model, loaded from the files that were logged.
        rows: Rows that it was not trained on, with its features and the label.
        label: The label's column.

    Returns:
        Metrics under the names that suites use; without log_loss and roc_auc where the model
        predicts labels only.

    Raises:
        DataError: when a held-out label is not among the model's classes.
    """
    prediction = predictor.predict(pa.Table.from_pandas(rows, preserve_index=False))
    truth = rows[label].to_numpy()
    if predictor.model.task in (TaskKind.REGRESSION, TaskKind.RANKING):
        return _of_values(truth, np.asarray(prediction.scores))
    classes = predictor.model.classes
    position = {known: index for index, known in enumerate(classes)}
    if unknown := sorted(map(repr, set(truth.tolist()) - set(classes))):
        raise DataError(
            f"the held-out rows have the labels {', '.join(unknown)}, which the rows for "
            f"training lack; set split.stratify: true"
        )
    indices = np.array([position[value] for value in truth.tolist()])
    return _of_classes(indices, prediction, len(classes))


def _of_values(truth: np.ndarray, values: np.ndarray) -> dict[str, float]:
    from sklearn import metrics

    return {
        "mean_absolute_error": float(metrics.mean_absolute_error(truth, values)),
        "root_mean_squared_error": float(metrics.root_mean_squared_error(truth, values)),
        "r2": float(metrics.r2_score(truth, values)),
    }


def _of_classes(truth: np.ndarray, prediction: Prediction, classes: int) -> dict[str, float]:
    from sklearn import metrics

    scores = prediction.scores
    predicted = prediction.labels if scores is None else scores.argmax(axis=1)
    binary = classes == 2
    name, average = ("f1", "binary") if binary else ("f1_macro", "macro")
    measured = {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        name: float(metrics.f1_score(truth, predicted, average=average)),
    }
    if scores is not None:
        labels = np.arange(classes)
        measured["log_loss"] = float(metrics.log_loss(truth, scores, labels=labels))
        if binary:
            measured["roc_auc"] = float(metrics.roc_auc_score(truth, scores[:, 1]))
    return measured
