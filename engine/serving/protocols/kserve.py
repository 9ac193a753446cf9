"""KServe's protocol of version 1, and TensorFlow Serving's REST, which it was made after."""

from __future__ import annotations

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
from engine.serving.rows import Rows


class KserveProtocol(Protocol):
    """`POST /v1/models/M:predict` with `instances`: for each row a mapping, or a tensor's list."""

    key = "kserve"
    description = "KServe's protocol v1: POST /v1/models/MODEL:predict"
    names_model = True

    def ask_path(self, endpoint: Endpoint) -> str:
        return f"/v1/models/{path_part(endpoint.model)}:predict"

    def ready_path(self, endpoint: Endpoint) -> str | None:
        return f"/v1/models/{path_part(endpoint.model)}"

    def write(self, rows: Rows) -> Any:
        return {"instances": instances(rows)}

    def read(self, data: Any, count: int) -> Any:
        return plain_predictions(entry(data, "predictions"), count)


class TfServingProtocol(KserveProtocol):
    """The same request; the answer may be in columns, `outputs`, and the status has versions."""

    key = "tfserving"
    description = "TensorFlow Serving's REST: POST /v1/models/MODEL:predict"

    def version_path(self, endpoint: Endpoint) -> str | None:
        return f"/v1/models/{path_part(endpoint.model)}"

    def read_version(self, data: Any) -> str | None:
        """The greatest of the versions that are available: the one that answers by itself."""
        listed = data.get("model_version_status") if isinstance(data, dict) else None
        states = [own for own in listed or () if isinstance(own, dict)]
        versions = [str(own.get("version")) for own in states if own.get("state") == "AVAILABLE"]
        numbers = [version for version in versions if version.isdecimal()]
        return max(numbers, key=int, default=None)

    def read(self, data: Any, count: int) -> Any:
        return plain_predictions(entry(data, "predictions", "outputs"), count)


def instances(rows: Rows) -> list[Any]:
    """The rows: each a mapping by the names of its inputs, or the value of a single tensor.

    Raises:
        EndpointError: for rows of a tensor without values.
    """
    if rows.are_tensors and len(rows.inputs) == 1:
        values = list(rows.inputs[0].values)
        if any(value is None for value in values):
            kind = json_kind(None)
            raise EndpointError(f"a row of the tensor is {kind}, expected an array for each row")
        return values
    return rows.as_records()


PROTOCOLS.add(KserveProtocol.key, KserveProtocol())
PROTOCOLS.add(TfServingProtocol.key, TfServingProtocol())
