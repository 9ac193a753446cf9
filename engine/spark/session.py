"""The Spark session: the caller's own where there is one, else a small local one with Delta.

A local session is lean (no UI, few partitions, Delta's snapshots in one task), and its chatter
goes to a file, without values of the data: what the JVM writes to standard error is no message to
the user. On a cluster only what the engine relies on is set, and the rest is left as it was
submitted. Which it is: a session that is active already; the server that SPARK_REMOTE names; the
master of spark-submit, or the one that MASTER names; else all cores of this machine.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.signals import keep_handlers
from engine.core.temporary import scratch_folder
from engine.errors import InputError, StoreError
from engine.spark import s3a
from engine.spark.api import delta, spark_errors, sql
from engine.spark.class_archive import archive_file, java_options
from engine.spark.internals import (
    delta_jars,
    is_here,
    launch_jvm,
    maven_folders,
    spark_home,
    submitted_master,
)
from engine.spark.java import check_java, find_java, release_line
from engine.spark.preflight import check_reachable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


log = logging.getLogger("evalmatrix")

_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
# The compiler that is done soon. By itself it would have 48 MB of room for machine code, which
# Spark fills after some runs; from then on a quarter of Java's time goes into making room.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m"

NEEDED: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "32768",
    # A worker that adds states holds a batch of them; some hundred slices' are megabytes each.
    "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
    "spark.python.worker.faulthandler.enabled": "true",
    "spark.ui.showConsoleProgress": "false",
    # A `where` says what it says: Spark would put settings and the environment into `${...}`.
    "spark.sql.variable.substitute": "false",
}

LEAN: Mapping[str, str] = {
    # The engine says how many partitions it wants; planning each stage anew only costs time here.
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": str(os.cpu_count() or 2),
    # Rows come from files in the same order each time, and on one machine no stage is run again.
    "spark.sql.execution.sortBeforeRepartition": "false",
    # A VACUUM of the user's own lists files in so many tasks; 10,000 by default.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(4 * (os.cpu_count() or 2)),
    # What shuffles have written goes when Java has found that nobody needs it; half an hour by
    # default, in which a night of small runs leaves a thousand files.
    "spark.cleaner.periodicGC.interval": "5min",
    # What Spark keeps for its UI, on or off, of what has ended: a thousand of each by default.
    "spark.ui.retainedJobs": "200",
    "spark.ui.retainedStages": "200",
    "spark.sql.ui.retainedExecutions": "100",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


def get_session(
    *,
    app_name: str = "evalmatrix",
    log_file: Path | None = None,
    extra: Mapping[str, str] | None = None,
    object_store: bool = False,
) -> SparkSession:
    """The active Spark session, or a new one with Delta.

    Args:
        app_name: the name of a new session.
        log_file: where a new JVM's standard output and error go; None leaves them where they are,
            but for the first session of a machine, which fetches Delta's jars.
        extra: configuration that goes over the lean defaults.
        object_store: whether a new session is to read from an object store.

    Raises:
        InputError: when this Python lacks what Spark Connect takes.
        StoreError: when Spark does not start, which has the end of its log in the message, or
            when nothing listens at the address of the master or server.
    """
    active = sql.SparkSession.getActiveSession()
    if active is not None:
        return active
    remote = os.environ.get("SPARK_REMOTE")
    if remote:
        return _connect(remote, app_name)
    under_submit = "PYSPARK_GATEWAY_PORT" in os.environ
    if not under_submit:
        check_java()
    settings = _settings({**(s3a.settings() if object_store else {}), **(extra or {})})
    environment = _environment()
    # Workers run this very Python, whatever `python3` is on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    jars = [] if under_submit else _jars(object_store)
    if jars is None:
        what = "Delta and S3A jars" if object_store else "Delta jars"
        log.info("fetching Spark's %s (once, about a minute)", what)
        # The resolver prints a hundred lines and more, of which only its failure is worth reading.
        log_file = log_file or scratch_folder() / "spark.log"
    if jars and is_here(settings["spark.master"]):
        settings = _on_class_path(settings, jars)
    elif jars:
        settings["spark.jars"] = ",".join(jars)
    if not under_submit and is_here(settings["spark.master"]):
        folder = scratch_folder()
        settings = _with_scratch(settings, folder)
        # Python workers have the environment of the JVM.
        environment["TMPDIR"] = str(folder)
    builder = sql.SparkSession.builder.appName(app_name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    if jars is None:
        builder = _with_packages(builder, object_store)
    try:
        with _set(environment), keep_handlers():
            launch_jvm(builder._options, _appendable(log_file))
            return builder.getOrCreate()
    except Exception as error:
        raise StoreError(f"Spark did not start: {error}{_tail(log_file)}") from error


def _jars(object_store: bool) -> list[str] | None:
    """The jars that Spark lacks; None where some of them must be fetched."""
    own = delta_jars()
    more = s3a.find_jars(spark_home(), maven_folders()) if object_store else []
    return None if own is None or more is None else [*own, *more]


def _with_packages(builder: SparkSession.Builder, object_store: bool) -> SparkSession.Builder:
    """A builder whose session has Spark fetch what it lacks."""
    whole: SparkSession.Builder
    if object_store:
        named, without = s3a.packages(spark_home())
        builder = builder.config("spark.jars.excludes", ",".join(without))
        whole = delta.configure_spark_with_delta_pip(builder, named)
    else:
        whole = delta.configure_spark_with_delta_pip(builder)
    return whole


def _settings(extra: Mapping[str, str]) -> dict[str, str]:
    """The configuration of a new session, lean where its workers are on this machine.

    Raises:
        StoreError: when nothing listens at the master's address.
    """
    given = extra.get("spark.master") or submitted_master() or os.environ.get("MASTER")
    master = given or "local[*]"
    needed = {**NEEDED, **extra}
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        needed["spark.master"] = master
    if master.startswith("local"):
        return {**LEAN, **_local_machine(), **needed}
    check_reachable(master)
    return needed


def _on_class_path(settings: Mapping[str, str], jars: Sequence[str]) -> dict[str, str]:
    """The settings with Delta's jars where the classes of an archive come from, and the archive."""
    path = "spark.driver.extraClassPath"
    given = [settings[_JAVA_OPTIONS]] if _JAVA_OPTIONS in settings else []
    before = [settings[path]] if path in settings else []
    return {
        **settings,
        path: ":".join([*jars, *before]),
        _JAVA_OPTIONS: " ".join([*given, *java_options(class_archive(jars))]),
    }


def class_archive(jars: Sequence[str]) -> Path:
    """Where the class data of this machine's Java, Spark and Delta is kept, or would be."""
    java = find_java()
    return archive_file(f"{java} {release_line(java)}", [*jars, spark_home()])


def _connect(remote: str, app_name: str) -> SparkSession:
    """A session on a Spark Connect server."""
    check_reachable(remote)
    try:
        spark = sql.SparkSession.builder.remote(remote).appName(app_name).getOrCreate()
        # A client that is made is not connected yet.
        spark.version  # noqa: B018
        for key, value in NEEDED.items():
            # What belongs to the server alone is the server's to say.
            with suppress(*spark_errors()):
                spark.conf.set(key, value)
    except ImportError as error:
        raise InputError(
            f"Spark Connect lacks a package here: {str(error).splitlines()[0]}; "
            "pip install 'pyspark[connect]'"
        ) from error
    except Exception as error:
        raise StoreError(
            f"the Spark Connect server {remote.partition('/;')[0]} cannot be used: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return spark


def _local_machine() -> dict[str, str]:
    """What fits a JVM on this machine: a share of its memory, and a compiler that is done soon.

    Measured on two cores: to read a million rows of 25 columns into Python takes 11 core-seconds
    the first time and 8 from then on; with the optimising compiler 20 and 6.
    """
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    gigabytes = max(1, min(4, pages * size // 2**30 // 4))
    return {
        "spark.driver.memory": f"{gigabytes}g",
        # Java that has run out of memory would hang where a thread of Spark has ended.
        _JAVA_OPTIONS: f"{QUICK_JAVA} -XX:+ExitOnOutOfMemoryError",
    }


def _with_scratch(settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The settings of a session whose temporary files lie in a folder."""
    options = f'{settings[_JAVA_OPTIONS]} "-Djava.io.tmpdir={folder}"'
    own = {} if "SPARK_LOCAL_DIRS" in os.environ else {"spark.local.dir": str(folder)}
    return {**own, **settings, _JAVA_OPTIONS: options}


def _environment() -> dict[str, str]:
    """The environment of a new JVM, beside what this process has.

    It gets a configuration of its log without values of the data; whoever has set one has the last
    word, by the same variable or by Java's own option. And it can write any file name: in the
    locale C, cron's for one, Java has ASCII alone.
    """
    environment = {}
    variable, file = "LOG4J_CONFIGURATION_FILE", Path(__file__).with_name("log4j2.properties")
    if variable not in os.environ and file.is_file():
        environment[variable] = file.as_uri()
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    told = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if "utf" not in told.lower():
        environment["LC_ALL"] = "C.UTF-8"
    return environment


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    """Sets variables of the environment for the time of the block."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _appendable(file: Path | None) -> Path | None:
    """The file; nowhere where it cannot be written: a read-only store can be read all the same."""
    if file is None:
        return None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab"):
            return file
    except OSError:
        return Path(os.devnull)


def _tail(log_file: Path | None, lines: int = 15) -> str:
    if log_file is None or not log_file.exists():
        return ""
    text = log_file.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"\nThe end of {log_file}:", *text])
