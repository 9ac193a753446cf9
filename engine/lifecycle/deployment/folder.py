"""The files of a deployment folder: written where they are missing, and never over others."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.lifecycle.deployment.config import CONFIG_FILE, DeploymentConfig

LOGS, MOCKS = "deployment_logs", "mock_input"

_CONFIG = """\
# How {name} is served for tests: evalmatrix serve {place}
name: {name_text}
where: local                    # a server of MLflow's on this machine
version: latest                 # or the number of a version, or an alias: champion
url: {url}
replicas: {replicas}                     # processes that answer
resources: {{cpu: "{cpu}", memory: {memory}}}   # of each, as Kubernetes spells them
"""

_README = """\
# Deployment of {name}

A server for tests: MLflow's own, of the version that [the config]({config}) names.

    evalmatrix serve {place}

It answers on <{url}> until it is stopped (Ctrl-C):

    curl -s {url}/invocations -H 'Content-Type: application/json' \\
        -d @{place}/deployment/{mocks}/{first}.json

| here | is |
| --- | --- |
| `{config}` | where, which version, how many replicas of which resources, on which URL |
| `{mocks}/` | requests: {shapes} |
| `{logs}/` | what the server said, a file for each start |

Each request is the same few rows in another shape that the server takes. Their values are made
from the model's signature; no row of any data is in them. Logs are not in git: errors of a model
may quote rows.
"""

_IGNORED = "# What a server says may quote rows.\n*\n!.gitignore\n"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment folder after `serve --init`: its new files, and those that were there."""

    folder: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]


def write_folder(model_dir: Path, name: str, bodies: Mapping[str, Any]) -> Deployed:
    """Writes what is missing of `<model_dir>/deployment/`.

    Args:
        model_dir: the folder of the model.
        name: what it is registered as.
        bodies: the bodies of requests, by the names of their shapes.

    Raises:
        ModelError: when the folder cannot be written.
    """
    folder = model_dir / "deployment"
    written, kept = [], []
    for path, text in _files(folder, model_dir, name, bodies):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Whoever was first keeps his file.
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            written.append(path)
        except FileExistsError:
            kept.append(path)
        except OSError as error:
            raise ModelError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    return Deployed(folder, tuple(written), tuple(kept))


def _files(
    folder: Path, model_dir: Path, name: str, bodies: Mapping[str, Any]
) -> Iterator[tuple[Path, str]]:
    usual = DeploymentConfig(name=name)
    words = {
        "name": name, "name_text": json.dumps(name, ensure_ascii=False), "url": usual.url,
        "place": _place_text(model_dir), "config": CONFIG_FILE, "mocks": MOCKS, "logs": LOGS,
        "first": next(iter(bodies)), "shapes": ", ".join(f"`{shape}`" for shape in bodies),
        "replicas": usual.replicas, "cpu": usual.resources.cpu, "memory": usual.resources.memory,
    }  # fmt: skip
    yield folder / CONFIG_FILE, _CONFIG.format(**words)
    for shape, body in bodies.items():
        yield (
            folder / MOCKS / f"{shape}.json",
            json.dumps(body, ensure_ascii=False) + "\n",
        )
    yield folder / LOGS / ".gitignore", _IGNORED
    yield folder / "README.md", _README.format(**words)


def _place_text(path: Path) -> str:
    """A path as it is typed from here, and not with all of this machine's folders."""
    full = path.resolve()
    here = Path.cwd()
    return (full.relative_to(here) if full.is_relative_to(here) else path).as_posix()


def find_log(folder: Path, now: dt.datetime) -> Path:
    """The file for what a server says that is started now; only its owner may read it.

    Raises:
        ModelError: when it cannot be written.
    """
    path = folder / f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise ModelError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    return path
