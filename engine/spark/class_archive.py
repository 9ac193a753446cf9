"""Class data of the JVM: what Spark and Delta load at each start, kept in an archive.

A small run spends seconds on the loading, linking and verifying of classes. Java keeps that in an
archive that later processes map into memory (class-data sharing, JEP 350), where each class comes
from the class path; so a local session has Delta's jars there. An archive of other jars or of
another Java is not used, and nothing is lost but time.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from engine.core.paths import user_cache
from engine.errors import EvalMatrixError

ARCHIVE_TO = "EVALMATRIX_CLASS_ARCHIVE_TO"
_SECONDS = 300


def archive_file(java: str, jars: Sequence[str]) -> Path:
    """Where the archive of a Java and its jars lies, or would lie: in the user's cache.

    Args:
        java: what tells this Java from others.
        jars: the jars before Spark's own.
    """
    about = "\n".join([java, *jars])
    name = f"classes-{hashlib.sha256(about.encode()).hexdigest()[:16]}.jsa"
    return user_cache() / name


def java_options(archive: Path) -> list[str]:
    """What makes a JVM use the archive, or write it, where this process was asked to."""
    asked = os.environ.get(ARCHIVE_TO)
    if asked:
        return [f"-XX:ArchiveClassesAtExit={asked}"]
    if not archive.is_file():
        return []
    # One that does not fit is passed over without a word.
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable", "-Xlog:all=error:stderr"]


def write_archive(archive: Path, rehearsal: str) -> None:
    """Writes the archive: a process does what a run does, and its JVM keeps what it loaded.

    `rehearsal` is the module that does it when it is run with a folder of its own.

    Raises:
        EvalMatrixError: when that process fails, which has the end of its output in the message.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        new_archive = Path(folder) / archive.name
        command = [sys.executable, "-m", rehearsal, folder]
        # A session of this machine, whatever the user's own commands connect to.
        elsewhere = ("SPARK_REMOTE", "MASTER", "PYSPARK_GATEWAY_PORT")
        environment = {name: text for name, text in os.environ.items() if name not in elsewhere}
        environment[ARCHIVE_TO] = str(new_archive)
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_SECONDS,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise EvalMatrixError(
                f"the class archive was not written within {_SECONDS} s; runs start without it"
            ) from error
        if not new_archive.is_file():
            told = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise EvalMatrixError(
                f"the class archive was not written (exit code {done.returncode}); runs start "
                f"without it, only slower\n{told}"
            )
        new_archive.replace(archive)
