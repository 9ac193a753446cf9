"""The one module that looks behind the DataFrame API; each function has a fallback without it.

Spark Connect and shared clusters offer no SparkContext. There, what needs it is left out or
estimated, and nothing else changes.
"""

from __future__ import annotations

import datetime as dt
import os
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from engine.spark.api import F, java_gateway, pyspark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession


_CORES: WeakKeyDictionary[SparkSession, int] = WeakKeyDictionary()


def is_connect(spark: SparkSession) -> bool:
    """Whether the session is a client of Spark Connect."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def master(spark: SparkSession) -> str:
    """The master's address, such as `local[2]` or `spark://host:7077`; "" where it is not told."""
    try:
        return str(spark.conf.get("spark.master", "") or "")
    except Exception:  # a server may keep its settings to itself
        return ""


def runs_here(spark: SparkSession) -> bool:
    """Whether the workers are processes of this machine that have what this process has.

    So it is with `local[2]`. The server of Spark Connect may be on another machine, and each
    worker of a `local-cluster` has folders of its own.
    """
    return not is_connect(spark) and is_here(master(spark))


def is_here(master: str) -> bool:
    """Whether a master's address means this process's own machine, such as `local[2]`."""
    return bool(re.fullmatch(r"local(\[.*\])?", master))


def rows_by_partition(frame: DataFrame) -> Iterator[Row]:
    """The rows in their order, of which the driver holds those of one partition at a time.

    A DataFrame's own `toLocalIterator` runs its jobs after the query has ended. Spark 4.2 notes
    them under that query and never forgets them: for as long as the session lives, it keeps the
    query's plan, the tables' file lists, and the files of its shuffles on disk.
    """
    if is_connect(frame.sparkSession):
        return iter(frame.toLocalIterator())
    return iter(frame.rdd.toLocalIterator())


def submitted_master() -> str | None:
    """The master that `spark-submit` was called with, before a session is there; else None."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return None
    try:
        return pyspark.SparkConf().get("spark.master")
    except Exception:  # the JVM is told by spark-submit, and by it alone
        return None


def cores(spark: SparkSession) -> int:
    """How many tasks run at once."""
    try:
        return int(spark.sparkContext.defaultParallelism)
    except Exception:  # Spark Connect has no context
        pass
    if spark not in _CORES:
        # A range without a number of partitions gets as many as tasks can run at once.
        parts = spark.range(0, 100_000).select(F.spark_partition_id().alias("part"))
        _CORES[spark] = int(parts.agg(F.max("part")).collect()[0][0]) + 1
    return _CORES[spark]


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
def job_description(spark: SparkSession, text: str) -> Iterator[None]:
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


@dataclass(frozen=True, slots=True)
class Head:
    """The newest version of a Delta table, when it was committed, and the table's id."""

    version: int
    timestamp: dt.datetime
    table_id: str


def table_head(spark: SparkSession, path: str) -> Head | None:
    """What a path's Delta log ends with; None where only Delta's own commands can tell.

    Some milliseconds, where `DESCRIBE HISTORY` and `DESCRIBE DETAIL` take a job each.
    """
    snapshot = _snapshot(spark, path)
    if snapshot is None:
        return None
    when = dt.datetime.fromtimestamp(snapshot.timestamp() / 1000, dt.UTC)
    return Head(int(snapshot.version()), when, str(snapshot.metadata().id()))


def committed_tokens(spark: SparkSession, path: str, tokens: Iterable[str]) -> set[str] | None:
    """Those of the transaction ids that a Delta table has commits of; None where nothing tells."""
    snapshot = _snapshot(spark, path)
    if snapshot is None:
        return None
    known = snapshot.transactions()
    return {token for token in tokens if known.contains(token)}


def _snapshot(spark: SparkSession, path: str) -> Any:
    """The JVM's newest snapshot of the Delta table at a path; None where there is no such thing."""
    try:
        delta_log = spark._jvm.org.apache.spark.sql.delta.DeltaLog  # type: ignore[union-attr]
        log = delta_log.forTable(spark._jsparkSession, path)
        # Scala keeps the defaults of a method's arguments in methods of their own.
        defaults = [getattr(log, f"update$default${place}")() for place in (1, 2, 3)]
        snapshot = log.update(*defaults)
        return snapshot if snapshot.version() >= 0 else None
    except Exception:  # Spark Connect has no JVM here, and another Delta may have another log
        return None


def launch_jvm(settings: Mapping[str, str], log_file: Path | None) -> None:
    """Starts the JVM of the next session with its standard output and error in a file.

    Spark's own way gives it those of this process, which others of its threads may write to.
    """
    is_there = pyspark.SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ
    if log_file is None or is_there:
        return
    conf = pyspark.SparkConf(loadDefaults=False)
    for key, value in settings.items():
        conf.set(key, value)
    with log_file.open("ab") as log:
        gateway = java_gateway.launch_gateway(  # type: ignore[no-untyped-call]
            conf, {"stdout": log, "stderr": log}
        )
    pyspark.SparkContext._ensure_initialized(gateway=gateway)


def make_active(spark: SparkSession) -> None:
    """Makes a session that another thread has started the active one of this thread."""
    with suppress(Exception):  # Spark Connect has no JVM here
        spark._jvm.SparkSession.setActiveSession(spark._jsparkSession)  # type: ignore[union-attr]


def shares_disk(spark: SparkSession) -> bool:
    """Whether a path without a scheme means to Spark the folder that it means to this process.

    A cluster's default file system, and the server of Spark Connect, may be elsewhere.
    """
    try:
        settings = spark.sparkContext._jsc.hadoopConfiguration()
        return str(settings.get("fs.defaultFS") or "").startswith("file:")
    except Exception:  # Spark Connect has no context
        return False


def jvm_context(spark: SparkSession) -> Any:
    """The JVM's own SparkContext, with its scheduler and status store; None without one here."""
    try:
        return spark.sparkContext._jsc.sc()
    except Exception:  # Spark Connect has no context
        return None


def jvm_pid(spark: SparkSession) -> int | None:
    """The process of the driver's JVM, which is on this machine; None where there is none."""
    try:
        jvm: Any = spark.sparkContext._jvm
        return int(jvm.java.lang.ProcessHandle.current().pid())
    except Exception:  # Spark Connect has no JVM here
        return None


def exit_jvm(spark: SparkSession, timeout: float) -> None:
    """Ends the session's JVM as it ends by itself; PySpark would kill it."""
    process = spark.sparkContext._gateway.proc  # type: ignore[union-attr]
    with suppress(Exception):  # the answer never comes
        spark._jvm.java.lang.System.exit(0)  # type: ignore[union-attr]
    process.wait(timeout)


def spark_home() -> str:
    """The folder of the Spark that a session of this process would start."""
    spec = find_spec("pyspark")
    return os.environ.get("SPARK_HOME") or (str(Path(spec.origin or "").parent) if spec else "")


def delta_jars() -> list[str] | None:
    """Delta's jars as Maven left them on this machine; [] when Spark carries them itself.

    None means that they must be resolved, which takes Spark some seconds at each start.
    """
    if list(Path(spark_home(), "jars").glob("*delta-spark*.jar")):
        return []
    wanted = version("delta-spark")
    spark = ".".join(version("pyspark").split(".")[:2])
    for folder in maven_folders():
        # Before 4.1, Delta did not name in its jar the Spark that it is built for.
        for built in (f"_{spark}", ""):
            if list(folder.glob(f"io.delta_delta-spark{built}_2.1?-{wanted}.jar")):
                # Those of other versions lie in the same folder.
                parts = folder.glob(f"io.delta_delta-[!c]*-{wanted}.jar")
                delta = [jar for jar in parts if "delta-spark" not in jar.name]
                delta += folder.glob(f"io.delta_delta-spark{built}_2.1?-{wanted}.jar")
                return sorted(map(str, [*delta, *folder.glob("io.unitycatalog_*.jar")]))
    return None


def maven_folders() -> list[Path]:
    """Where Spark leaves the jars on this machine that it has fetched."""
    return sorted(folder for home in _homes() for folder in home.glob(".ivy2*/jars"))


def lacks_file_system(spark: SparkSession, scheme: str, class_name: str) -> bool | None:
    """Whether a session lacks a class of Hadoop's, or does not know it for a scheme of URIs.

    None where only the server can tell.
    """
    try:
        conf = spark.sparkContext._jsc.hadoopConfiguration()
        known = str(conf.get(f"fs.{scheme}.impl") or "")
    except Exception:  # Spark Connect has no context
        return None
    try:
        conf.getClassByName(class_name)
    except Exception:  # Java's ClassNotFoundException
        return True
    return not known and scheme != "s3a"


def _homes() -> set[Path]:
    """This user's home, and what Java takes for it: it asks the system, and not HOME."""
    homes = {Path.home()}
    with suppress(KeyError):  # a user whom a container does not know
        homes.add(Path(pwd.getpwuid(os.getuid()).pw_dir))
    return homes
