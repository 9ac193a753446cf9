"""The dialects of two clouds: SageMaker's containers, and Azure's managed endpoints."""

from __future__ import annotations

from typing import Any

from engine.core.vocabulary import Endpoint
from engine.serving.protocols.base import PROTOCOLS, Protocol, entry, plain_predictions
from engine.serving.protocols.mlflow import MlflowProtocol, tensors
from engine.serving.rows import Rows


class SageMakerProtocol(MlflowProtocol):
    """A container of MLflow's as SageMaker runs it: the paths of MLflow, and a limit of its own.

    What stands before it in AWS wants requests that are signed by an account, which these are not.
    """

    key = "sagemaker"
    description = "a SageMaker container of an MLflow model: POST /invocations, 6 MB at most"
    most_bytes = 6_291_456


class AzureProtocol(Protocol):
    """`POST /score` with `input_data`, as a deployment of an MLflow model without code takes it."""

    key = "azure"
    description = "Azure ML's managed endpoints of MLflow models: POST /score"

    def ask_path(self, endpoint: Endpoint) -> str:
        return "/score"

    def ready_path(self, endpoint: Endpoint) -> str | None:
        return "/"

    def write(self, rows: Rows) -> Any:
        if rows.are_tensors:
            return {"input_data": tensors(rows)}
        frame = {"columns": rows.names, "index": list(range(rows.count)), "data": rows.as_lists()}
        return {"input_data": frame}

    def read(self, data: Any, count: int) -> Any:
        """The predictions, which stand alone in an answer, or under a key."""
        bare = data if isinstance(data, list) else entry(data, "predictions", "output", "result")
        return plain_predictions(bare, count)


PROTOCOLS.add(SageMakerProtocol.key, SageMakerProtocol())
PROTOCOLS.add(AzureProtocol.key, AzureProtocol())
