"""What the flavours have in common: an opened model, what it says of itself, and how it is run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import Label, ModelVersion, Output
from engine.models.artifact import Artifact
from engine.models.determinism import compare_copies

# A network's matrix products are rounded in an order that depends on the number of rows. Calls
# of one size make a row's figures independent of the rows around it, and so of how Spark cut
# the batches; TensorFlow traces a single shape. Larger calls are hardly faster.
CHUNK_ROWS = 256
# A call costs a GPU as much for few rows as for these.
GPU_CHUNK_ROWS = 4096

Runner = Callable[[pa.Table], Any]
"""Feeds the rows of a table to a model and returns what the framework returned."""


@dataclass(frozen=True, slots=True)
class Description:
    """What an opened model says of itself; empty where it does not tell.

    `offered` are the kinds of output that it has, the preferred one first. `multilabel` says
    whether a row may have any number of its classes, or has one; None where it does not tell.
    `decides` says whether its labels need not be those of its largest score, None that only its
    answers tell, `squashed` that its
    logits are the values of a decision function, which rank rows and need not be logits.
    """

    kind: str
    offered: tuple[Output, ...] = ()
    classes: tuple[Label, ...] = ()
    features: tuple[str, ...] = ()
    multilabel: bool | None = None
    decides: bool | None = False
    squashed: bool = False


class Flavor(Protocol):
    """A module of this room that knows one framework; its functions import it when called."""

    def open_model(self, artifact: Artifact) -> Any:
        """Loads the framework's own object from the artifact's folder."""

    def describe(self, native: Any, artifact: Artifact) -> Description:
        """Finds out what the model returns, without running it."""

    def make_runner(self, native: Any, model: ModelVersion) -> Runner:
        """Prepares the model for prediction in this process, and returns how to run it."""


def as_flavor(module: ModuleType) -> Flavor:
    """Takes a module for the protocol that its functions fulfil."""
    return cast(Flavor, module)


def task_threads() -> int:
    """The number of threads that this process owns: what Spark put into OMP_NUM_THREADS, or 1."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(text)) if text.isdecimal() else 1


def may_unpickle() -> bool:
    """Whether MLflow's own switch lets models be loaded that can run code while they are."""
    return os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() in ("true", "1")


def keep_triton_out() -> None:
    """Keeps the process from importing Triton when it has TensorFlow.

    Both carry an LLVM, and the second to come aborts the process. PyTorch looks for Triton when it
    optimises, compiles or exports, and does without on a CPU where the import fails.
    """
    if "tensorflow" in sys.modules and "triton" not in sys.modules:
        sys.modules["triton"] = None  # type: ignore[assignment]


def run_in_chunks(
    call: Callable[[list[np.ndarray]], np.ndarray],
    arrays: Sequence[np.ndarray],
    size: int = CHUNK_ROWS,
) -> np.ndarray:
    """Calls `call` with `size` rows of each array at a time, and joins what it returns.

    The last chunk is filled up with copies of its first row, whose outputs are dropped; they only
    show whether alike rows get alike answers. `arrays` have the same number of rows, at least one.
    """
    rows = len(arrays[0])
    outputs = []
    for start in range(0, rows, size):
        chunk_rows = min(size, rows - start)
        output = call([_pad(array[start : start + chunk_rows], size) for array in arrays])
        if output.shape[:1] == (size,):
            compare_copies(output, chunk_rows)
            output = output[:chunk_rows]
        # An output without a row for each input is left whole: its shape is told of as wrong.
        outputs.append(output)
    return np.concatenate(outputs)


def _pad(chunk: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(chunk)
    return chunk if not missing else np.concatenate([chunk, np.repeat(chunk[:1], missing, axis=0)])
