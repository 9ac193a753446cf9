"""Keras models that run on TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import ModelVersion, Output, TensorSpec
from engine.models.artifact import Artifact, add_code_paths
from engine.models.features import read_arrays
from engine.models.flavors.base import (
    CHUNK_ROWS,
    GPU_CHUNK_ROWS,
    Description,
    Runner,
    keep_triton_out,
    run_in_chunks,
    task_threads,
)
from engine.models.flavors.device import show_one_gpu

_LOG = logging.getLogger(__name__)

_OUTPUTS = {
    "softmax": Output.PROBABILITY,
    "sigmoid": Output.PROBABILITY,
    "linear": Output.LOGIT,
}


def open_model(artifact: Artifact) -> Any:
    """Loads a `.keras` file as it is, and by MLflow what has another layout or custom objects."""
    import_tensorflow()
    add_code_paths(artifact)
    data = artifact.path / artifact.flavors["tensorflow"].get("data", "data")
    file = data / "model.keras"
    if file.is_file() and not list(data.glob("*custom_objects.cloudpickle")):
        import keras

        return keras.models.load_model(file, compile=False)
    import mlflow.tensorflow

    return mlflow.tensorflow.load_model(str(artifact.path))


def import_tensorflow() -> Any:
    """Imports TensorFlow without its chatter, and shows it no more than the task's GPU."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _native_stderr_to_log() if "tensorflow" not in sys.modules else contextlib.nullcontext():
        import tensorflow as tf
    keep_triton_out()
    # It tells of every shape that it compiles for, and there are few.
    tf.get_logger().setLevel("ERROR")
    # It raises once TensorFlow computes: then it is decided.
    with contextlib.suppress(RuntimeError):
        show_one_gpu(tf)
    return tf


@contextlib.contextmanager
def _native_stderr_to_log() -> Iterator[None]:
    """Sends what libraries print on standard error to the debug log.

    While it is imported, TensorFlow prints before it has read its own log level.
    """
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            _LOG.debug("importing TensorFlow: %s", file.read().decode(errors="replace"))


def describe(native: Any, artifact: Artifact) -> Description:
    """Looks at the activation of the last layer; softmax shares one probability out to classes."""
    name = _activation(native)
    offered = (_OUTPUTS[name],) if name in _OUTPUTS else ()
    kind = f"{type(native).__name__} that ends in {name or 'nothing known'}"
    return Description(kind, offered, multilabel=False if name == "softmax" else None)


def _activation(layer: Any) -> str | None:
    """The name of the activation that the output of a layer or model goes through last."""
    if getattr(layer, "layers", None):
        last = layer.layers[-1]
        # In a functional model, the last layer in the list need not be the one that gives out.
        if getattr(layer, "output_names", None) and len(layer.output_names) == 1:
            # It may end in an operation, which is no layer.
            parts = getattr(layer, "operations", layer.layers)
            last = next((x for x in parts if x.name == layer.output_names[0]), None)
        if type(last).__name__ in ("Sigmoid", "Softmax"):
            return type(last).__name__.lower()
        return _activation(last)
    if type(layer).__name__ == "Softmax":
        return "softmax"
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__name__", None)


def make_runner(native: Any, model: ModelVersion) -> Runner:
    """Runs chunks of one size through Keras' compiled predict function."""
    tf = import_tensorflow()
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(task_threads())
        tf.config.threading.set_inter_op_parallelism_threads(task_threads())
    names = [spec.name for spec in model.inputs if isinstance(spec, TensorSpec)]
    size = GPU_CHUNK_ROWS if tf.config.get_visible_devices("GPU") else CHUNK_ROWS

    def call(arrays: list[np.ndarray]) -> np.ndarray:
        if len(arrays) == 1:
            return _single(native.predict_on_batch(arrays[0]))
        return _single(native.predict_on_batch(dict(zip(names, arrays, strict=True))))

    def run(table: pa.Table) -> np.ndarray:
        return run_in_chunks(call, read_arrays(table, model), size)

    return run


def _single(output: Any) -> np.ndarray:
    """Takes the one output of a model out of the container that names or lists it."""
    if isinstance(output, dict) and len(output) == 1:
        output = next(iter(output.values()))
    return np.asarray(output)
