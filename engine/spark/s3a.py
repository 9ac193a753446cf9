"""Spark's way to an object store: Hadoop's S3A, its jars, and what of the environment it is told.

Hadoop's own package brings the whole of Amazon's SDK, some 600 MB. Of that S3A takes the modules
named here, some 14 MB. No credential is told to Spark: S3A reads them from the environment itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from engine.core.object_store import endpoint, region

SDK = {"3.5": "2.35.4", "3.4": "2.29.52"}
"""The version of Amazon's SDK that a minor version of Hadoop is built with."""

_MODULES = ("s3", "s3-transfer-manager", "sts")
# What Spark has itself, in other versions for some; and the SDK as one jar.
_NOT = ("software.amazon.awssdk:bundle", "org.apache.hadoop:hadoop-client-api",
        "org.apache.hadoop:hadoop-client-runtime", "org.slf4j:slf4j-api",
        "org.apache.httpcomponents:httpclient", "org.apache.httpcomponents:httpcore",
        "commons-logging:commons-logging", "commons-codec:commons-codec",
        *(f"io.netty:netty-{part}" for part in
          ("buffer", "codec", "codec-http", "codec-http2", "common", "handler", "resolver",
           "transport", "transport-classes-epoll", "transport-native-unix-common")))  # fmt: skip
FILE_SYSTEM = "org.apache.hadoop.fs.s3a.S3AFileSystem"
_WEB_IDENTITY = "software.amazon.awssdk.auth.credentials.WebIdentityTokenFileCredentialsProvider"
_HADOOP = re.compile(r"hadoop-client-api-(\d+\.\d+)\.(.+)\.jar")


def hadoop_version(spark_home: str) -> tuple[str, str] | None:
    """The minor version, and the whole one, of the Hadoop that a Spark carries."""
    for jar in sorted(Path(spark_home, "jars").glob("hadoop-client-api-*.jar")):
        if match := _HADOOP.fullmatch(jar.name):
            return match[1], f"{match[1]}.{match[2]}"
    return None


def packages(spark_home: str) -> tuple[list[str], list[str]]:
    """What `--packages` takes for S3A, and what `--exclude-packages` leaves out of it.

    Of a Hadoop that is not known here the whole SDK is taken.
    """
    minor, whole = hadoop_version(spark_home) or ("", "")
    sdk = SDK.get(minor)
    named = [f"org.apache.hadoop:hadoop-aws:{whole or 'VERSION'}"]
    if sdk is None:
        return named, [name for name in _NOT if not name.endswith(":bundle")]
    return [*named, *(f"software.amazon.awssdk:{part}:{sdk}" for part in _MODULES)], [*_NOT]


def find_jars(spark_home: str, folders: Sequence[Path]) -> list[str] | None:
    """S3A's jars as Maven left them on this machine; [] where Spark carries them itself.

    None means that they must be fetched.
    """
    if list(Path(spark_home, "jars").glob("hadoop-aws-*.jar")):
        return []
    minor, whole = hadoop_version(spark_home) or ("", "")
    sdk = SDK.get(minor)
    for folder in folders:
        own = folder / f"org.apache.hadoop_hadoop-aws-{whole}.jar"
        modules = [folder / f"software.amazon.awssdk_{part}-{sdk}.jar" for part in _MODULES]
        if all(jar.is_file() for jar in (own, *modules)):
            parts = [jar for jar in folder.glob(f"software.amazon.awssdk_*-{sdk}.jar")
                     if "_bundle-" not in jar.name]  # fmt: skip
            for others in ("software.amazon.eventstream_*", "software.amazon.s3.*",
                           "org.reactivestreams_*", "org.wildfly.openssl_*"):  # fmt: skip
                parts += folder.glob(f"{others}.jar")
            return sorted(map(str, [own, *parts]))
    return None


def settings() -> dict[str, str]:
    """What a session that is started here is told, beside the environment: no secret.

    `s3://` is S3A's as well, so a suite may write either.
    """
    told = {
        "spark.hadoop.fs.s3.impl": FILE_SYSTEM,
        "spark.hadoop.fs.s3a.endpoint.region": region(),
    }
    address = endpoint()
    if address is not None:
        told["spark.hadoop.fs.s3a.endpoint"] = address
        told["spark.hadoop.fs.s3a.path.style.access"] = "true"
        is_plain = address.lower().startswith("http://")
        told["spark.hadoop.fs.s3a.connection.ssl.enabled"] = str(not is_plain).lower()
    if os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        told["spark.hadoop.fs.s3a.aws.credentials.provider"] = _WEB_IDENTITY
    return told


def how_to_add(spark_home: str) -> str:
    """What a session that was started elsewhere must be started with."""
    named, without = packages(spark_home)
    return (
        f"--packages {','.join(named)} --exclude-packages {without[0]} "
        f"--conf spark.hadoop.fs.s3.impl={FILE_SYSTEM}"
    )
