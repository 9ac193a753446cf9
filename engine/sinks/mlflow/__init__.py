"""MLflow: a parent run for each evaluation, a child run for each model version.

Of the slices as many are logged as a cap allows, since the results table has them all. Writing
again changes nothing: a run that is there already is found by its tags, and what it lacks is added.
"""

from __future__ import annotations

from engine.sinks.mlflow.existing import artifact_places, incomplete_runs
from engine.sinks.mlflow.sending import FILES, Target, log_outcome, reach

__all__ = ["FILES", "Target", "artifact_places", "incomplete_runs", "log_outcome", "reach"]
