"""The main job: suite -> plan -> scan -> states -> metrics -> verdicts -> sinks."""

from __future__ import annotations

import datetime as dt
import getpass
import logging
import platform
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from engine import tables
from engine.beside import Beside
from engine.cluster import check_cluster
from engine.compute import Computing, budget_of, evaluated, measured
from engine.config import Suite, dump_suite
from engine.errors import InputError, TrackingError
from engine.matrix import EvaluationPlan, dump_plans, load_plans
from engine.models.tracking import artifact_root
from engine.prepare import ModelFinder, prepare, read_suite, short_waits
from engine.progress import Reporter
from engine.result import RunResult
from engine.session import get_session
from engine.shipping import ship
from engine.sinks import github, junit, report, tracking
from engine.sinks import results as results_sink
from engine.stock import refuse_unfinished, take_stock
from engine.store import Store
from engine.verdicts import gate
from engine.vocabulary import EvaluationResult, RunInfo, RunOutcome

log = logging.getLogger("evalmatrix")

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
class Job:
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
    beside: Beside = field(default_factory=Beside)


def run(
    suite: str | Path,
    options: RunOptions | None = None,
    *,
    spark: SparkSession | None = None,
    tell: Reporter | None = None,
) -> RunResult:
    """Evaluates a suite's matrix and writes every sink.

    Args:
        suite: the suite file.
        options: overrides, a run id of one's own, or the run to resume.
        spark: the session to use; else the active one, or a new local one.
        tell: where progress goes; standard error by default.

    Raises:
        InputError: when the suite or its inputs are wrong; nothing was evaluated.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    job = begin(suite, options or RunOptions(), spark=spark, tell=tell or Reporter())
    plans = pinned(job)
    with told_how_to_resume(job.info.run_id), job.beside:
        results: list[EvaluationResult] = []
        for plan, frame in plans:
            results.append(evaluate(job, plan, frame, results))
        outcome = conclude(job, results)
        job.beside.do(finish, job, outcome, outcome.gate.outcome.exit_code)
        write_files(job, outcome)
        tracked = track(job, outcome)
        if tracked.exit_code != outcome.gate.outcome.exit_code:
            job.beside.do(finish, job, outcome, tracked.exit_code)
    return tracked


@contextmanager
def told_how_to_resume(run_id: str) -> Iterator[None]:
    """Adds to whatever stops a run how it is completed; wrong data would be as wrong again."""
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        error.add_note(
            f"what was finished is in the store; `evalmatrix run SUITE.yml --resume {run_id}` "
            "does the rest"
        )
        raise


def begin(
    path: str | Path, options: RunOptions, *, spark: SparkSession | None, tell: Reporter
) -> Job:
    """Reads the suite, checks the store, starts Spark, and names the run."""
    now = dt.datetime.now(dt.UTC)
    given = (options.run_id or None) if options.resume is None else options.resume
    run_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}" if given is None else given
    _check_run_id(run_id)
    if options.run_id == "latest":
        raise InputError("a run id is 'latest', which every command takes for the newest run's")
    suite = read_suite(path, options.overrides)
    store = Store(suite.store)
    store.check_writable()
    short_waits()
    reach = partial(tracking.reach, tracking_uri(suite, store), suite.name)
    finder = None if options.resume else ModelFinder(suite, then=reach)
    try:
        spark = spark or _session(store, tell)
        resumed = _resumable(spark, store, options)
        # The newest run may have been asked for.
        run_id = str(resumed["run_id"]) if resumed else run_id
        info = RunInfo(
            run_id=run_id,
            suite=suite.name,
            started_at=_utc(resumed["started_at"]) if resumed else now,
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
    return Job(suite, store, spark, info, tell, resumed, finder)


def _session(store: Store, tell: Reporter) -> SparkSession:
    if SparkSession.getActiveSession() is None:
        tell.say("starting Spark")
    return get_session(log_file=store.log_file)


def _resumable(spark: SparkSession, store: Store, options: RunOptions) -> dict[str, object] | None:
    wanted = options.resume or options.run_id
    if wanted is None:
        return None
    found = results_sink.find_run(spark, wanted, table=store.table("runs"))
    if options.resume and found is None:
        raise InputError(f"the store {store.root!r} has no run {wanted!r} to resume")
    if not options.resume and found is not None:
        raise InputError(
            f"the store {store.root!r} has a run {wanted!r} already; complete it with "
            f"--resume {wanted}, or choose another id"
        )
    return found


def _check_run_id(run_id: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    if not run_id or set(run_id) - allowed or run_id.startswith(".") or len(run_id) > 100:
        raise InputError(
            f"a run id is {run_id!r}; expected 1 to 100 letters, digits, '-', '_' and '.', not "
            "beginning with '.'"
        )


def versions() -> dict[str, str]:
    """The versions of what a result can depend on."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def pinned(job: Job) -> list[tuple[EvaluationPlan, DataFrame]]:
    """The plans of all evaluations with the rows they read; a resumed run's as it pinned them.

    The workers are looked at, and given the models, before any of them is needed.
    """
    plans = _resumed(job) if job.resumed is not None else _prepared(job)
    models = [model for plan, _ in plans for model in plan.models]
    check_cluster(job.spark, models)
    ship(job.spark, models)
    if job.resumed is None:
        text = dump_plans([plan for plan, _ in plans])
        table = job.store.table("runs")
        job.beside.do(results_sink.start_run, job.spark, job.info, text, table=table)
    return plans


def _resumed(job: Job) -> list[tuple[EvaluationPlan, DataFrame]]:
    assert job.resumed is not None, "a run is resumed from its row"
    plans = load_plans(str(job.resumed["evaluations"]))
    return [
        (plan, tables.read(job.spark, plan.dataset.uri, plan.dataset.version)) for plan in plans
    ]


def _prepared(job: Job) -> list[tuple[EvaluationPlan, DataFrame]]:
    assert job.finder is not None, "a new run looks for its models"
    try:
        prepared = [
            prepare(job.spark, job.suite, evaluation, finder=job.finder, say=job.tell.say)
            for evaluation in job.suite.evaluations
        ]
    finally:
        job.finder.stop()
    return [(each.plan, each.frame) for each in prepared]


def evaluate(
    job: Job, plan: EvaluationPlan, frame: DataFrame, earlier: Sequence[EvaluationResult]
) -> EvaluationResult:
    """Scans an evaluation unless the run has its states already, and measures its cells."""
    started = time.monotonic()
    of = Computing(
        job.spark,
        job.store,
        job.suite.name,
        job.info.run_id,
        job.tell,
        reuse=job.suite.reuse,
        checkpoint_rows=job.suite.checkpoint_rows,
        wait=job.beside.wait,
    )
    result = evaluated(of, plan, frame, earlier)
    seconds = time.monotonic() - started
    result = replace(result, timings={**result.timings, "seconds": seconds})
    table = job.store.table("results")
    job.beside.do(results_sink.write_results, job.spark, result, job.info, table=table)
    return result


def conclude(job: Job, results: Sequence[EvaluationResult]) -> RunOutcome:
    """Decides the gate, for the run and for each model."""
    return concluded(job.suite, job.info, results, dt.datetime.now(dt.UTC))


def concluded(
    suite: Suite, info: RunInfo, results: Sequence[EvaluationResult], now: dt.datetime
) -> RunOutcome:
    """The outcome of a run: what its verdicts decide together."""
    rules = {
        "on_inconclusive": suite.gate.on_inconclusive,
        "on_error": suite.gate.on_error,
    }
    cells = [cell for result in results for cell in result.cells]
    gates = {
        (result.name, model.name): gate(
            (cell for cell in result.cells if cell.model.name == model.name), **rules
        )
        for result in results
        for model in result.models
    }
    return RunOutcome(info, tuple(results), gate(cells, **rules), now, gates)


def write_files(job: Job, outcome: RunOutcome) -> None:
    """The report, the JUnit file, the summary and the results as Parquet."""
    job.tell.say("writing the report")
    write_report(outcome, job.store.report_folder(job.info.run_id))


def write_report(outcome: RunOutcome, folder: Path) -> None:
    """All the files of a run for people and CI, into one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    report.write(outcome, folder)
    junit.write(outcome, folder / "junit.xml")
    github.write(outcome, folder / "summary.md")
    results_sink.write_parquet(outcome.cells, outcome.info, folder / "results.parquet")
    (folder / "suite.yml").write_text(outcome.info.suite_resolved, encoding="utf-8")


def tracking_uri(suite: Suite, store: Store) -> str:
    """Where MLflow is: where the suite says, else in the store."""
    return suite.mlflow.tracking_uri or store.tracking_uri


def track(job: Job, outcome: RunOutcome) -> RunResult:
    """Sends the run to MLflow; a server that is down costs no result."""
    job.tell.say("logging to MLflow")
    folder = job.store.report_folder(job.info.run_id)
    names = ("index.html", "results.parquet", "junit.xml", "summary.md")
    uri = tracking_uri(job.suite, job.store)
    target = tracking.Target(
        tracking_uri=uri,
        artifact_root=artifact_root(uri),
        max_slice_metrics=job.suite.mlflow.max_slice_metrics,
        files=[folder / name for name in names],
    )
    try:
        parents = tracking.log_outcome(outcome, target)
    except TrackingError as error:
        return RunResult(outcome, job.store, uri, tracking_error=str(error))
    return RunResult(outcome, job.store, uri, parents=parents)


def finish(job: Job, outcome: RunOutcome, exit_code: int) -> None:
    """Completes the run's row in the store."""
    results_sink.finish_run(job.spark, outcome, table=job.store.table("runs"), exit_code=exit_code)


def rebuilt(spark: SparkSession, store: Store, suite: Suite, row: dict[str, object]) -> RunOutcome:
    """The outcome of an earlier run, from what the store keeps of it."""
    run_id, table = str(row["run_id"]), store.table("states")
    if row["status"] != "finished":
        raise InputError(
            f"the run {run_id!r} was stopped before it was finished; complete it with "
            f"--resume {run_id}"
        )
    stocks = [
        take_stock(spark, plan, table=table, run_id=run_id)
        for plan in load_plans(str(row["evaluations"]))
    ]
    for stock in stocks:
        refuse_unfinished(spark, stock, table=table)
    budget = budget_of(spark, store, str(row["suite"]))
    results: list[EvaluationResult] = []
    for stock in stocks:
        results.append(measured(budget, store, stock, results))
    finished = row["finished_at"] or row["started_at"]
    return concluded(suite, run_info(row, store), results, _utc(finished))


def run_info(row: dict[str, object], store: Store) -> RunInfo:
    """The identity of an earlier run, from its row."""
    return RunInfo(
        run_id=str(row["run_id"]),
        suite=str(row["suite"]),
        started_at=_utc(row["started_at"]),
        store=store.root,
        suite_resolved=str(row["suite_resolved"]),
        versions=dict(row["versions"] or {}),  # type: ignore[call-overload]
        user=str(row["user"] or ""),
    )


def _utc(when: object) -> dt.datetime:
    assert isinstance(when, dt.datetime), "a run has times"
    # Spark gives naive times of this machine's zone.
    return when.astimezone(dt.UTC)
