"""The one module that looks behind the DataFrame API; each function has a fallback without it.

Spark Connect and shared clusters offer no SparkContext. There, what needs it is left out or
estimated, and nothing else changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pyspark.sql import SparkSession


def cores(spark: SparkSession) -> int:
    """How many tasks run at once."""
    try:
        return int(spark.sparkContext.defaultParallelism)
    except Exception:  # Spark Connect has no context
        return int(spark.conf.get("spark.sql.leafNodeDefaultParallelism", "2") or 2)


def task_progress(spark: SparkSession) -> tuple[int, int] | None:
    """Finished and all tasks of the stages that are running; None where that is not told."""
    try:
        tracker = spark.sparkContext.statusTracker()
        done = total = 0
        for stage in tracker.getActiveStageIds():
            info = tracker.getStageInfo(stage)
            if info is not None:
                done, total = done + info.numCompletedTasks, total + info.numTasks
    except Exception:  # Spark Connect has no context
        return None
    return (done, total) if total else None


@contextmanager
def described(spark: SparkSession, text: str) -> Iterator[None]:
    """Names the jobs of a block in Spark's UI and history."""
    try:
        context = spark.sparkContext
        context.setJobDescription(text)
    except Exception:  # Spark Connect has no context
        yield
        return
    try:
        yield
    finally:
        context.setLocalProperty("spark.job.description", None)  # type: ignore[arg-type]


def stop_jobs(spark: SparkSession) -> None:
    """Cancels what is running, for a user who pressed Ctrl-C."""
    try:
        spark.sparkContext.cancelAllJobs()
    except Exception:  # Spark Connect has no context
        spark.interruptAll()


def delta_jars() -> list[str] | None:
    """Delta's jars as Maven left them on this machine; [] when Spark carries them itself.

    None means that they must be resolved, which takes Spark some seconds at each start.
    """
    spec = find_spec("pyspark")
    home = os.environ.get("SPARK_HOME") or (Path(spec.origin or "").parent if spec else "")
    if list(Path(home, "jars").glob("*delta-spark*.jar")):
        return []
    wanted = version("delta-spark")
    for folder in sorted(Path.home().glob(".ivy2*/jars")):
        if list(folder.glob(f"io.delta_delta-spark_*-{wanted}.jar")):
            found = [*folder.glob("io.delta_*.jar"), *folder.glob("io.unitycatalog_*.jar")]
            return sorted(str(jar) for jar in found)
    return None
