"""Predictions that are kept by the key of their row, in a table of the store.

A row has a model's scores for a row of a dataset version, and no feature. The versions at which
rows were predicted form a chain: all rows at its first version, then those that came since. The
newest of the chain is what holds for a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.planning import EvaluationPlan, Need, needs
from engine.planning.projection import projected_column
from engine.planning.scan_columns import KEY_COLUMN, kept_column
from engine.spark import tables
from engine.spark.api import F
from engine.states.rows import MERGED_SCHEMA, PREDICTIONS
from engine.store.kept_index import ROWS, SCORES
from engine.store.prediction_rows import PREDICTED, unpack
from engine.store.state_writer import Target
from engine.store.states import Kept
from engine.store.tables import StoreTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


PREDICTIONS_VERSION = 1

# What is deleted must be gone from the files, not only marked, and keys must not be in the log.
_OPTIONS = {
    "delta.enableDeletionVectors": "false",
    "delta.dataSkippingStatsColumns": "predictions,dataset_version,run_id,created_at",
}
_UNPACKED_DDL = "model int, key string, scores array<double>"


def write(scanned: DataFrame, plan: EvaluationPlan, target: Target, *, table: StoreTable) -> None:
    """Stores the predictions that a scan has made, once for a run, evaluation and step.

    Raises:
        DataError: when two rows of the dataset have one key.
        StoreError: when the table cannot be written.
    """
    names = F.array(*[F.lit(need.state) for need in kept_needs(plan)])
    predictions = (
        scanned.where(F.col("family") == PREDICTED)
        .select("model", "payload")
        .mapInArrow(unpack, _UNPACKED_DDL)
    )
    rows = predictions.select(
        F.lit(plan.dataset.name).alias("dataset"),
        F.lit(plan.dataset.table_id).alias("dataset_id"),
        F.lit(plan.dataset.version).cast("long").alias("dataset_version"),
        F.element_at(names, F.col("model") + 1).alias("predictions"),
        F.element_at(
            F.array(*[F.lit(model.digest) for model in plan.models]), F.col("model") + 1
        ).alias("model_digest"),
        "key",
        "scores",
        F.lit(target.run_id).alias("run_id"),
        F.lit(PREDICTIONS_VERSION).alias("schema_version"),
        F.lit(target.now).cast("timestamp").alias("created_at"),
    )
    table.append_frame_once(rows, token=_token(plan, target), options=_OPTIONS)


def write_rows(
    predicted: Iterable[pa.RecordBatch], plan: EvaluationPlan, target: Target, *, table: StoreTable
) -> None:
    """Stores predictions as `write` does, of rows of states that this process has.

    Raises:
        StoreError: when the table cannot be written.
    """
    names = {need.model: need.state for need in kept_needs(plan)}
    digests = [model.digest for model in plan.models]
    batches = list(unpack(predicted))
    if not batches:
        return
    rows = pa.Table.from_batches(batches)
    models, count = rows["model"].to_pylist(), rows.num_rows

    def repeat(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), count)

    text, now = pa.string(), pa.timestamp("us", tz="UTC")
    columns = {
        "dataset": repeat(plan.dataset.name, text),
        "dataset_id": repeat(plan.dataset.table_id, text),
        "dataset_version": repeat(plan.dataset.version, pa.int64()),
        "predictions": pa.array([names[model] for model in models], text),
        "model_digest": pa.array([digests[model] for model in models], text),
        "key": rows["key"],
        "scores": rows["scores"],
        "run_id": repeat(target.run_id, text),
        "schema_version": repeat(PREDICTIONS_VERSION, pa.int32()),
        "created_at": repeat(target.now, now),
    }
    table.append_once(pa.table(columns), token=_token(plan, target), properties=_OPTIONS)


def _token(plan: EvaluationPlan, target: Target) -> str:
    return f"predictions {target.run_id} {plan.name!r} {target.step}".rstrip()


def kept_needs(plan: EvaluationPlan) -> list[Need]:
    """The predictions that an evaluation keeps, by the number of the model."""
    return [need for need in needs(plan) if need.family == PREDICTIONS]


def check_keys(frame: DataFrame, plan: EvaluationPlan) -> None:
    """Raises DataError when a key of the dataset does not say which row it is."""
    key = projected_column(plan, KEY_COLUMN)
    counted = frame.groupBy(key).count().where(F.col("count") > 1)
    twice = counted.count()
    if twice:
        raise DataError(keys_text(plan, twice))


def keys_text(plan: EvaluationPlan, twice: int) -> str:
    """What is wrong where so many values of the key stand in more than one row."""
    named = " and ".join(map(repr, plan.columns.key))
    return (
        f"evaluation {plan.name!r}: predictions: keep needs a key that identifies a row, and "
        f"{twice:,} values of {named} stand in more than one row of the dataset "
        f"{plan.dataset.name!r}; name more columns in dataset.key, or drop the predictions"
    )


def join_kept(
    frame: DataFrame,
    plan: EvaluationPlan,
    kept: Mapping[int, Kept],
    *,
    table: str,
    stale: DataFrame | None = None,
) -> tuple[DataFrame, tuple[str, ...]]:
    """A projected frame with what is kept of models' predictions, and the names of what was added.

    `stale` are projected rows whose predictions, if there are any, were made of other values.
    """
    spark = frame.sparkSession
    key = projected_column(plan, KEY_COLUMN)
    columns = frame.columns
    for number, kept_state in sorted(kept.items()):
        scores = _scores(spark, kept_state, table=table).withColumnRenamed(
            "scores", f"kept{number}"
        )
        scores = scores.withColumnRenamed("key", key)
        if stale is not None:
            scores = scores.join(stale.select(key).distinct(), key, "left_anti")
        frame = frame.join(scores, key, "left")
    added = [f"kept{number}" for number in sorted(kept)]
    return frame.select(*columns, *added), tuple(kept_column(number) for number in sorted(kept))


def _scores(spark: SparkSession, kept: Kept, *, table: str) -> DataFrame:
    """The scores that hold for each key at the end of a chain."""
    chain = F.array(*[F.lit(version).cast("long") for version in kept.chain])
    place = F.array_position(chain, F.col("dataset_version"))
    rows = (
        tables.read(spark, table)
        .where(F.col("predictions") == F.lit(kept.state))
        .where(F.col("schema_version") == PREDICTIONS_VERSION)
        .where(F.col("dataset_version").isin(list(kept.chain)))
    )
    newest = F.max_by("scores", F.struct(place, F.col("created_at")))
    return rows.groupBy("key").agg(newest.alias("scores"))


def kept_batches(kept: Kept, table: StoreTable) -> Iterator[pa.RecordBatch]:
    """What is kept of a model along a chain, some at a time, as an index is made of it (`ROWS`)."""
    where = [
        ("predictions", "=", kept.state),
        ("schema_version", "=", PREDICTIONS_VERSION),
        ("dataset_version", "in", list(kept.chain)),
    ]
    chain = pa.array(kept.chain, pa.int64())
    for batch in table.stream(["key", "scores", "dataset_version", "created_at"], where):
        versions = batch.column("dataset_version").cast(pa.int64())
        places = pc.index_in(versions, value_set=chain).cast(pa.int64())
        times = batch.column("created_at").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        yield _index_rows(batch.column("key"), batch.column("scores"), places, times)


def stale_batches(keys: Iterable[pa.Array], kept: Kept) -> Iterator[pa.RecordBatch]:
    """Rows of an index that say of keys that their predictions were made of other values."""
    for part in keys:
        size = len(part)
        places = pa.array(np.full(size, len(kept.chain), np.int64))
        times = pa.array(np.zeros(size, np.int64))
        yield _index_rows(part, pa.nulls(size, SCORES), places, times)


def _index_rows(*columns: pa.Array) -> pa.RecordBatch:
    arrays = [column.cast(field.type) for column, field in zip(columns, ROWS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=ROWS)


def chain_rows(plan: EvaluationPlan, chains: Mapping[int, Sequence[int]]) -> pa.Table:
    """Rows that say which predictions are kept, see `engine.store.predictions`, by model."""
    states = {need.model: need.state for need in needs(plan) if need.family == PREDICTIONS}
    rows: list[tuple[Any, ...]] = [
        ("", 0, 1, model, PREDICTIONS, states[model], [], json.dumps(chain).encode())
        for model, chain in chains.items()
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    arrays = [pa.array(c, field.type) for c, field in zip(columns, MERGED_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=MERGED_SCHEMA)
