"""From what a framework returned to class probabilities, class indices or values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from scipy.special import expit, softmax

from engine.core.vocabulary import ModelVersion, Output, TaskKind
from engine.errors import ModelError


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of n rows: scores, or labels where it gives nothing else.

    `scores` are float64: class probabilities of shape [n, K] in the order of the model's
    `classes` (K = 2 for a binary task), or the values of a regression or a ranking of shape [n].
    `labels` are int64 indices into `classes`, -1 for a label that is not among them. NaN and
    infinities are as the model returned them.

    Of a multilabel task each of the K labels has a probability of its own, and `labels` are of
    shape [n, K]: 0 or 1, -1 for anything else.
    """

    scores: np.ndarray | None = None
    labels: np.ndarray | None = None


def read_outputs(raw: Any, model: ModelVersion, rows: int) -> Prediction:
    """Reads a model's outputs for `rows` rows as `model.output` says.

    Logits go through softmax; one logit or one probability for each row is that of the second
    class. Of a multilabel task each label's logit goes through the sigmoid. All of it is done in
    float64.

    Raises:
        ModelError: when the shape or type does not fit the rows, the classes or the output.
    """
    array = _array(raw, model)
    if array.shape[:1] != (rows,) or array.ndim > 2:
        raise _misshapen(array, model, f"({rows},) or ({rows}, {len(model.classes) or 'classes'})")
    of_labels = model.task is TaskKind.MULTILABEL
    if model.output is Output.LABEL and not of_labels:
        return Prediction(labels=_indices(_flat(array, model, rows), model))
    if array.ndim == 2 and array.shape[1] > max(len(model.classes), 1) and model.classes:
        # Before it is copied: it may be far larger than what it should be.
        raise _misshapen(array, model, f"({rows}, {len(model.classes)})")
    try:
        numbers = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(
            f"model {model.name!r} returned {_kind(array)}, expected numbers for output "
            f"{model.output.value!r}"
        ) from None
    if of_labels:
        return _of_labels(numbers, model, rows)
    return Prediction(scores=_SCORES[model.output](numbers, model, rows))


def no_rows(model: ModelVersion) -> Prediction:
    """The prediction for an empty batch, which no model has to understand."""
    by_class = (0, len(model.classes))
    if model.output is Output.LABEL:
        shape = by_class if model.task is TaskKind.MULTILABEL else (0,)
        return Prediction(labels=np.empty(shape, dtype=np.int64))
    return Prediction(scores=np.empty((0,) if model.output is Output.VALUE else by_class))


def _array(raw: Any, model: ModelVersion) -> np.ndarray:
    if isinstance(raw, dict):
        if len(raw) != 1:
            raise ModelError(
                f"model {model.name!r} returned a dictionary of {len(raw)} outputs, expected one"
            )
        raw = next(iter(raw.values()))
    if isinstance(raw, pd.DataFrame | pd.Series):
        return raw.to_numpy()
    # scikit-learn gives the indicators of labels as a sparse matrix where it was fitted with one.
    if issparse(raw) and raw.shape[1] <= max(len(model.classes), 1):
        return np.asarray(raw.toarray())
    if issparse(raw):
        raise _misshapen(raw, model, f"{len(model.classes) or 1} in the second place")
    return np.asarray(raw)


def _flat(array: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    if array.shape not in ((rows,), (rows, 1)):
        raise _misshapen(array, model, f"({rows},)")
    return array.reshape(rows)


def _indices(array: np.ndarray, model: ModelVersion) -> np.ndarray:
    if not model.classes:
        raise ModelError(f"model {model.name!r} predicts labels, but its classes are not known")
    # True and 1, 1 and 1.0 are the same label, as they are for scikit-learn.
    index = {label: position for position, label in enumerate(model.classes)}
    codes, labels = pd.factorize(array)
    known = np.array([*(index.get(label, -1) for label in labels.tolist()), -1], dtype=np.int64)
    # A missing label has the code -1, which is the last entry.
    return known[codes]


def _values(numbers: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    return _flat(numbers, model, rows)


def _probabilities(numbers: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    if _is_single(numbers, model):
        second = numbers.reshape(rows)
        return np.stack([1.0 - second, second], axis=1)
    return _check_shape(numbers, model, rows)


def _from_logits(numbers: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    if _is_single(numbers, model):
        second = numbers.reshape(rows)
        # expit(-x) keeps the digits that 1 - expit(x) would lose.
        return np.stack([expit(-second), expit(second)], axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(softmax(_check_shape(numbers, model, rows), axis=1))


def _of_labels(numbers: np.ndarray, model: ModelVersion, rows: int) -> Prediction:
    """Each label by itself; the one of a model of a single label may lie in a flat array."""
    if numbers.ndim == 1 and len(model.classes) == 1:
        numbers = numbers.reshape(rows, 1)
    numbers = _check_shape(numbers, model, rows)
    if model.output is Output.LABEL:
        return Prediction(labels=np.select([numbers == 0, numbers == 1], [0, 1], -1))
    return Prediction(scores=expit(numbers) if model.output is Output.LOGIT else numbers)


def _is_single(numbers: np.ndarray, model: ModelVersion) -> bool:
    return (numbers.ndim == 1 or numbers.shape[1] == 1) and len(model.classes) in (0, 2)


def _check_shape(numbers: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    n_classes = len(model.classes)
    if numbers.ndim != 2 or (n_classes and numbers.shape[1] != n_classes):
        raise _misshapen(numbers, model, f"({rows}, {n_classes or 'classes'})")
    return numbers


_SCORES: dict[Output, Callable[[np.ndarray, ModelVersion, int], np.ndarray]] = {
    Output.PROBABILITY: _probabilities,
    Output.LOGIT: _from_logits,
    Output.VALUE: _values,
}


def _kind(array: np.ndarray) -> str:
    """The type of an array's entries; the names of their fields may be made of data."""
    return "records" if array.dtype.names is not None else str(array.dtype)


def _misshapen(array: np.ndarray, model: ModelVersion, expected: str) -> ModelError:
    classes = f" and the classes {list(model.classes)}" if model.classes else ""
    return ModelError(
        f"model {model.name!r} returned an array of shape {array.shape}, expected {expected} "
        f"for output {model.output.value!r}{classes}"
    )
