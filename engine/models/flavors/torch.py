"""PyTorch modules and exported programs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import ModelVersion, Output
from engine.errors import ModelError
from engine.models.artifact import PICKLERS, Artifact, add_code_paths
from engine.models.features import read_arrays
from engine.models.flavors.base import (
    CHUNK_ROWS,
    GPU_CHUNK_ROWS,
    Description,
    Runner,
    keep_triton_out,
    may_unpickle,
    run_in_chunks,
    task_threads,
)
from engine.models.flavors.device import CPU, torch_device

# log_softmax and log_sigmoid are not probabilities; softmax of the first gives them back.
_OUTPUTS = {
    "softmax": Output.PROBABILITY,
    "sigmoid": Output.PROBABILITY,
    "log_softmax": Output.LOGIT,
}
_MODULES = {"Softmax": "softmax", "Sigmoid": "sigmoid", "LogSoftmax": "log_softmax"}


def open_model(artifact: Artifact) -> Any:
    """Loads a pickled module or an exported program onto the CPU.

    MLflow's own loader is left for what is not known here, and for processes in which
    unpickling is forbidden: it knows what to refuse.
    """
    torch = import_torch()
    add_code_paths(artifact)
    data = artifact.path / artifact.flavors["pytorch"]["model_data"]
    pickled, exported = data / "model.pth", data / "model.pt2"
    if may_unpickle() and exported.is_file():
        return torch.export.load(str(exported)).module()
    pickler = data / "pickle_module_info.txt"
    known = pickler.is_file() and pickler.read_text(encoding="utf-8").strip() in PICKLERS
    if may_unpickle() and pickled.is_file() and known:
        return torch.load(pickled, map_location="cpu", weights_only=False).eval()
    import mlflow.pytorch

    return mlflow.pytorch.load_model(str(artifact.path), map_location="cpu")


def import_torch() -> Any:
    """Imports PyTorch so that it gets along with a TensorFlow in the same process."""
    keep_triton_out()
    import torch

    return torch


def describe(native: Any, artifact: Artifact) -> Description:
    """Looks at the last module, or at the last operation of an exported program.

    Another last module tells nothing: the scores of a classifier that ends in `Linear` may be
    logits or whatever its loss made of them, so the suite has to say. Softmax shares one
    probability out to classes.
    """
    name = _last_operation(native)
    offered = (_OUTPUTS[name],) if name in _OUTPUTS else ()
    kind = f"{type(native).__name__} that ends in {name or 'nothing known'}"
    shares = name in ("softmax", "log_softmax")
    return Description(kind, offered, multilabel=False if shares else None)


def _last_operation(native: Any) -> str | None:
    torch = import_torch()
    if isinstance(native, torch.fx.GraphModule):
        output = next(node for node in native.graph.nodes if node.op == "output")
        operations = output.all_input_nodes
        target = str(operations[0].target) if operations else ""
        # An exported operation is called aten.softmax.int.
        return target.split(".")[1].lstrip("_") if target.startswith("aten.") else target or None
    children = list(native.children())
    if children:
        return _last_operation(children[-1])
    name = type(native).__name__
    return _MODULES.get(name, name)


def make_runner(native: Any, model: ModelVersion) -> Runner:
    """Runs chunks of one size without gradients; several tensors go in by position.

    On a GPU they are larger, and computed without the shortcuts that cost digits.
    """
    torch = import_torch()
    torch.set_num_threads(task_threads())
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True

    def call(arrays: list[np.ndarray], device: str) -> np.ndarray:
        tensors = [
            torch.from_numpy(np.require(a, requirements=["C", "W"])).to(device) for a in arrays
        ]
        with torch.inference_mode():
            output = native(*tensors)
        if not isinstance(output, torch.Tensor):
            raise ModelError(
                f"model {model.name!r} returned a {type(output).__name__}, expected one tensor"
            )
        output = output.cpu()
        # NumPy lacks some of torch's floating-point types; all of them fit into float64.
        return np.asarray(output.double() if output.is_floating_point() else output)

    def run(table: pa.Table) -> np.ndarray:
        device = torch_device(torch)
        # Nothing moves where it is there already.
        native.to(device)
        size = CHUNK_ROWS if device == CPU else GPU_CHUNK_ROWS
        return run_in_chunks(partial(call, device=device), read_arrays(table, model), size)

    return run
