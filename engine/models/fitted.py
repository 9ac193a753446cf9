"""Models as a notebook has them: fitted estimators, networks and functions, logged to MLflow.

A model is logged once: what was logged before, with the same content and columns, is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.core.json_cache import keep, read_kept
from engine.core.redaction import redacted_message
from engine.core.vocabulary import TaskKind
from engine.errors import ModelError
from engine.models.content import KERAS, SKLEARN, TORCH, content_digest
from engine.models.log_model import FUNCTION, FittedModel, log_function, log_model, training_run
from engine.models.mlflow_client import ask

# Of so many rows is seen what a function returns.
EXAMPLE_ROWS = 1_000
_SIGNATURE_ROWS = 5
_REGRESSIONS = (TaskKind.REGRESSION, TaskKind.RANKING)

Rows = Callable[[int, Sequence[str]], pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Data:
    """What a model can be shown of the data.

    Attributes:
        task: what is predicted.
        columns: all columns.
        free: those that have no other use, and may be features.
        head: gives the first rows of some columns.
        features: the features, where they were named.
    """

    task: TaskKind
    columns: tuple[str, ...]
    free: tuple[str, ...]
    head: Rows
    features: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A model as it was given: its name, itself, and what its numbers are where that was said."""

    name: str
    native: Any
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """Where models are logged, and where is kept which were."""

    tracking_uri: str
    experiment: str
    folder: Path


def framework_of(native: Any, name: str) -> str:
    """What a model is made with, which no framework is imported for.

    Raises:
        ModelError: for what is no fitted model, with what is expected.
    """
    modules = {base.__module__.partition(".")[0] for base in type(native).__mro__}
    kind = type(native).__name__
    if isinstance(native, type):
        raise ModelError(
            f"the model {name!r} is the class {native.__name__}; expected one that is fitted"
        )
    if modules & {"keras", "tensorflow", "tf_keras"} and hasattr(native, "predict"):
        if not getattr(native, "built", True):
            raise ModelError(f"the model {name!r} ({kind}) is not built; fit it first")
        return KERAS
    if "torch" in modules:
        return TORCH
    if hasattr(native, "predict") and hasattr(native, "get_params"):
        _check_fitted(native, name)
        return SKLEARN
    if callable(native) or hasattr(native, "predict"):
        return FUNCTION
    raise ModelError(
        f"the model {name!r} is of the type {kind}; expected a fitted estimator of scikit-learn, "
        "Keras or PyTorch, a function of a frame, a model's URI, or the name of a column"
    )


def _check_fitted(native: Any, name: str) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(native)
    except NotFittedError:
        raise ModelError(
            f"the model {name!r} ({type(native).__name__}) is not fitted; call its fit first"
        ) from None
    except (AttributeError, TypeError):  # somebody's own, that only looks like one
        return


def log_fitted(given: Given, data: Data, log: Log) -> str:
    """Logs a model, and gives its URI; one that was logged before is found again.

    Raises:
        ModelError: for a model that is not fitted, does not fit the data, or cannot be logged.
        TrackingError: when the tracking server cannot be reached.
    """
    framework = framework_of(given.native, given.name)
    features = features_of(given.native, given.name, data)
    about = [given.name, framework, list(features), data.task.value, given.output]
    file = log.folder / f"{content_digest(given.native, framework, about)}.json"
    uri = _kept_uri(file, log)
    if uri is not None:
        return uri
    example = data.head(EXAMPLE_ROWS if framework == FUNCTION else _SIGNATURE_ROWS, features)
    with training_run(log.tracking_uri, log.experiment, f"log {given.name}"):
        try:
            uri = _log(given, framework, example, data.task)
        except ModelError:
            raise
        except Exception as error:
            shown = ", ".join(map(repr, features[:20]))
            raise ModelError(
                f"the model {given.name!r} ({type(given.native).__name__}) cannot be asked and "
                f"logged with the {len(features)} columns {shown}: {redacted_message(error)}; say "
                "which columns it reads by features=[...], or log it with MLflow and give its URI"
            ) from error
    keep(file, {"uri": uri})
    return uri


def _log(given: Given, framework: str, example: pd.DataFrame, task: TaskKind) -> str:
    native, name = given.native, _name_in_mlflow(given.name)
    notes = {"features": list(example.columns)}
    if framework == FUNCTION:
        return log_function(native, _outputs_of(given, example, task), notes, name)
    rows: pd.DataFrame | np.ndarray = example
    if framework != SKLEARN:
        _check_numbers(given.name, example)
        rows = example.to_numpy(np.float32)
    elif _takes_arrays(native) and example.select_dtypes(object).empty:
        rows = example.to_numpy()
    return log_model(FittedModel(native, framework, rows, notes), name, shows_rows=False)


def _check_numbers(name: str, example: pd.DataFrame) -> None:
    """Refuses columns that a network cannot read."""
    texts = [str(c) for c in example.columns if not pd.api.types.is_numeric_dtype(example[c])]
    if texts:
        raise ModelError(
            f"the model {name!r} would read {', '.join(map(repr, texts[:20]))} among its features, "
            "which are no numbers; say which columns it reads by features=[...]"
        )


def _takes_arrays(native: Any) -> bool:
    """Whether an estimator was fitted on an array, whose columns have no names."""
    return hasattr(native, "n_features_in_") and not hasattr(native, "feature_names_in_")


def features_of(native: Any, name: str, data: Data) -> tuple[str, ...]:
    """The columns that a model reads, in its order.

    Raises:
        ModelError: where it was fitted on another number of columns than the data have.
    """
    names = getattr(native, "feature_names_in_", None)
    if names is not None:
        wanted = tuple(str(column) for column in names)
        lacking = [column for column in wanted if column not in data.columns]
        if not lacking:
            return wanted
        raise ModelError(
            f"the model {name!r} was fitted on the columns {', '.join(map(repr, wanted[:20]))}, "
            f"and the data have no {lacking[0]!r} for it; they have "
            f"{', '.join(map(repr, data.columns[:50]))}"
        )
    columns = data.free if data.features is None else data.features
    count = getattr(native, "n_features_in_", None)
    if count is not None and count != len(columns):
        raise ModelError(
            f"the model {name!r} was fitted on an array of {count} columns, and the data have "
            f"{len(columns)} that may be features: {', '.join(map(repr, columns[:50]))}; say which "
            "by features=[...], in the order of the array"
        )
    return tuple(columns)


def _outputs_of(given: Given, example: pd.DataFrame, task: TaskKind) -> pd.DataFrame | np.ndarray:
    """What a function returns for first rows, which says what its outputs are.

    Raises:
        ModelError: where it raises, gives no answer for each row, or numbers that may be anything.
    """
    from engine.models.function_model import answers_of

    try:
        answers = answers_of(given.native, example)
    except Exception as error:
        raise ModelError(
            f"the model {given.name!r} raised when it was asked for {len(example)} rows with the "
            f"columns {', '.join(map(repr, example.columns[:20]))}: {redacted_message(error)}"
        ) from error
    outputs = answers if isinstance(answers, pd.DataFrame) else np.asarray(answers)
    if outputs.shape[:1] != (len(example),):
        raise ModelError(
            f"the model {given.name!r} gave an array of shape {outputs.shape} for {len(example)} "
            "rows; expected an answer for each row"
        )
    if given.output is None and task not in _REGRESSIONS and _may_be_anything(outputs):
        raise ModelError(
            f"the model {given.name!r} gave numbers below 0 or above 1 for the task {task}; "
            "expected probabilities or labels; say {'model': ..., 'output': 'logit'} where they "
            "are log odds, or 'label'"
        )
    return outputs


def _may_be_anything(outputs: pd.DataFrame | np.ndarray) -> bool:
    """Whether there are numbers with fractions that are no probabilities."""
    values = outputs.to_numpy() if isinstance(outputs, pd.DataFrame) else outputs
    if values.dtype.kind != "f":
        return False
    return bool(np.nanmin(values, initial=0.0) < 0 or np.nanmax(values, initial=0.0) > 1)


def _kept_uri(file: Path, log: Log) -> str | None:
    kept = read_kept(file)
    if not isinstance(kept, dict) or "uri" not in kept:
        return None
    uri = str(kept["uri"])
    model_id = uri.removeprefix("models:/")
    there = ask(log.tracking_uri, lambda client: client.get_logged_model(model_id))
    return None if there is None else uri


def _name_in_mlflow(name: str) -> str:
    """A name without the characters that MLflow refuses in one."""
    return "".join("-" if character in "/:.%\"'" else character for character in name)
