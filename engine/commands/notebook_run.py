"""From the arguments of `evaluate` to a suite and its run.

The suite is read before anything is written, with something in the place of what is not known yet:
so mistakes are told as they are of a suite file. Then the frame becomes a version of a table,
models are logged, and the suite is run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.commands.notebook_models import Entry, Known, entries_of
from engine.commands.progress import Reporter
from engine.commands.run import run
from engine.commands.run_result import RunResult
from engine.core.locations import Store
from engine.core.paths import data_format
from engine.core.registry import did_you_mean
from engine.core.vocabulary import TaskKind
from engine.data.columns import check_columns
from engine.data.frame_tables import write_frame
from engine.data.frames import Frame, frame_of
from engine.data.source import Source, pin_source
from engine.delta.head import Schema
from engine.delta.object_table import table_at
from engine.errors import InputError, ModelError
from engine.models.fitted import Data, Given, Log, Rows, framework_of, log_fitted
from engine.planning.suites import read_suite
from engine.spark.api import F, is_frame
from engine.spark.lazy_session import LazySession
from engine.spark.tables import column
from engine.store.reach import check_store
from engine.suite import Evaluation, argument_keys, dump_mapping

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAME = "notebook"
# What stands in the place of a table and of a model that are not there yet.
_NO_TABLE, _NO_MODEL = "./pending", "models:/pending/1"
_OF_TABLES = ("version", "columns", "null_values")

# Metrics that every model of a task has, and those that need scores.
_METRICS: dict[str, tuple[list[str], list[str]]] = {
    TaskKind.BINARY: (["accuracy", "precision", "recall", "f1"], ["roc_auc", "log_loss"]),
    TaskKind.MULTICLASS: (["accuracy", "balanced_accuracy", "f1_macro"], ["log_loss"]),
    TaskKind.REGRESSION: (["mean_absolute_error", "root_mean_squared_error", "r2"], []),
    TaskKind.MULTILABEL: (["multilabel_f1_micro", "hamming_loss"], []),
    TaskKind.RANKING: ([], ["ndcg_at_10", "mrr"]),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of `evaluate`: what is asked, and of what."""

    data: Any
    models: Any
    slices: Sequence[Any] | None
    tests: Sequence[Any] | None
    baseline: str | None
    columns: Mapping[str, Any]
    more: dict[str, Any] = field(default_factory=dict)


def run_asked(asked: Asked, *, store: Any, spark: SparkSession | None) -> RunResult:
    """Runs what is asked.

    Raises:
        InputError: when an argument, a model or the data are wrong; nothing was evaluated.
        StoreError: when the machinery failed.
    """
    tell, place = Reporter(), _place(store)
    for name, value in (("slices", asked.slices), ("tests", asked.tests)):
        if isinstance(value, str | Mapping):
            raise InputError(f"{name} is of the type {type(value).__name__}; expected a list")
    given = _read_data(asked)
    if is_frame(given):
        spark = given.sparkSession
    executor = str(asked.more.get("executor", "auto"))
    session = LazySession(spark, executor=executor, log_file=place.log_file, say=tell.say)
    data = _look_at(asked, given, session, place) if isinstance(given, dict) else given
    schema = _schema(data)
    entries = entries_of(asked.models, Known(dict(schema), str(asked.columns["task"])))
    suite = _suite(asked, place, entries, _dataset(data))
    (evaluation,) = read_suite(suite).evaluations
    for entry in entries:
        if entry.native is not None:
            framework_of(entry.native, entry.name)
    check_columns(schema, evaluation)
    check_store(place)
    (raw,) = suite["evaluations"]
    if not isinstance(data, _Pinned):
        written = write_frame(session, place, evaluation.dataset.name, data)
        tell.say(f"data: {'written to' if written.is_new else 'are'} {written.path}")
        raw["dataset"] |= {"delta": written.path, "version": written.version}
    if any(entry.native is not None for entry in entries):
        head = data.head if isinstance(data, Frame) else _head_of(data)
        _log_models(
            suite, entries, _data_for_models(evaluation, entries, schema, head), place, tell
        )
    try:
        result = run(suite, spark=session.current)
    except ModelError as error:
        raise ModelError(_by_name(str(error), raw["models"])) from error
    return replace(result, suite_text=dump_mapping(suite))


def _by_name(text: str, models: Sequence[Mapping[str, Any]]) -> str:
    """A message with the names of models in the place of the URIs that they were given."""
    for model in models:
        if "uri" in model:
            text = text.replace(f"model {model['uri']!r}", f"the model {model['name']!r}")
    return text


@dataclass(frozen=True, slots=True)
class _Pinned:
    """A suite's dataset, and where its rows are."""

    dataset: dict[str, Any]
    source: Source


def _look_at(asked: Asked, dataset: dict[str, Any], session: LazySession, store: Store) -> _Pinned:
    """A suite's dataset, which is pinned for its columns."""
    check_store(store)
    columns = [Entry("pending", {"scores": "pending"})]
    bare = replace(asked, baseline=None, slices=None, tests=None)
    (evaluation,) = read_suite(_suite(bare, store, columns, dataset)).evaluations
    return _Pinned(dataset, pin_source(session, store, evaluation))


def _place(given: Any) -> Store:
    """The store; a path is the same from another folder, where its suite may be run."""
    store = Store(str(given) if given is not None else _temporary_store())
    return store if store.local is None else Store(str(store.local.absolute()))


@cache
def _temporary_store() -> str:
    """One for all evaluations of this process that name none; it stays, as its suites do."""
    return tempfile.mkdtemp(prefix="evalmatrix-store-")


def _read_data(asked: Asked) -> Frame | DataFrame | dict[str, Any]:
    """A frame, or what stands in a suite for its dataset."""
    data = asked.data
    if isinstance(data, Mapping):
        return {str(key): value for key, value in data.items()}
    if isinstance(data, str | Path):
        return {data_format(data): str(data)}
    if odd := [key for key in _OF_TABLES if key in asked.more]:
        raise InputError(
            f"evaluate was given {odd[0]} with a frame; expected it with a path or a dataset"
        )
    return data if is_frame(data) else frame_of(data)


def _dataset(data: Frame | DataFrame | _Pinned) -> dict[str, Any]:
    return data.dataset if isinstance(data, _Pinned) else {"delta": _NO_TABLE}


def _schema(data: Frame | DataFrame | _Pinned) -> Schema:
    """The columns as Spark writes them."""
    if isinstance(data, Frame):
        return data.columns
    if isinstance(data, _Pinned):
        return data.source.schema
    return tuple((part.name, part.dataType.simpleString()) for part in data.schema.fields)


def _suite(
    asked: Asked, store: Store, entries: Sequence[Entry], dataset: Mapping[str, Any]
) -> dict[str, Any]:
    """What would stand in a suite file."""
    of_dataset, of_evaluation, of_suite = argument_keys()
    known = {*of_dataset, *of_evaluation, *of_suite}
    if odd := [key for key in asked.more if key not in known]:
        raise InputError(
            f"evaluate has no argument {odd[0]!r}; expected a key of a suite, its evaluation or "
            f"its dataset{did_you_mean(odd[0], known)}"
        )
    more, name = asked.more, str(asked.more.get("name", NAME))
    columns = {key: value for key, value in asked.columns.items() if value is not None}
    evaluation = {
        "name": name,
        "dataset": {
            "name": name, **dataset, **columns,
            **{key: value for key, value in more.items() if key in of_dataset},
        },
        "models": [_model(entry) for entry in entries],
        "baseline": asked.baseline,
        "slices": None if asked.slices is None else list(map(_slices, asked.slices)),
        "tests": _tests(asked, entries),
        **{key: value for key, value in more.items() if key in of_evaluation - of_dataset},
    }  # fmt: skip
    own = {key: value for key, value in more.items() if key in of_suite - of_evaluation}
    given = {key: value for key, value in evaluation.items() if value is not None}
    return {"name": name, "store": store.root, **own, "evaluations": [given]}


def _model(entry: Entry) -> dict[str, Any]:
    uri = {} if entry.native is None else {"uri": _NO_MODEL}
    return {**uri, "name": entry.name, **entry.keys}


def _slices(given: Any) -> Any:
    """A column, or several that are crossed, as a rule; others as they are."""
    if isinstance(given, str) and given != "overall":
        return {"by": [given]}
    return {"by": list(given)} if isinstance(given, list | tuple) else given


def _tests(asked: Asked, entries: Sequence[Entry]) -> list[Any]:
    if asked.tests is not None:
        return [{"metric": test} if isinstance(test, str) else test for test in asked.tests]
    of_all, of_scores = _METRICS.get(str(asked.columns["task"]), (["accuracy"], []))
    metrics = of_all + (of_scores if all(entry.gives_scores for entry in entries) else [])
    demand = {} if asked.baseline is None else {"no_worse": True}
    return [{"metric": metric, **demand} for metric in metrics]


def _data_for_models(
    evaluation: Evaluation, entries: Sequence[Entry], schema: Schema, head: Rows
) -> Data:
    """What models are shown of the data: the columns that may be features, and first rows."""
    dataset = evaluation.dataset
    single = (dataset.label, dataset.weight, dataset.cluster, dataset.query)
    said = [name for entry in entries for name in entry.columns]
    used = {*single, *dataset.key, *dataset.sensitive, *said}
    columns = tuple(name for name, _ in schema)
    free = tuple(name for name in columns if name not in used)
    return Data(dataset.task, columns, free, head, dataset.features)


def _head_of(data: DataFrame | _Pinned) -> Rows:
    """The first rows by Spark, where there is one."""

    def head(rows: int, columns: Sequence[str]) -> pd.DataFrame:
        if isinstance(data, _Pinned) and data.source.session.is_local:
            table = table_at(data.source.place_here())
            assert table is not None, "a place that delta-rs takes for itself"
            first: pd.DataFrame = table.head(columns, rows, data.source.version).to_pandas()
            return first
        frame = data.source.frame() if isinstance(data, _Pinned) else data
        chosen = [F.col(column(name)) for name in columns]
        return frame.select(*chosen).limit(rows).toPandas()

    return head


def _log_models(
    suite: dict[str, Any], entries: Sequence[Entry], data: Data, store: Store, tell: Reporter
) -> None:
    """Logs the models that were given themselves, and puts their URIs into the suite."""
    (raw,) = suite["evaluations"]
    uri = (suite.get("mlflow") or {}).get("tracking_uri") or store.tracking_uri
    log = Log(uri, suite["name"], store.files / "cache" / "logged")
    for place, entry in enumerate(entries):
        if entry.native is not None:
            tell.say(f"{raw['name']}: logging the model {entry.name!r}")
            output = entry.keys.get("output")
            given = Given(entry.name, entry.native, output if isinstance(output, str) else None)
            raw["models"][place]["uri"] = log_fitted(given, data, log)
