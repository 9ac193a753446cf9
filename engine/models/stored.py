"""Predictions that a dataset has already, as a model that reads them from the rows themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from engine.core.vocabulary import STORED, ModelVersion, Output, TaskKind
from engine.models.flavors.base import Runner


def stored_predictions(
    name: str,
    task: TaskKind,
    scores: Sequence[str],
    predicted: str | None,
    output: Output | None = None,
) -> ModelVersion:
    """A model whose scores and labels are columns of the dataset.

    Args:
        name: what it is called.
        task: what is predicted.
        scores: the columns of its scores.
        predicted: the column of its labels.
        output: what the scores are; by default probabilities, or values.
    """
    by_value = task in (TaskKind.REGRESSION, TaskKind.RANKING)
    kind = output or (Output.VALUE if by_value else Output.PROBABILITY)
    columns = (*scores, *(() if predicted is None else (predicted,)))
    text = json.dumps([list(scores), predicted])
    return ModelVersion(
        name=name,
        uri=f"columns:{','.join(columns)}",
        version=None,
        digest=hashlib.sha256(f"columns {text}".encode()).hexdigest(),
        path="",
        flavor=STORED,
        task=task,
        output=kind if scores else Output.LABEL,
        features=tuple(dict.fromkeys(columns)),
        score_columns=tuple(scores),
        label_column=predicted,
        decides=bool(scores) and predicted is not None,
    )


def stored_runner(model: ModelVersion) -> Runner:
    """Gives the columns as they are."""

    def run(table: pa.Table) -> Any:
        return table.select(list(model.features)).to_pandas()

    return run
