"""Every other MLflow model, by its `python_function` flavour."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from engine.core.vocabulary import ModelVersion, Output, TensorSpec
from engine.models.artifact import Artifact
from engine.models.features import read_arrays, read_frame, refuse_lost_integers
from engine.models.flavors.base import Description, Runner

_LABEL_TYPES = ("bool", "int", "uint", "long", "str", "object")


def open_model(artifact: Artifact) -> Any:
    """Loads the model by MLflow, which alone knows its loader."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(artifact.path))


def describe(native: Any, artifact: Artifact) -> Description:
    """Goes by the signature's output: numbers with a fraction are scores, others are labels."""
    loader = str(artifact.flavors["python_function"].get("loader_module"))
    types = artifact.output_types
    if not types:
        return Description(f"the pyfunc of {loader} without an output signature")
    kind = f"the pyfunc of {loader} that returns {_returns_text(artifact)}"
    if all(name.startswith(_LABEL_TYPES) for name in types):
        return Description(kind, (Output.LABEL, Output.VALUE))
    if all(name.startswith(("float", "double")) for name in types):
        return Description(kind, (Output.PROBABILITY, Output.VALUE, Output.LOGIT, Output.LABEL))
    return Description(kind)


def _returns_text(artifact: Artifact) -> str:
    """The types that it returns, with the names of several columns."""
    if len(artifact.outputs) > 1:
        return ", ".join(f"{spec.name} ({spec.type})" for spec in artifact.outputs[:20])
    return ", ".join(artifact.output_types)


def make_runner(native: Any, model: ModelVersion) -> Runner:
    """Gives the model a frame for a signature of columns, arrays for one of tensors."""
    names = [spec.name for spec in model.inputs if isinstance(spec, TensorSpec)]

    def run(table: pa.Table) -> Any:
        if not names:
            frame = read_frame(table, model)
            refuse_lost_integers(table, model)
            return native.predict(frame)
        arrays = read_arrays(table, model)
        if names == [None]:
            return native.predict(arrays[0])
        return native.predict(dict(zip(names, arrays, strict=True)))

    return run
