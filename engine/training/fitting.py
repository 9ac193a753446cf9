"""A model made by its folder's own code: read, seeded, built and fitted."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from engine.errors import ModelError
from engine.models.flavors.device import torch_device
from engine.models.flavors.keras import import_tensorflow
from engine.models.flavors.torch import import_torch

CODE_FILE = "model_code.py"


@dataclass(frozen=True, slots=True)
class ModelCode:
    """The code of a model folder as text: a worker elsewhere has no folder."""

    path: str
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def load(self) -> ModuleType:
        """Runs the code as a module, under a name that no other folder's has; once in a process.

        Raises:
            ModelError: where it cannot be imported, or has no `build`.
        """
        mark = hashlib.sha256(self.path.encode()).hexdigest()[:12]
        name = f"_evalmatrix_model_{mark}_{self.digest[:12]}"
        if name in sys.modules:
            return sys.modules[name]
        module = ModuleType(name)
        module.__file__ = self.path
        sys.modules[name] = module
        try:
            exec(compile(self.text, self.path, "exec", dont_inherit=True), module.__dict__)
        except Exception as error:
            del sys.modules[name]
            raise ModelError(
                f"{self.path!r} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        if not callable(getattr(module, "build", None)):
            del sys.modules[name]
            raise ModelError(f"{self.path!r} has no function build(params), which makes the model")
        return module


def code_path(folder: Path) -> Path:
    """The file of a folder's code.

    Raises:
        ModelError: where it is not there.
    """
    path = folder / CODE_FILE
    if not path.is_file():
        raise ModelError(f"no file {str(path)!r}: expected one with a function build(params)")
    return path


def read_code(folder: Path) -> ModelCode:
    """The code of a folder."""
    path = code_path(folder)
    try:
        return ModelCode(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error}") from error


def seed_generators(seed: int, framework: str) -> None:
    """Seeds every generator that a framework may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    if framework == "tensorflow":
        tf = import_tensorflow()
        tf.keras.utils.set_random_seed(seed)
        tf.config.experimental.enable_op_determinism()
    elif framework == "pytorch":
        torch = import_torch()
        # It looks for a GPU once, and warns where TensorFlow has found none before; here unheard.
        torch_device(torch)
        torch.manual_seed(seed)


def fit_native(module: ModuleType, inputs: Any, labels: Any, params: Mapping[str, Any]) -> Any:
    """Builds and fits a model by its own code; what that raises comes through."""
    model = module.build(params)
    fit = getattr(module, "fit", None)
    return fit(model, inputs, labels, params) if fit else model.fit(inputs, labels)
