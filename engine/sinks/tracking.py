"""MLflow: a parent run for each evaluation, a child run for each model version.

Of the slices as many are logged as a cap allows, since the results table has them all. Writing
again changes nothing: a run that is there already is found by its tags and completed.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import TrackingError
from engine.sinks.keys import Number, cost_numbers, keyed, model_numbers, verdict_numbers
from engine.sinks.report.figures import save_png
from engine.vocabulary import DatasetVersion, EvaluationResult, Gate, ModelVersion, RunOutcome

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREFIX = "evalmatrix"
MAX_TAG = 5000
MAX_PARAM = 6000
MAX_RUN_NAME = 250
# MLflow refuses a dataset's schema of a character more.
MAX_SCHEMA = 1_048_575
# MLflow takes 1,000 metrics at once, in a request of a megabyte: keys of letters that JSON escapes
# take six bytes for each.
_BATCH = 500

_COLUMN_TYPES = {
    "string": "string",
    "boolean": "boolean",
    "tinyint": "integer",
    "smallint": "integer",
    "int": "integer",
    "bigint": "long",
    "float": "float",
    "double": "double",
    "date": "datetime",
    "timestamp": "datetime",
    "timestamp_ntz": "datetime",
    "binary": "binary",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send a run, and which of its files go along as artifacts.

    `artifact_root` is where a new experiment keeps its files; None leaves that to the server.
    """

    tracking_uri: str
    artifact_root: str | None
    max_slice_metrics: int = 1000
    files: Sequence[Path] = ()


def reach(uri: str, experiment: str) -> None:
    """Opens MLflow's store, which makes its tables where there are none, within some seconds.

    Raises:
        Exception: whatever a transport, a database or the server raises.
    """
    from mlflow import MlflowClient

    MlflowClient(uri).get_experiment_by_name(experiment)


def log_outcome(outcome: RunOutcome, target: Target) -> dict[str, str]:
    """Sends a run to MLflow; gives the parent run's id of each evaluation.

    Raises:
        TrackingError: when the server cannot be reached or refuses what is sent.
    """
    from mlflow import MlflowClient

    try:
        client = MlflowClient(target.tracking_uri)
        experiment = _experiment(client, outcome.info.suite, target)
        log = _Log(client, experiment, outcome, target, _runs(client, experiment, outcome))
        return {result.name: _log_evaluation(log, result) for result in outcome.evaluations}
    except Exception as error:  # whatever a transport, a database or the server raises
        reason = (str(error).splitlines() or [""])[0][:300]
        raise TrackingError(
            f"MLflow at {target.tracking_uri} did not take the run: {type(error).__name__}: "
            f"{reason}; the Delta tables and the report are complete without it; `evalmatrix run "
            f"SUITE.yml --resume {outcome.info.run_id}` sends it later, and predicts nothing again"
        ) from error


@dataclass(frozen=True, slots=True)
class _Log:
    """One run on its way to MLflow; `runs` has the MLflow runs there are, by what they are of."""

    client: MlflowClient
    experiment: str
    outcome: RunOutcome
    target: Target
    runs: dict[tuple[str, str], str] = field(default_factory=dict)


def _experiment(client: MlflowClient, name: str, target: Target) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=target.artifact_root))


def _runs(client: MlflowClient, experiment: str, outcome: RunOutcome) -> dict[tuple[str, str], str]:
    """The MLflow runs that this run has made before it was stopped."""
    # A run's id needs no quoting; names of evaluations and models would.
    query = f"tags.`{PREFIX}.run_id` = '{outcome.info.run_id}'"
    found: dict[tuple[str, str], str] = {}
    token = None
    while True:
        page = client.search_runs([experiment], query, page_token=token)
        for run in page:
            tags = run.data.tags
            key = (tags.get(f"{PREFIX}.evaluation", ""), tags.get(f"{PREFIX}.model", ""))
            found[key] = str(run.info.run_id)
        token = page.token
        if not token:
            return found


def _open(log: _Log, name: str, of: tuple[str, str], parent: str | None) -> str:
    """The id of the MLflow run of an evaluation and model, which is made if need be."""
    of = (of[0][:MAX_TAG], of[1][:MAX_TAG])
    if of not in log.runs:
        evaluation, model = of
        tags = {
            f"{PREFIX}.run_id": log.outcome.info.run_id,
            f"{PREFIX}.suite": log.outcome.info.suite,
            f"{PREFIX}.evaluation": evaluation,
            f"{PREFIX}.kind": "evaluation" if parent is None else "model",
        }
        if parent is not None:
            tags |= {f"{PREFIX}.model": model, "mlflow.parentRunId": parent}
        started = int(log.outcome.info.started_at.timestamp() * 1000)
        run = log.client.create_run(
            log.experiment, start_time=started, tags=tags, run_name=name[:MAX_RUN_NAME]
        )
        log.runs[of] = str(run.info.run_id)
    return log.runs[of]


def _log_evaluation(log: _Log, result: EvaluationResult) -> str:
    info = log.outcome.info
    run_id = _open(log, f"eval-{info.suite}-{result.name}", (result.name, ""), None)
    for model in result.models:
        _log_model(log, result, model, run_id)
    numbers = [*verdict_numbers(result.cells), *cost_numbers(result.timings)]
    _log_numbers(log, run_id, numbers)
    _log_input(log, run_id, result, None)
    for key, value in {
        "gate": log.outcome.gate.outcome.value,
        "dataset_version": str(result.dataset.version),
    }.items():
        log.client.set_tag(run_id, f"{PREFIX}.{key}", value)
    for file in log.target.files:
        log.client.log_artifact(run_id, str(file))
    log.client.log_text(run_id, info.suite_resolved, "suite.yml")
    with tempfile.TemporaryDirectory() as folder:
        for figure in save_png(result, Path(folder)):
            log.client.log_artifact(run_id, str(figure))
    _close(log, run_id)
    return run_id


def _log_model(log: _Log, result: EvaluationResult, model: ModelVersion, parent: str) -> None:
    info = log.outcome.info
    version = f"-v{model.version}" if model.version else ""
    name = f"eval-{info.suite}-{model.registered_name or model.name}{version}"
    run_id = _open(log, name, (result.name, model.name), parent)
    cells = [cell for cell in result.cells if cell.model.name == model.name]
    _log_numbers(log, run_id, model_numbers(cells, log.target.max_slice_metrics), model)
    _log_input(log, run_id, result, model)
    params = {"model_uri": model.uri, "model_digest": model.digest, "flavor": model.flavor}
    for key, text in params.items():
        log.client.log_param(run_id, key, text[:MAX_PARAM])
    tags = {"dataset_version": str(result.dataset.version)}
    gate = log.outcome.model_gates.get((result.name, model.name))
    if gate is not None:
        tags["gate"] = gate.outcome.value
        _tag_version(log, model, gate)
    for key, value in tags.items():
        log.client.set_tag(run_id, f"{PREFIX}.{key}", value)
    _close(log, run_id)


def _close(log: _Log, run_id: str) -> None:
    ended = int(log.outcome.finished_at.timestamp() * 1000)
    log.client.set_terminated(run_id, "FINISHED", ended)


def _tag_version(log: _Log, model: ModelVersion, gate: Gate) -> None:
    """Tells the registry how a version did; models that are not registered have no place for it."""
    if model.registered_name is None or model.version is None:
        return
    tags = {"gate": gate.outcome.value, "run_id": log.outcome.info.run_id, "reason": gate.reason}
    for key, value in tags.items():
        log.client.set_model_version_tag(
            model.registered_name, model.version, f"{PREFIX}.{key}", value
        )


def _log_numbers(
    log: _Log, run_id: str, numbers: Iterable[Number], model: ModelVersion | None = None
) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    about = {"model_id": model.model_id} if model is not None and model.model_id else {}
    metrics = [Metric(key, value, now, 0, **about) for key, value in keyed(numbers).items()]
    for start in range(0, len(metrics), _BATCH):
        log.client.log_batch(run_id, metrics=metrics[start : start + _BATCH])


def _log_input(
    log: _Log, run_id: str, result: EvaluationResult, model: ModelVersion | None
) -> None:
    """The dataset version as a dataset input, as MLflow's own Delta source writes it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput

    dataset = result.dataset
    digest = hashlib.sha256(f"{dataset.table_id}@{dataset.version}".encode()).hexdigest()[:8]
    place = "delta_table_name" if dataset.is_catalog_table else "path"
    source = {
        place: dataset.uri,
        "delta_table_version": dataset.version,
        "is_databricks_uc_table": False,
        "delta_table_id": dataset.table_id,
    }
    version = f"@v{dataset.version}"
    schema = json.dumps({"mlflow_colspec": colspec(dataset)})
    entity = Dataset(
        name=f"{dataset.name[: 500 - len(version)]}{version}",
        digest=digest,
        source_type="delta_table",
        source=json.dumps(source),
        schema=schema if len(schema) <= MAX_SCHEMA else None,
        profile=json.dumps({"num_rows": dataset.rows}),
    )
    tags = [
        InputTag("mlflow.data.context", "evaluation"),
        # MLflow drops a version 0 from the source.
        InputTag(f"{PREFIX}.dataset_version", str(dataset.version)),
    ]
    models = [LoggedModelInput(model.model_id)] if model is not None and model.model_id else None
    log.client.log_inputs(run_id, [DatasetInput(entity, tags)], models)


def colspec(dataset: DatasetVersion) -> list[dict[str, Any]]:
    """A dataset's columns in MLflow's words; what it has no word for is `any`."""
    return [
        {"type": _column_type(kind), "name": name, "required": False}
        for name, kind in dataset.schema
    ]


def _column_type(kind: str) -> str:
    return "double" if kind.startswith("decimal") else _COLUMN_TYPES.get(kind, "any")
