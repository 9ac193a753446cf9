"""Models in a worker: loaded once, kept by their digest, run on batches."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.core.redaction import Told
from engine.core.vocabulary import ModelVersion
from engine.errors import ModelError
from engine.models.artifact import Artifact, digest, read_artifact
from engine.models.flavors import keras, pyfunc, sklearn, torch
from engine.models.flavors.base import Description, Flavor, Runner, as_flavor
from engine.models.outputs import Prediction, no_rows, read_outputs
from engine.models.served import as_served, endpoint_runner
from engine.models.stored import stored_runner
from engine.models.trivial.model import trivial_runner

FLAVORS: dict[str, Flavor] = {
    "sklearn": as_flavor(sklearn),
    "tensorflow": as_flavor(keras),
    "pytorch": as_flavor(torch),
    "pyfunc": as_flavor(pyfunc),
}

CACHE_SIZE = 16


@dataclass(frozen=True, slots=True)
class Predictor:
    """A model version that is loaded in this process; `native` is the framework's own object.

    `load_seconds` is how long it took to open it, with the framework where nobody had imported it.
    """

    model: ModelVersion
    runner: Runner
    native: Any = None
    load_seconds: float = 0.0

    @property
    def folder(self) -> Path:
        """Where its files are on this machine.

        Raises:
            ModelError: for a model that has none here.
        """
        return find_folder(self.model)

    def predict(self, batch: pa.Table | pa.RecordBatch) -> Prediction:
        """Predicts the rows of a batch that has the columns in `model.features`, others too.

        Raises:
            ModelError: when a column is missing or does not fit, or when what the model returns
                does not fit the rows and classes. What the model itself raises comes through.
        """
        # Not `pa.table`: on its way a name ends at a null character, with which ours begin.
        is_batch = isinstance(batch, pa.RecordBatch)
        table = pa.Table.from_batches([batch]) if is_batch else batch
        if not table.num_rows:
            return no_rows(self.model)
        return self.predict_any(table)

    def predict_any(self, batch: pa.Table | pa.RecordBatch) -> Prediction:
        """The same, but that the model itself is asked for no rows, too."""
        is_batch = isinstance(batch, pa.RecordBatch)
        table = pa.Table.from_batches([batch]) if is_batch else batch
        return read_outputs(self.runner(table), self.model, table.num_rows)

    def read_served(self, raw: Any, rows: int) -> Prediction:
        """The prediction in what a server of this model answered for some rows.

        Raises:
            ModelError: when it does not fit the rows and classes.
        """
        return read_outputs(raw, as_served(self.model), rows)


@dataclass(slots=True)
class _Opened:
    """A model that this process has open, with the predictors that were made of it."""

    native: Any
    seconds: float
    predictors: dict[ModelVersion, Predictor] = field(default_factory=dict)


class _Cache:
    """The open models by digest, the least recently used first."""

    def __init__(self) -> None:
        self.loaded = 0
        self._opened: OrderedDict[str, _Opened] = OrderedDict()

    def get(self, digest: str, artifact: Callable[[], Artifact]) -> _Opened:
        """The open model of a digest; one that is not open is loaded from its artifact."""
        if digest not in self._opened:
            started = time.perf_counter()
            native = _open(artifact())
            self._opened[digest] = _Opened(native, time.perf_counter() - started)
            self.loaded += 1
            if len(self._opened) > CACHE_SIZE:
                self._opened.popitem(last=False)
        self._opened.move_to_end(digest)
        return self._opened[digest]


_CACHE = _Cache()


class Untrusted(Told, ModelError):
    """A model that the suite does not trust, or whose files were changed: it was not opened."""


def load(model: ModelVersion) -> Predictor:
    """Gives the predictor of a model version; the model itself is loaded once in a process.

    Raises:
        ModelError: when it is not trusted, its files are not those that were planned with, it is
            not on this machine, or it cannot be loaded.
    """
    if model.refusal:
        raise Untrusted(model.refusal)
    if model.is_stored:
        return Predictor(model, stored_runner(model))
    if model.is_trivial:
        return Predictor(model, trivial_runner(model))
    if model.is_endpoint:
        return Predictor(model, endpoint_runner(model))
    opened = _CACHE.get(model.digest, lambda: _checked_artifact(model))
    if model not in opened.predictors:
        runner = FLAVORS[model.flavor].make_runner(opened.native, model)
        opened.predictors[model] = Predictor(model, runner, opened.native, opened.seconds)
    return opened.predictors[model]


def _checked_artifact(model: ModelVersion) -> Artifact:
    """The folder of a model, whose files are those that the plan was made with.

    They are hashed again just before they are opened, on each machine and in each process: a
    folder may have been changed since, or on its way.
    """
    folder = find_folder(model)
    _check_files(folder, model.digest)
    return read_artifact(folder)


def _check_files(folder: Path, planned: str) -> None:
    content = digest(folder)
    if content != planned:
        raise Untrusted(
            f"its files in {str(folder)!r} are not those that the run was planned with (their "
            f"digest is {content[:12]}, expected {planned[:12]}), and were not opened"
        )


def shipped_name(digest: str) -> str:
    """The name of the folder in which the driver ships a model to workers."""
    return f"evalmatrix-model-{digest[:40]}"


def find_folder(model: ModelVersion) -> Path:
    """The folder of a model on this machine.

    What the driver has shipped goes first: its name has the model's digest, while the same path
    may hold another model on another machine. Spark unpacks it in a folder that it puts on the
    path of a worker's Python.

    Raises:
        ModelError: when it is not here.
    """
    if model.is_endpoint:
        raise ModelError(f"the model {model.name!r} is served elsewhere, and has no files here")
    name = shipped_name(model.digest)
    for place in (".", *sys.path):
        folder = Path(place, name)
        if folder.is_dir():
            return folder.absolute()
    folder = Path(model.path)
    if folder.is_dir():
        return folder
    raise ModelError(
        f"the model {model.name!r} is not on this worker: no folder at {model.path!r}, and the "
        f"driver has shipped none ({name}); `evalmatrix run` ships its models, and what calls the "
        "engine by itself has engine.execution.shipping.ship for it"
    )


def open_native(digest: str, artifact: Artifact) -> Any:
    """Gives the framework's own object for a model folder, from the cache where it is there."""
    return _CACHE.get(digest, lambda: artifact).native


def describe_model(artifact: Artifact, content: str) -> Description:
    """Opens a model in this process, where it stays open, and asks it what it returns.

    Args:
        artifact: its folder.
        content: the digest of the folder's files.

    Raises:
        ModelError: when it cannot be loaded, or its files have another digest.
    """
    _check_files(artifact.path, content)
    return FLAVORS[artifact.flavor].describe(open_native(content, artifact), artifact)


def loaded_count() -> int:
    """How many models this process has loaded from disk so far."""
    return _CACHE.loaded


def check_inputs(model: ModelVersion, columns: Sequence[str]) -> list[str]:
    """Lists the columns that the model wants and the data lack."""
    return [name for name in model.features if name not in set(columns)]


@contextmanager
def _no_caches() -> Iterator[None]:
    """Keeps Python from writing its caches beside a model's own code, where none were signed."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _open(artifact: Artifact) -> Any:
    try:
        with _no_caches():
            return FLAVORS[artifact.flavor].open_model(artifact)
    except Exception as error:
        raise ModelError(
            f"the {artifact.flavor} model in {str(artifact.path)!r} cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
