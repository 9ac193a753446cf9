"""Frames of a notebook as Delta tables: pandas, Polars, Arrow and whatever gives Arrow's stream.

A frame has no version. Its content is hashed as it is read, some rows at a time, and is written
where the table has no version of that content: the same frame again is the same version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from engine.delta.head import Schema
from engine.errors import DataError

ROWS = 262_144
"""The rows that are read at once."""

_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.null(): pa.string(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.date64(): pa.date32(),
}
_PLAIN = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string,
          pa.types.is_binary, pa.types.is_date32, pa.types.is_decimal, pa.types.is_map)  # fmt: skip
_UNREADABLE = (pa.ArrowException, OverflowError, TypeError, ValueError)
# What pandas calls the values of a column of objects, and what they are in a table.
_OBJECTS = {
    "string": pa.string(),
    "empty": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "floating": pa.float64(),
    "mixed-integer-float": pa.float64(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "datetime64": pa.timestamp("us"),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows that can be read more than once, some at a time.

    `schema` is what a Delta table has of their types, `kind` what they were, in a word.
    """

    kind: str
    schema: pa.Schema
    read: Callable[[], Iterator[pa.RecordBatch]]

    @property
    def columns(self) -> Schema:
        """The columns with their types as Spark writes them."""
        return tuple((field.name, spark_type(field.type)) for field in self.schema)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in the types of the table.

        Raises:
            DataError: for a value that does not fit the type of its column.
        """
        for batch in self.read():
            columns = [
                _cast(column, field)
                for column, field in zip(batch.columns, self.schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def reader(self) -> pa.RecordBatchReader:
        """The rows as a stream."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches())

    def digest(self) -> str:
        """SHA-256 of the columns, their types and their values."""
        total = hashlib.sha256(str(self.schema).encode())
        for batch in self.batches():
            total.update(memoryview(batch.serialize()))
        return total.hexdigest()

    def head(self, rows: int, columns: Sequence[str]) -> pd.DataFrame:
        """The first rows of some columns."""
        first = next(self.batches(), None)
        there = self.schema.empty_table() if first is None else pa.Table.from_batches([first])
        head: pd.DataFrame = there.slice(0, rows).select(list(columns)).to_pandas()
        return head


def frame_of(data: Any) -> Frame:
    """A frame of pandas, or of anything with Arrow's stream (Polars, Arrow, DuckDB, ...).

    Raises:
        DataError: for what is no frame, or has columns that no table can have.
    """
    if isinstance(data, pd.DataFrame):
        return _of_pandas(data)
    if isinstance(data, pa.RecordBatchReader):
        # It can be read once only.
        data = data.read_all()
    if not hasattr(data, "__arrow_c_stream__"):
        raise DataError(
            f"the data are of the type {type(data).__name__}; expected a frame of pandas, Polars, "
            "Arrow or Spark, a path, or a suite's dataset such as {'delta': 'lake/claims'}"
            + ("; collect() makes a frame of it" if hasattr(data, "collect") else "")
        )
    schema = pa.RecordBatchReader.from_stream(data).schema
    _check_names(schema.names)
    fields = [_field(field) for field in schema]
    kind = type(data).__module__.partition(".")[0]
    return Frame(kind, pa.schema(fields), lambda: _slices(data))


def _slices(data: Any) -> Iterator[pa.RecordBatch]:
    for batch in pa.RecordBatchReader.from_stream(data):
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)


def _of_pandas(data: pd.DataFrame) -> Frame:
    """A frame without its index, whose columns may be called by numbers."""
    names = [str(name) for name in data.columns]
    _check_names(names)
    named = data if list(data.columns) == names else data.set_axis(names, axis=1)
    objects = {
        name: _object_type(named[name], name) for name in names if named[name].dtype == object
    }
    fields = [pa.field(name, objects.get(name) or _series_type(named[name][:0])) for name in names]
    read = pa.schema(fields)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(named), ROWS):
            part = named.iloc[start : start + ROWS]
            try:
                yield pa.RecordBatch.from_pandas(part, read, preserve_index=False)
            except _UNREADABLE as error:
                raise _unreadable(part, read) from error

    return Frame("pandas", pa.schema([_field(field) for field in read]), batches)


def _series_type(column: pd.Series) -> pa.DataType:
    try:
        return _value_type(pa.Array.from_pandas(column).type)
    except _UNREADABLE as error:
        raise _no_type(str(column.name), column.dtype) from error


def _value_type(kind: pa.DataType) -> pa.DataType:
    """The type of a category's values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _object_type(column: pd.Series, name: str) -> pa.DataType:
    """The type of a column of Python's objects, which pandas does not know.

    Raises:
        DataError: where its values are of several types.
    """
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in _OBJECTS:
        return _OBJECTS[kind]
    try:
        return pa.array(column, from_pandas=True).type
    except _UNREADABLE as error:
        kinds = list(dict.fromkeys(type(value).__name__ for value in column.dropna()[:10_000]))
        raise DataError(
            f"the column {name!r} of the frame has values of the types {', '.join(kinds[:5])}; "
            "expected one; make it so by astype, or leave the column out"
        ) from error


def _unreadable(part: pd.DataFrame, schema: pa.Schema) -> DataError:
    """Which column of a frame it is that cannot be read."""
    for field in schema:
        try:
            pa.Array.from_pandas(part[field.name], type=field.type)
        except _UNREADABLE:
            return _misfit(field.name, part[field.name].dtype, field.type)
    return DataError("the frame cannot be read as a table")


def _misfit(name: str, given: object, kind: pa.DataType) -> DataError:
    return DataError(
        f"the column {name!r} of the frame ({given}) has a value that is no {kind}; make it one "
        "type by astype, or leave the column out"
    )


def _check_names(names: Sequence[str]) -> None:
    """Refuses columns without a name, and names that Spark takes for one."""
    if not names:
        raise DataError("the frame has no columns")
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if not name.strip() or "\0" in name:
            raise DataError(f"the frame has a column called {name!r}; expected a name")
        if names.count(name) > 1 or other != name:
            twice = f"{name!r} twice" if other == name else f"{other!r} and {name!r}"
            raise DataError(
                f"the frame has the columns {twice}; expected names that differ, whatever their "
                "capitals"
            )


def _field(field: pa.Field) -> pa.Field:
    """A column as a Delta table has it.

    Raises:
        DataError: for a type that no table has.
    """
    return pa.field(field.name, _table_type(_value_type(field.type), field.name))


def _table_type(kind: pa.DataType, name: str) -> pa.DataType:
    if kind in _WIDER:
        return _WIDER[kind]
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_table_type(kind.value_type, name))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _table_type(f.type, name)) for f in kind])
    if pa.types.is_dictionary(kind):
        return _table_type(kind.value_type, name)
    if not any(fits(kind) for fits in _PLAIN):
        raise _no_type(name, kind)
    return kind


def _no_type(name: str, kind: object) -> DataError:
    return DataError(
        f"the column {name!r} of the frame is {kind}, which no Delta table has; expected numbers, "
        "texts, booleans, dates or times; convert it, or leave the column out"
    )


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_floating(column.type):
        # As pandas has it: what is no number is missing.
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if column.type == field.type:
        return column
    if pa.types.is_dictionary(column.type):
        return _cast(column.dictionary, field).take(column.indices)
    try:
        # Times finer than a microsecond are cut, as everywhere else.
        return column.cast(field.type, safe=not pa.types.is_timestamp(field.type))
    except _UNREADABLE as error:
        raise _misfit(field.name, column.type, field.type) from error


_SPARK = {
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
}


def spark_type(kind: pa.DataType) -> str:
    """A type as Spark writes it."""
    if kind in _SPARK:
        return _SPARK[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind):
        return f"array<{spark_type(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{spark_type(kind.key_type)},{spark_type(kind.item_type)}>"
    return f"struct<{','.join(f'{part.name}:{spark_type(part.type)}' for part in kind)}>"
