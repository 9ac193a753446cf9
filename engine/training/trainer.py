"""One training: data, split, fit, log, measure as a worker would, register."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from engine.core.registry import nearest
from engine.core.vocabulary import TaskKind
from engine.errors import DataError, ModelError
from engine.models import ModelRequest, decides_otherwise, load, resolve
from engine.models.flavors.device import torch_device
from engine.models.flavors.keras import import_tensorflow
from engine.models.flavors.torch import import_torch
from engine.models.log_model import (
    FittedModel,
    find_version,
    log_metrics,
    log_model,
    log_run,
    register,
    training_run,
)
from engine.training.config import CONFIG_FILE, ModelConfig, read_config
from engine.training.holdout import held_out_metrics

_LOG = logging.getLogger(__name__)
# What a user waits for is told; the rest is for who sets up this module's own log.
_TOLD = logging.getLogger("evalmatrix")

CODE_FILE = "model_code.py"
_EXAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True)
class Trained:
    """A registered version; `reused` where it was there already, and nothing was trained."""

    name: str
    version: str
    uri: str
    run_id: str
    metrics: Mapping[str, float]
    reused: bool = False


def train(
    model_dir: str | Path,
    *,
    tracking_uri: str,
    overrides: Sequence[str] = (),
    version: str | None = None,
    if_changed: bool = False,
) -> Trained:
    """Trains a model, logs it to MLflow and registers it as a new version.

    Args:
        model_dir: The folder with the config and the code.
        tracking_uri: MLflow's tracking server, or its database.
        overrides: `dotted.key=value` texts that count before the file, such as
            `params.max_depth=3`.
        version: One of the config's `versions`; without one, `params` as they stand.
        if_changed: Trains nothing when a registered version was made from the same code, config
            and data, and returns that one.

    Raises:
        SuiteError: when the config has mistakes; all of them are told.
        DataError: when the training data are missing or lack a column.
        ModelError: when the model's code fails, or the task is one that is not trained here.
        TrackingError: when the tracking server cannot be reached.
    """
    folder = Path(model_dir)
    config = read_config(folder, overrides=overrides, version=version)
    if config.task is TaskKind.MULTILABEL:
        raise ModelError(
            f"{str(folder)!r} is of the task 'multilabel', and training data have one label for a "
            "row; expected another task (a suite evaluates such a model that MLflow has logged)"
        )
    paths = _data_files(folder, config)
    fingerprint = _fingerprint(folder, config, paths)
    if if_changed and (trained := _find(tracking_uri, config.name, fingerprint)):
        _LOG.info("%s: version %s is up to date", trained.name, trained.version)
        return trained
    _TOLD.info("%s: training it with %s", config.name, version or "params")
    rows = _read_rows(paths, config)
    fitted = _fit(folder, config, rows)
    tags = {
        "task": config.task.value,
        "output": config.output.value,
        "classes": json.dumps(fitted.notes["classes"]),
        "train_digest": fingerprint,
        "variant": version or "params",
    }
    run_name = f"train-{config.name}-{tags['variant']}"
    with training_run(tracking_uri, config.experiment, run_name) as run_id:
        log_run(_params(config, rows), rows.data, paths[0], label=rows.label)
        model_uri = log_model(fitted, config.name)
        request = ModelRequest(model_uri, config.task, tracking_uri, cache_dir=folder)
        held_out = rows.data.iloc[rows.held_out]
        metrics = held_out_metrics(load(resolve(request)), held_out, rows.label)
        log_metrics(metrics, model_uri)
        number = register(model_uri, config.name, tags)
    _LOG.info("%s: registered version %s", config.name, number)
    return Trained(config.name, number, f"models:/{config.name}/{number}", run_id, metrics)


def train_all(
    root: str | Path, *, tracking_uri: str, if_changed: bool = False
) -> Iterator[Trained]:
    """Trains every version of every model folder below `root`, in the order of their names.

    Each is trained when it is asked for, so that a caller can tell of the one before.
    """
    folders = sorted(path.parent for path in Path(root).glob(f"*/{CONFIG_FILE}"))
    if not folders:
        raise ModelError(f"no model folder below {str(root)!r}: expected */{CONFIG_FILE}")
    for folder in folders:
        for version in read_config(folder).versions or (None,):
            yield train(folder, tracking_uri=tracking_uri, version=version, if_changed=if_changed)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The training data, and which of its rows are for training and which are held out."""

    data: pd.DataFrame
    label: str
    features: list[str]
    train: np.ndarray
    held_out: np.ndarray


def _find(tracking_uri: str, name: str, fingerprint: str) -> Trained | None:
    registered = find_version(tracking_uri, name, "train_digest", fingerprint)
    if registered is None:
        return None
    uri = f"models:/{name}/{registered.version}"
    return Trained(
        name, registered.version, uri, registered.run_id, registered.metrics, reused=True
    )


def _data_files(folder: Path, config: ModelConfig) -> list[Path]:
    paths = sorted(folder.glob(config.train_data))
    if not paths:
        raise DataError(f"no training data: nothing matches {str(folder / config.train_data)!r}")
    return paths


def _fingerprint(folder: Path, config: ModelConfig, paths: Sequence[Path]) -> str:
    """SHA-256 of all that decides what is trained: code, resolved config and data."""
    settings = config.model_dump(mode="json", exclude={"versions", "experiment"})
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in (_code_path(folder), *paths):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _read_rows(paths: Sequence[Path], config: ModelConfig) -> _Rows:
    """Reads and splits the data. Numbers become float64, as a later batch may hold nulls."""
    from sklearn.model_selection import train_test_split

    data = pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
    label = config.label or str(data.columns[-1])
    features = config.features or [name for name in data.columns if name != label]
    for name in (label, *features):
        if name not in data.columns:
            close = nearest(name, map(str, data.columns))
            hint = f"; did you mean {close!r}?" if close else ""
            raise DataError(f"{str(paths[0])!r} has no column {name!r}{hint}")
    if nulls := int(data[label].isna().sum()):
        raise DataError(f"{str(paths[0])!r}: {nulls} rows have no label in column {label!r}")
    numeric = data[features].select_dtypes("number").columns
    data = data.astype(dict.fromkeys(numeric, np.float64))
    train_rows, held_out = train_test_split(
        np.arange(len(data)),
        test_size=config.split.test_size,
        random_state=config.split.random_state,
        stratify=data[label] if config.split.stratify else None,
    )
    return _Rows(data, label, features, train_rows, held_out)


def _fit(folder: Path, config: ModelConfig, rows: _Rows) -> FittedModel:
    """Builds and fits the model by its own code, and notes what the engine has to know."""
    _seed(config)
    code = _import_code(folder)
    inputs = _inputs(rows, rows.train, config)
    labels = rows.data[rows.label].to_numpy()[rows.train]
    try:
        model = code.build(config.params)
        fit = getattr(code, "fit", None)
        native = fit(model, inputs, labels, config.params) if fit else model.fit(inputs, labels)
    except Exception as error:
        raise ModelError(
            f"{str(_code_path(folder))!r} failed: {type(error).__name__}: {error}"
        ) from error
    regression = config.task in (TaskKind.REGRESSION, TaskKind.RANKING)
    notes = {
        "task": config.task.value,
        "output": config.output.value,
        "classes": [] if regression else np.unique(labels).tolist(),
        "features": rows.features,
    }
    if config.framework == "sklearn" and not regression:
        decides = decides_otherwise(native)
        if decides is not None:
            notes["decides"] = decides
    return FittedModel(native, config.framework, inputs[:_EXAMPLE_ROWS], notes)


def _seed(config: ModelConfig) -> None:
    """Seeds every generator that a framework may draw from."""
    random.seed(config.seed)
    np.random.seed(config.seed)
    if config.framework == "tensorflow":
        tf = import_tensorflow()
        tf.keras.utils.set_random_seed(config.seed)
        tf.config.experimental.enable_op_determinism()
    elif config.framework == "pytorch":
        torch = import_torch()
        # It looks for a GPU once, and warns where TensorFlow has found none before; here unheard.
        torch_device(torch)
        torch.manual_seed(config.seed)


def _code_path(folder: Path) -> Path:
    path = folder / CODE_FILE
    if not path.is_file():
        raise ModelError(f"no file {str(path)!r}: expected one with a function build(params)")
    return path


def _import_code(folder: Path) -> ModuleType:
    """Imports the model's code from its path, under a name that no other folder's has."""
    path = _code_path(folder)
    suffix = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"_evalmatrix_model_{suffix}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{str(path)!r} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ModelError(
            f"{str(path)!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(getattr(module, "build", None)):
        raise ModelError(f"{str(path)!r} has no function build(params), which makes the model")
    return module


def _inputs(rows: _Rows, chosen: np.ndarray, config: ModelConfig) -> pd.DataFrame | np.ndarray:
    frame = rows.data[rows.features].iloc[chosen]
    if config.tensor is None:
        return frame
    array = frame.to_numpy(dtype=config.tensor.dtype)
    return array.reshape(len(frame), *config.tensor.shape)


def _params(config: ModelConfig, rows: _Rows) -> dict[str, Any]:
    """What a run's page shows: hyperparameters, and how the rows were split."""
    return {
        **config.params,
        "framework": config.framework,
        "seed": config.seed,
        **{f"split.{key}": value for key, value in config.split.model_dump().items()},
        "train_rows": len(rows.train),
        "held_out_rows": len(rows.held_out),
    }
