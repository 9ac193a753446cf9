"""Asks a cluster's workers, before a scan, whether they can do its work."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import logging
import platform
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from engine._version import __version__
from engine.core.vocabulary import ModelVersion
from engine.errors import InputError, StoreError
from engine.models import model_requirements
from engine.pieces.opening import file_mark
from engine.spark.internals import cores, runs_here, submitted_master
from engine.spark.preflight import check_delta, check_versions

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


log = logging.getLogger("evalmatrix")
PATIENCE_SECONDS = 20.0
MAX_LOOKS = 32
_PACK = "make the environment with infrastructure/pack.py and submit it (docs/cluster.md)"


def check_cluster(
    spark: SparkSession, models: Iterable[ModelVersion], files: Sequence[str] = ()
) -> frozenset[str]:
    """Checks that Spark, Delta and the workers can do what a scan of these models takes.

    Returns:
        Those of some files that all workers see as this process does.

    Raises:
        InputError: when versions do not fit, Delta is missing, or the workers' Python lacks the
            engine or a library, or is another one than the driver's.
        StoreError: when the workers cannot be asked.
    """
    check_versions(spark)
    if not _has_delta(spark):
        check_delta(spark)
    return frozenset(files) if runs_here(spark) else check_workers(spark, models, files)


def _has_delta(spark: SparkSession) -> bool:
    """Whether the session is one of this process that was started with Delta."""
    extensions = str(spark.conf.get("spark.sql.extensions", "") or "")
    return runs_here(spark) and submitted_master() is None and "DeltaSparkSession" in extensions


def check_workers(
    spark: SparkSession, models: Iterable[ModelVersion], files: Sequence[str] = ()
) -> frozenset[str]:
    """Asks the workers' Python for its version, the engine, the models' libraries, and some files.

    Returns:
        Those of the files that all of them see as this process does.

    Raises:
        InputError: when one of them does not fit.
        StoreError: when the workers do not run Python at all.
    """
    libraries = {lib: how for model in models for lib, how in model_requirements(model).items()}
    parts = min(2 * cores(spark), MAX_LOOKS)
    look = make_look(tuple(libraries), tuple(files))
    frame = spark.range(0, parts, 1, parts).mapInArrow(look, LOOK_DDL)
    try:
        with _tell_of_waiting():
            rows = frame.distinct().collect()
    except Exception as error:  # of PySpark, or what it did not translate
        raise _workers_error(str(error)) from error
    check_looks(rows, libraries)
    return files_seen(rows, files)


def files_seen(rows: Sequence[Row], files: Sequence[str]) -> frozenset[str]:
    """Those of some files that all workers see as this process does, by what they tell."""
    marks = [json.loads(row.seen) for row in rows]
    own = {file: file_mark(file) for file in files}
    return frozenset(
        file for file, mark in own.items() if mark and all(seen.get(file) == mark for seen in marks)
    )


def _workers_error(text: str) -> InputError | StoreError:
    """Why the workers' Python did not answer, in a user's words."""
    versions = re.search(r"PYTHON_VERSION_MISMATCH|different versions? .{0,40}[Pp]ython", text)
    if versions:
        worker = re.search(r"[Pp]ython in worker has different version:? ?(\S+?)[,.]? ", text)
        return InputError(
            f"the workers run Python {worker[1] if worker else 'of another version'}, the driver "
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
    for library, version in _version_differences(rows):
        log.warning("the workers have %s of another version than the driver: %s", library, version)


def _version_differences(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """The libraries of which workers have another version than the driver, with that version."""
    worker_versions = {pair for row in rows for pair in json.loads(row.found).items()}
    (own,) = make_look(sorted({name for name, _ in worker_versions}))(())
    here = json.loads(own.to_pylist()[0]["found"])
    return (
        (name, version) for name, version in sorted(worker_versions) if here.get(name) != version
    )


@contextmanager
def _tell_of_waiting() -> Iterator[None]:
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


LOOK_DDL = (
    "python string, executable string, engine string, broken string, found string, seen string"
)
Look = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def make_look(libraries: Sequence[str], files: Sequence[str] = ()) -> Look:
    """A function for `mapInArrow` that tells what the Python of a worker has (`LOOK_DDL`).

    One row for each partition: its version and place, the version of the engine (null without
    one), why the engine cannot be imported (null when it can), and as JSON the version of each
    library that is there and the mark of each file (`file_mark`). The function is one that is
    shipped by its code, not by its name: it must run where there is no engine.
    """
    wanted, asked = tuple(libraries), tuple(files)
    distributions = {"sklearn": "scikit-learn"}

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            pass
        engine, broken, seen = None, None, {}
        try:
            engine = importlib.import_module("engine._version").__version__
            importlib.import_module("engine.execution.distribute")
            opening = importlib.import_module("engine.pieces.opening")
            seen = {file: opening.file_mark(file) for file in asked}
        except Exception as error:
            broken = f"{type(error).__name__}: {error}"
        versions = {}
        for name in wanted:
            if importlib.util.find_spec(name) is None:
                continue
            try:
                version = importlib.metadata.version(distributions.get(name, name))
            except importlib.metadata.PackageNotFoundError:
                version = ""
            versions[name] = version
        row = {
            "python": ".".join(map(str, sys.version_info[:3])),
            "executable": sys.executable,
            "engine": engine,
            "broken": broken,
            "found": json.dumps(versions),
            "seen": json.dumps(seen),
        }
        yield pa.RecordBatch.from_pylist([row], pa.schema([(name, pa.string()) for name in row]))

    return look
