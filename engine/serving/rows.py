"""From the rows of a table to values that JSON can hold, as a model's signature types them.

JSON has no NaN, no infinity, no bytes and no times. A null and a NaN are `null`, bytes are base64,
times are ISO 8601 as a clock in their zone shows them. Numbers are written as the type of their
input: a whole number for `long`, one with a point for `double`; both come back with every bit.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.core.vocabulary import ColumnSpec, ModelVersion, TensorSpec
from engine.errors import EndpointError

_WHOLE = frozenset({"integer", "long", "int8", "int16", "int32", "int64", "uint8", "uint16",
                    "uint32", "uint64"})  # fmt: skip
_FLOATS = frozenset({"float", "double", "float16", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a model: its name there, its type, and its value for each row.

    `shape` is that of a row's value where it is part of a tensor, None where it is a column.
    """

    name: str | None
    type: str | None
    values: Sequence[Any]
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The inputs of some rows, ready for JSON; all have a value for each row."""

    inputs: tuple[Input, ...]
    count: int

    @property
    def are_tensors(self) -> bool:
        """Whether the model takes arrays, and no columns."""
        return any(own.shape is not None for own in self.inputs)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [own.name or str(place) for place, own in enumerate(self.inputs)]

    def slice(self, first: int, count: int) -> Rows:
        """Some of the rows."""
        return self.take(range(first, min(first + count, self.count)))

    def take(self, places: Sequence[int]) -> Rows:
        """Rows by their places, in that order."""
        inputs = tuple(
            Input(own.name, own.type, [own.values[place] for place in places], own.shape)
            for own in self.inputs
        )
        return Rows(inputs, len(places))

    def as_lists(self) -> list[list[Any]]:
        """Each row as a list of its values."""
        if not self.count:
            return []
        return [list(row) for row in zip(*(own.values for own in self.inputs), strict=True)]

    def as_records(self) -> list[dict[str, Any]]:
        """Each row as a mapping from names to values."""
        names = self.names
        return [dict(zip(names, row, strict=True)) for row in self.as_lists()]


def rows_of(table: pa.Table | pa.RecordBatch, model: ModelVersion) -> Rows:
    """The rows of a table as a model is asked for them.

    Args:
        table: has the columns in `model.features`, others too.
        model: says which columns fill which inputs, and the types of these.

    Raises:
        EndpointError: for a column that is missing, or holds what JSON cannot.
    """
    columns = [_column(table, name, model) for name in model.features]
    if not columns:
        raise EndpointError(
            f"the model {model.name!r}: nothing says which columns are its features; name them in "
            "dataset.features"
        )
    tensors = [spec for spec in model.inputs if isinstance(spec, TensorSpec)]
    if tensors:
        return Rows(_tensors(tensors, columns, model), table.num_rows)
    specs = [spec for spec in model.inputs if isinstance(spec, ColumnSpec)]
    if len(specs) != len(columns):
        specs = [ColumnSpec(name) for name in model.features]
    inputs = tuple(
        Input(spec.name, spec.type or arrow_type(column.type), json_values(column, spec))
        for spec, column in zip(specs, columns, strict=True)
    )
    return Rows(inputs, table.num_rows)


def arrow_type(kind: pa.DataType) -> str:
    """What a signature would call the type of a column."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "long"
    if pa.types.is_floating(kind):
        return "double"
    if pa.types.is_temporal(kind):
        return "datetime"
    return "binary" if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else "string"


def json_values(column: pa.ChunkedArray | pa.Array, spec: ColumnSpec) -> list[Any]:
    """The values of a column, as JSON has them for an input of this type."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = pc.local_timestamp(column)
    values: list[Any] = column.to_pylist()
    change = _change(column.type, spec)
    return values if change is None else [None if v is None else change(v) for v in values]


def _change(kind: pa.DataType, spec: ColumnSpec) -> Callable[[Any], Any] | None:
    """How a value of an Arrow type becomes one of JSON."""
    if pa.types.is_floating(kind):
        return _number(spec, float_is_whole=spec.type in _WHOLE)
    if pa.types.is_integer(kind):
        return float if spec.type in _FLOATS else None
    if pa.types.is_temporal(kind):
        return _iso
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _base64
    if pa.types.is_nested(kind):
        return lambda value: _tree(value, spec)
    return None


def _number(spec: ColumnSpec, *, float_is_whole: bool) -> Callable[[float], Any]:
    def change(value: float) -> Any:
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise EndpointError(
                f"the column of the input {spec.name!r} holds infinity, which JSON has no word "
                "for; expected finite numbers or nulls"
            )
        return int(value) if float_is_whole and value.is_integer() else value

    return change


def _iso(value: Any) -> str:
    return str(value.isoformat())


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _tree(value: Any, spec: ColumnSpec) -> Any:
    if isinstance(value, dict):
        return {key: _tree(item, spec) for key, item in value.items()}
    if isinstance(value, list):
        return [_tree(item, spec) for item in value]
    return _number(spec, float_is_whole=False)(value) if isinstance(value, float) else value


def _tensors(
    specs: Sequence[TensorSpec], columns: Sequence[Any], model: ModelVersion
) -> tuple[Input, ...]:
    """One tensor of all the columns side by side, or each of several of a column of its own."""
    listed = [json_values(column, ColumnSpec(name))
              for name, column in zip(model.features, columns, strict=True)]  # fmt: skip
    if len(specs) == 1 and not (len(listed) == 1 and pa.types.is_nested(columns[0].type)):
        spec = specs[0]
        whole = spec.dtype in _WHOLE
        values = [[_plain_number(v, whole) for v in row] for row in zip(*listed, strict=True)]
        return (Input(spec.name, spec.dtype, values, (len(listed),)),)
    if len(specs) != len(listed):
        raise EndpointError(
            f"the model {model.name!r} takes {len(specs)} tensors, each from one column, found "
            f"{len(listed)} features"
        )
    return tuple(
        Input(spec.name, spec.dtype, values, spec.shape)
        for spec, values in zip(specs, listed, strict=True)
    )


def _plain_number(value: Any, whole: bool) -> Any:
    if value is None or isinstance(value, str):
        return value
    return int(value) if whole and float(value).is_integer() else float(value)


def _column(table: pa.Table | pa.RecordBatch, name: str, model: ModelVersion) -> Any:
    if name not in table.schema.names:
        raise EndpointError(f"the model {model.name!r} wants the column {name!r}, which is missing")
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
