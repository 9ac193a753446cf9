"""Rows that Spark's workers write as files of a table, which a commit of another then adds.

In an object store Spark's own commits look whether a version is there and then write it: of two
processes that do so at once both succeed, and one of the two commits is gone.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import pyarrow as pa

from engine.delta.data_files import DataFile, describe_files
from engine.delta.object_table import ObjectTable
from engine.spark.table_errors import unwritten
from engine.spark.tables import set_conf

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def write_files(
    frame: DataFrame, table: ObjectTable, token: str
) -> tuple[list[DataFile], pa.Schema]:
    """Writes rows as Parquet into the folder of a table, which does not have them yet.

    Args:
        frame: the rows.
        table: the table, which need not be there yet.
        token: names the append that they are for.

    Returns:
        The files, and their columns.

    Raises:
        StoreError: when they cannot be written.
    """
    # Of two tries, one that was cut off leaves files behind, which VACUUM removes.
    digest = hashlib.sha256(token.encode()).hexdigest()[:16]
    folder = f"part-{digest}-{secrets.token_hex(4)}"
    # Else times are of a type that only Spark still writes.
    settings = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
    try:
        with set_conf(frame.sparkSession, settings):
            frame.write.parquet(f"{table.place}/{folder}")
        return describe_files(table.place, folder)
    except Exception as error:
        raise unwritten(table.place, error) from error
