"""From what a framework returned to class probabilities, class indices or values.

A model has an order of its classes and names for them of its own; all that leaves here is in the
order of the evaluation's classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from scipy.special import expit, softmax

from engine.core.labels import loose_label
from engine.core.vocabulary import Label, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.models.output_columns import class_columns, has_columns


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of n rows: scores, or labels where it gives nothing else.

    `scores` are float64: class probabilities of shape [n, K] in the order of the model's
    `classes` (K = 2 for a binary task), or the values of a regression or a ranking of shape [n].
    `labels` are int64 indices into `classes`, -1 for a label that is not among them: there are
    both where a model decides otherwise than by its largest score. NaN and infinities are as the
    model returned them.

    Of a multilabel task each of the K labels has a probability of its own, and `labels` are of
    shape [n, K]: 0 or 1, -1 for anything else.
    """

    scores: np.ndarray | None = None
    labels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a framework returned when it was asked for scores and for labels."""

    scores: Any
    labels: Any


def read_outputs(raw: Any, model: ModelVersion, rows: int) -> Prediction:
    """Reads a model's outputs for `rows` rows as `model.output` says.

    Logits go through softmax; one logit or one probability for each row is that of the second
    class. Of a multilabel task each label's logit goes through the sigmoid. All of it is done in
    float64.

    Raises:
        ModelError: when the shape or type does not fit the rows, the classes or the output.
    """
    raw = _named_columns(raw)
    if model.score_columns or model.label_column is not None:
        raw = _chosen_columns(raw, model)
    if isinstance(raw, Answers):
        scores = read_outputs(raw.scores, _without_columns(model), rows)
        return Prediction(scores.scores, _read_labels(raw.labels, model, rows))
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
    return Prediction(scores=_in_order(_SCORES[model.output](numbers, model, rows), model))


def _in_order(scores: np.ndarray, model: ModelVersion) -> np.ndarray:
    """Scores in the order of the evaluation's classes."""
    if not model.places or scores.ndim == 1:
        return scores
    ordered = np.empty_like(scores)
    ordered[:, list(model.places)] = scores
    return ordered


def _read_labels(raw: Any, model: ModelVersion, rows: int) -> np.ndarray:
    """Labels beside scores."""
    array = _array(raw, model)
    if model.task is not TaskKind.MULTILABEL:
        return _indices(_flat(array, model, rows), model)
    if array.shape != (rows, len(model.classes)):
        raise _misshapen(array, model, f"({rows}, {len(model.classes)})")
    return np.select([array == 0, array == 1], [0, 1], -1)


def _named_columns(raw: Any) -> Any:
    """Rows that are mappings, or a mapping of columns, as a frame; all else as it is."""
    if isinstance(raw, list) and raw and all(isinstance(row, dict) for row in raw):
        return pd.DataFrame(raw)
    if isinstance(raw, dict) and len(raw) > 1:
        columns = {str(name): np.asarray(column) for name, column in raw.items()}
        if all(column.ndim == 1 for column in columns.values()):
            return pd.DataFrame(columns)
    return raw


def _without_columns(model: ModelVersion) -> ModelVersion:
    return replace(model, score_columns=(), label_column=None)


def _chosen_columns(raw: Any, model: ModelVersion) -> Any:
    """The columns that the suite names."""
    wanted = [*model.score_columns, *([model.label_column] if model.label_column else [])]
    if not isinstance(raw, pd.DataFrame):
        raise ModelError(
            f"model {model.name!r} returned {type(raw).__name__}, expected named columns with "
            f"{', '.join(map(repr, wanted))}"
        )
    names = {str(name): place for place, name in enumerate(raw.columns)}
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ModelError(
            f"model {model.name!r} returned {len(names)} columns, and none is called "
            f"{' or '.join(map(repr, missing))}, as the suite's output says"
        )
    labels = None if model.label_column is None else raw.iloc[:, names[model.label_column]]
    if not model.score_columns:
        return labels
    chosen = raw.iloc[:, [names[name] for name in model.score_columns]]
    scores = chosen if chosen.shape[1] > 1 else chosen.iloc[:, 0]
    return scores if labels is None else Answers(scores, labels)


def no_rows(model: ModelVersion) -> Prediction:
    """The prediction for an empty batch, which no model has to understand."""
    by_class = (0, len(model.classes))
    shape = by_class if model.task is TaskKind.MULTILABEL else (0,)
    labels = np.empty(shape, dtype=np.int64)
    if model.output is Output.LABEL:
        return Prediction(labels=labels)
    scores = np.empty((0,) if model.output is Output.VALUE else by_class)
    return Prediction(scores, labels if model.decides else None)


def _array(raw: Any, model: ModelVersion) -> np.ndarray:
    if isinstance(raw, dict):
        if len(raw) != 1:
            raise ModelError(
                f"model {model.name!r} returned a dictionary of {len(raw)} outputs, expected one"
            )
        raw = next(iter(raw.values()))
    if isinstance(raw, pd.DataFrame) and model.output is not Output.LABEL and model.classes:
        return _by_class(raw, model)
    multilabel = model.task is TaskKind.MULTILABEL
    of_one = model.output is Output.VALUE or (model.output is Output.LABEL and not multilabel)
    if isinstance(raw, pd.DataFrame) and raw.shape[1] > 1 and of_one:
        # Their names may be made of data.
        raise ModelError(
            f"model {model.name!r} returned {raw.shape[1]} columns, expected one for output "
            f"{model.output.value!r}; name it in the suite, as in output: {{scores: prediction}}"
        )
    if isinstance(raw, pd.DataFrame | pd.Series):
        return raw.to_numpy()
    # scikit-learn gives the indicators of labels as a sparse matrix where it was fitted with one.
    if issparse(raw) and raw.shape[1] <= max(len(model.classes), 1):
        return np.asarray(raw.toarray())
    if issparse(raw):
        raise _misshapen(raw, model, f"{len(model.classes) or 1} in the second place")
    return np.asarray(raw)


def _by_class(raw: pd.DataFrame, model: ModelVersion) -> np.ndarray:
    """The columns of scores in the model's order, by their names where these are of classes."""
    classes: tuple[Label, ...] = model.own_classes or model.classes
    names = [str(name) for name in raw.columns]
    places = class_columns(names, classes)
    if places is None and has_columns(names, classes):
        raise ModelError(
            f"model {model.name!r} returned {len(names)} columns, of which some have the name of "
            f"a class; expected one for each of {list(classes)}"
        )
    values = raw.to_numpy()
    return values if places is None else values[:, list(places)]


def _flat(array: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    if array.shape not in ((rows,), (rows, 1)):
        raise _misshapen(array, model, f"({rows},)")
    return array.reshape(rows)


def _indices(array: np.ndarray, model: ModelVersion) -> np.ndarray:
    if not model.classes:
        raise ModelError(f"model {model.name!r} predicts labels, but its classes are not known")
    own: tuple[Label, ...] = model.own_classes or model.classes
    places = model.places or tuple(range(len(own)))
    # True and 1, 1 and 1.0 are the same label, as they are for scikit-learn.
    index = dict(zip(own, places, strict=True))
    codes, labels = pd.factorize(array)
    known = [index.get(label, -1) for label in labels.tolist()]
    if -1 in known:
        known = _match_loosely(labels.tolist(), index, known)
    # A missing label has the code -1, which is the last entry.
    return np.array([*known, -1], dtype=np.int64)[codes]


def _match_loosely(labels: list[Any], index: dict[Label, int], known: list[int]) -> list[int]:
    """The classes that labels of another type are meant as, where there is only one way.

    It must be the same for all batches of a model, so each label is looked up by itself.
    """
    by_class = {loose_label(label): place for label, place in index.items()}
    if len(by_class) < len(index):
        return known
    return [
        by_class.get(loose_label(label), -1) if place < 0 and isinstance(label, Label) else place
        for label, place in zip(labels, known, strict=True)
    ]


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
