"""The worst case of each row: of several predictions the one that is farthest from its label.

A row is right in the worst case only if it is right in all, as robust accuracy has it (HELM: Liang
et al. 2022, section 4.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.vocabulary import Variant
from engine.execution.kernel.parsing import Predicted
from engine.kinds.perturbations import changed_rows
from engine.states import Bools, Floats, Ints

# More than scores of two predictions can differ by.
_WRONG = 4.0


def worst_case(predictions: Sequence[Predicted], truth: NDArray[Any]) -> tuple[Predicted, Ints]:
    """The worst prediction of each row, and from which of them it is: [row].

    Of numbers it is that with the largest error; of classes a wrong one, then that with the least
    score of the true class. Where several are alike it is the first. A row that lacks one has none.

    Args:
        predictions: of one model and task, on the same rows, all with scores or none.
        truth: class index or target of each row.
    """
    good = np.logical_and.reduce([one.good for one in predictions])
    with np.errstate(invalid="ignore"):
        losses = np.stack([_losses(one, truth) for one in predictions])
    worst = np.argmax(np.nan_to_num(losses), axis=0)
    rows = np.arange(len(truth))
    scores = [one.scores for one in predictions if one.scores is not None]
    classes = [one.classes for one in predictions if one.classes is not None]
    return Predicted(
        np.stack(scores)[worst, rows] if scores else None,
        np.stack(classes)[worst, rows] if classes else None,
        good,
    ), worst


def _losses(predicted: Predicted, truth: NDArray[Any]) -> Floats:
    scores, classes = predicted.scores, predicted.classes
    if scores is not None and scores.ndim == 1:
        return np.asarray(np.abs(scores - truth))
    if scores is None:
        assert classes is not None, "a prediction has scores or classes"
        return np.where(classes != truth, _WRONG, 0.0)
    said = np.argmax(scores, axis=1) if classes is None else classes
    return np.asarray(np.where(said != truth, _WRONG, 0.0) - scores[np.arange(len(truth)), truth])


def changes_of(
    variant: Variant,
    batch: pa.RecordBatch,
    variants: Mapping[Variant, pa.RecordBatch],
    worst: Ints | None,
) -> Bools:
    """Which rows of a batch a variant changed; of the worst case, the one that a row's is from."""
    if worst is None:
        return changed_rows(batch, variants[variant])
    changed = np.zeros(batch.num_rows, bool)
    for place, member in enumerate(variant.members, start=1):
        at = np.flatnonzero(worst == place)
        if len(at):
            rows = pa.array(at)
            changed[at] = changed_rows(batch.take(rows), variants[member].take(rows))
    return changed
