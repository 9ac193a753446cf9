"""scikit-learn estimators, and everything that has their interface."""

from __future__ import annotations

import functools
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.core.vocabulary import ColumnSpec, Label, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.models.artifact import Artifact, add_code_paths
from engine.models.features import matrix, read_arrays, read_frame
from engine.models.flavors.base import Description, Runner, may_unpickle, task_threads
from engine.models.flavors.decision import (
    decides_otherwise,
    innermost,
    takes_documents,
    votes_of_pairs,
)
from engine.models.raw_outputs import Answers

_METHODS = {
    Output.PROBABILITY: "predict_proba",
    Output.LOGIT: "decision_function",
    Output.LABEL: "predict",
    Output.VALUE: "predict",
}

# So many rows tell in what an estimator takes them.
_TRIED_ROWS = 16

# scikit-learn's bridges to other array libraries, each of which imports its library whole.
_BRIDGES = tuple(
    f"sklearn.externals.array_api_compat.{library}" for library in ("cupy", "dask", "torch")
)


def open_model(artifact: Artifact) -> Any:
    """Loads the estimator in the format that its `MLmodel` names.

    MLflow's own loader is left for what is not known here, and for processes in which
    unpickling is forbidden: it knows what to refuse.
    """
    options = artifact.flavors["sklearn"]
    path = artifact.path / options["pickled_model"]
    kind = options.get("serialization_format", "pickle")
    add_code_paths(artifact)
    # For MLflow's loader, too.
    skops_io = import_skops() if kind == "skops" else None
    if may_unpickle() and skops_io is not None:
        return skops_io.load(path, trusted=options.get("skops_trusted_types"))
    if may_unpickle() and kind in ("pickle", "cloudpickle"):
        # What cloudpickle writes is read by pickle.
        with path.open("rb") as file:
            return pickle.load(file)
    import mlflow.sklearn

    return mlflow.sklearn.load_model(str(artifact.path))


def import_skops() -> Any:
    """Imports `skops.io` without PyTorch, which costs a process seconds and 500 MiB.

    skops asks scikit-learn for the names of all its estimators, and the walk through scikit-learn's
    packages that finds them imports the bridges too, though no estimator is in them. For the walk
    they cannot be imported, as on a machine without their libraries. A model that needs PyTorch
    imports it when it is loaded.
    """
    with _hide(_BRIDGES):
        import skops.io  # type: ignore[import-untyped]

    return skops.io


@contextmanager
def _hide(modules: Sequence[str]) -> Iterator[None]:
    """Lets this thread's imports of modules that are not imported yet fail while the block runs.

    Other threads find them, and nobody is left with a trace of it afterwards.
    """
    finder = _Hidden(frozenset(modules), threading.get_ident())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@dataclass(frozen=True, slots=True, eq=False)
class _Hidden:
    """A finder for `sys.meta_path` that says of some modules, to one thread, that they are not."""

    modules: frozenset[str]
    thread: int

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in self.modules and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(f"{name} is not imported for a list of names", name=name)


def describe(native: Any, artifact: Artifact) -> Description:
    """Reads `classes_`, which of the prediction methods there are, and how it decides.

    Of a classifier without `predict_proba` the values of `decision_function` rank the rows. Where
    the suite calls them logits, softmax or sigmoid make probabilities of them. The values for each
    pair of classes that an SVC may give are no scores of classes.
    """
    kind = type(native).__name__
    names = tuple(str(name) for name in getattr(native, "feature_names_in_", ()))
    classes = getattr(native, "classes_", None)
    # Some regressors have the attribute and nothing in it.
    known = classes is not None and len(classes) > 0
    if not known and _is_regressor(native):
        return Description(kind, (Output.VALUE,), features=names)
    if not known and not callable(getattr(native, "predict_proba", None)):
        # It does not say what its answers are: a detector's labels, somebody's own.
        return Description(kind, (Output.VALUE, Output.LABEL), features=names)
    of_classifiers = {
        candidate: how for candidate, how in _METHODS.items() if candidate is not Output.VALUE
    }
    offered = [
        output
        for output, method in of_classifiers.items()
        if callable(getattr(native, method, None))
    ]
    if Output.LOGIT in offered and votes_of_pairs(native):
        offered.remove(Output.LOGIT)
    multilabel = _is_multilabel(native, kind) if known else None
    labels: tuple[Label, ...] = ()
    if known:
        # The labels of an indicator matrix have places and no names.
        places = range(len(native.classes_))
        single = tuple(np.asarray(native.classes_).tolist()) if not multilabel else ()
        labels = tuple(map(str, places)) if multilabel else single
    return Description(
        kind,
        tuple(offered),
        labels,
        names,
        multilabel,
        decides=decides_otherwise(native),
        squashed=Output.PROBABILITY not in offered and Output.LOGIT in offered,
    )


def _is_regressor(native: Any) -> bool:
    """Whether an estimator says that it is one, by scikit-learn's tags or as it was done before."""
    from sklearn.base import is_regressor

    inner = innermost(native)
    if getattr(inner, "_estimator_type", None) == "regressor":
        return True
    try:
        return bool(is_regressor(native))
    except (AttributeError, TypeError):  # what only looks like an estimator has no tags
        return False


def _is_multilabel(native: Any, kind: str) -> bool | None:
    """Whether a classifier was fitted with a matrix of zeros and ones; None where nothing tells.

    Some keep the classes of each column in a list, others the kind of what they were fitted with.
    """
    several = isinstance(native.classes_, list | tuple) and any(
        isinstance(labels, list | tuple | np.ndarray) for labels in native.classes_
    )
    if several:
        targets = [np.asarray(labels).tolist() for labels in native.classes_]
        if any(not set(labels) <= {0, 1} for labels in targets):
            raise ModelError(
                f"{kind} predicts {len(targets)} targets at once, expected one, or labels of which "
                "each is 0 or 1"
            )
        return True
    inner = innermost(native)
    if hasattr(inner, "multilabel_"):
        return bool(inner.multilabel_)
    fitted_with = getattr(getattr(inner, "_label_binarizer", None), "y_type_", None)
    if fitted_with is not None:
        return bool(fitted_with == "multilabel-indicator")
    return False if type(inner).__module__.startswith("sklearn.") else None


def make_runner(native: Any, model: ModelVersion) -> Runner:
    """Picks the method for `model.output`, and the container that the estimator was fitted with.

    An estimator that predicts labels one by one gives a list of arrays, one for each label.
    """
    method = _METHODS[model.output]
    predict = getattr(native, method, None)
    if predict is None:
        raise ModelError(
            f"model {model.name!r}: output {model.output.value!r} needs {method}, "
            f"which {type(native).__name__} does not have"
        )
    for part in _parts(native):
        part.n_jobs = task_threads()
    chosen: list[Container] = []

    def run(table: pa.Table) -> Any:
        if not chosen:
            chosen.append(_choose(predict, _containers(native, model, table), table))
        rows = chosen[0](table)
        output = predict(rows)
        if isinstance(output, list) and model.task is TaskKind.MULTILABEL:
            output = _of_ones(output, native.classes_)
        return Answers(output, lambda: native.predict(rows)) if model.decides else output

    return run


Container = Callable[[pa.Table], Any]


def _containers(native: Any, model: ModelVersion, table: pa.Table) -> list[Container]:
    """What may make of a batch that which an estimator was fitted with, the likeliest first."""
    if model.inputs and not isinstance(model.inputs[0], ColumnSpec):
        return [lambda table: read_arrays(table, model)[0]]
    named = hasattr(native, "feature_names_in_")
    by_nan = functools.cache(lambda: _knows_missing_texts_as_nan(native))

    def frame(table: pa.Table, *, zoned: bool = False) -> Any:
        rows = read_frame(table, model, zoned=zoned)
        return rows.where(rows.notna(), np.nan) if _lacks_texts(rows) and by_nan() else rows

    def with_zones(table: pa.Table) -> Any:
        return frame(table, zoned=True)

    def series(table: pa.Table) -> Any:
        return frame(table).iloc[:, 0]

    if not named and hasattr(native, "n_features_in_"):
        # An estimator that was fitted with an array warns of the names of a frame.
        return [lambda table: matrix(frame(table))]
    columns = [table.column(name).type for name in model.features if name in table.column_names]
    if not model.inputs and any(pa.types.is_timestamp(kind) and kind.tz for kind in columns):
        return [frame, with_zones]
    if named or len(model.features) != 1:
        return [frame]
    # What was fitted with one column of texts says nothing of it; vectorizers are known.
    return [series, frame] if takes_documents(native) else [frame, series]


def _lacks_texts(rows: pd.DataFrame) -> bool:
    """Whether a column of texts has a null."""
    return bool(rows.select_dtypes("object").isna().any(axis=None))


def _knows_missing_texts_as_nan(native: Any) -> bool:
    """Whether a missing text is NaN to an estimator, as pandas reads it from CSV, and not None.

    Encoders have seen one of the two; an imputer looks for the one it was told.
    """
    nan = False
    for part in _walk(native, set()):
        for categories in getattr(part, "categories_", ()):
            if not isinstance(categories, np.ndarray) or categories.dtype != object:
                continue
            if any(category is None for category in categories):
                return False
            nan |= any(category != category for category in categories)
        missing = getattr(part, "missing_values", None)
        nan |= isinstance(missing, float) and missing != missing
    return nan


def _choose(
    predict: Callable[[Any], Any], containers: list[Container], table: pa.Table
) -> Container:
    """The first container in which some rows get an answer each; the first where none do."""
    if len(containers) == 1:
        return containers[0]
    few = table.slice(0, _TRIED_ROWS)
    if few.num_rows == 1:
        # A table taken for a sequence of texts has as many as columns: one row would not tell.
        few = pa.concat_tables([few, few])
    for container in containers:
        with suppress(Exception):
            if len(predict(container(few))) == few.num_rows:
                return container
    return containers[0]


def _of_ones(by_label: list[np.ndarray], classes: list[np.ndarray]) -> np.ndarray:
    """The probability of 1 for each label, [rows, labels].

    A label that was always the same when the estimator was fitted has one column only.
    """
    columns = [
        probabilities[:, np.flatnonzero(np.asarray(known) == 1)].sum(axis=1)
        for probabilities, known in zip(by_label, classes, strict=True)
    ]
    return np.stack(columns, axis=1)


def _parts(native: Any) -> Iterator[Any]:
    """Each part of a fitted estimator that has an `n_jobs`."""
    return (part for part in _walk(native, set()) if "n_jobs" in vars(part))


def _walk(value: Any, seen: set[int]) -> Iterator[Any]:
    """A fitted estimator and those in it."""
    from sklearn.base import BaseEstimator

    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, BaseEstimator):
        yield value
        inner = list(vars(value).values())
    elif isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list | tuple):
        inner = list(value)
    else:
        return
    for item in inner:
        yield from _walk(item, seen)
