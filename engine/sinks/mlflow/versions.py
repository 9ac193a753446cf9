"""What MLflow keeps of model versions: how the newest run judged each, and that they exist."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from engine.core.vocabulary import Gate, ModelVersion, RunInfo
from engine.models.mlflow_client import is_absent
from engine.sinks.mlflow.tags import PREFIX

if TYPE_CHECKING:
    from mlflow import MlflowClient

_WHEN = f"{PREFIX}.evaluated_at"


def tag_version(client: MlflowClient, model: ModelVersion, gate: Gate, info: RunInfo) -> None:
    """Tells the registry how a version did, unless a run that began later has told it already.

    Models that are not registered, or no longer, have no place for it.
    """
    from mlflow.exceptions import MlflowException

    name, version = model.registered_name, model.version
    if name is None or version is None:
        return
    try:
        told = client.get_model_version(name, version).tags.get(_WHEN, "")
    except MlflowException as error:
        if is_absent(error):
            return
        raise
    if is_later(told, info.started_at):
        return
    tags = {
        _WHEN: info.started_at.isoformat(),
        f"{PREFIX}.gate": gate.outcome.value,
        f"{PREFIX}.run_id": info.run_id,
        f"{PREFIX}.reason": gate.reason,
    }
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)


def is_later(told: str, than: dt.datetime) -> bool:
    """Whether a tag names a later time; what is no time is not later than anything."""
    try:
        return dt.datetime.fromisoformat(told) > than
    except (TypeError, ValueError):
        return False


def known_model(client: MlflowClient, model: ModelVersion) -> str | None:
    """The id of a logged model to link to; None where this MLflow does not have it."""
    from mlflow.exceptions import MlflowException

    if not model.model_id:
        return None
    try:
        client.get_logged_model(model.model_id)
    except MlflowException as error:
        if is_absent(error):
            return None
        raise
    return model.model_id
