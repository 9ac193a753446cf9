"""Where a dataset's rows come from: files taken into Delta, a version pinned, its columns known.

Of a table on this machine all that is read from its log, without Spark.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pyspark.sql import DataFrame

from engine.core.locations import Store
from engine.core.paths import is_folder, is_there, local_path
from engine.core.vocabulary import DatasetVersion
from engine.data.ingest import ingest
from engine.delta.head import Schema, is_table, read_head
from engine.delta.messages import NeedsSpark
from engine.errors import DataError, EvalMatrixError
from engine.spark import table_errors, tables
from engine.spark.lazy_session import LazySession
from engine.suite import Evaluation


@dataclass(frozen=True, slots=True)
class Source:
    """A table at a version: enough to read the same rows again, and its columns."""

    session: LazySession
    table: str
    version: int
    timestamp: dt.datetime
    table_id: str
    catalog: bool
    schema: Schema

    @property
    def columns(self) -> list[str]:
        return [name for name, _ in self.schema]

    def frame(self) -> DataFrame:
        """The rows; Spark is started for them where it is not there."""
        return tables.read(self.session.get(), self.table, self.version)

    def has_version(self, version: int, timestamp: str) -> bool:
        """Whether an older version of this table was committed at a time, where its log tells.

        A table that was restored from a copy has its id and its numbers, and may go another way.
        """
        path = None if self.catalog else local_path(self.table)
        if path is None or not self.session.shares_disk:
            return False
        try:
            return read_head(path, version).timestamp.isoformat() == timestamp
        except NeedsSpark:
            return False

    def dataset(self, name: str, rows: int) -> DatasetVersion:
        """The dataset version that a plan pins, which has so many rows."""
        return DatasetVersion(
            name,
            self.table,
            self.version,
            self.table_id,
            rows,
            self.timestamp,
            self.catalog,
            self.schema,
        )


def pin_source(session: LazySession, store: Store, evaluation: Evaluation) -> Source:
    """Takes new files into Delta where the dataset is files, and pins its version.

    Raises:
        DataError: for a dataset that is missing, or has no such version.
        StoreError: where its table cannot be read.
    """
    dataset = evaluation.dataset
    table = dataset.uri
    if dataset.format != "delta":
        table = store.lake_table(dataset.name)
        ingest(session, dataset.uri, table=table, fmt=dataset.format)
    elif is_there(table) or not (tables.is_catalog_name(table) or "://" in table):
        # A folder may be called `lake.claims`, like a table of a catalog.
        table = str(local_path(table) or table)
    try:
        local = _local_source(session, table, dataset.version)
        return _spark_source(session, table, dataset.version) if local is None else local
    except EvalMatrixError as error:
        raise type(error)(f"evaluation {evaluation.name!r}: {error}") from error
    except Exception as error:
        raise table_errors.read_error(error, f"dataset {dataset.name!r}") from error


def _local_source(
    session: LazySession, table: str, version: str | int | dt.datetime
) -> Source | None:
    """The source as its log tells it; None where Spark must tell: elsewhere, by time, odd."""
    number = version if isinstance(version, int) else None
    if tables.is_catalog_name(table) or (number is None and version != "latest"):
        return None
    path = local_path(table)
    if path is None or not session.shares_disk:
        return None
    try:
        there = is_table(path)
    except NeedsSpark:
        return None
    if not there:
        why = "the folder has no Delta log" if is_folder(path) else "there is no such folder"
        raise DataError(
            f"no Delta table at {table!r}; expected a path, a URI or a catalog table of one ({why})"
        )
    try:
        head = read_head(path, number)
    except NeedsSpark:
        return None
    return Source(session, table, head.version, head.timestamp, head.table_id, False, head.schema)


def _spark_source(session: LazySession, table: str, version: str | int | dt.datetime) -> Source:
    spark = session.get()
    pin = tables.pin(spark, table, version)
    fields = tables.read(spark, table, pin.version).schema.fields
    schema = tuple((field.name, field.dataType.simpleString()) for field in fields)
    return Source(session, table, pin.version, pin.timestamp, pin.table_id, pin.catalog, schema)
