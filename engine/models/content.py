"""A hash of all that a model of a notebook answers by, so that the same model is known again."""

from __future__ import annotations

import hashlib
import inspect
import json
import pickletools
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np

SKLEARN, KERAS, TORCH = "sklearn", "tensorflow", "pytorch"


def content_digest(native: Any, framework: str, about: Sequence[object]) -> str:
    """SHA-256 of a model and of what it is asked; one of its own where it has no content to hash.

    Args:
        native: the model.
        framework: what it is made with.
        about: what else makes it another one, as JSON has it.
    """
    total = hashlib.sha256(json.dumps([*about, sys.version]).encode())
    parts = {KERAS: _of_keras, TORCH: _of_torch}.get(framework, _of_pickle)
    try:
        for part in parts(native):
            total.update(part)
    except Exception as error:  # what cannot be pickled is told when it is logged
        total.update(f"{id(native)} {type(error).__name__}".encode())
    return total.hexdigest()


def _of_keras(native: Any) -> Iterator[bytes]:
    yield str(native.to_json()).encode()
    for array in native.get_weights():
        yield np.ascontiguousarray(array).tobytes()


def _of_torch(native: Any) -> Iterator[bytes]:
    """The code and the attributes of all parts, and the weights; pickles differ each time."""
    yield repr(native).encode()
    for name, part in native.named_modules():
        yield f"{name} {_code_of(type(part))}".encode()
        own = {
            key: value
            for key, value in vars(part).items()
            if not key.startswith("_") and key != "training"
        }
        yield from _of_pickle(sorted(own.items()))
    for name, tensor in native.state_dict().items():
        yield name.encode() + tensor.detach().cpu().numpy().tobytes()


def _code_of(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed into a prompt, or compiled
        return f"{kind.__module__}.{kind.__qualname__}"


def _of_pickle(native: Any) -> Iterator[bytes]:
    """A pickle, and the source of the user's own modules that it names and does not hold."""
    text = cloudpickle.dumps(native)
    yield text
    named = {
        word
        for _, argument, _ in pickletools.genops(text)
        if isinstance(argument, str)
        for word in argument.split(" ")[:1]
    }
    for name in sorted(named & sys.modules.keys()):
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and _is_own(Path(file)):
            yield Path(file).read_bytes()


def _is_own(file: Path) -> bool:
    """Whether a module is no installed one, which has a version."""
    installed = {sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")}
    return file.suffix == ".py" and not any(file.is_relative_to(place) for place in installed)
