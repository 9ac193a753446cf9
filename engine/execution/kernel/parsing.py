"""What a batch says: labels as the metrics read them, weights, and which predictions are usable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.core.labels import same_label
from engine.core.probabilities import CLIP_TOLERANCE, SUM_TOLERANCE
from engine.core.vocabulary import Label, TaskKind
from engine.errors import DataError
from engine.metrics import Problem
from engine.models import Prediction
from engine.planning import label_codes
from engine.planning.slices import plain_column, python_values
from engine.states import Bools, Column, Floats, Ints
from engine.states.rows import CLIPPED

_NUMBERS = (TaskKind.REGRESSION, TaskKind.RANKING)
_UNKNOWN, _NO_LABEL = -1, -2
# As scikit-learn's `predict`, and as a binary task, whose first class wins a tie.
_ABOVE = 0.5


@dataclass(frozen=True, slots=True)
class Truth:
    """Labels of a batch as the metrics read them, and which of them cannot be read.

    `values` are class indices or targets, or of a multilabel task zeros and ones by [row, label]; 0
    where there is none. A row is `null` without a label and `unknown` with one that is no class, no
    finite target, or no array with a 0 or a 1 for each label.
    """

    values: Ints | Floats
    null: Bools
    unknown: Bools


@dataclass(frozen=True, slots=True)
class Predicted:
    """Scores and classes that a model predicted, and which rows of them can be used.

    Of a multilabel task both are by [row, label], the classes as zeros and ones. `notes` counts
    rows by what was done to them: why they cannot be used, and those whose scores were clipped.
    """

    scores: Floats | None
    classes: Ints | None
    good: Bools
    notes: Mapping[str, int] = field(default_factory=dict)


def read_truth(column: pa.Array, problem: Problem) -> Truth:
    """Labels as class indices, targets or zeros and ones.

    Null and NaN are no labels, infinity is no target. A ranking's target is the relevance.
    """
    column = plain_column(column)
    null = column.is_null().to_numpy(zero_copy_only=False)
    if problem.task is TaskKind.MULTILABEL:
        return _read_indicators(column, null, problem.n_classes)
    if problem.task in _NUMBERS:
        values = pc.fill_null(pc.cast(column, pa.float64(), safe=False), 0.0)
        target = values.to_numpy(zero_copy_only=False)
        null = null | np.isnan(target)
        infinite = np.isinf(target)
        return Truth(np.where(null | infinite, 0.0, target), null, infinite)
    codes = label_codes(problem)
    encoded = column.dictionary_encode()
    labels = python_values(encoded.dictionary)
    table = np.array([*(_code(label, codes) for label in labels), _NO_LABEL], np.int64)
    places = pc.fill_null(encoded.indices, len(labels)).to_numpy(zero_copy_only=False)
    truth = table[places]
    return Truth(np.maximum(truth, 0), truth == _NO_LABEL, truth == _UNKNOWN)


def _read_indicators(column: pa.Array, null: Bools, n_labels: int) -> Truth:
    """Arrays of zeros and ones, one entry for each label."""
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    fitting = lengths == n_labels
    # What is flattened has no nulls and starts where the column does.
    flat = column.filter(pa.array(fitting)).flatten()
    numbers = pc.cast(flat, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    entries = numbers.reshape(-1, n_labels)
    # A null has become NaN, which is neither.
    known = ((entries == 0) | (entries == 1)).all(axis=1)
    rows = np.flatnonzero(fitting)[known]
    values = np.zeros((len(column), n_labels), np.int64)
    values[rows] = entries[known]
    unknown = ~null
    unknown[rows] = False
    return Truth(values, null, unknown)


def _code(label: Label, codes: Mapping[str, int]) -> int:
    """The class index of a label; NaN is no label."""
    return _NO_LABEL if label != label else codes.get(same_label(label), _UNKNOWN)


def read_weight(batch: pa.RecordBatch, column: str | None) -> Floats:
    """The weights of the rows, 1 without a weight column.

    Raises:
        DataError: for a weight that is null, NaN, infinite or negative.
    """
    if column is None:
        return np.ones(batch.num_rows)
    values = pc.cast(plain_column(batch.column(column)), pa.float64(), safe=False)
    weight = np.asarray(values.to_numpy(zero_copy_only=False), np.float64)
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise DataError(
            f"the weight column {column!r} is null, NaN, infinite or negative in "
            f"{int(bad.sum()):,} of {len(bad):,} rows; expected finite numbers >= 0"
        )
    return weight


def read_column(column: pa.Array) -> Column:
    """A column as losses read it.

    Numbers and truth values are float64, NaN where they are null; dates and timestamps datetime64,
    in UTC where they have a time zone, NaT where they are null; texts are objects, None where they
    are null.
    """
    column = plain_column(column)
    if pa.types.is_temporal(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(python_values(column), object)
    numbers = pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def read_prediction(prediction: Prediction, problem: Problem, *, adds_up: bool = True) -> Predicted:
    """Marks the rows whose label is known, and whose scores are finite and, of classes, add to 1.

    Scores beyond 0 or 1 by no more than rounding (`CLIP_TOLERANCE`) are clipped. The predicted
    class is the one that the model names, else the one of the largest score; a label of a
    multilabel task is predicted where its probability is above one half. Without `adds_up` scores
    rank rows and are no probabilities of classes.
    """
    of_labels = problem.task is TaskKind.MULTILABEL
    adds_up = adds_up and not of_labels
    scores, labels = prediction.scores, prediction.labels
    if scores is not None and problem.task in _NUMBERS:
        return _usable(scores, None, {"NaN": np.isnan(scores), "infinite": np.isinf(scores)})
    causes: dict[str, Bools] = {}
    if labels is not None:
        unknown = labels < 0
        causes["of an unknown class"] = np.asarray(unknown.any(axis=1) if of_labels else unknown)
    if scores is None:
        assert labels is not None, "a prediction has scores or labels"
        return _usable(None, labels, causes)
    # NaN fails the comparisons.
    with np.errstate(invalid="ignore"):
        good = np.asarray(((scores >= 0) & (scores <= 1)).all(axis=1))
        if adds_up:
            good &= np.abs(scores.sum(axis=1) - 1.0) < SUM_TOLERANCE
        if good.all():
            return _usable(scores, _decision_of(scores, labels, of_labels), causes)
        beyond = (scores < 0) | (scores > 1)
        near = (scores >= -CLIP_TOLERANCE) & (scores <= 1 + CLIP_TOLERANCE)
        clipped = (beyond & near).any(axis=1)
        if clipped.any():
            scores = np.where(near, np.clip(scores, 0.0, 1.0), scores)
        causes["NaN"] = np.isnan(scores).any(axis=1)
        causes["infinite"] = np.isinf(scores).any(axis=1)
        causes["below 0 or above 1"] = (beyond & ~near & np.isfinite(scores)).any(axis=1)
        if adds_up:
            proper = ((scores >= 0) & (scores <= 1)).all(axis=1)
            off = np.abs(scores.sum(axis=1) - 1.0) >= SUM_TOLERANCE
            causes["probabilities that do not add to 1"] = proper & off
    labels = _decision_of(scores, labels, of_labels)
    return _usable(scores, labels, causes, int(clipped.sum()))


def _decision_of(scores: Floats, labels: Ints | None, of_labels: bool) -> Ints:
    """The classes that a model decided for: those that it named, else by its scores."""
    if labels is not None:
        return labels
    if of_labels:
        return (scores > _ABOVE).astype(np.int64)
    return np.asarray(np.argmax(scores, axis=1))


def _usable(
    scores: Floats | None, classes: Ints | None, causes: Mapping[str, Bools], clipped: int = 0
) -> Predicted:
    """The prediction with its rows that can be used: those without any cause against it."""
    answers = classes if scores is None else scores
    assert answers is not None, "there are scores or classes"
    bad = np.zeros(len(answers), bool)
    notes = {CLIPPED: clipped} if clipped else {}
    for why, rows in causes.items():
        if rows.any():
            bad |= rows
            notes[why] = int(rows.sum())
    if classes is not None and classes.ndim == 1 and bad.any():
        classes = np.where(bad, 0, classes)
    return Predicted(scores, classes, ~bad, notes)
