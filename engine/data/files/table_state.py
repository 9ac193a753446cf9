"""A table of files as it is at a version: its columns, and the files that it has rows of."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.data.files.decision import Schema
from engine.data.files.listing import name_of
from engine.delta import head
from engine.delta.head import is_table, read_head
from engine.delta.messages import NeedsSpark
from engine.spark import tables
from engine.spark.lazy_session import LazySession

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


FILE_COLUMN = "__evalmatrix_file__"
"""Marks the rows of a file; no column of a dataset."""


@dataclass(frozen=True, slots=True)
class State:
    """A table as it is: the marks of the files it has rows of; `ours` where it has such marks."""

    version: int
    schema: Schema
    marks: frozenset[str | None]
    ours: bool
    mapped: bool


def state_of(session: LazySession, table: str) -> State | None:
    """A table as it is; None where there is none."""
    path = session.direct_place(table)
    if path is not None:
        with suppress(NeedsSpark):
            if not is_table(path):
                return None
            about = read_head(path)
            ours = FILE_COLUMN in about.partitions
            marks = head.partition_values(path, FILE_COLUMN, about.version) if ours else set()
            mapped = "delta.columnMapping.mode" in about.properties
            return State(about.version, without_mark(about.schema), frozenset(marks), ours, mapped)
    return _spark_state(session.get(), table)


def _spark_state(spark: SparkSession, table: str) -> State | None:
    version = tables.newest_version(spark, table)
    if version is None:
        return None
    frame = tables.read(spark, table, version)
    schema = tuple((field.name, field.dataType.simpleString()) for field in frame.schema.fields)
    detail = tables.delta_table(spark, table).detail().collect()[0].asDict()
    ours = FILE_COLUMN in detail["partitionColumns"]
    marks = {row[0] for row in frame.select(FILE_COLUMN).distinct().collect()} if ours else set()
    mapped = "delta.columnMapping.mode" in detail["properties"]
    return State(version, without_mark(schema), frozenset(marks), ours, mapped)


def has_version(session: LazySession, table: str) -> bool:
    """Whether there is a table, of which older versions can be read."""
    return state_of(session, table) is not None


def without_mark(schema: Schema) -> Schema:
    """The columns of a table of files without the one that marks their rows."""
    return tuple((name, kind) for name, kind in schema if name != FILE_COLUMN)


def names_at(session: LazySession, table: str, version: int) -> list[str]:
    """The names of the files that a version of a table of files is made of, sorted."""
    path = session.direct_place(table)
    marks: set[str | None] | None = None
    if path is not None:
        with suppress(NeedsSpark):
            marks = head.partition_values(path, FILE_COLUMN, version)
    if marks is None:
        frame = tables.read(session.get(), table, version)
        marks = {row[0] for row in frame.select(FILE_COLUMN).distinct().collect()}
    return sorted(name_of(mark) for mark in marks if mark is not None)
