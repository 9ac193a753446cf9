"""From a suite to a plan: data taken into Delta, versions pinned, models found, all of it checked.

What is wrong with the inputs is found here, before any model predicts a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from pyspark.sql import DataFrame, SparkSession

from engine.core.locations import Store
from engine.core.paths import is_there, local_path
from engine.core.registry import nearest
from engine.core.vocabulary import DatasetVersion, ModelVersion, TensorSpec
from engine.data.ingest import ingest
from engine.data.profile import Profile, check_columns, check_predicates, profile
from engine.errors import DataError, EvalMatrixError, InputError, ModelError
from engine.models import check_inputs
from engine.planning import (
    Columns,
    EvaluationPlan,
    check_fit,
    code_of,
    expand_tests,
    libraries,
    make_problem,
)
from engine.planning.model_finder import ModelFinder
from engine.spark import table_errors, tables
from engine.suite import Evaluation, Predictions, Suite

# As many slices as lie together in one part of the states table.
BLOCK_SLICES = 1024

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An evaluation that can run: its plan, the rows it reads, and about how many slices."""

    plan: EvaluationPlan
    frame: DataFrame
    slices: int


def prepare(
    spark: SparkSession,
    suite: Suite,
    evaluation: Evaluation,
    *,
    finder: ModelFinder,
    say: Say = lambda text: None,
) -> Prepared:
    """Pins and checks one evaluation.

    Raises:
        DataError: for a dataset that is missing, empty, or does not have what is asked of it.
        ModelError: for a model that is not found or does not fit the data.
    """
    store = Store(suite.store)
    say(f"{evaluation.name}: pinning the dataset")
    pin, frame = _pin_dataset(spark, store, evaluation)
    check_columns(frame, evaluation)
    check_predicates(frame, evaluation)
    count = len(evaluation.models)
    say(f"{evaluation.name}: finding {count} model{'' if count == 1 else 's'}")
    models = tuple(_with_features(model, evaluation, frame) for model in finder.models(evaluation))
    say(f"{evaluation.name}: looking at the labels")
    try:
        seen = profile(frame, evaluation)
    except EvalMatrixError:
        raise
    except Exception as error:
        raise table_errors.read_error(error, f"dataset {evaluation.dataset.name!r}") from error
    dataset = pin.dataset(evaluation.dataset.name, seen.rows, frame)
    return Prepared(_plan(suite, evaluation, models, (dataset, seen)), frame, seen.slices)


def _pin_dataset(
    spark: SparkSession, store: Store, evaluation: Evaluation
) -> tuple[tables.Pin, DataFrame]:
    dataset = evaluation.dataset
    table = dataset.uri
    if dataset.format != "delta":
        table = store.lake_table(dataset.name)
        ingest(spark, dataset.uri, table=table, fmt=dataset.format)
    elif is_there(table) or not (tables.is_catalog_name(table) or "://" in table):
        # A folder may be called `lake.claims`, like a table of a catalog.
        table = str(local_path(table) or table)
    try:
        pin = tables.pin(spark, table, dataset.version)
        return pin, tables.read(spark, table, pin.version)
    except EvalMatrixError as error:
        raise type(error)(f"evaluation {evaluation.name!r}: {error}") from error
    except Exception as error:
        raise table_errors.read_error(error, f"dataset {dataset.name!r}") from error


def _with_features(model: ModelVersion, evaluation: Evaluation, frame: DataFrame) -> ModelVersion:
    """The model with the columns that feed it, all of which the dataset has."""
    if not model.features:
        dataset = evaluation.dataset
        single = (dataset.label, dataset.weight, dataset.cluster, dataset.query)
        used = {*single, *dataset.key, *dataset.sensitive}
        model = replace(model, features=tuple(c for c in frame.columns if c not in used))
    missing = check_inputs(model, frame.columns)
    if missing:
        close = nearest(missing[0], frame.columns)
        hint = f"; nearest to {missing[0]!r} is {close!r}" if close else ""
        raise ModelError(
            f"evaluation {evaluation.name!r}: the model {model.name!r} ({model.uri}) wants the "
            f"columns {missing}, which the dataset {evaluation.dataset.name!r} lacks; it has "
            f"{', '.join(map(repr, frame.columns[:50]))}{hint}"
        )
    _check_size(model, evaluation, frame)
    return model


def _check_size(model: ModelVersion, evaluation: Evaluation, frame: DataFrame) -> None:
    """Refuses scalar columns that cannot fill the one tensor of a signature."""
    tensors = [spec for spec in model.inputs if isinstance(spec, TensorSpec)]
    if len(tensors) != 1 or len(model.features) < 2 or -1 in tensors[0].shape:
        return
    size = 1
    for extent in tensors[0].shape:
        size *= extent
    if size != len(model.features):
        raise ModelError(
            f"evaluation {evaluation.name!r}: the model {model.name!r} wants a tensor of shape "
            f"{tensors[0].shape}, {size} numbers for each row, and its features are "
            f"{len(model.features)} columns; name the right ones in dataset.features"
        )


def _plan(
    suite: Suite,
    evaluation: Evaluation,
    models: tuple[ModelVersion, ...],
    data: tuple[DatasetVersion, Profile],
) -> EvaluationPlan:
    dataset, seen = data
    source = evaluation.dataset
    try:
        problem = make_problem(
            source.task, models, labels=seen.labels, positive_label=source.positive_label
        )
    except InputError as error:
        raise DataError(f"evaluation {evaluation.name!r}: {error}") from error
    problem = replace(problem, costs=evaluation.costs)
    models = tuple(replace(model, classes=problem.classes) for model in models)
    plan = EvaluationPlan(
        name=evaluation.name,
        dataset=dataset,
        columns=Columns(
            source.label,
            source.weight,
            source.key,
            source.cluster,
            source.sensitive,
            source.query,
        ),
        problem=problem,
        models=models,
        baseline=evaluation.baseline,
        slice_sets=seen.slice_sets,
        tests=expand_tests(evaluation.tests, problem),
        min_slice_rows=evaluation.min_slice_rows,
        max_slices=evaluation.max_slices,
        plugins=suite.plugins,
        confidence=suite.confidence,
        correction=suite.false_alarms.within,
        over_runs=suite.false_alarms.over_runs,
        rows_per_cluster=seen.rows_per_cluster,
        libraries=libraries(models),
        keep=evaluation.predictions is Predictions.KEEP,
        timeout=evaluation.timeout,
        memory=evaluation.memory,
    )
    check_fit(plan)
    return replace(plan, code=code_of(plan), blocks=_blocks(plan, seen))


def _blocks(plan: EvaluationPlan, seen: Profile) -> tuple[tuple[str, int], ...]:
    """Into how many parts the states of the larger slice sets go."""
    blocks = []
    for slice_set in plan.scanned_sets:
        sizes = [seen.values.get(d.column, len(d.edges or ()) + 3) for d in slice_set.dimensions]
        slices = min(prod(sizes), plan.dataset.rows)
        if slices > BLOCK_SLICES:
            blocks.append((slice_set.name, 1 << (slices // BLOCK_SLICES).bit_length()))
    return tuple(blocks)
