"""An MLflow model as a folder of files, read without importing MLflow.

A worker reads the `MLmodel` file itself, because importing `mlflow` for that would cost each
process seconds.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from engine.core.paths import is_folder
from engine.core.vocabulary import ColumnSpec, TensorSpec
from engine.errors import ModelError

NOTES_KEY = "evalmatrix"
"""The key of MLmodel's `metadata` under which `evalmatrix train` writes what the engine needs."""

REGISTRATION = "registered_model_meta"
"""The file that MLflow adds to the download of a registered model."""

SIGNATURE = "model.sig"
"""The file of a model's signature, in its folder; it is about the content, and no part of it."""

PICKLERS = ("mlflow.pytorch.pickle_module", "cloudpickle", "pickle")
"""Modules that pickle PyTorch's modules; the payload is a plain pickle, whichever wrote it."""

Inputs = tuple[ColumnSpec, ...] | tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """What the `MLmodel` file of a folder says.

    `inputs` are the signature's columns or tensors (without the row axis), `output_types` the
    types of its outputs, `outputs` the named columns among them, `notes` what our own training
    stored.
    """

    path: Path
    flavors: Mapping[str, Mapping[str, Any]]
    inputs: Inputs = ()
    output_types: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    model_id: str | None = None
    outputs: tuple[ColumnSpec, ...] = ()

    @property
    def flavor(self) -> str:
        """`sklearn`, `tensorflow` (Keras) or `pytorch`, `pyfunc` for every other model."""
        if "sklearn" in self.flavors:
            return "sklearn"
        if self.flavors.get("tensorflow", {}).get("model_type") == "keras":
            return "tensorflow"
        return "pytorch" if "pytorch" in self.flavors else "pyfunc"


def read_artifact(folder: str | Path) -> Artifact:
    """Reads the `MLmodel` file of a folder.

    Raises:
        ModelError: when the folder, the file, or a flavour that can be evaluated is missing.
    """
    path = Path(folder)
    if not is_folder(path):
        raise ModelError(f"no folder at {str(path)!r}, expected one with an MLmodel file")
    try:
        data = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = ", ".join(sorted(item.name for item in path.iterdir())[:10]) or "nothing"
        raise ModelError(
            f"{str(path)!r} is not an MLflow model: expected a file MLmodel in it, found {names}"
        ) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{str(path / 'MLmodel')!r} cannot be read: {error}") from error
    flavors = data.get("flavors") if isinstance(data, dict) else None
    if not isinstance(flavors, dict) or not flavors.keys() & _SUPPORTED:
        raise ModelError(
            f"the model in {str(path)!r} has the flavours {sorted(flavors or ())}, "
            f"expected one of {sorted(_SUPPORTED)}"
        )
    if odd := [name for name, options in flavors.items() if not isinstance(options, dict)]:
        raise ModelError(
            f"{str(path / 'MLmodel')!r} cannot be read: its flavour {odd[0]!r} is a "
            f"{type(flavors[odd[0]]).__name__}, expected a mapping"
        )
    return _parse(path, data)


_SUPPORTED = {"sklearn", "pytorch", "python_function"}


def _parse(path: Path, data: Mapping[str, Any]) -> Artifact:
    signature = data.get("signature") or {}
    outputs = json.loads(signature.get("outputs") or "[]")
    return Artifact(
        path=path,
        flavors=data["flavors"],
        inputs=_inputs(json.loads(signature.get("inputs") or "[]")),
        output_types=tuple(_tensor(item).get("dtype") or item["type"] for item in outputs),
        notes=(data.get("metadata") or {}).get(NOTES_KEY) or {},
        model_id=data.get("model_id"),
        outputs=tuple(
            ColumnSpec(str(item["name"]), _column_type(item))
            for item in outputs
            # A frame numbers columns that have no names.
            if isinstance(item.get("name"), str)
        ),
    )


def _column_type(item: Mapping[str, Any]) -> str:
    """The type of an output; that of an array by name is as if it were a column."""
    dtype = str(_tensor(item).get("dtype") or item["type"])
    return "double" if dtype in ("float", "float32", "float64") else dtype


def _inputs(specs: Sequence[Mapping[str, Any]]) -> Inputs:
    """Columns without names count as no signature: nothing says what fills them."""
    if any(item["type"] == "tensor" for item in specs):
        return tuple(
            TensorSpec(item.get("name"), _tensor(item)["dtype"], tuple(_tensor(item)["shape"][1:]))
            for item in specs
        )
    if not all(item.get("name") for item in specs):
        return ()
    return tuple(
        ColumnSpec(item["name"], item["type"], optional=not item.get("required", True))
        for item in specs
    )


def _tensor(item: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = item.get("tensor-spec") or {}
    return spec


def digest(folder: str | Path) -> str:
    """SHA-256 over the folder's files: sorted relative paths and bytes.

    Left out is what comes and goes without the model changing: hidden files, Python's caches, its
    signature, and the note of its registration that MLflow adds to downloads.
    """
    total = hashlib.sha256()
    for name, path in sorted(_files(Path(folder))):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        total.update(f"{name}\0{content.hexdigest()}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        ignored = parts[-1] == REGISTRATION or parts == (SIGNATURE,) or "__pycache__" in parts
        if path.is_file() and not ignored and not any(part.startswith(".") for part in parts):
            yield "/".join(parts), path


def add_code_paths(artifact: Artifact) -> None:
    """Makes the Python files that were logged with the model importable in this process."""
    for options in artifact.flavors.values():
        code = options.get("code")
        if code and (path := str(artifact.path / code)) not in sys.path:
            sys.path.insert(0, path)
