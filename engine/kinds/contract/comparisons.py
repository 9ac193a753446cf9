"""Checks that hold predictions of the same rows against each other: how many rows differ.

Two predictions are the same where they differ by rounding only: a sum in another order, or a
kernel for another size of batch, changes the last digits (logistic regression on a quarter of the
rows, a network in float32 on most of them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.probabilities import CLIP_TOLERANCE, SUM_TOLERANCE
from engine.core.vocabulary import Numbers, Output, TaskKind
from engine.kinds.questions import Predictor
from engine.states import Bools

Check = Callable[[Predictor, pa.RecordBatch], Numbers]

SINGLE = (1e-5, 1e-6)
DOUBLE = (1e-9, 1e-9)
SEED = 20_261_129

BREACHES, TRIED = "breaches", "tried"


def count_repeated(model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """Rows whose answer is another one when they are asked again."""
    first, again = model.predict(batch), model.predict(batch)
    return _numbers(differing_rows(model, first, again))


def count_alone(model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """Rows whose answer alone is another one than in the batch."""
    together = model.predict(batch)
    alone = [model.predict(batch.slice(row, 1)) for row in range(batch.num_rows)]
    return _numbers(differing_rows(model, together, _Joined(alone)))


def count_shuffled(model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """Rows whose answer is another one when the rows stand in another order."""
    rows = batch.num_rows
    asked = model.predict(batch)
    differing = np.zeros(rows, bool)
    for order in (np.arange(rows)[::-1], np.random.default_rng(SEED).permutation(rows)):
        moved = model.predict(batch.take(pa.array(order)))
        differing |= differing_rows(model, _Taken(asked, order), moved)[np.argsort(order)]
    return _numbers(differing)


def count_improbable(model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """Rows whose probabilities are not within 0 and 1, or do not add up to 1."""
    scores = model.predict(batch).scores
    if model.model.output is Output.LABEL or model.model.squashed or scores is None:
        return {BREACHES: None, TRIED: 0.0}
    with np.errstate(invalid="ignore"):
        outside = ~((scores >= -CLIP_TOLERANCE) & (scores <= 1 + CLIP_TOLERANCE)).all(axis=1)
        off = ~(np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE)
    if model.model.task is TaskKind.MULTILABEL:
        off[:] = False
    return {**_numbers(outside | off), "outside": float(outside.sum()), "sum": float(off.sum())}


def count_strangers(model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """Rows whose label is none of the declared classes."""
    prediction, classes = model.predict(batch), model.model.classes
    if not classes:
        return {BREACHES: None, TRIED: 0.0}
    strange = np.zeros(batch.num_rows, bool)
    if prediction.labels is not None:
        unknown = np.asarray(prediction.labels) < 0
        strange |= unknown if unknown.ndim == 1 else unknown.any(axis=1)
    if prediction.scores is not None and prediction.scores.shape[1] != len(classes):
        strange[:] = True
    return _numbers(strange)


def differing_rows(model: Predictor, one: Any, other: Any) -> Bools:
    """Which rows two predictions answer otherwise, by more than rounding."""
    relative, absolute = tolerance(model, one.scores)
    if one.scores is None or other.scores is None:
        unlike: Bools = np.asarray(one.labels) != np.asarray(other.labels)
        return np.asarray(unlike.reshape(len(unlike), -1).any(axis=1))
    ours, theirs = (_by_row(prediction.scores) for prediction in (one, other))
    same = np.isclose(ours, theirs, rtol=relative, atol=absolute, equal_nan=True)
    differing: Bools = ~same.all(axis=1)
    if one.labels is not None and other.labels is not None and np.ndim(one.labels) == 1:
        # Where two scores are as good as equal, rounding chooses the label.
        top = np.sort(ours, axis=1)
        clear = top[:, -1] - top[:, -2] > relative + absolute if top.shape[1] > 1 else ~differing
        differing |= clear & (np.asarray(one.labels) != np.asarray(other.labels))
    return differing


def tolerance(model: Predictor, scores: Any) -> tuple[float, float]:
    """How far two answers may be apart, relative and absolute, by the precision of the model's.

    Only of scikit-learn is it known that numbers with the digits of a double were computed as such:
    what others give may be float32 behind a sigmoid in float64.
    """
    if scores is None or model.model.flavor != "sklearn":
        return SINGLE
    last = _by_row(scores)[:, -1]
    with np.errstate(over="ignore"):
        single = np.array_equal(last, last.astype(np.float32).astype(np.float64), equal_nan=True)
    return SINGLE if single else DOUBLE


def _by_row(scores: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers = np.asarray(scores, np.float64)
    return numbers.reshape(len(numbers), -1)


def _numbers(broken: Bools) -> dict[str, float | None]:
    return {BREACHES: float(broken.sum()), TRIED: float(len(broken))}


class _Joined:
    """Predictions of rows alone, one after the other."""

    def __init__(self, parts: list[Any]) -> None:
        self.scores = _concat([part.scores for part in parts])
        self.labels = _concat([part.labels for part in parts])


class _Taken:
    """A prediction with its rows in another order."""

    def __init__(self, prediction: Any, order: Any) -> None:
        self.scores = None if prediction.scores is None else prediction.scores[order]
        self.labels = None if prediction.labels is None else prediction.labels[order]


def _concat(arrays: list[Any]) -> Any:
    return None if any(array is None for array in arrays) else np.concatenate(arrays)
