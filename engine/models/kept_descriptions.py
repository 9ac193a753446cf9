"""What models said of themselves when they were opened before, kept by their digests.

An artifact does not change, so it is opened once on the driver: to import a model's framework only
to read again what it returns costs more than all else that a night with nothing new does.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.core.json_cache import keep, read_kept
from engine.core.vocabulary import Label, Output
from engine.models.artifact import Artifact
from engine.models.flavors.base import Description
from engine.models.requirements import artifact_requirements

# Goes up when models are described otherwise.
DESCRIPTIONS_VERSION = 3
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def find_or_describe(
    folder: Path | None, artifact: Artifact, digest: str, describe: Callable[[], Description]
) -> Description:
    """The description that is kept of an artifact, else the one that is made, which is kept.

    Args:
        folder: where descriptions are kept, if anywhere; one that cannot be written costs nothing
            but time.
        artifact: the model's folder.
        digest: the digest of its content.
        describe: opens the model and describes it.
    """
    if folder is None:
        return describe()
    file = folder / f"{_key(artifact, digest)}.json"
    try:
        return _from_json(read_kept(file))
    except (KeyError, TypeError, ValueError):
        description = describe()
    if all(isinstance(label, Label) for label in description.classes):
        keep(file, asdict(description))
    return description


def _key(artifact: Artifact, digest: str) -> str:
    """Of the content and of what opens it: another version may do so otherwise, or not at all."""
    libraries = {name: _version(name) for name in artifact_requirements(artifact)}
    about = [DESCRIPTIONS_VERSION, digest, platform.python_version(), sorted(libraries.items())]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _version(library: str) -> str:
    try:
        return version(_DISTRIBUTIONS.get(library, library))
    except PackageNotFoundError:
        return ""


def _from_json(values: dict[str, Any]) -> Description:
    return Description(
        str(values["kind"]),
        tuple(Output(name) for name in values["offered"]),
        tuple(values["classes"]),
        tuple(values["features"]),
        values["multilabel"],
        values["decides"],
        bool(values["squashed"]),
    )
