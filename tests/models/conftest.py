"""A registry of its own for these tests, on SQLite, with models that plain MLflow logs into it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from engine.core.vocabulary import ModelVersion, Output, TaskKind
from engine.metrics import Problem
from engine.models import ModelRequest, resolve
from engine.models.log_model import training_run
from engine.planning.classes import fit_classes

Log = Callable[..., str]
Resolve = Callable[..., ModelVersion]


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"


@pytest.fixture(scope="session")
def log(tracking_uri: str) -> Log:
    """Logs a model by MLflow alone, without our notes, as anybody would; returns its URI.

    With `register="name"` it becomes a version in the registry too.
    """

    def log(flavor: str, native: Any = None, **options: Any) -> str:
        import importlib

        registered = options.pop("register", None)
        module = importlib.import_module(f"mlflow.{flavor}")
        if flavor == "pyfunc":
            options["python_model"] = native
        # Left out here because MLflow would start a process to infer them.
        options.setdefault("pip_requirements", ["mlflow"])
        with training_run(tracking_uri, "foreign", "foreign"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            args = () if flavor == "pyfunc" else (native,)
            info = module.log_model(
                *args, name="model", registered_model_name=registered, **options
            )
        return str(info.model_uri)

    return log


@pytest.fixture(scope="session")
def find(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Resolve:
    """Resolves a URI on the tests' registry, with the classes that a suite names."""
    cache = tmp_path_factory.mktemp("downloads")

    def find(uri: str, task: str, output: str | None = None, **options: Any) -> ModelVersion:
        options.setdefault("tracking_uri", tracking_uri)
        options.setdefault("cache_dir", cache)
        kind, classes = Output(output) if output else None, options.pop("classes", ())
        model = resolve(ModelRequest(uri=uri, task=TaskKind(task), output=kind, **options))
        problem = Problem(model.task, tuple(classes) or model.classes)
        return fit_classes(model, problem, classes)

    return find


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """300 rows of three numbers, and targets made of them: two and three classes, a value."""
    rng = np.random.default_rng(42)
    frame = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
    total = frame.sum(axis=1) + rng.normal(scale=0.3, size=300)
    frame["two"] = (total > 0).astype(int)
    frame["three"] = np.array(["low", "mid", "high"])[np.digitize(total, [-0.7, 0.7])]
    frame["value"] = 3 * total + 1
    return frame


@pytest.fixture(scope="session")
def features(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["a", "b", "c"]]


@pytest.fixture(scope="session")
def table(frame: pd.DataFrame) -> pa.Table:
    """All columns of the frame, in another order than the models want them."""
    return pa.Table.from_pandas(frame[["value", "c", "three", "a", "two", "b"]])


@pytest.fixture
def version() -> Callable[..., ModelVersion]:
    """Makes a model version that is not loaded from anywhere, for the pure functions."""

    def version(**fields: Any) -> ModelVersion:
        known: dict[str, Any] = {
            "name": "m",
            "uri": "u",
            "version": None,
            "digest": "d",
            "path": str(Path("nowhere")),
            "flavor": "sklearn",
            "task": TaskKind.BINARY,
            "output": Output.PROBABILITY,
        }
        return ModelVersion(**(known | fields))

    return version
