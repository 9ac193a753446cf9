"""What a training run leaves in MLflow: parameters, metrics, data, the model, its registration.

This is the only place that writes to the registry's model versions when a model is made; the
engine reads back what the notes say.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.errors import InputError, ModelError
from engine.models.artifact import NOTES_KEY
from engine.models.flavors.sklearn import import_skops
from engine.models.mlflow_client import (
    artifact_root,
    ask,
    find_experiment,
    quiet,
    unreachable,
    use_tracking_uri,
    versions_of,
)
from engine.models.mlflow_tables import make_database

TAG = "evalmatrix."

FUNCTION = "function"
_LOG = logging.getLogger(__name__)
_PACKAGES = {
    FUNCTION: ("mlflow", "cloudpickle", "numpy", "pandas"),
    "sklearn": ("mlflow", "scikit-learn", "skops", "numpy", "pandas"),
    "tensorflow": ("mlflow", "tensorflow", "keras", "numpy"),
    "pytorch": ("mlflow", "torch", "numpy", "pandas"),
}


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted model as its framework made it, with some rows of its input.

    `notes` are what the engine has to know of it: task, output, classes, features.
    """

    native: Any
    framework: str
    example: pd.DataFrame | np.ndarray
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry, with the run that made it."""

    name: str
    version: str
    run_id: str
    metrics: Mapping[str, float]


@contextlib.contextmanager
def training_run(tracking_uri: str, experiment: str, run_name: str) -> Iterator[str]:
    """Opens an MLflow run, and gives its id; MLflow's own words on standard output are dropped.

    Raises:
        TrackingError: when the tracking server refuses or cannot be reached.
    """
    import mlflow

    with use_tracking_uri(tracking_uri), contextlib.redirect_stdout(io.StringIO()):
        try:
            make_database(tracking_uri)
            root = artifact_root(tracking_uri)
            experiment_id = find_experiment(mlflow.MlflowClient(), experiment, root)
        except InputError:
            raise
        except Exception as error:
            raise unreachable(tracking_uri, error) from error
        # Nested, so that a notebook's own open run is no obstacle.
        with mlflow.start_run(experiment_id=experiment_id, run_name=run_name, nested=True) as run:
            yield run.info.run_id


def log_model(fitted: FittedModel, name: str, *, shows_rows: bool = True) -> str:
    """Logs a model under its own flavour in the open run, and gives its URI `models:/<id>`.

    scikit-learn models are written by skops, PyTorch modules pickled: made of stock modules, they
    load without the code that trained them. What skops cannot write, as classes of a notebook, is
    pickled with its code.

    Args:
        fitted: the model.
        name: what MLflow calls it.
        shows_rows: whether the rows of its example are stored beside it.
    """
    import mlflow

    options: dict[str, Any] = {
        "name": name,
        "signature": _signature(fitted.example, _outputs(fitted)),
        "input_example": fitted.example if shows_rows else None,
        "metadata": {NOTES_KEY: dict(fitted.notes)},
        # Named here, because MLflow would load the model in another process to find them out.
        "pip_requirements": _requirements(fitted.framework),
    }
    if fitted.framework == "sklearn":
        return _log_sklearn(fitted.native, options)
    if fitted.framework == "tensorflow":
        import mlflow.tensorflow

        info = mlflow.tensorflow.log_model(fitted.native, **options)
    else:
        import mlflow.pytorch

        # The safer exported program takes no signature of named columns.
        with quiet("mlflow.pytorch"):
            info = mlflow.pytorch.log_model(fitted.native, serialization_format="pickle", **options)
    return str(info.model_uri)


def _signature(example: Any, outputs: Any) -> Any:
    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        # What has nulls another day is read as the flavour takes it.
        warnings.filterwarnings("ignore", message=".*Inferred schema contains integer column")
        return infer_signature(example, outputs)


def _log_sklearn(native: Any, options: Mapping[str, Any]) -> str:
    # Before MLflow's flavour, which may import skops by itself.
    skops_io = import_skops()
    import mlflow.sklearn

    how: dict[str, Any] = {"serialization_format": "cloudpickle"}
    try:
        # The model was made a moment ago in this process: its types are known to be meant.
        trusted = skops_io.get_untrusted_types(data=skops_io.dumps(native))
        if not any(name.startswith("__main__.") for name in trusted):
            how = {"serialization_format": "skops", "skops_trusted_types": trusted}
    except Exception as error:  # whatever a type of somebody's own raises
        _LOG.debug("skops cannot write %s: %s", type(native).__name__, type(error).__name__)
    with quiet("mlflow.sklearn"):
        return str(mlflow.sklearn.log_model(native, **how, **options).model_uri)


def log_function(
    native: Any, outputs: pd.DataFrame | np.ndarray, notes: Mapping[str, Any], name: str
) -> str:
    """Logs a function of a frame, or an object with a `predict`, and gives its URI.

    Args:
        native: the function.
        outputs: what it returned for some rows, of which the signature has the types.
        notes: what the engine has to know of it.
        name: what MLflow calls it.
    """
    import mlflow.pyfunc
    from mlflow.models import ModelSignature

    from engine.models.function_model import FunctionModel

    # Without inputs: MLflow would refuse a whole number that is null another day.
    signature = ModelSignature(outputs=_signature(outputs, None).inputs)
    with quiet("mlflow.pyfunc"), quiet("mlflow.models.model"), warnings.catch_warnings():
        # Types and rows of an example would be for who serves it.
        warnings.simplefilter("ignore", UserWarning)
        info = mlflow.pyfunc.log_model(
            name=name,
            python_model=FunctionModel(native),
            signature=signature,
            metadata={NOTES_KEY: dict(notes)},
            pip_requirements=_requirements(FUNCTION),
        )
    return str(info.model_uri)


def _outputs(fitted: FittedModel) -> np.ndarray:
    """What the framework itself returns for the example."""
    if fitted.framework == "sklearn":
        answers = np.asarray(fitted.native.predict(fitted.example))
        if answers.shape[:1] != (len(fitted.example),):
            raise ModelError(
                f"a {type(fitted.native).__name__} gave {len(answers)} answers for "
                f"{len(fitted.example)} rows; where it reads texts, name their column by "
                "features=['...']"
            )
        return answers
    if fitted.framework == "tensorflow":
        return np.asarray(fitted.native.predict_on_batch(fitted.example))
    import torch

    modes = [(part, part.training) for part in fitted.native.modules()]
    try:
        with torch.inference_mode():
            rows = torch.from_numpy(np.array(fitted.example, dtype=np.float32))
            return np.asarray(fitted.native.eval()(rows))
    finally:
        # Whoever goes on training it has it as it was.
        for part, is_training in modes:
            part.training = is_training


def _requirements(framework: str) -> list[str]:
    # A local build is called 2.15.0+cpu; only 2.15.0 can be installed by name.
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES[framework]}
    return [f"{name}=={version.partition('+')[0]}" for name, version in versions.items()]


def log_run(params: Mapping[str, Any], data: pd.DataFrame, source: Path, *, label: str) -> None:
    """Logs the parameters and the training data's name, place, schema and digest."""
    import mlflow
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.data.sources import LocalArtifactDatasetSource

    mlflow.log_params(dict(params))
    with warnings.catch_warnings():
        # Class labels are whole numbers and never missing.
        warnings.filterwarnings("ignore", message=".*Inferred schema contains integer column")
        origin = LocalArtifactDatasetSource(str(source))
        dataset = from_pandas(data, source=origin, targets=label, name=source.stem)
        mlflow.log_input(dataset, context="training")


def log_metrics(metrics: Mapping[str, float], model_uri: str) -> None:
    """Logs metrics to the open run, and to the page of the logged model."""
    import mlflow

    mlflow.log_metrics(dict(metrics), model_id=model_uri.removeprefix("models:/"))


def register(model_uri: str, name: str, tags: Mapping[str, str]) -> str:
    """Registers a logged model as the next version of a name, and gives the version."""
    import mlflow
    from mlflow.exceptions import MlflowException

    tags = {TAG + key: value for key, value in tags.items()}
    try:
        # MLflow tells of it on standard error, as prints.
        with contextlib.redirect_stderr(io.StringIO()):
            return str(mlflow.register_model(model_uri, name, tags=tags).version)
    except MlflowException as error:
        raise ModelError(f"{model_uri} cannot be registered as {name!r}: {error}") from error


def find_version(tracking_uri: str, name: str, key: str, value: str) -> Registered | None:
    """Finds the newest version of a name that has `value` under one of our tags."""
    versions = ask(tracking_uri, lambda client: versions_of(client, name)) or ()
    same = [version for version in versions if version.tags.get(TAG + key) == value]
    if not same:
        return None
    newest = max(same, key=lambda version: int(version.version))
    run_id = newest.run_id
    if not run_id:
        model = ask(tracking_uri, lambda client: client.get_logged_model(newest.model_id))
        run_id = model.source_run_id if model else ""
    run = ask(tracking_uri, lambda client: client.get_run(run_id))
    return Registered(name, str(newest.version), run_id, run.data.metrics if run else {})
