"""What would be run to load a model, by what its `MLmodel` says, whatever its files are.

An `MLmodel` is written by whoever made the model. It may name a file to be unpickled that looks
like a text, a module to be imported, a path that leads elsewhere. What MLflow 3.17 and the flavours
here do with each of its words is the measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from engine.core.vocabulary import ModelFormat
from engine.models.artifact import PICKLERS, Artifact

# Flavours whose libraries read their format from the one file that is named.
NATIVE = {
    "onnx": ModelFormat.ONNX,
    "xgboost": ModelFormat.XGBOOST,
    "lightgbm": ModelFormat.LIGHTGBM,
    "catboost": ModelFormat.CATBOOST,
}
_LOADERS = {
    "mlflow.sklearn": "sklearn",
    "mlflow.pytorch": "pytorch",
    "mlflow.tensorflow": "tensorflow",
    **{f"mlflow.{name}": name for name in NATIVE},
}
_PATHS = ("code", "data", "model_code_path", "model_data", "model_path", "pickled_model",
          "python_model", "saved_model_dir")  # fmt: skip
_KERAS = ("keras", "tensorflow.keras", "tf_keras", "keras.api", "keras.src")
_BOOSTER = "lightgbm.basic.Booster"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a model: which format it is, and by what in the folder."""

    format: ModelFormat
    what: str


def loaded_pieces(artifact: Artifact) -> Iterator[Piece]:
    """What the flavours of a model say that would be run."""
    for name, options in artifact.flavors.items():
        yield from _any_flavor(name, options)
    if "sklearn" in artifact.flavors:
        options = artifact.flavors["sklearn"]
        yield from _by_pickle(options, str(options.get("pickled_model")), "pickle", "sklearn.")
    if "lightgbm" in artifact.flavors:
        options = artifact.flavors["lightgbm"]
        if options.get("model_class", _BOOSTER) != _BOOSTER:
            prefixes = ("sklearn.", "lightgbm.")
            yield from _by_pickle(options, str(options.get("data")), "cloudpickle", *prefixes)
    yield from _of_pytorch(artifact)
    yield from _of_keras(artifact)
    yield from _of_loader(artifact.flavors)


def _any_flavor(name: str, options: Mapping[str, Any]) -> Iterator[Piece]:
    for key in ("code", "model_code_path"):
        if options.get(key):
            yield Piece(ModelFormat.CODE, f"{key} of the flavour {name}")
    # Its class is imported from wherever it is said to be.
    if not str(options.get("model_class") or name).startswith(name):
        yield Piece(ModelFormat.CODE, f"model_class of the flavour {name}")
    for key in _PATHS:
        path = PurePosixPath(str(options.get(key) or ""))
        if path.is_absolute() or ".." in path.parts or "\\" in str(path):
            yield Piece(ModelFormat.OTHER, f"the path {path} to elsewhere")


def _by_pickle(
    options: Mapping[str, Any], name: str, usual: str, *prefixes: str
) -> Iterator[Piece]:
    """A file that is unpickled counts as a pickle, whatever is in it.

    skops makes objects of all types that MLmodel names, and imports them from anywhere: those that
    do not begin with one of the `prefixes` are code.
    """
    if options.get("serialization_format", usual) != "skops":
        yield Piece(ModelFormat.PICKLE, name)
    types = [str(kind) for kind in options.get("skops_trusted_types") or ()]
    foreign = [kind for kind in types if not kind.startswith(prefixes)]
    if foreign:
        yield Piece(ModelFormat.CODE, f"{foreign[0]}, a type that {name} asks for,")


def _of_pytorch(artifact: Artifact) -> Iterator[Piece]:
    """A file is unpickled, a folder may name the module that unpickles."""
    if "pytorch" not in artifact.flavors:
        return
    data = str(artifact.flavors["pytorch"].get("model_data"))
    if (artifact.path / data).is_file():
        yield Piece(ModelFormat.PICKLE, data)
    for file in artifact.path.rglob("pickle_module_info.txt"):
        module = file.read_text(encoding="utf-8", errors="replace").strip()
        if module not in PICKLERS:
            yield Piece(ModelFormat.CODE, f"the pickle module {module}")


def _of_keras(artifact: Artifact) -> Iterator[Piece]:
    """The module that loads a Keras model is imported by its name."""
    names = {options.get("keras_module") for options in artifact.flavors.values()} - {None}
    for file in artifact.path.rglob("keras_module.txt"):
        names.add(file.read_text(encoding="utf-8", errors="replace").strip())
    for name in sorted(map(str, names)):
        if name not in _KERAS:
            yield Piece(ModelFormat.CODE, f"the Keras module {name}")


def _of_loader(flavors: Mapping[str, Mapping[str, Any]]) -> Iterator[Piece]:
    """What MLflow would call to load the model as a function of Python, and with which file."""
    options = flavors.get("python_function", {})
    loader = options.get("loader_module")
    if loader is None:
        return
    if loader == "mlflow.pyfunc.model":
        if not options.get("model_code_path"):
            yield Piece(ModelFormat.PICKLE, str(options.get("python_model") or "its Python model"))
        return
    flavor = _LOADERS.get(str(loader))
    if flavor is None or flavor not in flavors:
        own = not str(loader).startswith("mlflow.") or "pyfunc" in str(loader)
        yield Piece(ModelFormat.CODE if own else ModelFormat.OTHER, f"the loader {loader}")
        return
    keys = {"sklearn": "pickled_model", "pytorch": "model_data"}
    paths = {options[key] for key in ("data", "model_path") if options.get(key)}
    if flavor in keys and not paths <= {flavors[flavor].get(keys[flavor])}:
        # It would be unpickled without a look at its flavour.
        yield Piece(ModelFormat.PICKLE, f"the loader's {' and '.join(sorted(map(str, paths)))}")
