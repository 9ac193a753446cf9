"""MLflow's scoring server, and what speaks like it: Databricks' endpoints."""

from __future__ import annotations

from typing import Any

from engine.core.vocabulary import Endpoint
from engine.serving.protocols.base import PROTOCOLS, Protocol, entry, plain_predictions
from engine.serving.rows import Rows


class MlflowProtocol(Protocol):
    """`POST /invocations` with `dataframe_split`, or with `inputs` where a model takes tensors.

    `/version` tells MLflow's own version and nothing of the model's.
    """

    key = "mlflow"
    description = "MLflow's scoring server and Databricks: POST /invocations"

    def ask_path(self, endpoint: Endpoint) -> str:
        return "/invocations"

    def ready_path(self, endpoint: Endpoint) -> str | None:
        return "/ping"

    def write(self, rows: Rows) -> Any:
        if rows.are_tensors:
            return {"inputs": tensors(rows)}
        return {"dataframe_split": {"columns": rows.names, "data": rows.as_lists()}}

    def read(self, data: Any, count: int) -> Any:
        return plain_predictions(entry(data, "predictions"), count)


def tensors(rows: Rows) -> Any:
    """Arrays by their names; one without a name by itself."""
    if len(rows.inputs) == 1 and rows.inputs[0].name is None:
        return list(rows.inputs[0].values)
    return {name: list(own.values) for name, own in zip(rows.names, rows.inputs, strict=True)}


PROTOCOLS.add(MlflowProtocol.key, MlflowProtocol())
