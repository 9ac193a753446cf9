"""Models of any framework that MLflow can log, behind one interface.

The driver resolves a URI to a `ModelVersion`: where its files lie, what goes in, what comes out.
A worker loads that version once and predicts batches with it; class probabilities, class indices
or values come out, whatever framework the model was made with. The frameworks, and MLflow, are
imported only by the functions that need them.
"""

from __future__ import annotations

from engine.models.flavors.base import task_threads
from engine.models.flavors.decision import decides_otherwise
from engine.models.isolation.child_process import Child
from engine.models.isolation.limits import UNWATCHED, Guard, Limits, Load, ModelStopped, Notes
from engine.models.isolation.supervisor import Watch
from engine.models.load import (
    Predictor,
    check_inputs,
    describe_model,
    load,
    loaded_count,
    shipped_name,
)
from engine.models.outputs import Prediction
from engine.models.requirements import model_requirements
from engine.models.resolve import Describe, ModelRequest, resolve
from engine.models.served import ServedRequest, resolve_endpoint
from engine.models.stored import predictions_of, stored_columns, stored_predictions

__all__ = [
    "UNWATCHED",
    "Child",
    "Describe",
    "Guard",
    "Limits",
    "Load",
    "ModelRequest",
    "ModelStopped",
    "Notes",
    "Prediction",
    "Predictor",
    "ServedRequest",
    "Watch",
    "check_inputs",
    "decides_otherwise",
    "describe_model",
    "load",
    "loaded_count",
    "model_requirements",
    "predictions_of",
    "resolve",
    "resolve_endpoint",
    "shipped_name",
    "stored_columns",
    "stored_predictions",
    "task_threads",
]
