"""`evalmatrix warmup`: what Spark loads at each start, kept for quicker starts."""

from __future__ import annotations

from pathlib import Path

from engine.commands.progress import Reporter
from engine.spark.class_archive import write_archive
from engine.spark.internals import delta_jars
from engine.spark.java import check_java
from engine.spark.session import class_archive, get_session


def warmup() -> Path:
    """Keeps what Spark loads at each start in an archive, so that runs here start seconds sooner.

    Raises:
        EvalMatrixError: when Java is missing, or the archive cannot be written.
    """
    check_java()
    jars = delta_jars()
    if jars is None:
        # A first session fetches them.
        get_session()
        jars = delta_jars()
    archive = class_archive(jars or ())
    Reporter().say("keeping Spark's classes for quick starts (once, about a minute)")
    write_archive(archive, "engine.commands.rehearsal")
    return archive
