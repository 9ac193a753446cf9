"""Predictions that are there already, as a model that reads them from the rows themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from engine.core.vocabulary import STORED, ModelVersion, Output, PredictionsTable, TaskKind
from engine.models.flavors.base import Runner


def stored_predictions(
    name: str,
    task: TaskKind,
    scores: Sequence[str],
    predicted: str | None,
    output: Output | None = None,
) -> ModelVersion:
    """A model whose scores and labels are columns, of the dataset where no table has them.

    Args:
        name: what it is called.
        task: what is predicted.
        scores: the columns of its scores.
        predicted: the column of its labels.
        output: what the scores are; by default probabilities, or values.
    """
    by_value = task in (TaskKind.REGRESSION, TaskKind.RANKING)
    kind = output or (Output.VALUE if by_value else Output.PROBABILITY)
    columns = tuple(dict.fromkeys((*scores, *(() if predicted is None else (predicted,)))))
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
        features=columns,
        score_columns=tuple(scores),
        label_column=predicted,
        decides=bool(scores) and predicted is not None,
    )


def predictions_of(model: ModelVersion, table: PredictionsTable) -> ModelVersion:
    """The model with the table that has its columns, under names that no dataset has."""
    about = [table.table_id, table.epoch, list(table.key), list(model.features)]
    digest = hashlib.sha256(f"predictions {json.dumps(about)}".encode()).hexdigest()
    return replace(
        model,
        uri=f"{table.uri}#{','.join(model.features)}",
        version=str(table.version),
        digest=digest,
        features=tuple(table.column(name) for name in model.features),
        table=table,
    )


def stored_columns(model: ModelVersion) -> list[str]:
    """The columns of a model's predictions, as they are called where they are."""
    label = [] if model.label_column is None else [model.label_column]
    return list(dict.fromkeys([*model.score_columns, *label]))


def stored_runner(model: ModelVersion) -> Runner:
    """Gives the columns as they are."""

    def run(table: pa.Table) -> Any:
        own = table.select(list(model.features)).rename_columns(stored_columns(model))
        return own.to_pandas()

    return run
