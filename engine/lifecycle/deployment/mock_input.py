"""Requests that a model answers, in each of the shapes that MLflow's server takes.

Their values are drawn by the model's signature and by nothing else: no row of any data is in them,
so none that is sensitive.
"""

from __future__ import annotations

from typing import Any

from engine.core.vocabulary import ColumnSpec, TensorSpec
from engine.data.generation.blocks import BLOCK, Block
from engine.data.generation.mock import Mock
from engine.models.artifact import Inputs
from engine.serving import Input, Rows
from engine.serving.rows import json_values

ROWS = 3
_SEED = 1


def mock_bodies(uri: str, inputs: Inputs) -> dict[str, Any]:
    """The bodies of requests by the name of their shape, each with the same few rows.

    Args:
        uri: the model's.
        inputs: its signature's.

    Raises:
        ModelError: for a model without a signature, or with types that no values are made of.
    """
    drawn = Mock.of(uri, inputs).draw(_SEED, Block(0, BLOCK)).slice(0, ROWS)
    specs: tuple[ColumnSpec | TensorSpec, ...] = inputs
    read = tuple(_input(spec, drawn.column(place)) for place, spec in enumerate(specs))
    rows = Rows(read, drawn.num_rows)
    if rows.are_tensors:
        return _of_tensors(rows)
    return {
        "dataframe_split": {"dataframe_split": {"columns": rows.names, "data": rows.as_lists()}},
        "dataframe_records": {"dataframe_records": rows.as_records()},
        "instances": {"instances": rows.as_records()},
        "inputs": {"inputs": _by_name(rows)},
    }


def _input(spec: ColumnSpec | TensorSpec, column: Any) -> Input:
    if isinstance(spec, ColumnSpec):
        return Input(spec.name, spec.type, json_values(column, spec))
    values = json_values(column, ColumnSpec(spec.name or ""))
    return Input(spec.name, spec.dtype, values, spec.shape)


def _of_tensors(rows: Rows) -> dict[str, Any]:
    """Arrays by themselves where there is one without a name, by their names elsewhere."""
    if [own.name for own in rows.inputs] == [None]:
        values = list(rows.inputs[0].values)
        return {"instances": {"instances": values}, "inputs": {"inputs": values}}
    return {"instances": {"instances": rows.as_records()}, "inputs": {"inputs": _by_name(rows)}}


def _by_name(rows: Rows) -> dict[str, list[Any]]:
    return {name: list(own.values) for name, own in zip(rows.names, rows.inputs, strict=True)}
