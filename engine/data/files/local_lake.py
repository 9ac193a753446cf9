"""Files taken into a table of this machine by delta-rs, where there is no Spark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from engine.data.files import local_csv, local_parquet
from engine.data.files.change import ODD, Change
from engine.data.files.decision import Schema
from engine.data.files.facts import Facts
from engine.data.files.listing import File
from engine.data.files.local_texts import arrow_type
from engine.data.files.reading import Reading
from engine.data.files.table_state import FILE_COLUMN
from engine.delta.local_table import LocalTable
from engine.delta.messages import NeedsSpark
from engine.pieces import NotThisWay


def write(
    folder: Path, change: Change, known: Mapping[File, Facts], reading: Reading | None
) -> None:
    """Makes a change of a table of files; the caller is the table's sole writer.

    Args:
        folder: the table.
        change: the change.
        known: what is known of the files.
        reading: how CSV is read; None stands for Parquet.

    Raises:
        DataError: for a value that does not fit the type of its column.
        NotThisWay: for files and tables that only Spark reads or writes.
    """
    _check(folder, change)
    failures: list[Exception] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for file, mark in change.come.items():
                for batch in _batches(file, known[file], change.schema, reading):
                    marks = pa.repeat(pa.scalar(mark), batch.num_rows)
                    yield pa.RecordBatch.from_arrays([*batch.columns, marks], schema=schema)
        except Exception as error:
            # Through delta-rs it would come as a text.
            failures.append(error)
            raise

    schema = _arrow_schema(change.schema).append(pa.field(FILE_COLUMN, pa.string()))
    parts = [*change.gone, *change.come.values()] if change.gone else []
    rows = pa.RecordBatchReader.from_batches(schema, batches())
    try:
        LocalTable(folder).write_parts(
            rows, FILE_COLUMN, gone=None if change.anew else parts, note=change.note
        )
    except NeedsSpark as reason:
        raise NotThisWay(str(reason)) from reason
    except Exception:
        if failures:
            raise failures[0] from None
        raise


def append_once(
    folder: Path, what: tuple[File, Facts], schema: Schema, reading: Reading | None, token: str
) -> None:
    """Appends a file to a table unless an append with the same token has been made.

    Args:
        folder: the table, which is made if need be.
        what: the file, and what is known of it.
        schema: the table's columns.
        reading: how CSV is read; None stands for Parquet.
        token: names this append for good, also in the history.

    Raises:
        DataError: for a value that does not fit the type of its column.
        NotThisWay: for files and tables that only Spark reads or writes.
        StoreError: when the table cannot be written.
    """
    file, facts = what
    _check_columns(schema)
    if file.folders:
        raise NotThisWay("their folders are columns")
    failures: list[Exception] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from _batches(file, facts, schema, reading)
        except Exception as error:
            failures.append(error)
            raise

    def rows() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(_arrow_schema(schema), batches())

    try:
        LocalTable(folder).append_stream_once(rows, token=token)
    except NeedsSpark as reason:
        raise NotThisWay(str(reason)) from reason
    except Exception:
        if failures:
            raise failures[0] from None
        raise


def _arrow_schema(schema: Schema) -> pa.Schema:
    return pa.schema([pa.field(name, arrow_type(kind)) for name, kind in schema])


def _batches(
    file: File, facts: Facts, schema: Schema, reading: Reading | None
) -> Iterator[pa.RecordBatch]:
    if reading is None:
        return local_parquet.batches_of(file, facts, schema)
    return iter(local_csv.rows_of(file, facts, schema, reading).to_batches())


def _check(folder: Path, change: Change) -> None:
    """Refuses what this process cannot write as Spark would."""
    if change.strangers:
        raise NotThisWay(f"the table {str(folder)!r} has rows of no file")
    if any(file.folders for file in change.come):
        raise NotThisWay("their folders are columns")
    _check_columns(change.schema)


def _check_columns(schema: Schema) -> None:
    nested = [name for name, kind in schema if kind.startswith(("array", "map", "struct"))]
    if nested:
        raise NotThisWay(f"the column {nested[0]!r} is of a nested type")
    if any(ODD.search(name) for name, _ in schema):
        raise NotThisWay("a column has a name that Delta keeps under another one")
