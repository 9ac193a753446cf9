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
from scipy.special import expit, softmax

from engine.core.labels import loose_label
from engine.core.vocabulary import Label, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.models.raw_outputs import (
    Answers,
    Columns,
    by_class,
    check_width,
    first_is_meant,
    own_classes,
    read_columns,
)


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


def read_outputs(raw: Any, model: ModelVersion, rows: int) -> Prediction:
    """Reads a model's outputs for `rows` rows as `model.output` says.

    Logits go through softmax; one logit or one probability for each row is that of the second
    class, unless its column has the name of the first. The values of a decision function are mapped
    into [0, 1] each by itself, in their order. Of a multilabel task each label's logit goes through
    the sigmoid. All of it is done in float64.

    Raises:
        ModelError: when the shape or type does not fit the rows, the classes or the output.
    """
    if isinstance(raw, Answers) and model.output is Output.LABEL:
        raw = raw.labels() if callable(raw.labels) else raw.labels
    if isinstance(raw, Answers):
        return _read_both(raw.scores, raw.labels, model, rows)
    columns = read_columns(raw, model)
    if isinstance(columns, Answers):
        return _read_both(columns.scores, columns.labels, model, rows)
    if model.output is Output.LABEL and model.task is not TaskKind.MULTILABEL:
        check_width(columns, model)
        return Prediction(
            labels=_indices(_flat(_rows(columns.values, model, rows), model, rows), model)
        )
    return _read_scores(columns, model, rows)


def _read_both(scores: Any, labels: Any, model: ModelVersion, rows: int) -> Prediction:
    """Scores, and labels beside them."""
    bare = replace(model, score_columns=(), label_column=None)
    columns = scores if isinstance(scores, Columns) else read_columns(scores, bare)
    assert isinstance(columns, Columns), "nothing was chosen"
    numbers = _read_scores(columns, bare, rows).scores
    answers = read_columns(labels() if callable(labels) else labels, bare)
    assert isinstance(answers, Columns), "nothing was chosen"
    if model.task is TaskKind.MULTILABEL:
        array = answers.values
        if array.shape != (rows, len(model.classes)):
            raise _misshapen(array, model, f"({rows}, {len(model.classes)})")
        return Prediction(numbers, np.select([array == 0, array == 1], [0, 1], -1))
    decisions = _indices(_flat(answers.values, model, rows), model)
    if columns.values.ndim == 1 and model.label_column is not None:
        _check_of_label(numbers, decisions, model)
    return Prediction(numbers, decisions)


def _check_of_label(scores: np.ndarray | None, labels: np.ndarray, model: ModelVersion) -> None:
    """Refuses one score beside a label that is that of the label, whichever it is.

    Raises:
        ModelError: where of some twenty rows with both labels none has a score below one half.
    """
    if scores is None or len(labels) < 20 or len(set(labels.tolist()) - {-1}) < 2:
        return
    single = scores[:, 1]
    if single[labels == 1].min() > single[labels == 0].max():
        return  # a threshold that is not 0.5
    if (single >= 0.5).all() or (single <= 0.5).all():
        against = (labels == 0) & (single > 0.5) | (labels == 1) & (single < 0.5)
        if against.sum() > len(labels) / 10:
            raise ModelError(
                f"model {model.name!r} has a label and one score, and the score is on one side of "
                "0.5 whatever the label: it looks like the score of the label that was predicted; "
                f"expected that of {model.classes[1]!r}, or a column for each class"
            )


def _rows(array: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    if array.shape[:1] != (rows,) or array.ndim > 2:
        raise _misshapen(array, model, f"({rows},) or ({rows}, {len(model.classes) or 'classes'})")
    return array


def _read_scores(columns: Columns, model: ModelVersion, rows: int) -> Prediction:
    """Scores, or the zeros and ones of labels."""
    check_width(columns, model)
    array = _rows(columns.values, model, rows)
    if array.ndim == 2 and array.shape[1] > max(len(model.classes), 1) and model.classes:
        # Before it is copied: it may be far larger than what it should be.
        raise _misshapen(array, model, f"({rows}, {len(model.classes)})")
    columns = by_class(columns, model)
    numbers = _numbers(columns.values, model)
    if model.task is TaskKind.MULTILABEL:
        return _of_labels(numbers, model, rows)
    scores = _SCORES[model.output](numbers, model, rows)
    if _is_single(numbers, model) and scores.ndim == 2 and first_is_meant(columns, model):
        scores = scores[:, ::-1]
    return Prediction(scores=_in_order(scores, model))


def _numbers(array: np.ndarray, model: ModelVersion) -> np.ndarray:
    try:
        if array.dtype.kind in "mMc":
            raise TypeError
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(
            f"model {model.name!r} returned {_kind(array)}, expected numbers for output "
            f"{model.output.value!r}"
        ) from None


def _in_order(scores: np.ndarray, model: ModelVersion) -> np.ndarray:
    """Scores in the order of the evaluation's classes."""
    if not model.places or scores.ndim == 1:
        return scores
    ordered = np.empty_like(scores)
    ordered[:, list(model.places)] = scores
    return ordered


def no_rows(model: ModelVersion) -> Prediction:
    """The prediction for an empty batch, which no model has to understand."""
    by_class = (0, len(model.classes))
    shape = by_class if model.task is TaskKind.MULTILABEL else (0,)
    labels = np.empty(shape, dtype=np.int64)
    if model.output is Output.LABEL:
        return Prediction(labels=labels)
    scores = np.empty((0,) if model.output is Output.VALUE else by_class)
    return Prediction(scores, labels if model.decides else None)


def _flat(array: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    if array.shape not in ((rows,), (rows, 1)):
        raise _misshapen(array, model, f"({rows},)")
    return array.reshape(rows)


def _indices(array: np.ndarray, model: ModelVersion) -> np.ndarray:
    if not model.classes:
        raise ModelError(f"model {model.name!r} predicts labels, but its classes are not known")
    own = own_classes(model)
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


def _from_decisions(numbers: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    """Values of a decision function in [0, 1], each by itself: a sigmoid has the same order.

    It is d / (1 + |d|), which does not end at 1 where the exponential does.
    """
    with np.errstate(invalid="ignore"):
        mapped = 0.5 + 0.5 * numbers / (1.0 + np.abs(numbers))
    mapped = np.where(np.isinf(numbers), numbers, mapped)
    if _is_single(numbers, model):
        second = mapped.reshape(rows)
        return np.stack([1.0 - second, second], axis=1)
    return _check_shape(mapped, model, rows)


def _from_logits(numbers: np.ndarray, model: ModelVersion, rows: int) -> np.ndarray:
    if model.squashed:
        return _from_decisions(numbers, model, rows)
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
