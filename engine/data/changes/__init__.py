"""Which rows came and which went between two versions of a Delta table, found from Delta itself.

An evaluation that keeps its states needs to predict only those rows: states add up, and adding has
an inverse. What changed is read from the change feed where the commits wrote one, and otherwise
from the files that the two versions do not share.

    delta_log   the commits' files in `_delta_log`: what each added and removed
    net         what is left of a range of commits when additions and removals cancel
    files       the rows of files, of both versions' tables
    cancel      rows that both came and went cancel, and the others are counted
    by_pieces   the same without Spark, of a table on this machine
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.data.changes.cancel import Raw, count
from engine.data.changes.delta_log import CannotTell, Commit, read_commits
from engine.data.changes.files import Layout, both_sides, feed, layout_of
from engine.data.changes.net import net
from engine.spark import table_errors, tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


__all__ = ["CannotTell", "Changes", "changes"]

Project = Callable[["DataFrame"], "DataFrame"]


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows that one version has and another lacks, and the other way round.

    `came` and `gone` are None when they have no rows. `how` is "nothing", "feed" or "files". What
    was counted is kept by Spark until `release`.
    """

    came: DataFrame | None
    gone: DataFrame | None
    rows_came: int
    rows_gone: int
    how: str
    kept: DataFrame | None = None

    def release(self) -> None:
        """Lets go of what Spark keeps; `came` and `gone` are computed anew after it."""
        if self.kept is not None:
            self.kept.unpersist()


NOTHING = Changes(None, None, 0, 0, "nothing")


def changes(spark: SparkSession, table: str, old: int, new: int, project: Project) -> Changes:
    """Finds the rows that came and went from the version `old` of a table to its version `new`.

    As multisets, the projected rows of `new` are those of `old`, and `came`, less `gone`. A row
    that was only rewritten is in neither. Rows are equal where SQL groups them together: nulls
    are equal, NaN is NaN, and 0.0 is -0.0.

    Args:
        spark: the session, a classic one or Spark Connect's.
        table: a path, a URI or a name in the catalog.
        old: the version to start from; it may be the later one.
        new: the version to arrive at.
        project: selects what the evaluation reads, row by row, and names each column: what it
            gives for a row must not depend on other columns of the table, which may grow.

    Raises:
        CannotTell: when it cannot be known; the whole table must be evaluated then.
    """
    if old > new:
        return _reverse(changes(spark, table, new, old, project))
    if old == new:
        return NOTHING
    try:
        return _changes(_Range(spark, table, old, new, project))
    except CannotTell:
        raise
    except Exception as error:  # Spark, py4j and gRPC each have their own
        raise CannotTell.of(old, new, _cause(error)) from error


def _reverse(forward: Changes) -> Changes:
    return replace(
        forward,
        came=forward.gone,
        gone=forward.came,
        rows_came=forward.rows_gone,
        rows_gone=forward.rows_came,
    )


def _cause(error: Exception) -> str:
    told = table_errors.read_error(error, "the table")
    return str(told).removeprefix("the table: ").partition(";")[0]


@dataclass(frozen=True, slots=True)
class _Range:
    """Two versions of a table, the older one first, and what is read of its rows."""

    spark: SparkSession
    table: str
    old: int
    new: int
    project: Project


def _changes(over: _Range) -> Changes:
    layout = layout_of(over.spark, over.table, over.new)
    commits = read_commits(over.spark, layout.location, (over.old + 1, over.new))
    _check_table(over, commits, layout.table_id)
    # A column that was renamed is another one, though no row came or went.
    _check_schemas(over, commits)
    if not any(commit.data for commit in commits):
        return NOTHING
    causes: list[Exception] = []
    for how, raw in _ways(over, commits, layout):
        try:
            return _count_changes(how, raw())
        except CannotTell:
            raise
        except Exception as error:  # the next way may do without what is missing
            causes.append(error)
    raise causes[-1]


def _ways(
    over: _Range, commits: Sequence[Commit], layout: Layout
) -> Iterator[tuple[str, Callable[[], Raw]]]:
    """The ways to the rows, the cheapest first; they are tried in turn."""
    whole = net(commits, rewrites=True)
    if any(commit.feed for commit in commits):
        delta = whole[0].delta if whole else 0
        yield "feed", lambda: feed(layout, (over.old, over.new), over.project, delta)
    segments = net(commits, rewrites=False)
    yield "files", lambda: both_sides(layout, segments, over.project)
    if segments != whole:
        # The versions between the two may have lost files that the two themselves still have.
        yield "files", lambda: both_sides(layout, whole, over.project)


def _count_changes(how: str, raw: Raw) -> Changes:
    counted = count(raw)
    if not counted.rows_came and not counted.rows_gone:
        if counted.kept is not None:
            counted.kept.unpersist()
        return replace(NOTHING, how=how)
    return Changes(
        counted.came, counted.gone, counted.rows_came, counted.rows_gone, how, counted.kept
    )


def _check_table(over: _Range, commits: Sequence[Commit], table_id: str) -> None:
    """Refuses a range in which the table became another one."""
    for commit in commits:
        if "REPLACE" in commit.operation or commit.table_id not in (None, table_id):
            raise CannotTell.of(over.old, over.new, f"version {commit.version} replaced the table")


def _check_schemas(over: _Range, commits: Sequence[Commit]) -> None:
    """Refuses a range in which a column that was there is another one; new columns may come."""
    schemas = [(commit.version, commit.schema) for commit in commits if commit.schema is not None]
    if not schemas:
        return
    before = tables.read(over.spark, over.table, over.old)
    types = {field.name: field.dataType.simpleString() for field in before.schema.fields}
    for version, schema in schemas:
        new_types = {field.name: field.dataType.simpleString() for field in schema.fields}
        for name, kind in types.items():
            if new_types.get(name) != kind:
                change = "removed or renamed" if name not in new_types else "changed the type of"
                reason = f"version {version} {change} the column {name!r}"
                raise CannotTell.of(over.old, over.new, reason)
    after = tables.read(over.spark, over.table, over.new)
    if _types(over.project(before)) != _types(over.project(after)):
        raise CannotTell.of(over.old, over.new, "the columns that are read have other types")


def _types(frame: DataFrame) -> list[str]:
    return [field.dataType.simpleString() for field in frame.schema.fields]
