"""Looks at a cluster before a scan: is it there, do the versions fit, can its workers do the work.

Everything here costs seconds at most, and finds in them what else would end a scan after minutes,
or cost every cell of a model. On a local session nothing but the versions is looked at.
"""

from __future__ import annotations

import json
import logging
import platform
import re
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import pyspark
from pyspark.sql import Row, SparkSession

from engine._version import __version__
from engine.errors import InputError, StoreError
from engine.models import LOOK_DDL, make_look, needed_by
from engine.spark_internals import cores, is_connect, runs_here, submitted_master
from engine.vocabulary import ModelVersion

log = logging.getLogger("evalmatrix")

PROBE_SECONDS = 5.0
PATIENCE_SECONDS = 20.0
MAX_LOOKS = 32

_PORTS = {"spark": 7077, "sc": 15002}
_PACK = "make the environment with infrastructure/pack.py and submit it (docs/cluster.md)"


def check_reachable(address: str) -> None:
    """Raises StoreError when nothing listens at a master's or a Connect server's address.

    Spark itself would try for a minute. Of several masters, `spark://a:7077,b:7077`, one must
    listen. Addresses without a host, such as `local[2]` and `yarn`, are not looked at.
    """
    scheme, _, rest = address.partition("://")
    if scheme == "k8s":
        scheme, _, rest = rest.rpartition("://")
    elif scheme not in _PORTS:
        return
    failures = []
    for place in rest.partition("/")[0].partition(";")[0].split(","):
        parts = urlsplit(f"//{place}")
        try:
            port = parts.port or _PORTS.get(scheme, 443)
            with socket.create_connection((parts.hostname or "", port), PROBE_SECONDS):
                return
        except (OSError, ValueError) as error:
            failures.append(f"{place}: {getattr(error, 'strerror', None) or error}")
    what = "Spark Connect server" if scheme == "sc" else "Spark master"
    raise StoreError(
        f"the {what} {address.partition('/;')[0]} cannot be reached ({'; '.join(failures)}); start "
        "it, or correct the address; nothing was evaluated"
    )


def check_cluster(spark: SparkSession, models: Iterable[ModelVersion]) -> None:
    """Checks that Spark, Delta and the workers can do what a scan of these models takes.

    Raises:
        InputError: when versions do not fit, Delta is missing, or the workers' Python lacks the
            engine or a library, or is another one than the driver's.
        StoreError: when the workers cannot be asked.
    """
    check_versions(spark)
    if not _configured(spark):
        check_delta(spark)
    if not runs_here(spark):
        check_workers(spark, models)


def _configured(spark: SparkSession) -> bool:
    """Whether the session is one of this process that was started with Delta."""
    extensions = str(spark.conf.get("spark.sql.extensions", "") or "")
    return runs_here(spark) and submitted_master() is None and "DeltaSparkSession" in extensions


def check_versions(spark: SparkSession) -> None:
    """Raises InputError when this process' PySpark does not fit the Spark that it talks to.

    The two are of one minor version; a client of Spark Connect may be the older one.
    """
    client, server = (_minor(text) for text in (pyspark.__version__, spark.version))
    if client == server or (is_connect(spark) and client[0] == server[0] and client < server):
        return
    raise InputError(
        f"PySpark is {pyspark.__version__} and Spark is {spark.version}: the two do not fit; "
        f"install pyspark=={spark.version} with the delta-spark that is built for it"
    )


def _minor(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


_LINKAGE = re.compile(
    r"NoSuchMethodError|NoClassDefFoundError|NoSuchFieldError|IncompatibleClassChangeError"
    r"|AbstractMethodError|LinkageError|UnsupportedClassVersionError"
)
_NO_DELTA = re.compile(
    r"DATA_SOURCE_NOT_FOUND|ClassNotFoundException|CANNOT_LOAD_CATALOG|CATALOG_NOT_FOUND"
    r"|Cannot find catalog plugin class"
)
_NOT_CONFIGURED = "DELTA_CONFIGURE_SPARK_SESSION_WITH_EXTENSION_AND_CATALOG"


def check_delta(spark: SparkSession) -> None:
    """Raises InputError when the session has no Delta, or one that is built for another Spark."""
    try:
        spark.sql("DESCRIBE DETAIL delta.`/evalmatrix/no/table`").collect()
    except Exception as error:
        text = str(error)
        if _LINKAGE.search(text):
            raise InputError(
                f"Delta does not fit Spark {spark.version} ({_LINKAGE.findall(text)[0]}); take the "
                f"delta-spark jar that is built for it: {_jar(spark)}"
            ) from error
        if _NO_DELTA.search(text):
            raise InputError(
                f"the Spark session has no Delta; start Spark with --packages {_jar(spark)}"
            ) from error
        if _NOT_CONFIGURED in text or "PARSE_SYNTAX_ERROR" in text:
            raise InputError(
                "Delta is not configured in the Spark session; start Spark with "
                "--conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension --conf "
                "spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog"
            ) from error
        # There is no such table: so Delta says, and so it is there.


def _jar(spark: SparkSession) -> str:
    return "io.delta:delta-spark_{}.{}_2.13:VERSION".format(*_minor(spark.version))


def check_workers(spark: SparkSession, models: Iterable[ModelVersion]) -> None:
    """Asks the workers' Python for its version, the engine, and the models' libraries.

    Raises:
        InputError: when one of them does not fit.
        StoreError: when the workers do not run Python at all.
    """
    libraries = {lib: how for model in models for lib, how in needed_by(model).items()}
    parts = min(2 * cores(spark), MAX_LOOKS)
    frame = spark.range(0, parts, 1, parts).mapInArrow(make_look(tuple(libraries)), LOOK_DDL)
    try:
        with _told_of_waiting():
            rows = frame.distinct().collect()
    except Exception as error:  # of PySpark, or what it did not translate
        raise _not_asked(str(error)) from error
    check_looks(rows, libraries)


def _not_asked(text: str) -> InputError | StoreError:
    """Why the workers' Python did not answer, in a user's words."""
    versions = re.search(r"PYTHON_VERSION_MISMATCH|different versions? .{0,40}[Pp]ython", text)
    if versions:
        found = re.search(r"[Pp]ython in worker has different version:? ?(\S+?)[,.]? ", text)
        return InputError(
            f"the workers run Python {found[1] if found else 'of another version'}, the driver "
            f"{platform.python_version()}; the two must be of one minor version: {_PACK}"
        )
    module = re.search(r"No module named '?([\w.]+)|PACKAGE_NOT_INSTALLED\] (\S+)", text)
    if module:
        return InputError(
            f"the workers' Python lacks {module[1] or module[2]!r}, which Spark needs to hand it "
            f"rows; {_PACK}"
        )
    program = re.search(r'Cannot run program "([^"]+)"', text)
    if program:
        return InputError(
            f"the workers cannot start Python: there is no {program[1]!r} on them; name one with "
            f"spark.pyspark.python, or {_PACK}"
        )
    told = text.strip().splitlines()[0][:500]
    return StoreError(f"the workers could not be asked what they have: {told}")


def check_looks(rows: Sequence[Row], libraries: Mapping[str, str]) -> None:
    """Raises InputError for the first thing that a worker lacks; logs what merely differs."""
    for row in rows:
        where = f"the workers' Python ({row.executable}, {row.python})"
        if row.engine is None:
            raise InputError(f"{where} has no evalmatrix; {_PACK}")
        if row.engine != __version__:
            raise InputError(
                f"{where} has evalmatrix {row.engine}, the driver {__version__}; make the "
                "environment anew from the driver's version"
            )
        if row.broken is not None:
            raise InputError(f"{where} cannot import evalmatrix: {row.broken}; {_PACK}")
        for library, command in libraries.items():
            if library not in json.loads(row.found):
                raise InputError(
                    f"{where} lacks the library {library!r}, which a model of the suite needs "
                    f"({command}); {_PACK}"
                )
    for library, version in _differing(rows):
        log.warning("the workers have %s of another version than the driver: %s", library, version)


def _differing(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """The libraries of which workers have another version than the driver, with that version."""
    found = {pair for row in rows for pair in json.loads(row.found).items()}
    (own,) = make_look(sorted({name for name, _ in found}))(())
    here = json.loads(own.to_pylist()[0]["found"])
    return ((name, version) for name, version in sorted(found) if here.get(name) != version)


@contextmanager
def _told_of_waiting() -> Iterator[None]:
    """Says so when a cluster gives no worker for a while: Spark would wait without a word."""
    timer = threading.Timer(
        PATIENCE_SECONDS,
        log.warning,
        ("waiting for the cluster to give the run a worker: it may be busy, or have none as large "
         "as spark.executor.cores and spark.executor.memory ask for",),
    )  # fmt: skip
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
