"""Inputs of a model, of which nothing is known but its signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import ColumnSpec, TensorSpec
from engine.data.generation.blocks import BLOCK, Block, generator
from engine.errors import ModelError

# 2024-01-01, and the days after it.
_FIRST_DAY, _DAYS = 19_723, 730
_MICROSECONDS = 86_400 * 10**6
_TEXTS = ("a", "b", "c", "d", "e")
# The length of an axis that a signature leaves open.
_FREE = 4

_TYPES: dict[str, pa.DataType] = {
    "boolean": pa.bool_(), "integer": pa.int32(), "long": pa.int64(), "float": pa.float32(),
    "double": pa.float64(), "string": pa.string(), "binary": pa.binary(),
    "datetime": pa.timestamp("us"),
}  # fmt: skip
_TENSOR_TYPES = {
    "float32": pa.float32(), "float64": pa.float64(), "int32": pa.int32(), "int64": pa.int64(),
    "int8": pa.int8(), "int16": pa.int16(), "uint8": pa.int16(), "bool": pa.bool_(),
    "str": pa.string(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mock:
    """Columns of a signature: numbers around 0, small whole numbers, five texts, days of two years.

    Tensors are columns of nested lists. What a signature says to be optional is null in every
    tenth row.
    """

    inputs: tuple[ColumnSpec | TensorSpec, ...]
    key: str | None = None

    @classmethod
    def of(
        cls,
        uri: str,
        inputs: tuple[ColumnSpec, ...] | tuple[TensorSpec, ...],
        key: str | None = None,
    ) -> Mock:
        """The inputs of a model.

        Raises:
            ModelError: for a model without a signature, or with types that no table has.
        """
        if not inputs:
            raise ModelError(
                f"the model {uri!r} has no signature of named inputs, so nothing says what it "
                "takes; log it with one (mlflow.models.infer_signature), or name a `dataset`"
            )
        unknown = [
            f"{spec.name!r} is {_type_name(spec)}" for spec in inputs if _arrow_type(spec) is None
        ]
        if unknown:
            raise ModelError(
                f"the model {uri!r} takes what no values can be made of: {', '.join(unknown)}"
            )
        return cls(inputs, key)

    @property
    def schema(self) -> pa.Schema:
        """Of what is drawn, the key with it."""
        fields = [
            pa.field(_name(spec, place), _arrow_type(spec))
            for place, spec in enumerate(self.inputs)
        ]
        return pa.schema([pa.field(self.key, pa.int64()), *fields] if self.key else fields)

    def draw(self, seed: int, block: Block, attempt: int = 0) -> pa.Table:
        """The rows of a block, always BLOCK of them, without their key."""
        rng = generator(seed, block.number, attempt)
        columns = {}
        for place, spec in enumerate(self.inputs):
            values = (
                _values(rng, str(spec.type))
                if isinstance(spec, ColumnSpec)
                else _tensor_values(rng, spec)
            )
            columns[_name(spec, place)] = values
        return pa.table(columns)

    def with_key(self, rows: pa.Table, block: Block) -> pa.Table:
        """Rows with the number of each as its key, in the first column."""
        if self.key is None:
            return rows
        return rows.add_column(0, self.key, pa.array(block.row_numbers()))


def _name(spec: ColumnSpec | TensorSpec, place: int) -> str:
    return spec.name or f"input_{place}"


def _type_name(spec: ColumnSpec | TensorSpec) -> str:
    return str(spec.type if isinstance(spec, ColumnSpec) else spec.dtype)


def _arrow_type(spec: ColumnSpec | TensorSpec) -> pa.DataType | None:
    if isinstance(spec, ColumnSpec):
        return _TYPES.get(str(spec.type))
    kind = _TENSOR_TYPES.get(spec.dtype)
    if kind is None:
        return None
    for _ in spec.shape:
        kind = pa.list_(kind)
    return kind


def _values(rng: np.random.Generator, kind: str) -> pa.Array:
    makers: dict[str, Callable[[], pa.Array]] = {
        "boolean": lambda: pa.array(rng.random(BLOCK) < 0.5),
        "integer": lambda: pa.array(rng.integers(0, 100, BLOCK, np.int32)),
        "long": lambda: pa.array(rng.integers(0, 100, BLOCK, np.int64)),
        "float": lambda: pa.array(rng.standard_normal(BLOCK).astype(np.float32)),
        "double": lambda: pa.array(rng.standard_normal(BLOCK)),
        "string": lambda: pa.array(_TEXTS).take(pa.array(rng.integers(0, len(_TEXTS), BLOCK))),
        "binary": lambda: pa.array(
            [bytes(part) for part in rng.integers(0, 256, (BLOCK, 4), np.uint8)]
        ),
        "datetime": lambda: pa.array(
            (_FIRST_DAY + rng.integers(0, _DAYS, BLOCK)) * _MICROSECONDS
        ).cast(pa.timestamp("us")),
    }
    return makers[kind]()


def _tensor_values(rng: np.random.Generator, spec: TensorSpec) -> pa.Array:
    shape = [_FREE if size < 0 else size for size in spec.shape]
    count = BLOCK * int(np.prod(shape, dtype=np.int64))
    kind = _TENSOR_TYPES[spec.dtype]
    if pa.types.is_floating(kind):
        flat = pa.array(rng.standard_normal(count)).cast(kind)
    elif pa.types.is_boolean(kind):
        flat = pa.array(rng.random(count) < 0.5)
    elif pa.types.is_string(kind):
        flat = pa.array(_TEXTS).take(pa.array(rng.integers(0, len(_TEXTS), count)))
    else:
        flat = pa.array(rng.integers(0, 100, count)).cast(kind)
    for place in range(len(shape) - 1, -1, -1):
        size = shape[place]
        lists = len(flat) // size
        flat = pa.ListArray.from_arrays(pa.array(np.arange(lists + 1) * size, pa.int32()), flat)
    return flat
