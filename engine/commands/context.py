"""The beginning of a run: its store, and who it is."""

from __future__ import annotations

import datetime as dt
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from engine.commands.outcome import tracking_uri
from engine.commands.progress import Reporter
from engine.commands.stored_runs import utc
from engine.core.background import BackgroundWriter
from engine.core.daemons import start_daemon
from engine.core.identity import user_name
from engine.core.json_log import name_run
from engine.core.locations import Store
from engine.core.stopwatch import Stopwatch
from engine.core.vocabulary import RunInfo
from engine.errors import InputError
from engine.execution.local_pool import begin_worker, early_describer
from engine.models.mlflow_client import real_uri
from engine.planning.model_finder import ModelFinder, short_waits
from engine.sinks import mlflow, report
from engine.sinks.telemetry.delivery import check_libraries
from engine.spark.lazy_session import LazySession
from engine.spark.usage import SparkUsage
from engine.store.audit import Departure
from engine.store.reach import check_store
from engine.store.runs import find_run, list_runs
from engine.store.tables import StoreTables
from engine.store.turns import sole_run
from engine.suite import Suite, are_same, dump_suite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NEWEST = "latest"

_LIBRARIES = ("evalmatrix", "pyspark", "delta-spark", "mlflow", "scikit-learn", "tensorflow",
              "torch", "numpy", "pandas", "pyarrow")  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run that is going on: who it is, where it writes, and how it tells.

    `beside` are writes of the run that nothing waits for yet, `clock` has when its steps were and
    what they took, `usage` what Spark tells of that, `departures` what has left the store and
    whither.
    """

    suite: Suite
    tables: StoreTables
    info: RunInfo
    tell: Reporter
    resumed: dict[str, object] | None = None
    finder: ModelFinder | None = None
    beside: BackgroundWriter = field(default_factory=BackgroundWriter)
    departures: list[Departure] = field(default_factory=list)
    usage: SparkUsage = field(init=False)
    clock: Stopwatch = field(init=False)

    def __post_init__(self) -> None:
        usage = SparkUsage(self.tables.session)
        object.__setattr__(self, "usage", usage)
        object.__setattr__(self, "clock", Stopwatch(usage))

    @property
    def store(self) -> Store:
        return self.tables.store


@contextmanager
def open_run(
    suite: Suite,
    *,
    run_id: str | None = None,
    resume: str | None = None,
    spark: SparkSession | None = None,
) -> Iterator[RunContext]:
    """Checks the store, and names the run, which is the block's own.

    Args:
        suite: the suite.
        run_id: names the run: one of this id goes on where it was stopped, or answers with what it
            found; else it begins.
        resume: completes one that was begun.
        spark: the caller's session; else one is started where rows must be read.

    Raises:
        InputError: when the run goes on somewhere else, was begun with another suite, there is
            none to complete, a library is missing for what the suite's `telemetry` asks, or a
            variable of the environment for where MLflow is.
        StoreError: when the store cannot be written, or Spark does not start.
    """
    tell, now = Reporter(), dt.datetime.now(dt.UTC)
    given = (run_id or None) if resume is None else resume
    name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}" if given is None else given
    _check_run_id(name)
    if run_id == NEWEST:
        raise InputError(f"a run id is {NEWEST!r}, which every command takes for the newest run's")
    check_libraries(suite.telemetry)
    real_uri(suite.mlflow.tracking_uri or "")
    store = Store(suite.store)
    check_store(store)
    tables = StoreTables(
        store,
        LazySession(
            spark,
            executor=suite.executor,
            log_file=store.log_file,
            say=tell.say,
            begin_local=begin_worker,
        ),
    )
    if resume == NEWEST:
        name = resume = _newest(tables)
    with sole_run(store, name), name_run(name):
        begin = _Begin(suite, tables, name, now, is_named=given is not None)
        yield _make_context(begin, tell, resumes=resume is not None)


@dataclass(frozen=True, slots=True)
class _Begin:
    """What is known of a run at first; `is_named` where the user has chosen its id."""

    suite: Suite
    tables: StoreTables
    run_id: str
    now: dt.datetime
    is_named: bool


def _make_context(begin: _Begin, tell: Reporter, *, resumes: bool) -> RunContext:
    suite, store, run_id = begin.suite, begin.tables.store, begin.run_id
    short_waits()
    resumed = _resumable(begin, resumes=resumes) if begin.is_named else None
    info = RunInfo(
        run_id=run_id,
        suite=suite.name,
        started_at=utc(resumed["started_at"]) if resumed else begin.now,
        store=suite.store,
        suite_resolved=dump_suite(suite),
        versions=versions(),
        user=user_name(),
    )
    if resumed and not are_same(str(resumed["suite_resolved"]), info.suite_resolved):
        raise InputError(
            f"the run {run_id!r} was begun with another suite; go on with the same suite and "
            "--set arguments, or choose another id"
        )
    tell.say(f"run {run_id}" + (" resumed" if resumed else ""))
    start_daemon(partial(_prepare_sinks, suite, store))
    finder = None if resumed else ModelFinder(suite, early_describer(begin.tables.session))
    return RunContext(suite, begin.tables, info, tell, resumed, finder)


def _prepare_sinks(suite: Suite, store: Store) -> None:
    """Imports what the sinks take; what is wrong there is told when they are asked."""
    with suppress(Exception):
        report.prepare()
        mlflow.reach(tracking_uri(suite, store), suite.name)


def _resumable(begin: _Begin, *, resumes: bool) -> dict[str, object] | None:
    """The row of the run of this id; None where it has not begun."""
    root, wanted = begin.tables.store.root, begin.run_id
    row = find_run(begin.tables["runs"], wanted)
    if resumes and row is None:
        raise InputError(f"the store {root!r} has no run {wanted!r} to resume")
    return row


def _check_run_id(run_id: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    if not run_id or set(run_id) - allowed or run_id.startswith(".") or len(run_id) > 100:
        raise InputError(
            f"a run id is {run_id!r}; expected 1 to 100 letters, digits, '-', '_' and '.', not "
            "beginning with '.'"
        )


def _newest(tables: StoreTables) -> str:
    """The id of the run that began last, whether it has finished or not."""
    runs = list_runs(tables["runs"])
    if not runs:
        raise InputError(f"the store {tables.store.root!r} has no run to resume")
    return str(runs[-1]["run_id"])


def versions() -> dict[str, str]:
    """The versions of what a result can depend on."""
    by_name = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            by_name[library] = version(library)
        except PackageNotFoundError:
            continue
    return by_name
