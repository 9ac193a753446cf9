"""A version's copy in another registered model, made once."""

from __future__ import annotations

from pathlib import Path

from engine.errors import StoreError
from engine.lifecycle.evidence import RegisteredVersion
from engine.models.registry import Registry


def copy_version(registry: Registry, version: RegisteredVersion, to: str, folder: Path) -> str:
    """Copies a version to another registered model: the copy's number there.

    A copy that is there already, of the same files, is taken: a process that was killed after it
    made one has lost nothing. What the copy's tags say is not looked at.

    Raises:
        StoreError: when the copy's files are not those of the version.
        TrackingError: when the registry is out of reach.
    """
    source = f"models:/{version.name}/{version.version}"
    for known in reversed(registry.versions(to)):
        number = str(known.version)
        if known.source == source and registry.digest(to, number, folder) == version.digest:
            return number
    number = registry.copy(version.name, version.version, to)
    copied = registry.digest(to, number, folder)
    if copied != version.digest:
        raise StoreError(
            f"the copy of {version} in {to!r}, version {number}, has the digest {copied[:12]}, "
            f"expected {version.digest[:12]}; no alias was moved; the registry or its storage "
            "changed the files"
        )
    return number
