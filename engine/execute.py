"""Ships the kernel over the partitions of a dataset version and adds what comes back.

One evaluation is one Spark job of two stages: scan (each row is read once and predicted once by
each model) and merge (the states of the partitions are added in the shuffle). No row and no
unmerged state reaches the driver.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType, MapType, StructField, VariantType

from engine import kernel, tables
from engine.errors import InputError, StoreError
from engine.kernel import BUCKET_COLUMN, STATE_KEY
from engine.matrix import EvaluationPlan
from engine.measure import StateRow
from engine.slices import where_column
from engine.spark_internals import cores
from engine.states import BUCKETS
from engine.tables import column

# 2: shares have the squares of their weights beside them, and models are compared row by row.
STATES_VERSION = 2
SMALL_ROWS = 2_000
PARTITION_ROWS = 131_072

_STATE_DDL = "model int, slice_set string, slice_key string, family string, payload binary"


def _scan(
    batches: Iterable[pa.RecordBatch], plan: EvaluationPlan, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    return kernel.scan((batch.rename_columns(list(names)) for batch in batches), plan)


def scan(frame: DataFrame, plan: EvaluationPlan) -> DataFrame:
    """The merged states of an evaluation, one row for each model, slice and family."""
    projected = _projected(frame, plan)
    names = projected.columns
    # Spark looks a frame's columns up by names in which a dot or a backtick means something.
    plain = projected.toDF(*[f"c{place}" for place in range(len(names))])
    query = plan.columns.query
    by = None if query is None else f"c{names.index(query)}"
    states = _partitioned(plain, plan, by).mapInArrow(
        partial(_scan, plan=plan, names=names), _STATE_DDL
    )
    merged = states.repartition(cores(frame.sparkSession), *STATE_KEY).sortWithinPartitions(
        *STATE_KEY
    )
    return merged.mapInArrow(kernel.merge, _STATE_DDL)


def _projected(frame: DataFrame, plan: EvaluationPlan) -> DataFrame:
    """The columns that the scan reads, with the bucket and the predicates, and no others."""
    columns = plan.columns
    names = {columns.label: None}
    for model in plan.models:
        names.update(dict.fromkeys(model.features))
    for name in (columns.weight, columns.query):
        if name is not None:
            names[name] = None
    for slice_set in plan.scanned_sets:
        names.update({dimension.column: None for dimension in slice_set.dimensions})
    wheres = [
        F.expr(slice_set.where).alias(where_column(number))
        for number, slice_set in enumerate(plan.scanned_sets)
        if slice_set.where is not None
    ]
    return frame.select(
        *[F.col(column(name)) for name in names], *wheres, _bucket(frame, plan).alias(BUCKET_COLUMN)
    )


def _bucket(frame: DataFrame, plan: EvaluationPlan) -> Column:
    """The bucket of a row, by a hash of what it belongs to: its cluster, its query, its key."""
    columns = plan.columns
    whole = columns.cluster or columns.query
    names = [whole] if whole else list(columns.key or frame.columns)
    hashed = F.xxhash64(*[_hashable(frame.schema[name]) for name in names])
    return F.pmod(hashed, F.lit(BUCKETS)).cast("int")


def _hashable(field: StructField) -> Column:
    """A column whose equal values have equal bytes: one zero, one NaN, no maps."""
    value = F.col(column(field.name))
    if isinstance(field.dataType, (DoubleType, FloatType)):
        return F.when(F.isnan(value), F.lit(float("nan"))).otherwise(value + F.lit(0.0))
    if isinstance(field.dataType, (MapType, VariantType)):
        return F.to_json(F.struct(value))
    return value


def _partitioned(frame: DataFrame, plan: EvaluationPlan, by: str | None) -> DataFrame:
    """Partitions of about equal rows, some for each core, however the files lie.

    The rows of one value of the column `by` come one after the other.
    """
    rows = plan.dataset.rows
    parts = max(2 * cores(frame.sparkSession), math.ceil(rows / PARTITION_ROWS))
    if rows <= SMALL_ROWS:
        parts = 1
    if by is not None:
        return frame.repartition(parts, by).sortWithinPartitions(by)
    return frame if rows <= SMALL_ROWS else frame.repartition(parts)


def store_states(
    states: DataFrame, plan: EvaluationPlan, *, table: str, run_id: str, now: dt.datetime
) -> None:
    """Runs the scan and writes its states, once for a run and evaluation.

    Raises:
        DataError: when the dataset's files are gone, or a worker met data it cannot take.
        StoreError: when the states cannot be written.
    """
    about = states.select(
        F.lit(run_id).alias("run_id"),
        F.lit(plan.name).alias("evaluation"),
        F.lit(plan.digest).alias("plan_digest"),
        F.lit(plan.dataset.name).alias("dataset"),
        F.lit(plan.dataset.table_id).alias("dataset_id"),
        F.lit(plan.dataset.version).cast("long").alias("dataset_version"),
        _model_digest(plan).alias("model_digest"),
        *states.columns,
        F.lit(STATES_VERSION).alias("schema_version"),
        F.lit(now).cast("timestamp").alias("created_at"),
    )
    try:
        tables.append_once(about, table, token=f"states {run_id} {plan.name}")
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, PySparkException):
            raise tables.read_error(cause, f"dataset {plan.dataset.name!r}") from cause
        raise


def _model_digest(plan: EvaluationPlan) -> Column:
    digests = F.array(*[F.lit(model.digest) for model in plan.models])
    return F.element_at(digests, F.col("model") + 1)


def stored_states(
    spark: SparkSession, plan: EvaluationPlan, *, table: str, run_id: str
) -> Iterator[StateRow]:
    """The merged states of a run's evaluation, sorted by slice; few are held at a time."""
    rows = (
        tables.read(spark, table)
        .where((F.col("run_id") == run_id) & (F.col("evaluation") == plan.name))
        .select("model", "slice_set", "slice_key", "family", "payload")
        .coalesce(1)
        .sortWithinPartitions("slice_set", "slice_key", "model", "family")
    )
    for row in rows.toLocalIterator():
        yield StateRow(row.model, row.slice_set, row.slice_key, row.family, bytes(row.payload))


def has_states(spark: SparkSession, plan_name: str, *, table: str, run_id: str) -> bool:
    """Whether a run has finished the scan of an evaluation.

    Raises:
        InputError: when its states are of a version that cannot be read.
    """
    if not tables.exists(spark, table):
        return False
    found = tables.read(spark, table).where(
        (F.col("run_id") == run_id) & (F.col("evaluation") == plan_name)
    )
    first = found.select("schema_version").first()
    if first is not None and first.schema_version != STATES_VERSION:
        raise InputError(
            f"the run {run_id!r} keeps states of version {first.schema_version}, expected version "
            f"{STATES_VERSION}: another version of evalmatrix made them; run the suite anew (the "
            "results table still has its results)"
        )
    return first is not None
