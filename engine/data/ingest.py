"""Files appended to a Delta table that a user names: each is one commit, written once.

A file is known by its name and the SHA-256 of its content; Delta keeps that as the commit's
transaction id, so that the same files again make no new version, in this process or in any other.
The files that make the table decide on its columns and types; later ones must have the same. What
was appended stays: a dataset of a suite, which is what its files are now, is made by `files.lake`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.paths import local_path
from engine.data.files import csv_files, local_lake, parquet
from engine.data.files.decision import Schema, common_type, decide
from engine.data.files.facts import Facts
from engine.data.files.lake import (
    Question,
    check_table_path,
    leave_to_spark,
    look_at_files,
    mapping_options,
    tries_here,
)
from engine.data.files.listing import File, find_files
from engine.data.files.reading import PLAIN, Reading
from engine.data.files.rows import own_rows, with_folders
from engine.data.files.table_state import FILE_COLUMN, without_mark
from engine.delta import head
from engine.delta.head import is_table, read_head
from engine.delta.messages import NeedsSpark
from engine.errors import DataError, StoreError
from engine.spark import tables
from engine.spark.internals import committed_tokens
from engine.spark.lazy_session import LazySession, lazy

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingestion did: the table, its version now, and the files that were new or known."""

    table: str
    version: int
    added: tuple[str, ...]
    known: tuple[str, ...]


def ingest(
    session: LazySession | SparkSession,
    pattern: str,
    *,
    table: str,
    fmt: str,
    reading: Reading = PLAIN,
) -> Ingested:
    """Appends the files of a glob that the table does not have yet, in the order of their names.

    On this machine no Spark is needed to find that there are none, nor, where none is there yet, to
    append files that this process can read.

    Raises:
        DataError: when no file matches, or a file does not have the table's columns and types.
        InputError: where it takes Spark, and none may be started.
        StoreError: when the table cannot be written.
    """
    session = lazy(session)
    files = find_files(session, pattern, fmt)
    check_table_path(table)
    tokens = dict(zip(files, _tokens(files), strict=True))
    known_before = _known_identities(session, table, list(tokens.values()))
    new = [file for file in files if tokens[file] not in known_before]
    asked = Question(pattern, fmt, table, reading)
    facts = look_at_files(session, new, asked)
    added: list[str] = []
    known = [file.path for file in files if file not in facts]
    version = _newest_version(session, table)
    schema = _schema(session, asked, facts) if new else ()
    for file in new:
        before = version
        _append(session, asked, (file, facts[file]), schema, (tokens[file], before is None))
        version = _newest_version(session, table)
        (known if version == before else added).append(file.path)
    assert version is not None, "a table that was appended to exists"
    log.info("%s: %d files added, %d known, version %d", table, len(added), len(known), version)
    return Ingested(table, version, tuple(added), tuple(known))


def _tokens(files: Sequence[File]) -> Iterator[str]:
    """What names the append of each file: as ever its own name and its content.

    Where that would be the same for two files, or says nothing of their folders, it is the name as
    seen from the glob.
    """
    taken: set[str] = set()
    for file in files:
        if "://" in file.path:
            token = f"{file.path} {file.content}"
        else:
            token = f"{Path(file.path).name} {file.content}"
            if file.folders or token in taken:
                token = f"{file.name} {file.content}"
        taken.add(token)
        yield token


def _schema(session: LazySession, asked: Question, facts: Mapping[File, Facts]) -> Schema:
    """The columns of the table, which the new files have as well; those of a new table.

    Raises:
        DataError: with the file, the column and both types.
    """
    decided = decide(facts, asked.fmt, asked.reading)
    schema = _table_schema(session, asked.table)
    if schema is None:
        return decided
    if without_mark(schema) != schema:
        raise DataError(
            f"the table {asked.table!r} is a dataset of files: it has the rows of the files that a "
            "suite names, and no others; append to another table, or name the files in the suite"
        )
    for file, of_file in facts.items():
        _check_file_fits(file, of_file, schema, asked)
    return schema


def _table_schema(session: LazySession, table: str) -> Schema | None:
    """The columns of a table; None where there is none."""
    path = session.direct_place(table)
    with suppress(NeedsSpark):
        if path is not None:
            return read_head(path).schema if is_table(path) else None
    if tables.newest_version(session.get(), table) is None:
        return None
    fields = tables.read(session.get(), table).schema.fields
    return tuple((field.name, field.dataType.simpleString()) for field in fields)


def _check_file_fits(file: File, facts: Facts, schema: Schema, asked: Question) -> None:
    own = dict(decide({file: facts}, asked.fmt, asked.reading))
    missing = [name for name, _ in schema if name not in own]
    extra = [name for name in own if name not in dict(schema)]
    if missing or extra:
        raise DataError(
            f"{file.path!r} does not have the table's columns: missing {missing}, unexpected "
            f"{extra}"
        )
    for name, kind in schema:
        if not _fits(own[name], kind, facts, name, asked.fmt):
            raise DataError(
                f"{file.path!r}: the column {name!r} is {own[name]}, and the table {asked.table!r} "
                f"has {kind}; what was appended stays as it is: correct the file, or append all "
                f"files to a new table{_say_type(name, asked.fmt)}"
            )


def _say_type(name: str, fmt: str) -> str:
    return f", with the type said (`--column {name}=string`)" if fmt == "csv" else ""


def _fits(own: str, kind: str, facts: Facts, name: str, fmt: str) -> bool:
    """Whether values of a file are those of the table without loss."""
    if own in (kind, "void") or (fmt == "csv" and kind == "string"):
        return True
    if fmt == "csv" and own == "string" and not dict(facts.seen).get(name):
        return True
    exact = not (kind in ("float", "double") and name in facts.wide)
    return common_type(own, kind) == kind and exact


def _append(
    session: LazySession,
    asked: Question,
    what: tuple[File, Facts],
    schema: Schema,
    commit: tuple[str, bool],
) -> None:
    folder = None if tables.is_catalog_name(asked.table) else local_path(asked.table)
    if tries_here(session) and folder is not None:
        with leave_to_spark(session, asked):
            how = asked.reading if asked.fmt == "csv" else None
            local_lake.append_once(folder, what, schema, how, commit[0])
            return
    _append_by_spark(session.get(), asked, what, schema, commit)


def _append_by_spark(
    spark: SparkSession,
    asked: Question,
    what: tuple[File, Facts],
    schema: Schema,
    commit: tuple[str, bool],
) -> None:
    file, facts = what
    token, new = commit
    # The commit carries the identity twice: as what people and the next run can read in the
    # history, and as Delta's own guard, which outlives the history.
    options = {"userMetadata": token, **(mapping_options(schema) if new else {})}
    how = asked.reading if asked.fmt == "csv" else None
    folder = None if tables.is_catalog_name(asked.table) else local_path(asked.table)
    odd = [] if how else [file]
    with parquet.readable(odd, folder and folder.parent) as places:
        frame: DataFrame = own_rows(spark, {file: facts}, schema, how, places)
        frame = with_folders(spark, frame, {file: ""}, schema).drop(FILE_COLUMN)
        try:
            tables.append_once(frame, asked.table, token=token, options=options)
        except StoreError as error:
            if csv_files.is_about_rows(error):
                raise csv_files.unreadable(error, [file]) from error
            raise


def _newest_version(session: LazySession, table: str) -> int | None:
    """The version that a table has now; None when there is no table."""
    path = session.direct_place(table)
    with suppress(NeedsSpark):
        if path is not None:
            return read_head(path).version if is_table(path) else None
    return tables.newest_version(session.get(), table)


def _known_identities(session: LazySession, table: str, identities: Sequence[str]) -> set[str]:
    """Which of the files have been ingested.

    Where only the history can tell, those of commits that have left it are missing; Delta's own
    guard knows them still.
    """
    path = session.direct_place(table)
    with suppress(NeedsSpark):
        if path is not None:
            return head.committed_tokens(path, identities) if is_table(path) else set()
    spark = session.get()
    told = None if tables.is_catalog_name(table) else committed_tokens(spark, table, identities)
    if told is not None:
        return told
    if not tables.exists(spark, table):
        return set()
    history = tables.delta_table(spark, table).history().select("userMetadata").collect()
    return {row["userMetadata"] for row in history if row["userMetadata"]}
