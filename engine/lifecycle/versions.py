"""What a registry has of a model: its versions that are ready, and where its aliases point.

Asked in a way that MLflow's own registry and Unity Catalog both answer: nothing is sorted or
searched there but by the model's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError
from engine.models.mlflow_client import ask, no_such_model, versions_of

READY = "READY"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model: the numbers of its versions in their order, and its aliases.

    `pending` are versions that are not ready: being written still, or broken.
    """

    name: str
    versions: tuple[int, ...]
    pending: tuple[int, ...]
    aliases: Mapping[str, str]

    def has(self, version: str) -> bool:
        """Whether there is such a version that is ready."""
        return version.isascii() and version.isdigit() and int(version) in self.versions

    def number(self, alias: str) -> int | None:
        """The version that an alias names; None where there is no such alias."""
        version = self.aliases.get(alias)
        return None if version is None else int(version)


def read_model(tracking_uri: str, name: str) -> RegisteredModel:
    """Reads a registered model.

    Raises:
        InputError: when there is none of this name.
        TrackingError: when the registry cannot be reached.
    """

    def look(client: Any) -> tuple[Any, list[Any]]:
        return client.get_registered_model(name), versions_of(client, name)

    answer = ask(tracking_uri, look)
    if answer is None:
        raise InputError(no_such_model(tracking_uri, name))
    model, versions = answer
    ready = [int(version.version) for version in versions if version.status == READY]
    pending = [int(version.version) for version in versions if version.status != READY]
    aliases = {alias: str(version) for alias, version in dict(model.aliases).items()}
    return RegisteredModel(name, tuple(sorted(ready)), tuple(sorted(pending)), aliases)
