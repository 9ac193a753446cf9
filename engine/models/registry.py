"""The registry's aliases: read, set and removed, each in one call that says what went wrong.

MLflow sets an alias whatever it was before: there is no compare-and-set, no history, no actor. What
of this is needed is made around it (`engine.lifecycle`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engine.core.environment import hide_logins
from engine.errors import InputError, ModelError, TrackingError
from engine.fields.names import alias_problem
from engine.models.artifact import digest
from engine.models.mlflow_client import (
    ask,
    client_of,
    database_path,
    is_absent,
    unreachable,
    versions_of,
)
from engine.models.uris import Locator

T = TypeVar("T")


def check_alias(alias: str) -> None:
    """Refuses what is no alias of MLflow's.

    Raises:
        InputError: always then.
    """
    if problem := alias_problem(alias):
        raise InputError(f"found the alias {alias!r}, expected {problem}")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A registered model as a user names it: `claims`, `claims/3` or `claims@challenger`."""

    name: str
    version: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Reads a name, with `models:/` before it or not.

        Raises:
            InputError: when it is none.
        """
        bare = re.sub(r"^models:/+", "", text)
        match = re.fullmatch(r"([^@/:]+)(?:/(\d+)|@([^@/:]+))?", bare)
        if match is None or not match[1].strip():
            raise InputError(
                f"found the model {text!r}, expected the name of a registered model, NAME/VERSION "
                "or NAME@ALIAS"
            )
        if match[3] is not None:
            check_alias(match[3])
        return cls(match[1], match[2], match[3])

    @property
    def uri(self) -> str:
        """Its URI, where it is one version."""
        suffix = f"@{self.alias}" if self.alias is not None else f"/{self.version}"
        return f"models:/{self.name}{suffix}"


@dataclass(frozen=True, slots=True)
class Registry:
    """The registered models of a tracking server.

    Raises:
        TrackingError: by every method, when the server cannot be reached or refuses.
    """

    tracking_uri: str

    def alias(self, name: str, alias: str) -> str | None:
        """The version that an alias points to; None where there is no such alias."""
        version = ask(
            self.tracking_uri, lambda client: client.get_model_version_by_alias(name, alias)
        )
        return None if version is None else str(version.version)

    def aliases(self, name: str) -> dict[str, str]:
        """All aliases of a model with the versions they point to; none where it does not exist."""
        model = ask(self.tracking_uri, lambda client: client.get_registered_model(name))
        return {} if model is None else {key: str(one) for key, one in model.aliases.items()}

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Lets an alias point to a version, whatever it pointed to."""
        self._do(
            f"set the alias {alias!r} of {name!r} to version {version}",
            lambda client: client.set_registered_model_alias(name, alias, version),
        )

    def remove_alias(self, name: str, alias: str) -> None:
        """Removes an alias."""
        self._do(
            f"remove the alias {alias!r} of {name!r}",
            lambda client: client.delete_registered_model_alias(name, alias),
        )

    def versions(self, name: str) -> list[Any]:
        """The versions of a model as MLflow has them, by their numbers."""
        versions = ask(self.tracking_uri, lambda client: versions_of(client, name)) or []
        return sorted(versions, key=lambda version: int(version.version))

    def run(self, run_id: str) -> Any | None:
        """A run as MLflow has it; None where it has none."""
        return ask(self.tracking_uri, lambda client: client.get_run(run_id))

    def copy(self, name: str, version: str, to: str) -> str:
        """Copies a version to another registered model: the new version's number."""
        copied = self._do(
            f"copy version {version} of {name!r} to {to!r}",
            lambda client: client.copy_model_version(f"models:/{name}/{version}", to),
        )
        return str(copied.version)

    def digest(self, name: str, version: str, cache_dir: Path) -> str:
        """The digest of a version's artifact as it is there now; downloads go to `cache_dir`.

        Raises:
            ModelError: when there is no such version.
        """
        located = Locator(self.tracking_uri, cache_dir).locate(f"models:/{name}/{version}")
        return digest(located.path)

    def find(self, model: ModelName, cache_dir: Path) -> str:
        """The number of the version that is named, or to which the alias points.

        Raises:
            ModelError: when there is no such model, version or alias; what there is is named.
        """
        return str(Locator(self.tracking_uri, cache_dir).locate(model.uri).version)

    def _do(self, what: str, action: Callable[[Any], T]) -> T:
        from mlflow.exceptions import MlflowException

        database = database_path(self.tracking_uri)
        if database is not None and not database.exists():
            raise ModelError(f"there is no registry at {hide_logins(self.tracking_uri)} to {what}")
        try:
            return action(client_of(self.tracking_uri))
        except InputError:
            raise
        except MlflowException as error:
            if is_absent(error) or error.error_code == "PERMISSION_DENIED":
                said = hide_logins((str(error).splitlines() or [""])[0])[:300]
                raise TrackingError(
                    f"the registry at {hide_logins(self.tracking_uri)} refused to {what}: {said}"
                ) from error
            raise unreachable(self.tracking_uri, error) from error
        except Exception as error:
            # Whatever a client's transport or a database's driver raises.
            raise unreachable(self.tracking_uri, error) from error
