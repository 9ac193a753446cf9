"""Sending a run to MLflow, all of it or what is lacking of it."""

from __future__ import annotations

import io
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.environment import hide_logins
from engine.core.locks import sole_writer
from engine.core.vocabulary import NO_MODEL, EvaluationResult, ModelVersion, RunInfo, RunOutcome
from engine.errors import TrackingError
from engine.models.mlflow_client import (
    artifact_root,
    client_of,
    database_path,
    find_experiment,
    is_database,
    reason_of,
)
from engine.models.mlflow_tables import make_database
from engine.sinks.mlflow.datasets import dataset_input
from engine.sinks.mlflow.existing import LoggedRun, current_runs, runs_of
from engine.sinks.mlflow.metric_keys import (
    Number,
    cost_numbers,
    model_numbers,
    numbers_by_key,
    overall_numbers,
    system_numbers,
    verdict_numbers,
    worst_numbers,
)
from engine.sinks.mlflow.tags import MAX_PARAM, MAX_RUN_NAME, PREFIX, RunKey, key_of
from engine.sinks.mlflow.versions import known_model, tag_version
from engine.sinks.report.kept_pictures import cache_folder, write_pngs

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES = ("index.html", "results.parquet", "junit.xml", "summary.md")
"""The files of a run's report that go along as artifacts."""

# MLflow takes 1,000 metrics at once, in a request of a megabyte: keys of letters that JSON escapes
# take six bytes for each.
_BATCH = 500

# No run is called so.
_VERSIONS = ".versions"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send a run, and the folder of its report, whose `FILES` go along as artifacts."""

    tracking_uri: str
    folder: Path
    max_slice_metrics: int = 1000


def reach(uri: str, experiment: str) -> None:
    """Opens MLflow's store, which makes its tables where there are none, within some seconds.

    Raises:
        Exception: whatever a transport, a database or the server raises.
    """
    make_database(uri)
    client_of(uri).get_experiment_by_name(experiment)


def log_outcome(outcome: RunOutcome, target: Target) -> dict[str, str]:
    """Sends what MLflow lacks of a run; gives the parent run's id of each evaluation.

    Raises:
        TrackingError: when the server cannot be reached or refuses what is sent.
    """
    uri, info = target.tracking_uri, outcome.info
    try:
        make_database(uri)
        with _alone(target):
            client = client_of(uri)
            experiment = find_experiment(client, info.suite, _artifact_root(target))
            there = runs_of(client, experiment, info.run_id)
            log = _Log(client, experiment, outcome, target, current_runs(there))
            parents = {result.name: _log_evaluation(log, result) for result in outcome.evaluations}
            _tidy(log)
            return parents
    except Exception as error:  # whatever a transport, a database or the server raises
        raise TrackingError(_refusal_message(uri, info, error)) from error


def _artifact_root(target: Target) -> str | None:
    """Where a new experiment keeps its files; a server has a place of its own: None.

    Without one it is in the store: MLflow would take a folder below the working directory.
    """
    root = artifact_root(target.tracking_uri)
    if root is None and is_database(target.tracking_uri):
        return (target.folder.absolute().parent.parent / "artifacts").as_uri()
    return root


def _refusal_message(uri: str, info: RunInfo, error: Exception) -> str:
    return (
        f"MLflow at {hide_logins(uri)} did not take the run {info.run_id!r}: "
        f"{reason_of(error, uri)}; "
        "the Delta tables and the report are complete without it; when MLflow is back, "
        f"`evalmatrix sync --store {shlex.quote(info.store)}` sends what it lacks (so does "
        f"`evalmatrix run SUITE.yml --resume {info.run_id}`), and predicts nothing again"
    )


@contextmanager
def _alone(target: Target) -> Iterator[None]:
    """Keeps other processes of this machine from sending the same run, or to the same database.

    Two writers of one SQLite file can each wait for the other; it refuses one of them at once.
    """
    database = database_path(target.tracking_uri)
    with sole_writer(database.absolute() if database is not None else target.folder):
        yield


@dataclass(frozen=True, slots=True)
class _Log:
    """One run on its way to MLflow; `runs` has the MLflow runs there are, by what they are of."""

    client: MlflowClient
    experiment: str
    outcome: RunOutcome
    target: Target
    runs: dict[RunKey, LoggedRun] = field(default_factory=dict)


def _open(log: _Log, name: str, key: RunKey, parent: str | None) -> LoggedRun:
    """The MLflow run of an evaluation and model, which is made if need be."""
    if key not in log.runs:
        evaluation, model = key
        tags = {
            f"{PREFIX}.run_id": log.outcome.info.run_id,
            f"{PREFIX}.suite": log.outcome.info.suite,
            f"{PREFIX}.evaluation": evaluation,
            f"{PREFIX}.kind": "evaluation" if parent is None else "model",
        }
        if parent is not None:
            tags |= {f"{PREFIX}.model": model, "mlflow.parentRunId": parent}
        run = log.client.create_run(
            log.experiment, start_time=_start_time(log), tags=tags, run_name=name[:MAX_RUN_NAME]
        )
        log.runs[key] = LoggedRun(str(run.info.run_id), key, finished=False, deleted=False)
    return log.runs[key]


def _start_time(log: _Log) -> int:
    return int(log.outcome.info.started_at.timestamp() * 1000)


def _log_evaluation(log: _Log, result: EvaluationResult) -> str:
    info = log.outcome.info
    run = _open(log, f"eval-{info.suite}-{result.name}", key_of(result.name), None)
    if run.complete and _models_complete(log, result):
        return run.id
    for model in result.models:
        _log_model(log, result, model, run.id)
    if run.complete:
        return run.id
    tags = {
        "gate": log.outcome.gate.outcome.value,
        "dataset_version": str(result.dataset.version),
    }
    _log_words(log, run, tags)
    of_data = [cell for cell in result.cells if cell.model.name == NO_MODEL.name]
    figures = [*overall_numbers(of_data), *worst_numbers(of_data)] if of_data else []
    costs = [*cost_numbers(result.timings), *system_numbers(log.outcome.steps, result.name)]
    numbers = [*verdict_numbers(result.cells), *costs, *figures]
    _log_numbers(log, run, numbers)
    _log_inputs(log, run, result)
    for name in FILES:
        log.client.log_artifact(run.id, str(log.target.folder / name))
    log.client.log_text(run.id, info.suite_resolved, "suite.yml")
    with tempfile.TemporaryDirectory() as folder:
        for figure in write_pngs(result, Path(folder), cache_folder(info)):
            log.client.log_artifact(run.id, str(figure))
    _close(log, run)
    return run.id


def _models_complete(log: _Log, result: EvaluationResult) -> bool:
    """Whether no run of a model is open; the evaluation was complete when its own was closed."""
    runs = [log.runs.get(key_of(result.name, model.name)) for model in result.models]
    return all(run is None or run.complete for run in runs)


def _log_model(log: _Log, result: EvaluationResult, model: ModelVersion, parent: str) -> None:
    info = log.outcome.info
    version = f"-v{model.version}" if model.version else ""
    name = f"eval-{info.suite}-{model.registered_name or model.name}{version}"
    run = _open(log, name, key_of(result.name, model.name), parent)
    if run.complete:
        return
    tags = {"dataset_version": str(result.dataset.version)}
    gate = log.outcome.model_gates.get((result.name, model.name))
    if gate is not None:
        tags["gate"] = gate.outcome.value
        # What a version is told is several tags, which are those of one run together.
        with sole_writer(log.target.folder.parent / _VERSIONS):
            tag_version(log.client, model, gate, info)
    params = {"model_uri": model.uri, "model_digest": model.digest, "flavor": model.flavor}
    _log_words(log, run, tags, params)
    model_id = known_model(log.client, model)
    cells = [cell for cell in result.cells if cell.model.name == model.name]
    _log_numbers(log, run, model_numbers(cells, log.target.max_slice_metrics), model_id)
    _log_inputs(log, run, result, model_id)
    _close(log, run)


def _log_inputs(
    log: _Log, run: LoggedRun, result: EvaluationResult, model_id: str | None = None
) -> None:
    """Links a run to its dataset and its model; MLflow does nothing where it has done so before.

    A dataset is one row of its experiment: of runs that bring it at the same moment a database
    refuses all but one, which find it there when they ask again.
    """
    from mlflow.entities import LoggedModelInput
    from mlflow.exceptions import MlflowException

    models = [LoggedModelInput(model_id)] if model_id else None
    for last in (False, False, True):
        try:
            log.client.log_inputs(run.id, [dataset_input(result.dataset)], models)
            return
        except MlflowException as error:
            if last or error.error_code != "BAD_REQUEST":
                raise


def _close(log: _Log, run: LoggedRun) -> None:
    ended = int(log.outcome.finished_at.timestamp() * 1000)
    # MLflow prints the run's address on standard output, which is for results.
    with redirect_stdout(io.StringIO()):
        log.client.set_terminated(run.id, "FINISHED", ended)


def _log_words(
    log: _Log, run: LoggedRun, tags: dict[str, str], params: dict[str, str] | None = None
) -> None:
    from mlflow.entities import Param, RunTag

    log.client.log_batch(
        run.id,
        params=[Param(key, text[:MAX_PARAM]) for key, text in (params or {}).items()],
        tags=[RunTag(f"{PREFIX}.{key}", value) for key, value in tags.items()],
    )


def _log_numbers(
    log: _Log, run: LoggedRun, numbers: Iterable[Number], model_id: str | None = None
) -> None:
    """Logs the metrics that a run lacks, at the time at which it began: each once, ever."""
    from mlflow.entities import Metric

    when = _start_time(log)
    about = {"model_id": model_id} if model_id else {}
    metrics = [
        Metric(key, value, when, 0, **about)
        for key, value in numbers_by_key(numbers).items()
        if key not in run.metrics
    ]
    for start in range(0, len(metrics), _BATCH):
        log.client.log_batch(run.id, metrics=metrics[start : start + _BATCH])


def _tidy(log: _Log) -> None:
    """Deletes what was begun twice: MLflow asks again when the answer to `create_run` was lost."""
    kept = {run.id for run in log.runs.values()}
    for run in runs_of(log.client, log.experiment, log.outcome.info.run_id, opened=True):
        if run.id not in kept and not run.complete:
            log.client.delete_run(run.id)
