"""From the columns of a batch to what a model takes: a data frame or arrays.

Nulls in numbers become NaN. Numbers are cast to the type that the signature asks for where no
value changes by more than rounding; anything else is a ModelError, as MLflow would refuse it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from engine.core.vocabulary import ColumnSpec, ModelVersion, TensorSpec
from engine.errors import ModelError

_NUMBERS = {"integer": "int32", "long": "int64", "float": "float32", "double": "float64"}


def read_frame(table: pa.Table, model: ModelVersion, *, zoned: bool = False) -> pd.DataFrame:
    """The feature columns as a frame, named and typed as the signature says.

    Without a signature of columns they keep their names, and numbers their type. With `zoned`
    times keep their zone.
    """
    arrays = _columns(table, model)
    specs = [spec for spec in model.inputs if isinstance(spec, ColumnSpec)]
    if not specs:
        specs = [ColumnSpec(name) for name in model.features]
    columns = {
        spec.name: array.to_pandas()
        if zoned and pa.types.is_timestamp(array.type)
        else _convert(array, spec, model)
        for spec, array in zip(specs, arrays, strict=True)
    }
    return pd.DataFrame(columns, copy=False)


def read_arrays(table: pa.Table, model: ModelVersion) -> list[np.ndarray]:
    """The feature columns as one array for each tensor of the signature, in its order.

    One tensor is filled from all the columns, stacked in their order, or from a single column of
    lists; several tensors are filled by a column each. Without a signature of tensors there is
    one float32 array of shape [rows, features].
    """
    arrays = _columns(table, model)
    specs = [spec for spec in model.inputs if isinstance(spec, TensorSpec)]
    if not specs:
        specs = [TensorSpec(None, "float32", (-1,))]
    if len(specs) == 1:
        return [_tensor(arrays, specs[0], model)]
    if len(specs) != len(arrays):
        raise ModelError(
            f"model {model.name!r} takes {len(specs)} tensors, each from one column, "
            f"found {len(arrays)} features"
        )
    return [_tensor([array], spec, model) for spec, array in zip(specs, arrays, strict=True)]


def matrix(frame: pd.DataFrame) -> np.ndarray:
    """The values of a frame as an array of [rows, columns], of their common type."""
    return frame.to_numpy()


def _columns(table: pa.Table, model: ModelVersion) -> list[pa.ChunkedArray]:
    """The feature columns in order, with dictionaries and decimals as plain values."""
    if not model.features:
        raise ModelError(f"model {model.name!r}: nothing says which columns are its features")
    names = table.column_names
    for name in model.features:
        if name not in names:
            raise ModelError(
                f"model {model.name!r} wants the column {name!r}, "
                f"the data have {', '.join(map(repr, names))}"
            )
    return [_plain(table.column(name)) for name in model.features]


def _plain(array: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    return array


def _convert(array: pa.ChunkedArray, spec: ColumnSpec, model: ModelVersion) -> Any:
    """A column in the type that the signature names; other types than these are left alone."""
    kind = spec.type
    if kind in _NUMBERS:
        return _cast(_numbers(array, spec.name, model), _NUMBERS[kind], spec.name, model)
    fits = {"string": _is_string, "boolean": pa.types.is_boolean}.get(kind or "")
    if fits and not fits(array.type) and not pa.types.is_null(array.type):
        raise _misfit(model, spec.name, str(kind), str(array.type))
    if kind == "datetime" and pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ns"))
    elif kind == "datetime" and not pa.types.is_timestamp(array.type):
        return _read_times(array, spec, model)
    if pa.types.is_timestamp(array.type):
        return _naive(array).to_pandas()
    # As MLflow's signature of a map wants it.
    return array.to_pandas(maps_as_pydicts="strict")


def _naive(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Instants as what a clock in their zone shows, without the zone.

    So pandas reads times from files, Spark hands them to pandas, and MLflow's signature wants them.
    """
    if array.type.tz is not None:
        array = pc.local_timestamp(array)
    try:
        return array.cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:  # a year beyond 2262, which microseconds hold
        return array


def _read_times(array: pa.ChunkedArray, spec: ColumnSpec, model: ModelVersion) -> pd.Series:
    """Texts of times, as MLflow reads them where a signature wants times."""
    if _is_string(array.type) or pa.types.is_null(array.type):
        with suppress(ValueError, TypeError):
            times: pd.Series = array.to_pandas().astype("datetime64[ns]")
            return times
        raise _misfit(model, spec.name, "datetime", "texts that are no times without a zone")
    raise _misfit(model, spec.name, "datetime", str(array.type))


def refuse_lost_integers(table: pa.Table, model: ModelVersion) -> None:
    """Refuses nulls where MLflow would: in an input that its signature has as whole numbers.

    Raises:
        ModelError: with the input, its type and the remedy.
    """
    for spec, name in zip(model.inputs, model.features, strict=False):
        if not isinstance(spec, ColumnSpec) or spec.type not in ("integer", "long"):
            continue
        if table.column(name).null_count:
            raise ModelError(
                f"model {model.name!r}: its input {spec.name!r} is {spec.type} in the signature, "
                f"the column holds nulls; MLflow reads such a column as float64 and cannot safely "
                f"convert it to {_NUMBERS[spec.type]}: log the model with a signature that has "
                f"{spec.name!r} as double, inferred from rows with missing values"
            )


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(array: pa.ChunkedArray, name: str, model: ModelVersion) -> np.ndarray:
    """A numeric or boolean column as a NumPy array, with NaN for null."""
    kind = array.type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise _misfit(model, name, "numbers", str(kind))
    if array.null_count:
        array = array.cast(pa.float64())
    return cast(np.ndarray, array.to_numpy())


def _cast(values: np.ndarray, dtype: str, name: str, model: ModelVersion) -> np.ndarray:
    """Casts numbers; whole ones stay floats where a null leaves them no other type."""
    target = np.dtype(dtype)
    if values.dtype == target:
        return values
    if target.kind == "f":
        return values.astype(target)
    if values.dtype.kind == "f" and np.isnan(values).any():
        return values
    with np.errstate(invalid="ignore"):
        converted = values.astype(target)
    if not np.array_equal(converted, values):
        raise _misfit(model, name, dtype, _cast_problem(values, target))
    return converted


def _cast_problem(values: np.ndarray, target: np.dtype[Any]) -> str:
    """What is wrong with numbers of which a cast would change some, without naming any."""
    if target.kind not in "iu":
        return "other values"
    ends = np.iinfo(target)
    whole = values.min() >= ends.min and values.max() <= ends.max
    return "values with a fraction" if whole else "values out of its range"


def _tensor(arrays: Sequence[pa.ChunkedArray], spec: TensorSpec, model: ModelVersion) -> np.ndarray:
    """Stacks columns, or unpacks a column of lists, and gives them the tensor's shape."""
    rows = len(arrays[0])
    if len(arrays) == 1 and _is_list(arrays[0].type):
        flat = _unpack_lists(arrays[0], model)
    else:
        names = model.features
        stacked = [_numbers(a, names[i], model) for i, a in enumerate(arrays)]
        flat = np.stack(stacked, axis=1)
    flat = _tensor_cast(flat, spec, model)
    wanted = math.prod(abs(size) for size in spec.shape)
    free = spec.shape.count(-1)
    width = flat.shape[1]
    if free > 1 or (width % wanted if free else width != wanted):
        shape = ", ".join("any" if size == -1 else str(size) for size in spec.shape)
        raise ModelError(
            f"model {model.name!r} wants a tensor of shape ({shape}) for each row, "
            f"found {width} values in {len(arrays)} columns"
        )
    return flat.reshape(rows, *spec.shape)


def _tensor_cast(flat: np.ndarray, spec: TensorSpec, model: ModelVersion) -> np.ndarray:
    converted = _cast(flat, spec.dtype, spec.name or "input", model)
    if converted.dtype != np.dtype(spec.dtype):
        raise _misfit(model, spec.name or "input", spec.dtype, "a null")
    return np.ascontiguousarray(converted)


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _unpack_lists(array: pa.ChunkedArray, model: ModelVersion) -> np.ndarray:
    """A column of lists, nested or not, as [rows, values]; a null list is a row of NaN."""
    present = array.is_valid().to_numpy()
    valid = array.drop_null().combine_chunks()
    rows = len(valid)
    while _is_list(valid.type):
        lengths = pc.unique(pc.list_value_length(valid)).to_pylist()
        if len(lengths) > 1:
            raise ModelError(
                f"model {model.name!r}: the lists in column {model.features[0]!r} have the "
                f"lengths {sorted(lengths, key=str)[:5]}, expected one length"
            )
        valid = valid.flatten()
    values = _numbers(pa.chunked_array([valid]), model.features[0], model)
    values = values.reshape(rows, len(values) // rows if rows else 0)
    if present.all():
        return values
    full = np.full((len(present), values.shape[1]), np.nan)
    full[present] = values
    return full


def _misfit(model: ModelVersion, name: str, wanted: str, held_type: str) -> ModelError:
    return ModelError(
        f"model {model.name!r}: its input {name!r} takes {wanted}, the column holds {held_type}"
    )
