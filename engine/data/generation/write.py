"""Made rows into Delta: a stream of blocks, so that no more than some of them are in memory.

On this machine one process draws while delta-rs writes; elsewhere, and with a session that is
given, Spark's workers draw blocks by their numbers. The rows are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from engine.core.paths import is_there, local_path
from engine.data.files.lake import mapping_options
from engine.data.frames import spark_type
from engine.data.generation.blocks import BLOCK, Block
from engine.data.generation.copies import CopyCount
from engine.data.generation.maker import Maker
from engine.delta.head import is_table
from engine.delta.local_table import LocalTable
from engine.delta.messages import NeedsSpark
from engine.errors import DataError
from engine.spark import tables
from engine.spark.lazy_session import LazySession
from engine.spark.table_errors import unwritten

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# What commits of made rows say of themselves: they may be made anew.
MADE = "made by evalmatrix generate"
# Blocks that a task of Spark draws.
_BLOCKS_PER_TASK = 64

Tell = Callable[[int], None]


def local_folder(table: str) -> Path | None:
    """The folder of a table on this machine; None for a catalog's, or one elsewhere."""
    return None if tables.is_catalog_name(table) else local_path(table)


def check_target(table: str) -> None:
    """Refuses a table on this machine that is there and was not made here.

    Raises:
        DataError: with what to do.
    """
    path = local_folder(table)
    if path is None:
        return
    try:
        if is_table(path):
            if LocalTable(path).note() != MADE:
                raise DataError(
                    f"the table {table!r} is there, and its newest version was not made by "
                    "`generate`; expected another `out`"
                )
        elif is_there(path) and (path.is_file() or any(path.iterdir())):
            raise DataError(f"there is something at {table!r} that is no Delta table of ours")
    except NeedsSpark:
        return


def write_made(
    session: LazySession, maker: Maker, table: str, tell: Tell, counter: CopyCount | None = None
) -> int:
    """Writes the rows as a version of a table; what it had before stays in its history.

    Args:
        session: is asked for Spark where the table is not on this machine, or when it is there.
        maker: makes the rows.
        table: a path, a URI or a name in a catalog.
        tell: is told of rows that this process has made.
        counter: counts the rows that the source has.

    Returns:
        The version that has them.

    Raises:
        StoreError: when the table cannot be written.
    """
    path = local_folder(table)
    if path is not None and session.current is None and session.shares_disk:
        schema = maker.schema

        def reader() -> pa.RecordBatchReader:
            return pa.RecordBatchReader.from_batches(
                schema, _show_batches(maker, schema, tell, counter)
            )

        try:
            return LocalTable(path).overwrite(reader, note=MADE)
        except NeedsSpark:
            pass
    version = write_by_spark(session.get(), maker, table)
    if counter is not None:
        counter.rows = _count_by_spark(session.get(), table, version, counter)
    return version


def _show_batches(
    maker: Maker, schema: pa.Schema, tell: Tell, counter: CopyCount | None
) -> Iterator[pa.RecordBatch]:
    for batch in maker.batches():
        if counter is not None:
            counter.add(batch)
        tell(batch.num_rows)
        yield batch.cast(schema)


def write_by_spark(spark: SparkSession, maker: Maker, table: str) -> int:
    """The same by Spark's workers, each some blocks.

    Raises:
        StoreError: when the table cannot be written.
    """
    count = -(-maker.rows // BLOCK)
    tasks = max(1, -(-count // _BLOCKS_PER_TASK))
    numbers = spark.range(0, count, numPartitions=min(tasks, count))
    # Spark's own reading of the schema makes an instant of a time without a zone.
    schema = tuple((field.name, spark_type(field.type)) for field in maker.schema)
    kinds = ", ".join(f"{tables.column(name)} {kind}" for name, kind in schema)
    frame = numbers.mapInArrow(partial(_draw_blocks, maker), kinds)
    options = {**mapping_options(schema), "userMetadata": MADE}
    try:
        tables.overwrite(frame, table, options=options)
    except Exception as error:
        raise unwritten(table, error) from error
    return tables.pin(spark, table, "latest").version


def _count_by_spark(spark: SparkSession, table: str, version: int, counter: CopyCount) -> int:
    """The rows of a version that the source has, by all columns that both have."""
    rows = tables.read(spark, table, version)
    names = rows.columns
    # Spark takes no backtick in the name of a column that it gives to Python.
    plain = rows.toDF(*(f"c{place}" for place in range(len(names))))
    counted = plain.mapInArrow(partial(_count_copies, counter, names), "copies bigint")
    return sum(row["copies"] for row in counted.collect())


def _count_copies(
    counter: CopyCount, names: list[str], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.record_batch({"copies": [counter.count(batch.rename_columns(names))]})


def _draw_blocks(maker: Maker, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            rows = min(BLOCK, maker.rows - number * BLOCK)
            yield from maker.block(Block(number, rows)).to_batches()
