"""Whether rows were only appended to a table between two of its versions, and in which files."""

from __future__ import annotations

from pyspark.sql import SparkSession

from engine.data.changes.delta_log import File, read_commits
from engine.data.changes.files import Layout, layout_of


def appended_files(
    spark: SparkSession, table: str, versions: tuple[int, int]
) -> tuple[Layout, list[File]] | None:
    """The files that came between two versions; None where rows went or were rewritten as well.

    Raises:
        CannotTell: when the log no longer has one of the commits.
    """
    old, new = versions
    layout = layout_of(spark, table, new)
    commits = read_commits(spark, layout.location, (old + 1, new))
    if any(commit.removed or commit.schema or commit.table_id for commit in commits):
        return None
    return layout, [file for commit in commits for file in commit.added if commit.data]
