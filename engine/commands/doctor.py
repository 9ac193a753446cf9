"""`evalmatrix doctor`: what a run needs, checked one by one, with what to do where it lacks."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.core.locations import DEFAULT_STORE, Store
from engine.errors import EvalMatrixError
from engine.execution.workers import check_cluster
from engine.models.mlflow_tables import make_database
from engine.spark.internals import master
from engine.spark.java import MIN_JAVA, check_java, java_version
from engine.spark.session import get_session
from engine.store.reach import check_store

MIN_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: what was looked at, whether it is well, and what was found."""

    what: str
    well: bool
    found: str
    optional: bool = False

    def __str__(self) -> str:
        mark = "ok" if self.well else ("--" if self.optional else "NO")
        return f"{mark:<3} {self.what:<12} {self.found}"


def doctor(
    store: str = DEFAULT_STORE, *, say: Callable[[Finding], None] | None = None
) -> list[Finding]:
    """Checks Python, Java, Spark with Delta, MLflow, the frameworks and the store.

    Args:
        store: the store's root.
        say: is given each finding as soon as it is known.
    """
    findings = []
    for finding in examine(store):
        if say is not None:
            say(finding)
        findings.append(finding)
    return findings


def examine(store: str) -> Iterator[Finding]:
    """The findings, each as soon as it is known."""
    place = Store(store)
    yield _check("Python", _python)
    yield _check("Java", _java)
    yield _check("store", lambda: _store(place))
    yield _check("Spark+Delta", lambda: _spark(place))
    yield _check("MLflow", lambda: _mlflow(place))
    for name, package in (
        ("scikit-learn", "sklearn"),
        ("TensorFlow", "tensorflow"),
        ("PyTorch", "torch"),
    ):
        yield _framework(name, package)


def _check(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, check())
    except EvalMatrixError as error:
        return Finding(what, False, str(error))
    except Exception as error:
        return Finding(what, False, f"{type(error).__name__}: {str(error).splitlines()[0]}")


def _python() -> str:
    python_version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MIN_PYTHON:
        raise EvalMatrixError(
            f"{python_version}; evalmatrix needs {'.'.join(map(str, MIN_PYTHON))}+"
        )
    return f"{python_version} ({sys.executable}){_bytecode()}"


def _bytecode(package: str = "pandas") -> str:
    """What is to be said of a Python that compiles its packages again in each process."""
    spec = importlib.util.find_spec(package)
    if not sys.dont_write_bytecode or spec is None or Path(spec.cached or "").is_file():
        return ""
    return (
        "; each process compiles all packages again, which takes half of its start: unset "
        "PYTHONDONTWRITEBYTECODE, or once: python -m compileall -q "
        f"{Path(spec.origin or '').parents[1]}"
    )


def _java() -> str:
    try:
        check_java()
    except EvalMatrixError as error:
        raise EvalMatrixError(f"{error}; without it, Delta tables here are evaluated") from error
    return f"Java {java_version()} (at least {MIN_JAVA})"


def _store(place: Store) -> str:
    check_store(place)
    where = place.local or f"{place.root} (reports and logs in {place.files})"
    return f"{where} can be written"


def _spark(place: Store) -> str:
    place.check_writable()
    spark = get_session(log_file=place.log_file, object_store=place.in_object_store)
    check_cluster(spark, ())
    with tempfile.TemporaryDirectory() as folder:
        table = str(Path(folder) / "table")
        spark.range(3).write.format("delta").save(table)
        rows = spark.read.format("delta").option("versionAsOf", 0).load(table).count()
    if rows != 3:
        raise EvalMatrixError(f"wrote 3 rows to a Delta table, read {rows}")
    where = master(spark) or "a server"
    return f"Spark {spark.version} at {where} writes and reads Delta {_version('delta-spark')}"


def _mlflow(place: Store) -> str:
    import mlflow

    make_database(place.tracking_uri)
    client = mlflow.MlflowClient(place.tracking_uri)
    count = len(client.search_experiments(max_results=100))
    return f"MLflow {_version('mlflow')} at {place.tracking_uri}, {count} experiments"


def _framework(name: str, package: str) -> Finding:
    if importlib.util.find_spec(package) is None:
        return Finding(name, False, f"not installed; its models cannot be loaded ({package})", True)
    distribution = "scikit-learn" if package == "sklearn" else package
    return Finding(name, True, _version(distribution), True)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"
