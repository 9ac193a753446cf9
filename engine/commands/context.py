"""The beginning of a run: its suite, its store, Spark, and who it is."""

from __future__ import annotations

import datetime as dt
import getpass
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pyspark.sql import SparkSession

from engine.commands.progress import Reporter
from engine.commands.stored_runs import tracking_uri, utc
from engine.core.background import BackgroundWriter
from engine.core.locations import Store
from engine.core.locks import sole_process
from engine.core.vocabulary import RunInfo
from engine.errors import InputError
from engine.planning.model_finder import ModelFinder, short_waits
from engine.planning.suites import read_suite
from engine.sinks import mlflow
from engine.spark.session import get_session
from engine.store.runs import find_run, list_runs
from engine.suite import Suite, dump_suite

NEWEST = "latest"

_LIBRARIES = ("evalmatrix", "pyspark", "delta-spark", "mlflow", "scikit-learn", "tensorflow",
              "torch", "numpy", "pandas", "pyarrow")  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run differs from what its suite says.

    `run_id` names a new run, `resume` completes one that was begun.
    """

    overrides: tuple[str, ...] = ()
    run_id: str | None = None
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run that is going on: who it is, where it writes, and how it tells.

    `beside` are writes of the run that nothing waits for yet.
    """

    suite: Suite
    store: Store
    spark: SparkSession
    info: RunInfo
    tell: Reporter
    resumed: dict[str, object] | None = None
    finder: ModelFinder | None = None
    beside: BackgroundWriter = field(default_factory=BackgroundWriter)


@contextmanager
def open_run(
    path: str | Path, options: RunOptions, *, spark: SparkSession | None = None
) -> Iterator[RunContext]:
    """Reads the suite, checks the store, starts Spark, and names the run, which is the block's own.

    Raises:
        InputError: when the suite is wrong, or the run goes on somewhere else.
        StoreError: when the store cannot be written, or Spark does not start.
    """
    tell, now = Reporter(), dt.datetime.now(dt.UTC)
    given = (options.run_id or None) if options.resume is None else options.resume
    run_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}" if given is None else given
    _check_run_id(run_id)
    if options.run_id == NEWEST:
        raise InputError(f"a run id is {NEWEST!r}, which every command takes for the newest run's")
    suite = read_suite(path, options.overrides)
    store = Store(suite.store)
    store.check_writable()
    if options.resume == NEWEST:
        spark = spark or _session(store, tell)
        run_id = _newest(spark, store)
        options = replace(options, resume=run_id)
    with sole_process(store.local, run_id):
        begin = _Begin(suite, store, options, run_id, now)
        yield _make_context(begin, spark, tell)


@dataclass(frozen=True, slots=True)
class _Begin:
    """What is known of a run before Spark is there."""

    suite: Suite
    store: Store
    options: RunOptions
    run_id: str
    now: dt.datetime


def _make_context(begin: _Begin, spark: SparkSession | None, tell: Reporter) -> RunContext:
    suite, store, options, run_id = begin.suite, begin.store, begin.options, begin.run_id
    short_waits()
    reach = partial(mlflow.reach, tracking_uri(suite, store), suite.name)
    finder = None if options.resume else ModelFinder(suite, then=reach)
    try:
        spark = spark or _session(store, tell)
        resumed = _resumable(spark, store, options)
        info = RunInfo(
            run_id=run_id,
            suite=suite.name,
            started_at=utc(resumed["started_at"]) if resumed else begin.now,
            store=suite.store,
            suite_resolved=dump_suite(suite),
            versions=versions(),
            user=_user(),
        )
        if resumed and resumed["suite_resolved"] != info.suite_resolved:
            raise InputError(
                f"the run {run_id!r} was begun with another suite; resume it with the same suite "
                "and --set arguments, or start a new run"
            )
    except BaseException:
        if finder is not None:
            finder.stop()
        raise
    tell.say(f"run {run_id}" + (" resumed" if resumed else ""))
    return RunContext(suite, store, spark, info, tell, resumed, finder)


def _session(store: Store, tell: Reporter) -> SparkSession:
    if SparkSession.getActiveSession() is None:
        tell.say("starting Spark")
    return get_session(log_file=store.log_file)


def _resumable(spark: SparkSession, store: Store, options: RunOptions) -> dict[str, object] | None:
    wanted = options.resume or options.run_id
    if wanted is None:
        return None
    row = find_run(spark, wanted, table=store.table("runs"))
    if options.resume and row is None:
        raise InputError(f"the store {store.root!r} has no run {wanted!r} to resume")
    if not options.resume and row is not None:
        raise InputError(
            f"the store {store.root!r} has a run {wanted!r} already; complete it with "
            f"--resume {wanted}, or choose another id"
        )
    return row


def _check_run_id(run_id: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    if not run_id or set(run_id) - allowed or run_id.startswith(".") or len(run_id) > 100:
        raise InputError(
            f"a run id is {run_id!r}; expected 1 to 100 letters, digits, '-', '_' and '.', not "
            "beginning with '.'"
        )


def _newest(spark: SparkSession, store: Store) -> str:
    """The id of the run that began last, whether it has finished or not."""
    runs = list_runs(spark, table=store.table("runs"))
    if not runs:
        raise InputError(f"the store {store.root!r} has no run to resume")
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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
