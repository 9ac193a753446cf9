"""A table that has exactly the rows of the files that a glob matches now.

The table is cut by a column that marks the rows of each file, which no model, slice or key sees:
so the rows of a file that changed or is gone are taken out by themselves, in the commit that brings
the new ones, and every version of the table says which files it is made of. Where nothing has
changed there is no version, no Spark, and no row is read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.paths import local_path
from engine.data.files import csv_files, local_csv, local_lake, local_parquet, parquet
from engine.data.files.change import ODD, Change, change_to, same_columns
from engine.data.files.decision import Schema, decide
from engine.data.files.facts import Facts, known_facts
from engine.data.files.listing import File, check_file, files_text, find_files, name_of, shown_name
from engine.data.files.reading import PLAIN, Reading
from engine.data.files.rows import own_rows, with_folders
from engine.data.files.table_state import FILE_COLUMN, State, state_of
from engine.errors import DataError, InputError
from engine.pieces import NotThisWay
from engine.spark import tables
from engine.spark.lazy_session import LazySession
from engine.spark.tables import column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


log = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """A table that has the rows of the files there are: its version, and what is known of these.

    `came` and `gone` are the names of files whose rows came into the table and left it; a file that
    changed is in both.
    """

    table: str
    version: int
    schema: Schema
    known: dict[File, Facts]
    came: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """Which files are wanted in which table, and how they are read.

    `facts` is where what is known of files is kept; None keeps nothing. No value of a `secret`
    column is told, not even where it names a folder.
    """

    pattern: str
    fmt: str
    table: str
    reading: Reading = PLAIN
    facts: Path | None = None
    secret: frozenset[str] = frozenset()

    def words(self, names: Iterable[str]) -> str:
        """Names of files in a few words."""
        return files_text(shown_name(name, self.secret) for name in names)


def take(session: LazySession, asked: Question, *, say: Say = lambda text: None) -> Taken:
    """Makes a table have the rows of the files that match now, and of no others.

    Raises:
        DataError: when no file matches, or the files do not make one table.
        InputError: where it takes Spark, and none may be started.
        StoreError: when the table cannot be written.
    """
    files = find_files(session, asked.pattern, asked.fmt)
    known = look_at_files(session, files, asked)
    schema = decide(known, asked.fmt, asked.reading)
    check_table_path(asked.table)
    _check_columns(schema, files)
    wanted = {file.row_id(asked.reading.key): file for file in files if known[file].rows}
    now = state_of(session, asked.table)
    done = _answer(now, wanted, schema, asked, known)
    if done is not None:
        return done

    def write() -> Taken:
        # Another run may have taken the same files while this one waited.
        now = state_of(session, asked.table)
        done = _answer(now, wanted, schema, asked, known)
        if done is not None:
            return done
        _tell(now, wanted, schema, asked, say)
        _write(session, now, change_to(now, wanted, schema), known, asked)
        after = state_of(session, asked.table)
        assert after is not None, "a table that was written exists"
        if _answer(after, wanted, schema, asked, known) is None:
            raise _Raced("ConcurrentWriteException: another writer came between")
        had = now.marks if now is not None and now.ours else frozenset()
        stay = (
            had & wanted.keys() if now is not None and same_columns(now.schema, schema) else set()
        )
        return Taken(
            asked.table,
            after.version,
            schema,
            known,
            tuple(sorted(wanted[mark].name for mark in wanted.keys() - stay)),
            tuple(sorted(name_of(mark) for mark in had - stay if mark is not None)),
        )

    taken = tables.retry_on_conflict(write, asked.table)
    log.info("%s: %s, version %d", taken.table, asked.words(f.name for f in known), taken.version)
    return taken


class _Raced(Exception):
    """Another writer's rows came between, where no lock keeps writers apart."""


def tries_here(session: LazySession) -> bool:
    """Whether files are taken without Spark, as far as they can."""
    return session.is_local or session.is_undecided


@contextmanager
def leave_to_spark(session: LazySession, asked: Question) -> Iterator[None]:
    """Goes on behind the block with what only Spark can read.

    Raises:
        InputError: where it may not be started.
    """
    try:
        yield
    except NotThisWay as reason:
        if not session.is_local:
            log.info("Spark takes the files %r: %s", asked.pattern, reason)
            return
        raise InputError(
            f"without Spark the files {asked.pattern!r} cannot be taken into a table: {reason}; "
            f"{session.remedy}"
        ) from reason


def look_at_files(
    session: LazySession, files: Sequence[File], asked: Question
) -> dict[File, Facts]:
    """What is known of files; those that are new are looked at, after all of them were checked."""

    def look(new: Sequence[File]) -> Sequence[Facts]:
        for file in new:
            check_file(file, asked.fmt)
        if tries_here(session):
            is_csv = asked.fmt == "csv"
            with leave_to_spark(session, asked):
                return (
                    local_csv.look_at(new, asked.reading) if is_csv else local_parquet.look_at(new)
                )
        if asked.fmt == "csv":
            return csv_files.look_at(session.get(), new, asked.reading)
        return parquet.look_at(session, new)

    facts = known_facts(asked.facts, files, f"{asked.fmt} {asked.reading.key}", look)
    return {file: facts[file] for file in files}


def check_table_path(table: str) -> None:
    """Refuses a file in the place of a table."""
    if not tables.is_catalog_name(table) and Path(table).is_file():
        raise DataError(f"the table's place {table!r} is a file; expected a folder or none")


def _check_columns(schema: Schema, files: Sequence[File]) -> None:
    for name, _ in schema:
        if name.lower() == FILE_COLUMN:
            raise DataError(
                f"{files[0].path!r} has a column {name!r}, the name that evalmatrix itself gives "
                "one in its tables; rename it"
            )


def _answer(
    now: State | None,
    wanted: dict[str, File],
    schema: Schema,
    asked: Question,
    known: dict[File, Facts],
) -> Taken | None:
    """The table where it has what is wanted already."""
    if (
        now is None
        or not now.ours
        or now.marks != wanted.keys()
        or not same_columns(now.schema, schema)
    ):
        return None
    return Taken(asked.table, now.version, schema, known)


def _tell(
    now: State | None, wanted: dict[str, File], schema: Schema, asked: Question, say: Say
) -> None:
    """Says what will be done, where rows go or all of them are read anew."""
    if now is None:
        return
    if not now.ours:
        say(
            f"{asked.table} was made by an earlier version, which only appended files: it is made "
            f"anew of the {asked.words(f.name for f in wanted.values()).removeprefix('the ')} that "
            "match now"
        )
        return
    if not same_columns(now.schema, schema):
        before = dict(now.schema)
        changed = [
            f"{name!r} is {kind}, was {before[name]}" if name in before else f"{name!r} is new"
            for name, kind in schema
            if before.get(name) != kind
        ]
        changed += [f"{name!r} is gone" for name in before if name not in dict(schema)]
        say(f"the columns are others ({', '.join(changed[:5])}): all files are read anew")
        return
    gone = {name_of(mark) for mark in now.marks - wanted.keys() if mark is not None}
    came = {wanted[mark].name for mark in wanted.keys() - now.marks}
    parts = [
        f"{words} {asked.words(names)}"
        for words, names in (
            ("rows replaced:", came & gone),
            ("rows added:", came - gone),
            ("rows taken out:", gone - came),
        )
        if names
    ]
    say("; ".join(parts) or "rows taken out: those of no file")


def _write(
    session: LazySession,
    now: State | None,
    change: Change,
    known: dict[File, Facts],
    asked: Question,
) -> None:
    folder = None if tables.is_catalog_name(asked.table) else local_path(asked.table)
    if tries_here(session) and folder is not None:
        with leave_to_spark(session, asked):
            how = asked.reading if asked.fmt == "csv" else None
            local_lake.write(folder, change, known, how)
            return
    _write_by_spark(session.get(), now, change, known, asked)


def _write_by_spark(
    spark: SparkSession,
    now: State | None,
    change: Change,
    known: dict[File, Facts],
    asked: Question,
) -> None:
    order, come = change.schema, change.come
    options = {"userMetadata": change.note}
    folder = None if tables.is_catalog_name(asked.table) else local_path(asked.table)
    how = asked.reading if asked.fmt == "csv" else None
    anew_files = list(come) if asked.fmt == "parquet" else []
    with parquet.readable(anew_files, folder and folder.parent) as places:
        if come:
            files = {file: known[file] for file in come}
            frame = with_folders(spark, own_rows(spark, files, order, how, places), come, order)
        elif now is not None and not change.anew:
            frame = tables.read(spark, asked.table, now.version).limit(0)
        else:
            fields = [f"{column(name)} {kind}" for name, kind in order]
            frame = spark.createDataFrame([], ", ".join([*fields, f"{FILE_COLUMN} string"]))
        try:
            if change.anew:
                options |= _mapping(spark, now, order, asked.table)
                tables.overwrite(frame, asked.table, partition=FILE_COLUMN, options=options)
            elif change.gone or change.strangers:
                parts = [*change.gone, *come.values()]
                where = _predicate(parts, strangers=change.strangers)
                tables.overwrite(frame, asked.table, where=where, options=options)
            else:
                tables.append(frame, asked.table, options=options)
        except Exception as error:
            if csv_files.is_about_rows(error):
                raise csv_files.unreadable(error, list(come)) from error
            raise


def _predicate(marks: Sequence[str], *, strangers: bool) -> str:
    """The partitions of files."""
    quoted = [mark.replace("\\", "\\\\").replace("'", "\\'") for mark in marks]
    listed = ", ".join(f"'{mark}'" for mark in quoted)
    parts = [f"{FILE_COLUMN} IN ({listed})"] if marks else []
    return " OR ".join([*parts, *([f"{FILE_COLUMN} IS NULL"] if strangers else [])])


def mapping_options(schema: Schema) -> dict[str, str]:
    """The property of a new table by which Delta stores odd columns under names of its own."""
    names = [name for name, _ in schema]
    names += [part for _, kind in schema for part in _field_names(kind)]
    return {"delta.columnMapping.mode": "name"} if any(map(ODD.search, names)) else {}


def _mapping(spark: SparkSession, now: State | None, schema: Schema, table: str) -> dict[str, str]:
    """That property, where it is needed; of a table that is there it is set."""
    options = mapping_options(schema)
    if now is None or now.mapped or not options:
        return {} if now is not None else options
    name = table if tables.is_catalog_name(table) else f"delta.{column(table)}"
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    return {}


def _field_names(kind: str) -> list[str]:
    """The names of the fields within a type."""
    return re.findall(r"[<,]([^:<>]+):", kind)
