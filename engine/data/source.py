"""Where a dataset's rows come from: files taken into Delta, a version pinned, its columns known.

Of a table on this machine all that is read from its log, without Spark.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.locations import Store
from engine.core.object_store import in_object_store
from engine.core.paths import is_folder, is_there, local_path
from engine.core.vocabulary import DatasetVersion
from engine.data.files.lake import Question, Say, Taken, take
from engine.data.files.listing import files_text, shown_name
from engine.data.files.reading import Reading
from engine.data.files.table_state import FILE_COLUMN, has_version, names_at, without_mark
from engine.data.table_rows import TableRows, table_place, table_rows
from engine.delta.head import Schema, is_table, read_head
from engine.delta.messages import NeedsSpark
from engine.errors import DataError, EvalMatrixError
from engine.spark import table_errors, tables
from engine.spark.lazy_session import LazySession
from engine.suite import DatasetSource, Evaluation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, slots=True)
class Source:
    """A table at a version: enough to read the same rows again, and its columns.

    `files` is what is known of the files whose rows it has, None where they were not looked at now;
    `made_of` names them in a few words.
    """

    session: LazySession
    table: str
    version: int
    timestamp: dt.datetime
    table_id: str
    catalog: bool
    schema: Schema
    files: Taken | None = None
    made_of: str = ""

    @property
    def columns(self) -> list[str]:
        return [name for name, _ in self.schema]

    def frame(self) -> DataFrame:
        """The rows; Spark is started for them where it is not there."""
        return tables.read(self.session.get(), self.table, self.version).drop(FILE_COLUMN)

    def place_here(self) -> Path | str:
        """The folder of the table, where it is one of this machine and of Spark, or its URI.

        Raises:
            NotThisWay: where it is in no object store either.
        """
        return table_place(self.session, self.table, is_catalog=self.catalog)

    def rows_here(self) -> TableRows:
        """The rows as this process reads them itself; none is read yet.

        Raises:
            NotThisWay: where only Spark can read them.
        """
        zone = self.session.setting("spark.sql.session.timeZone", "UTC")
        return table_rows(self.place_here(), self.version, self.columns, zone)

    def has_version(self, version: int, timestamp: str) -> bool:
        """Whether an older version of this table was committed at a time, where its log tells.

        A table that was restored from a copy has its id and its numbers, and may go another way.
        """
        path = None if self.catalog else self.session.direct_place(self.table)
        if path is None:
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
            self.made_of,
        )


def pin_source(
    session: LazySession,
    store: Store,
    evaluation: Evaluation,
    *,
    wanted: Mapping[str, str] | None = None,
    say: Say = lambda text: None,
) -> Source:
    """Makes the table of a dataset of files have what is in them now, and pins its version.

    Where the suite names an older version, the files are not looked at.

    Args:
        session: the session, which is started where rows must be read.
        store: the store, in whose lake tables of files are.
        evaluation: the evaluation whose dataset it is.
        wanted: the types that models' signatures give columns.
        say: is told what is done.

    Raises:
        DataError: for a dataset that is missing, or has no such version.
        StoreError: where its table cannot be read.
    """
    dataset = evaluation.dataset
    table, version, taken = dataset.uri, dataset.version, None
    if dataset.format != "delta":
        table = store.lake_table(dataset.name)
        if version == "latest" or not has_version(session, table):
            taken = _take(session, store, evaluation, wanted or {}, say)
        if taken is not None and version == "latest":
            version = taken.version
    try:
        return _with_files(pin_table(session, table, version), dataset, taken)
    except EvalMatrixError as error:
        raise type(error)(f"evaluation {evaluation.name!r}: {error}") from error
    except Exception as error:
        raise table_errors.read_error(error, f"dataset {dataset.name!r}") from error


def pin_table(session: LazySession, table: str, version: str | int | dt.datetime) -> Source:
    """Pins a version of a Delta table: a path, a URI, or a table of a catalog.

    Raises:
        DataError: where there is no such table or version.
    """
    if is_there(table) or not (tables.is_catalog_name(table) or "://" in table):
        # A folder may be called `lake.claims`, like a table of a catalog.
        table = str(local_path(table) or table)
    session.require(table)
    source = _log_source(session, table, version)
    return _spark_source(session, table, version) if source is None else source


def files_of(
    store: Store, dataset: DatasetSource, wanted: Mapping[str, str] | None = None
) -> Question:
    """Which files a dataset of files is, and in which table their rows are."""
    by_column: dict[str, tuple[str, ...]] = {}
    for name, text in dataset.null_values:
        if name is not None:
            by_column[name] = (*by_column.get(name, ()), text)
    nulls = tuple(text for name, text in dataset.null_values if name is None)
    return Question(
        dataset.uri,
        dataset.format,
        store.lake_table(dataset.name),
        Reading(dict(dataset.columns), nulls, by_column, wanted or {}),
        store.files / "cache" / "files",
        frozenset(dataset.sensitive),
    )


def _take(
    session: LazySession,
    store: Store,
    evaluation: Evaluation,
    wanted: Mapping[str, str],
    say: Say,
) -> Taken:
    asked = files_of(store, evaluation.dataset, wanted)
    try:
        return take(session, asked, say=lambda text: say(f"{evaluation.name}: {text}"))
    except EvalMatrixError as error:
        raise type(error)(f"evaluation {evaluation.name!r}: {error}") from error


def _with_files(source: Source, dataset: DatasetSource, taken: Taken | None) -> Source:
    """The source without the column that marks the rows of files, and with what is known of them.

    The lake's tables may be named by their paths as well.
    """
    schema = without_mark(source.schema)
    if len(schema) == len(source.schema):
        return source
    names = names_at(source.session, source.table, source.version)
    shown = (shown_name(name, dataset.sensitive) for name in names)
    return replace(source, schema=schema, files=taken, made_of=files_text(shown))


def _log_source(
    session: LazySession, table: str, version: str | int | dt.datetime
) -> Source | None:
    """The source as its log tells it; None where Spark must tell: elsewhere, by time, odd."""
    number = version if isinstance(version, int) else None
    if tables.is_catalog_name(table) or (number is None and version != "latest"):
        return None
    path = session.direct_place(table)
    if path is None:
        return None
    try:
        there = is_table(path)
    except NeedsSpark:
        return None
    if not there:
        if in_object_store(path):
            why = "nothing with a Delta log is there"
        else:
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
