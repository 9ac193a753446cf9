"""Model versions, and the columns and tensors that they take."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.vocabulary.enums import Output, TaskKind

Label = bool | int | float | str


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One named input column of a model, with the type its signature asks for."""

    name: str
    type: str | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input tensor of a model; `shape` is without the row axis, -1 where it is free."""

    name: str | None
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable candidate: where it lies, and what the engine needs to know of it.

    `digest` is the SHA-256 of the artifact's files; `path` the folder that a worker loads.
    `classes` is the order of the columns of a classifier's scores (empty for regression).
    `inputs` are the signature's columns or tensors in its order (empty without a signature);
    `features` the dataset columns that fill them, in order.
    """

    name: str
    uri: str
    version: str | None
    digest: str
    path: str
    flavor: str
    task: TaskKind
    output: Output
    classes: tuple[Label, ...] = ()
    inputs: tuple[ColumnSpec, ...] | tuple[TensorSpec, ...] = ()
    features: tuple[str, ...] = ()
    registered_name: str | None = None
    model_id: str | None = None


NO_MODEL = ModelVersion("", "", None, "", "", "", TaskKind.REGRESSION, Output.VALUE)
"""What stands in a cell of the data in the place of a model."""
