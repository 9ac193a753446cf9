"""Kept states as Spark reads them: those that are brought up to date, and those that are large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.delta.filters import Filter
from engine.spark import table_errors
from engine.spark.api import F
from engine.spark.internals import rows_by_partition
from engine.spark.spark_table import condition
from engine.states.rows import STATES_VERSION, StateRow
from engine.store.states import (
    ROW,
    WRITER,
    Kept,
    Place,
    StateCatalog,
    is_small,
    kept_rows,
    wanted_runs,
    writer_key,
)
from engine.store.tables import StoreTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


_MAPPING = (
    "state string, run_id string, evaluation string, step string, model int, slice_set string, "
    "of_model int, of_set string"
)


def frame_of(table: StoreTable, where: Sequence[Filter], columns: Sequence[str]) -> DataFrame:
    """Rows of a table as a frame: by way of the driver where they are small."""
    if is_small(table, where):
        return table.session.get().createDataFrame(table.rows(columns, where, spares=True))
    return table.by_spark().frame().where(condition(where)).select(*columns)


def kept_frame(table: StoreTable, chosen: Mapping[Place, Kept]) -> DataFrame:
    """The kept states of these places, under the places' own numbers and names."""
    if is_small(table, wanted_runs(chosen)):
        return table.session.get().createDataFrame(kept_rows(table, chosen)).select(*ROW)
    return _joined_rows(table, chosen)


def _joined_rows(table: StoreTable, chosen: Mapping[Place, Kept]) -> DataFrame:
    spark = table.session.get()
    mapping = [
        (kept.state, *writer_key(kept.writer), *kept.place[:2], *place[:2])
        for place, kept in chosen.items()
    ]
    wanted = spark.createDataFrame(mapping, _MAPPING)
    states = table.by_spark().frame().where(condition(wanted_runs(chosen)))
    joined = states.join(F.broadcast(wanted), ["state", *WRITER, "model", "slice_set"])
    renamed = joined.drop("model", "slice_set").withColumnsRenamed(
        {"of_model": "model", "of_set": "slice_set"}
    )
    return renamed.select(*ROW)


def large_rows(
    table: StoreTable,
    catalog: StateCatalog,
    others: Mapping[Place, Kept],
    steps: set[str],
    blocks: Mapping[str, int],
) -> Iterator[StateRow]:
    """What an evaluation is measured from, sorted; the driver holds a partition at a time."""
    with table_errors.reading(table.path, spares=True):
        own = (
            table.by_spark()
            .frame()
            .where((F.col("run_id") == catalog.run_id) & (F.col("evaluation") == catalog.plan.name))
            .where(F.col("schema_version") == STATES_VERSION)
        )
        chosen = (F.col("slice_set") == "") | F.col("step").isin(sorted(steps))
        rows = own.where(chosen).select(*ROW)
        if others:
            rows = rows.unionByName(_joined_rows(table, others))
        ordered = _in_parts(rows, blocks).sortWithinPartitions(
            "slice_set", "block", "model", "family"
        )
        for row in rows_by_partition(ordered):
            yield StateRow(
                row.slice_set,
                row.block,
                row.model,
                row.family,
                row.slice_keys or (),
                bytes(row.payload),
            )


def _in_parts(rows: DataFrame, blocks: Mapping[str, int]) -> DataFrame:
    """States in partitions that reach the driver one by one; the notes on them are in the first.

    Those of many slices, of which Java would not hold all at once, are spread by their blocks.
    """
    if max(blocks.values(), default=1) == 1:
        return rows.coalesce(1)
    notes = rows.where(F.col("slice_set") == "").coalesce(1)
    states = rows.where(F.col("slice_set") != "")
    return notes.unionByName(states.repartition(sum(blocks.values()), "slice_set", "block"))
