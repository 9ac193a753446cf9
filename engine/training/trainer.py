"""One training: data, split, fit, log, measure as a worker would, register."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.vocabulary import TaskKind
from engine.errors import ModelError
from engine.models import ModelRequest, decides_otherwise, load, resolve
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
from engine.training.fitting import code_path, fit_native, read_code, seed_generators
from engine.training.holdout import held_out_metrics
from engine.training.rows import Rows, data_files, model_inputs, read_rows, split_params

_LOG = logging.getLogger(__name__)
# What a user waits for is told; the rest is for who sets up this module's own log.
_TOLD = logging.getLogger("evalmatrix")

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
    refuse_multilabel(folder, config)
    paths = data_files(folder, config)
    if if_changed and (
        trained := find_trained(tracking_uri, config.name, fingerprint(folder, config))
    ):
        _LOG.info("%s: version %s is up to date", trained.name, trained.version)
        return trained
    variant = version or "params"
    _TOLD.info("%s: training it with %s", config.name, variant)
    return fit_and_register(folder, config, read_rows(paths, config), tracking_uri, variant)


def refuse_multilabel(folder: Path, config: ModelConfig) -> None:
    """Refuses the task that training data of one label for a row cannot have.

    Raises:
        ModelError: with what to do.
    """
    if config.task is TaskKind.MULTILABEL:
        raise ModelError(
            f"{str(folder)!r} is of the task 'multilabel', and training data have one label for a "
            "row; expected another task (a suite evaluates such a model that MLflow has logged)"
        )


def fit_and_register(
    folder: Path, config: ModelConfig, rows: Rows, tracking_uri: str, variant: str
) -> Trained:
    """Fits a model on the rows for training, logs, measures and registers it."""
    fitted = _fit(folder, config, rows)
    tags = {
        "task": config.task.value,
        "output": config.output.value,
        "classes": json.dumps(fitted.notes["classes"]),
        "train_digest": fingerprint(folder, config),
        "variant": variant,
    }
    with training_run(tracking_uri, config.experiment, f"train-{config.name}-{variant}") as run_id:
        log_run(_params(config, rows), rows.data, data_files(folder, config)[0], label=rows.label)
        model_uri = log_model(fitted, config.name)
        model = resolve(ModelRequest(model_uri, config.task, tracking_uri, cache_dir=folder))
        held_out = rows.data.iloc[rows.held_out]
        metrics = held_out_metrics(load(model), held_out, rows.label)
        log_metrics(metrics, model_uri)
        # By it whoever loads the version sees that nobody has changed its files since.
        number = register(model_uri, config.name, {**tags, "digest": model.digest})
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


def find_trained(tracking_uri: str, name: str, fingerprint: str) -> Trained | None:
    """The registered version that was made from the same code, config and data, if there is one."""
    registered = find_version(tracking_uri, name, "train_digest", fingerprint)
    if registered is None:
        return None
    uri = f"models:/{name}/{registered.version}"
    return Trained(
        name, registered.version, uri, registered.run_id, registered.metrics, reused=True
    )


def fingerprint(folder: Path, config: ModelConfig) -> str:
    """SHA-256 of all that decides what is trained: code, resolved config and data.

    How candidates were compared is no part of it, but for groups, which are held out as a whole.
    """
    left_out = {"versions", "experiment", "cv", "search"}
    settings = config.model_dump(mode="json", exclude=left_out)
    if config.cv is not None and config.cv.group is not None:
        settings["group"] = config.cv.group
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in (code_path(folder), *data_files(folder, config)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _fit(folder: Path, config: ModelConfig, rows: Rows) -> FittedModel:
    """Builds and fits the model by its own code, and notes what the engine has to know."""
    seed_generators(config.seed, config.framework)
    code = read_code(folder)
    module = code.load()
    data = rows.data.iloc[rows.train]
    inputs = model_inputs(data[rows.features], config)
    labels = data[rows.label].to_numpy()
    try:
        native = fit_native(module, inputs, labels, config.params)
    except Exception as error:
        raise ModelError(f"{code.path!r} failed: {type(error).__name__}: {error}") from error
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


def _params(config: ModelConfig, rows: Rows) -> dict[str, Any]:
    """What a run's page shows: hyperparameters, and how the rows were split."""
    about = {"framework": config.framework, "seed": config.seed}
    return {**config.params, **about, **split_params(config, rows)}
