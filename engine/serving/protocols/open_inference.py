"""The Open Inference Protocol, version 2: MLServer, Triton, KServe, TorchServe."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from engine.core.vocabulary import Endpoint
from engine.errors import EndpointError
from engine.serving.protocols.base import (
    PROTOCOLS,
    Protocol,
    entry,
    json_kind,
    path_part,
    plain_predictions,
)
from engine.serving.rows import Input, Rows

_DATATYPES = {
    "boolean": "BOOL", "bool": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32",
    "double": "FP64", "float16": "FP16", "float32": "FP32", "float64": "FP64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint8": "UINT8", "uint16": "UINT16",
    "uint32": "UINT32", "uint64": "UINT64",
}  # fmt: skip


class OpenInferenceProtocol(Protocol):
    """`POST /v2/models/M/infer` with an input for each column, of the shape [rows, 1].

    Where the model takes columns the request says `content_type: pd`, by which MLServer makes a
    frame of its inputs.
    """

    key = "oip"
    description = "Open Inference Protocol v2: POST /v2/models/MODEL/infer"
    names_model = True

    def ask_path(self, endpoint: Endpoint) -> str:
        return f"/v2/models/{path_part(endpoint.model)}/infer"

    def ready_path(self, endpoint: Endpoint) -> str | None:
        return f"/v2/models/{path_part(endpoint.model)}/ready"

    def version_path(self, endpoint: Endpoint) -> str | None:
        return f"/v2/models/{path_part(endpoint.model)}"

    def read_version(self, data: Any) -> str | None:
        """The one version that the server has; of several nobody says which one answers."""
        versions = data.get("versions") if isinstance(data, dict) else None
        if isinstance(versions, list) and len(versions) == 1 and versions[0]:
            return str(versions[0])
        return None

    def write(self, rows: Rows) -> Any:
        inputs = [
            _input(name, own, rows.count)
            for name, own in zip(rows.names, rows.inputs, strict=True)
        ]  # fmt: skip
        return {"inputs": inputs} if rows.are_tensors else {
            "parameters": {"content_type": "pd"}, "inputs": inputs
        }  # fmt: skip

    def read(self, data: Any, count: int) -> Any:
        outputs = entry(data, "outputs")
        if not isinstance(outputs, list) or not outputs:
            raise EndpointError("the answer's 'outputs' are none, expected one or more")
        columns = {str(entry(own, "name")): _by_row(own, count) for own in outputs}
        if len(columns) == 1:
            return plain_predictions(next(iter(columns.values())), count)
        return plain_predictions(columns, count)


def _input(name: str, own: Input, count: int) -> dict[str, Any]:
    datatype = _DATATYPES.get(own.type or "", "BYTES")
    shape = [count, 1] if own.shape is None else [count, *_shape(own)]
    written: dict[str, Any] = {
        "name": name,
        "shape": shape,
        "datatype": datatype,
        "data": list(_flat(own.values)),
    }
    if datatype == "BYTES":
        kind = {"datetime": "datetime", "binary": "base64"}.get(own.type or "", "str")
        written["parameters"] = {"content_type": kind}
    return written


def _shape(own: Input) -> list[int]:
    """The shape of a row's value, as it is."""
    shape, value = list[int](), next(iter(own.values), None)
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape or [size for size in own.shape or () if size > 0]


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _by_row(output: Any, count: int) -> list[Any]:
    """The data of an output, an entry for each row; a row of several numbers is a list."""
    shape, data = entry(output, "shape"), entry(output, "data")
    if not isinstance(data, list) or not _is_shape(shape):
        raise EndpointError(
            f"an output has a {json_kind(shape)} as shape and a {json_kind(data)} as data, "
            "expected two lists, the first of whole numbers"
        )
    flat = list(_flat(data))
    if math.prod(shape) != len(flat) or shape[:1] != [count]:
        raise EndpointError(
            f"an output has the shape {shape} and {len(flat):,} numbers for {count:,} rows, "
            "expected a row of it for each"
        )
    width = len(flat) // count if count else 0
    if width == 1:
        return flat
    return [flat[first : first + width] for first in range(0, len(flat), max(width, 1))]


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)


PROTOCOLS.add(OpenInferenceProtocol.key, OpenInferenceProtocol(), aliases=["v2"])
