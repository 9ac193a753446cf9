"""Looks at a cluster before a scan: is it there, do the versions fit, can its workers do the work.

Everything here costs seconds at most, and finds in them what else would end a scan after minutes,
or cost every cell of a model. On a local session nothing but the versions is looked at.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.errors import InputError, StoreError
from engine.spark import s3a
from engine.spark.api import pyspark
from engine.spark.internals import is_connect, lacks_file_system, spark_home

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


PROBE_SECONDS = 5.0

_PORTS = {"spark": 7077, "sc": 15002}


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
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


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


def check_object_store(spark: SparkSession, place: str) -> None:
    """Raises InputError when the session has no way to a place in an object store."""
    scheme = place.partition(":")[0].lower()
    if lacks_file_system(spark, scheme, s3a.FILE_SYSTEM):
        raise InputError(
            f"the Spark session cannot read {place!r}: it has no S3A, or none for {scheme}://; "
            f"start Spark with {s3a.how_to_add(spark_home())}, or leave it to evalmatrix, which "
            "fetches that by itself; nothing was evaluated"
        )


def _jar(spark: SparkSession) -> str:
    return "io.delta:delta-spark_{}.{}_2.13:VERSION".format(*_minor(spark.version))
