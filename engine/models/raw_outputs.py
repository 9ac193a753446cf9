"""What a framework returned, whatever holds it, as an array with the names of its columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from engine.core.vocabulary import Label, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.models.output_columns import (
    BY_CLASSES,
    BY_MODEL,
    BY_SCORES,
    class_columns,
    names_some,
    say_something,
    single_class,
)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a framework returned when it was asked for scores and for labels.

    `labels` may be a function that asks for them, once the scores are known to be some.
    """

    scores: Any
    labels: Any


@dataclass(frozen=True, slots=True)
class Columns:
    """An array of [rows] or [rows, columns]; `names` are empty where they say nothing."""

    values: np.ndarray
    names: tuple[str, ...] = ()


def own_classes(model: ModelVersion) -> tuple[Label, ...]:
    """The classes as the model calls them, in its order."""
    return model.own_classes or model.classes


def read_columns(raw: Any, model: ModelVersion) -> Columns | Answers:
    """The array that a model returned, or the two of scores and labels that the suite names.

    Raises:
        ModelError: for what is no array, or lacks a column that the suite names.
    """
    frame = _frame_of(raw)
    if model.score_columns or model.label_column is not None:
        return _columns_of_suite(frame, model)
    if isinstance(frame, pd.DataFrame):
        return _with_names(frame.to_numpy(), list(frame.columns), model)
    if isinstance(frame, pd.Series):
        name = "" if frame.name is None else str(frame.name)
        return _with_names(frame.to_numpy(), [name] if name else [], model)
    if isinstance(frame, dict):
        if len(frame) != 1:
            raise ModelError(
                f"model {model.name!r} returned a dictionary of {len(frame)} outputs, expected one"
            )
        ((name, value),) = frame.items()
        array = _array(value, model)
        return _with_names(array, [str(name)] if array.ndim == 1 else [], model)
    return _with_names(_array(frame, model), [], model)


def _frame_of(raw: Any) -> Any:
    """Tables of other libraries, rows that are mappings, mappings of columns, as a frame."""
    if not isinstance(raw, pd.DataFrame | pd.Series) and hasattr(raw, "to_pandas"):
        return raw.to_pandas()
    if isinstance(raw, list) and raw and all(isinstance(row, dict) for row in raw):
        return pd.DataFrame(raw)
    if isinstance(raw, dict) and len(raw) > 1:
        columns = {str(name): np.asarray(column) for name, column in raw.items()}
        if all(column.ndim == 1 for column in columns.values()):
            return pd.DataFrame(columns)
    return raw


def _with_names(values: np.ndarray, names: list[Any], model: ModelVersion) -> Columns:
    """The array with its names; where it has none, with those of the signature."""
    if not say_something(names):
        told = [spec.name for spec in model.outputs]
        width = values.shape[1] if values.ndim == 2 else 1
        names = told if len(told) == width else []
    return Columns(values, tuple(map(str, names)))


def _array(raw: Any, model: ModelVersion) -> np.ndarray:
    # scikit-learn gives the indicators of labels as a sparse matrix where it was fitted with one.
    if issparse(raw):
        if raw.shape[1] <= max(len(model.classes), 1):
            return np.asarray(raw.toarray())
        width = len(model.classes) or 1
        raise ModelError(
            f"model {model.name!r} returned a sparse matrix of {raw.shape[1]} columns, "
            f"expected {width}"
        )
    if isinstance(raw, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(raw.astype(np.float64), np.nan))
    try:
        return np.asarray(raw)
    except (ValueError, TypeError):
        raise ModelError(
            f"model {model.name!r} returned {_kind_of(raw)}, whose parts are of several shapes; "
            "expected an array, or a table of named columns"
        ) from None


def _kind_of(raw: Any) -> str:
    size = f" of {len(raw)}" if isinstance(raw, list | tuple) else ""
    return f"a {type(raw).__name__}{size}"


def _columns_of_suite(raw: Any, model: ModelVersion) -> Columns | Answers:
    """The columns that the suite names."""
    wanted = [*model.score_columns, *([model.label_column] if model.label_column else [])]
    if not isinstance(raw, pd.DataFrame):
        raise ModelError(
            f"model {model.name!r} returned {_kind_of(raw)}, expected named columns with "
            f"{', '.join(map(repr, wanted))}"
        )
    names = {str(name): place for place, name in enumerate(raw.columns)}
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ModelError(
            f"model {model.name!r} returned {len(names)} columns, and none is called "
            f"{' or '.join(map(repr, missing))}, as the suite's output says"
        )
    labels = None if model.label_column is None else raw.iloc[:, names[model.label_column]]
    if not model.score_columns:
        assert labels is not None, "one of the two is named"
        return Columns(labels.to_numpy())
    values = raw.iloc[:, [names[name] for name in model.score_columns]].to_numpy()
    scores = Columns(values if values.shape[1] > 1 else values[:, 0], model.score_columns)
    if labels is None:
        return scores
    if model.output is Output.VALUE:
        return scores
    return Answers(scores, labels.to_numpy())


def by_class(columns: Columns, model: ModelVersion) -> Columns:
    """Columns in the model's order of its classes, by their names where these are of classes.

    Raises:
        ModelError: where they have names that are not those of the classes, and nothing else says
            which is of which.
    """
    classes, names = own_classes(model), columns.names
    if columns.values.ndim < 2 or columns.values.shape[1] < 2 or not names:
        return columns
    if columns.values.shape[1] != len(classes) or model.class_source == BY_MODEL:
        return columns
    places = class_columns(names, classes)
    if places is not None:
        return replace(columns, values=columns.values[:, list(places)])
    # Of labels by place the data have no names that columns could have.
    by_place = model.task is TaskKind.MULTILABEL or bool(model.own_classes)
    by_order = by_place or model.class_source in (BY_CLASSES, BY_SCORES)
    if by_order and not names_some(names, classes):
        return columns
    # Their names may be made of data.
    raise ModelError(
        f"model {model.name!r} returned {len(names)} columns whose names are not those of the "
        f"classes {list(classes)}; say in the suite which are which: the model's `classes` in the "
        "order of its columns"
    )


def first_is_meant(columns: Columns, model: ModelVersion) -> bool:
    """Whether a single score is that of the first class, because its column has its name."""
    if model.class_source == BY_MODEL or len(columns.names) != 1:
        return False
    return single_class(columns.names[0], own_classes(model)) == 0


def check_width(columns: Columns, model: ModelVersion) -> None:
    """Refuses several columns where one is wanted."""
    multilabel = model.task is TaskKind.MULTILABEL
    of_one = model.output is Output.VALUE or (model.output is Output.LABEL and not multilabel)
    if of_one and columns.names and columns.values.ndim == 2 and columns.values.shape[1] > 1:
        key = "label" if model.output is Output.LABEL else "scores"
        raise ModelError(
            f"model {model.name!r} returned {columns.values.shape[1]} columns, expected one for "
            f"output {model.output.value!r}; name it in the suite, as in output: {{{key}: ...}}"
        )
