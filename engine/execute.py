"""Ships the kernel over the partitions of a dataset version and adds what comes back.

One evaluation is one Spark job of two stages: scan (each row is read once and predicted once by
each model) and merge (the states of the partitions are added in the shuffle, to those that are kept
of another version of the dataset where there are any). No row and no unmerged state reaches the
driver.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType, MapType, StructField, VariantType

from engine import kernel, table_errors, tables
from engine.errors import StoreError, WorkerDiedError
from engine.kernel import BUCKET_COLUMN, KEY_COLUMN, STATE_KEY, Work
from engine.matrix import PREDICTIONS, STATES_VERSION, EvaluationPlan, needs
from engine.slices import where_column
from engine.spark_internals import cores
from engine.states import BUCKETS
from engine.tables import column

# How Spark says that the process is gone in which the kernel ran.
_DIED = re.compile("Python worker exited unexpectedly|ExecutorLostFailure")

# Of the columns by which states are looked up; each commit of a table lists those of its files.
_LOOKED_UP = ("run_id", "evaluation", "step", "dataset_id", "dataset_version", "model_digest")
_STATISTICS = {"delta.dataSkippingStatsColumns": ",".join(_LOOKED_UP)}

SMALL_ROWS = 2_000
PARTITION_ROWS = 131_072

SCANNED_DDL = (
    "slice_set string, block int, model int, family string, sign tinyint, "
    "slice_keys array<string>, payload binary"
)
_MERGED_DDL = (
    "slice_set string, block int, blocks int, model int, family string, state string, "
    "slice_keys array<string>, payload binary"
)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are scanned, as `projected` gives them, about how many, and what for.

    `extra` are the names of columns that the frame has behind the projected ones.
    """

    frame: DataFrame
    rows: int
    work: Work
    extra: tuple[str, ...] = ()


def column_names(plan: EvaluationPlan) -> list[str]:
    """The columns that the scan reads, the bucket and the predicates among them."""
    columns = plan.columns
    names = {columns.label: None}
    for model in plan.models:
        names.update(dict.fromkeys(model.features))
    for name in (columns.weight, columns.query):
        if name is not None:
            names[name] = None
    for slice_set in plan.scanned_sets:
        names.update({dimension.column: None for dimension in slice_set.dimensions})
    key = [KEY_COLUMN] if plan.keep else []
    return [*names, *_wheres(plan), BUCKET_COLUMN, *key]


def _wheres(plan: EvaluationPlan) -> dict[str, str]:
    """The predicates of the slice sets by the name of the column that holds them."""
    return {
        where_column(number): slice_set.where
        for number, slice_set in enumerate(plan.scanned_sets)
        if slice_set.where is not None
    }


def projected(frame: DataFrame, plan: EvaluationPlan) -> DataFrame:
    """The columns that the scan reads and no others, under the names `c0`, `c1`, ...

    Spark looks a frame's columns up by names in which a dot or a backtick means something.
    """
    made: dict[str, Column] = {
        name: F.expr(where).cast("boolean") for name, where in _wheres(plan).items()
    }
    made[BUCKET_COLUMN] = _bucket(frame, plan)
    if plan.keep:
        made[KEY_COLUMN] = key_text(*plan.columns.key)
    found = [made[name] if name in made else F.col(column(name)) for name in column_names(plan)]
    return frame.select(*[each.alias(f"c{place}") for place, each in enumerate(found)])


def key_text(*names: str) -> Column:
    """The key of a row as one text, under which its predictions are kept."""
    return F.to_json(F.struct(*[F.col(column(name)) for name in names]))


def projected_column(plan: EvaluationPlan, name: str) -> str:
    """The name that a column has in a projected frame."""
    return f"c{column_names(plan).index(name)}"


def scan(plan: EvaluationPlan, parts: Sequence[Part]) -> DataFrame:
    """What the scans of the parts give: states that are not merged yet, and predictions to keep."""
    return reduce(DataFrame.unionByName, [_scanned(part, plan) for part in parts])


def merged(
    spark: SparkSession, plan: EvaluationPlan, parts: Sequence[Part], states: Sequence[DataFrame]
) -> DataFrame:
    """The sums of states, one row for each model, slice set, block and family.

    `states` are those of scans, and those that are kept of another version of the dataset.
    """
    every = reduce(DataFrame.unionByName, states)
    ordered = every.repartition(cores(spark), *STATE_KEY).sortWithinPartitions(*STATE_KEY)
    # By name, since a worker that only merges has not loaded the metrics of users' own.
    names = {need.place: need.state for need in needs(plan)}
    return ordered.mapInArrow(partial(_merge, names=names, blocks=_blocks(parts)), _MERGED_DDL)


def _scanned(part: Part, plan: EvaluationPlan) -> DataFrame:
    query = plan.columns.query
    by = None if query is None else projected_column(plan, query)
    names = [*column_names(plan), *part.extra]
    return _partitioned(part, by).mapInArrow(
        partial(_scan, plan=plan, names=names, work=part.work), SCANNED_DDL
    )


def _scan(
    batches: Iterable[pa.RecordBatch], plan: EvaluationPlan, names: Sequence[str], work: Work
) -> Iterator[pa.RecordBatch]:
    context = TaskContext.get()
    partition = 0 if context is None else context.partitionId()
    renamed = (batch.rename_columns(list(names)) for batch in batches)
    return kernel.scan(renamed, plan, work, partition)


def _merge(
    batches: Iterable[pa.RecordBatch],
    names: Mapping[tuple[int, str, str], str | None],
    blocks: Mapping[str, int],
) -> Iterator[pa.RecordBatch]:
    for batch in kernel.merge(batches):
        sets, models, families = (
            batch.column(name).to_pylist() for name in ("slice_set", "model", "family")
        )
        places = zip(models, sets, families, strict=True)
        columns = {
            **{name: batch.column(name) for name in batch.schema.names if name != "sign"},
            "blocks": pa.array([blocks.get(each, 1) for each in sets], pa.int32()),
            "state": pa.array([names.get(place) for place in places], pa.string()),
        }
        yield pa.RecordBatch.from_pydict({name: columns[name] for name in _MERGED})


_MERGED = tuple(each.split()[0] for each in _MERGED_DDL.split(", "))


def _blocks(parts: Sequence[Part]) -> dict[str, int]:
    """Into how many parts the states of each slice set go; all scans of an evaluation agree."""
    return {name: count for part in parts for name, count in part.work.blocks.items()}


def _bucket(frame: DataFrame, plan: EvaluationPlan) -> Column:
    """The bucket of a row, by a hash of what it belongs to: its cluster, its query, its key."""
    hashed = F.xxhash64(*[hashable(frame.schema[name]) for name in plan.bucket_columns])
    return F.pmod(hashed, F.lit(BUCKETS)).cast("int")


def hashable(field: StructField) -> Column:
    """A column whose equal values have equal bytes: one zero, one NaN, no maps."""
    value = F.col(column(field.name))
    if isinstance(field.dataType, (DoubleType, FloatType)):
        return F.when(F.isnan(value), F.lit(float("nan"))).otherwise(value + F.lit(0.0))
    if isinstance(field.dataType, (MapType, VariantType)):
        return F.to_json(F.struct(value))
    return value


def _partitioned(part: Part, by: str | None) -> DataFrame:
    """Partitions of about equal rows, some for each core, however the files lie.

    The rows of one value of the column `by` come one after the other.
    """
    frame, rows = part.frame, part.rows
    parts = max(2 * cores(frame.sparkSession), math.ceil(rows / PARTITION_ROWS))
    if rows <= SMALL_ROWS:
        parts = 1
    if by is not None:
        return frame.repartition(parts, by).sortWithinPartitions(by)
    return frame.coalesce(1) if rows <= SMALL_ROWS else frame.repartition(parts)


def chain_rows(
    spark: SparkSession, plan: EvaluationPlan, chains: Mapping[int, Sequence[int]]
) -> DataFrame:
    """Rows that say which predictions are kept, see `engine.predictions`, by model."""
    states = {need.model: need.state for need in needs(plan) if need.family == PREDICTIONS}
    rows: list[tuple[object, ...]] = [
        ("", 0, 1, model, PREDICTIONS, states[model], [], bytearray(json.dumps(chain).encode()))
        for model, chain in chains.items()
    ]
    return spark.createDataFrame(rows, _MERGED_DDL)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the states of a run are written; `step` tells the scans of one evaluation apart."""

    table: str
    run_id: str
    now: dt.datetime
    step: str = ""


def store_states(states: DataFrame, plan: EvaluationPlan, target: Target) -> None:
    """Runs the scan and writes its states, once for a run, evaluation and step.

    Raises:
        DataError: when a worker met data it cannot take.
        WorkerDiedError: when a model, or something else, has ended a worker's Python.
        StoreError: when the dataset's files are gone or damaged, or the states cannot be written.
    """
    about = states.select(
        F.lit(target.run_id).alias("run_id"),
        F.lit(plan.name).alias("evaluation"),
        F.lit(target.step).alias("step"),
        F.lit(plan.dataset.name).alias("dataset"),
        F.lit(plan.dataset.table_id).alias("dataset_id"),
        F.lit(plan.dataset.version).cast("long").alias("dataset_version"),
        _model_digest(plan).alias("model_digest"),
        *states.columns,
        F.lit(STATES_VERSION).alias("schema_version"),
        F.lit(target.now).cast("timestamp").alias("created_at"),
    )
    # By its repr, so that no name and step are another name.
    token = f"states {target.run_id} {plan.name!r} {target.step}".rstrip()
    try:
        tables.append_once(about, target.table, token=token, options=_STATISTICS, long=True)
    except StoreError as error:
        cause = error.__cause__
        if _DIED.search(str(cause)):
            raise WorkerDiedError(
                f"evaluation {plan.name!r}: a Python worker of Spark died, though each model was "
                "in a process of its own; most likely the machine's memory ran out"
            ) from cause
        if isinstance(cause, Exception) and table_errors.reads_data(cause, target.table):
            named = f"evaluation {plan.name!r}: dataset {plan.dataset.name!r}"
            raise table_errors.read_error(cause, named, under_way=True) from cause
        raise


def _model_digest(plan: EvaluationPlan) -> Column:
    digests = F.array(*[F.lit(model.digest) for model in plan.models])
    return F.element_at(digests, F.col("model") + 1)
