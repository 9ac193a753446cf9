"""Whether rows were only appended to a table between two of its versions, and in which files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.data.changes.delta_log import Commit, File, local_commits, read_commits
from engine.data.changes.files import Layout, layout_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def appended_files(
    spark: SparkSession, table: str, versions: tuple[int, int]
) -> tuple[Layout, list[File]] | None:
    """The files that came between two versions; None where rows went or were rewritten as well.

    Raises:
        CannotTell: when the log no longer has one of the commits.
    """
    old, new = versions
    layout = layout_of(spark, table, new)
    came = _files_that_came(read_commits(spark, layout.location, (old + 1, new)))
    return None if came is None else (layout, came)


def appended_paths(place: Path | str, versions: tuple[int, int]) -> list[str] | None:
    """The paths of the files that came between two versions of a table; no Spark.

    None where rows went or were rewritten as well.

    Raises:
        CannotTell: when the log no longer has one of the commits.
    """
    old, new = versions
    came = _files_that_came(local_commits(place, (old + 1, new)))
    return None if came is None else [file.path.removeprefix("file:") for file in came]


def _files_that_came(commits: Sequence[Commit]) -> list[File] | None:
    if any(commit.removed or commit.schema or commit.table_id for commit in commits):
        return None
    return [file for commit in commits for file in commit.added if commit.data]
