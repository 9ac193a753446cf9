"""What a model needs to be loaded, and a look at a worker's Python that finds out what it has."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from engine.models.artifact import Artifact, read_artifact
from engine.vocabulary import ModelVersion

_OF_FLAVOR = {
    "sklearn": ("sklearn", "pip install scikit-learn"),
    "tensorflow": ("tensorflow", "pip install 'evalmatrix[tensorflow]'"),
    "pytorch": ("torch", "pip install 'evalmatrix[torch]'"),
    "pyfunc": ("mlflow", "pip install mlflow-skinny"),
}

LOOK_DDL = "python string, executable string, engine string, broken string, found string"


def needed(artifact: Artifact) -> dict[str, str]:
    """The libraries that loading a model imports, each with the command that installs it."""
    library, command = _OF_FLAVOR[artifact.flavor]
    found = {library: command}
    loader = str(artifact.flavors.get("python_function", {}).get("loader_module", ""))
    own = loader.startswith("mlflow.") and not loader.startswith("mlflow.pyfunc")
    if artifact.flavor == "pyfunc" and own:
        library = loader.split(".")[1]
        found[library] = f"pip install {library}"
    if artifact.flavors.get("sklearn", {}).get("serialization_format") == "skops":
        found["skops"] = "pip install skops"
    return found


def needed_by(model: ModelVersion) -> dict[str, str]:
    """The same for a model whose folder is on this machine."""
    return needed(read_artifact(model.path))


Look = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def make_look(libraries: Sequence[str]) -> Look:
    """A function for `mapInArrow` that tells what the Python of a worker has (`LOOK_DDL`).

    One row for each partition: its version and place, the version of the engine (null without
    one), why the engine cannot be imported (null when it can), and the version of each library
    that is there, as JSON. The function is one that is shipped by its code, not by its name: it
    must run where there is no engine.
    """
    wanted = tuple(libraries)
    distributions = {"sklearn": "scikit-learn"}

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            pass
        engine, broken = None, None
        try:
            engine = importlib.import_module("engine._version").__version__
            importlib.import_module("engine.execute")
        except Exception as error:
            broken = f"{type(error).__name__}: {error}"
        found = {}
        for name in wanted:
            if importlib.util.find_spec(name) is None:
                continue
            try:
                version = importlib.metadata.version(distributions.get(name, name))
            except importlib.metadata.PackageNotFoundError:
                version = ""
            found[name] = version
        row = {
            "python": ".".join(map(str, sys.version_info[:3])),
            "executable": sys.executable,
            "engine": engine,
            "broken": broken,
            "found": json.dumps(found),
        }
        yield pa.RecordBatch.from_pylist([row], pa.schema([(name, pa.string()) for name in row]))

    return look
