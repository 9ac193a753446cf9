"""From a model's URI to a folder on this machine: the registry, runs, paths and downloads."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from engine.core.environment import hide_logins
from engine.core.paths import is_folder, local_path
from engine.errors import ModelError
from engine.models.artifact import digest
from engine.models.mlflow_client import (
    SHOWN_NAMES,
    ask,
    no_such_model,
    real_uri,
    use_tracking_uri,
    versions_of,
)

_LOG = logging.getLogger(__name__)

DIGEST_TAG = "evalmatrix.digest"
"""The tag of a registered version that has the digest of its files."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Located:
    """Where the files of a model version lie, and what the registry calls it.

    `noted_digest` is the digest that its files had when it was registered, where that was noted.
    """

    path: Path
    registered_name: str | None = None
    version: str | None = None
    model_id: str | None = None
    noted_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Locator:
    """Finds models on one tracking server; what has to be downloaded goes to `cache_dir`."""

    tracking_uri: str
    cache_dir: Path

    def locate(self, uri: str) -> Located:
        """Finds the folder of a model.

        Args:
            uri: `models:/name/3`, `models:/name@alias`, `models:/name/latest`, `models:/<id>`,
                `runs:/<id>/path`, a local path, or the URI of a folder in an object store.

        Raises:
            ModelError: when there is no such model; what there is instead is named.
            TrackingError: when the tracking server cannot be reached.
        """
        if match := re.fullmatch(r"models:/+([^@/]+)@([^/]+)", uri):
            return self._locate_version(match[1], self._version_of_alias(match[1], match[2]))
        if match := re.fullmatch(r"models:/+([^@/]+)/([^/]+)", uri):
            name, version = match[1], match[2]
            return self._locate_version(
                name, self._latest(name) if version == "latest" else version
            )
        if match := re.fullmatch(r"models:/+([^@/]+)", uri):
            return self._locate_model(match[1])
        if match := re.fullmatch(r"runs:/+([^/]+)/(.+?)/?", uri):
            return self._of_run(match[1], match[2])
        if uri.startswith(("models:", "runs:")):
            raise ModelError(
                f"found the model URI {uri!r}, expected models:/<name>/<version>, "
                f"models:/<name>@<alias>, models:/<model id> or runs:/<run id>/<path>"
            )
        return Located(local_path(uri) or self._download(uri, immutable=False))

    def _locate_version(self, name: str, version: str) -> Located:
        model_version = self._ask(lambda client: client.get_model_version(name, version))
        if model_version is None:
            raise ModelError(self._no_version(name, f"has no version {version!r}"))
        uri = self._ask(lambda client: client.get_model_version_download_uri(name, version))
        if uri and (match := re.fullmatch(r"models:/+(m-[^/@]+)", uri)):
            located = self._locate_model(match[1])
        else:
            # A registry that is not local hands out its files under the version's own name.
            path = local_path(uri) if uri else None
            path = path or self._download(f"models:/{name}/{version}")
            located = Located(path, model_id=getattr(model_version, "model_id", None) or None)
        noted = (model_version.tags or {}).get(DIGEST_TAG)
        return replace(
            located, registered_name=name, version=str(version), noted_digest=noted or None
        )

    def _version_of_alias(self, name: str, alias: str) -> str:
        model_version = self._ask(lambda client: client.get_model_version_by_alias(name, alias))
        if model_version is None:
            raise ModelError(self._no_version(name, f"has no alias {alias!r}"))
        return str(model_version.version)

    def _latest(self, name: str) -> str:
        versions = self._versions(name)
        if not versions:
            raise ModelError(self._no_version(name, "has no version"))
        return str(versions[-1])

    def _versions(self, name: str) -> list[int]:
        versions = self._ask(lambda client: versions_of(client, name))
        return sorted(int(version.version) for version in versions or ())

    def _locate_model(self, model_id: str) -> Located:
        model = self._ask(lambda client: client.get_logged_model(model_id))
        if model is None:
            hint = "" if model_id.startswith("m-") else self._no_version(model_id, "has no version")
            place = hide_logins(self.tracking_uri)
            raise ModelError(hint or f"no logged model {model_id!r} at {place}")
        path = local_path(model.artifact_location) or self._download(f"models:/{model_id}")
        return Located(path, model_id=model_id)

    def _of_run(self, run_id: str, path: str) -> Located:
        run = self._ask(lambda client: client.get_run(run_id))
        if run is None:
            raise ModelError(f"no run {run_id!r} at {hide_logins(self.tracking_uri)}")
        root = local_path(run.info.artifact_uri)
        if root is None:
            return Located(self._download(f"runs:/{run_id}/{path}"))
        if is_folder(root / path):
            return Located(root / path)
        # Since MLflow 3 a model is logged beside the run, under the name that it was given.
        logged = self._ask(
            lambda client: client.search_logged_models(
                experiment_ids=[run.info.experiment_id],
                filter_string=f"source_run_id = '{run_id}'",
            )
        )
        names = {model.name: model for model in reversed(logged or ())}
        if path not in names:
            listed = ", ".join(map(repr, sorted(names))) or "none"
            raise ModelError(f"run {run_id!r} has no model {path!r}; its models: {listed}")
        return self._locate_model(names[path].model_id)

    def _no_version(self, name: str, lacks: str) -> str:
        """Says what is registered instead of what was asked for."""
        if versions := self._versions(name):
            listed = ", ".join(map(str, versions[-SHOWN_NAMES:]))
            return f"registered model {name!r} {lacks}; its versions: {listed}"
        return no_such_model(self.tracking_uri, name, lacks)

    def _ask(self, question: Callable[[Any], T]) -> T | None:
        return ask(self.tracking_uri, question)

    def _download(self, uri: str, *, immutable: bool = True) -> Path:
        """Downloads a model into the cache; what can change is kept by its content."""
        import mlflow.artifacts

        name = hashlib.sha256(f"{real_uri(self.tracking_uri)} {uri}".encode()).hexdigest()[:32]
        if immutable and (self.cache_dir / name).is_dir():
            return self.cache_dir / name
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        _LOG.info("downloading %s", uri)
        with tempfile.TemporaryDirectory(dir=self.cache_dir) as folder:
            try:
                # Given a tracking URI, MLflow would still ask the process's own registry.
                with use_tracking_uri(self.tracking_uri):
                    path = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
            except Exception as error:
                raise ModelError(
                    f"the model {uri!r} cannot be downloaded: "
                    f"{type(error).__name__}: {hide_logins(str(error))}"
                ) from error
            return self._keep(Path(path), name if immutable else digest(path)[:32])

    def _keep(self, path: Path, name: str) -> Path:
        """Moves a complete download to its place, where another process may have been first."""
        target = self.cache_dir / name
        try:
            path.rename(target)
        except OSError:
            if not target.is_dir():
                shutil.copytree(path, target)
        return target
