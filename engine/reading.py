"""What a batch says: labels as class indices, weights, and which predictions can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.matrix import label_codes, same_label
from engine.metrics import Problem
from engine.models import Prediction
from engine.slices import plain_column
from engine.states import Bools, Floats, Ints
from engine.vocabulary import Label, TaskKind

_UNKNOWN, _NO_LABEL = -1, -2
# Of float32 probabilities of thousands of classes, no sum is further from 1.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Truth:
    """Labels of a batch as the metrics read them, and which of them cannot be read.

    `values` are class indices or targets, 0 where there is none; a row is `null` without a label
    and `unknown` with one that is no class, or no finite target.
    """

    values: Ints | Floats
    null: Bools
    unknown: Bools


@dataclass(frozen=True, slots=True)
class Predicted:
    """Scores and classes that a model predicted, and which rows of them can be used."""

    scores: Floats | None
    classes: Ints | None
    good: Bools


def read_truth(column: pa.Array, problem: Problem) -> Truth:
    """Labels as class indices or targets; null and NaN are no labels, infinity no target."""
    column = plain_column(column)
    null = column.is_null().to_numpy(zero_copy_only=False)
    if problem.task is TaskKind.REGRESSION:
        values = pc.fill_null(pc.cast(column, pa.float64(), safe=False), 0.0)
        target = values.to_numpy(zero_copy_only=False)
        null = null | np.isnan(target)
        infinite = np.isinf(target)
        return Truth(np.where(null | infinite, 0.0, target), null, infinite)
    codes = label_codes(problem)
    encoded = column.dictionary_encode()
    labels = encoded.dictionary.to_pylist()
    table = np.array([*(_code(label, codes) for label in labels), _NO_LABEL], np.int64)
    places = pc.fill_null(encoded.indices, len(labels)).to_numpy(zero_copy_only=False)
    truth = table[places]
    return Truth(np.maximum(truth, 0), truth == _NO_LABEL, truth == _UNKNOWN)


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


def read_prediction(prediction: Prediction, problem: Problem) -> Predicted:
    """Marks the rows whose label is known, or whose scores are finite and, of classes, add to 1."""
    if prediction.labels is not None:
        return Predicted(None, prediction.labels, prediction.labels >= 0)
    scores = prediction.scores
    assert scores is not None, "a prediction has scores or labels"
    if problem.task is TaskKind.REGRESSION:
        return Predicted(scores, None, np.isfinite(scores))
    # NaN fails the comparisons as well.
    with np.errstate(invalid="ignore"):
        good = ((scores >= 0) & (scores <= 1)).all(axis=1)
        good &= np.abs(scores.sum(axis=1) - 1.0) < _SUM_TOLERANCE
    return Predicted(scores, np.where(good, np.argmax(scores, axis=1), 0), good)
