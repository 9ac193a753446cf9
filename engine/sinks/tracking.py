"""MLflow: a parent run for each evaluation, a child run for each model version.

Metrics go under the keys that MLflow's own evaluation uses, so that its pages compare; of slices
as many as a cap allows, since the results table has them all. Writing again changes nothing: a run
that is there already is found by its tags and completed.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import TrackingError
from engine.metrics import METRICS
from engine.vocabulary import (
    Cell,
    EvaluationResult,
    Gate,
    ModelVersion,
    RunOutcome,
    Verdict,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

PREFIX = "evalmatrix"
MAX_KEY = 250
MAX_TAG = 5000
_REFUSED = re.compile(r"[^/\w.\- :]")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send a run, and which of its files go along as artifacts."""

    tracking_uri: str
    artifact_root: Path | None
    max_slice_metrics: int = 1000
    files: Sequence[Path] = ()


def metric_key(*parts: str) -> str:
    """A key that MLflow takes: refused characters replaced, no empty part, at most 250 long."""
    cleaned = [_REFUSED.sub("_", part.replace("/", "_")).strip() or "_" for part in parts]
    cleaned = ["_" if set(part) <= {"."} else part for part in cleaned]
    return "/".join(cleaned)[:MAX_KEY].rstrip("/ ")


def log_outcome(outcome: RunOutcome, target: Target) -> dict[str, str]:
    """Sends a run to MLflow; gives the parent run's id of each evaluation.

    Raises:
        TrackingError: when the server cannot be reached or refuses what is sent.
    """
    import mlflow

    try:
        mlflow.set_tracking_uri(target.tracking_uri)
        client = mlflow.MlflowClient(target.tracking_uri)
        experiment = _experiment(client, outcome.info.suite, target)
        return {
            result.name: _log_evaluation(_Log(client, experiment, outcome, target), result)
            for result in outcome.evaluations
        }
    except Exception as error:
        raise TrackingError(
            f"MLflow at {target.tracking_uri!r} did not take the run: {type(error).__name__}: "
            f"{str(error).splitlines()[0][:300] if str(error) else ''}; the Delta tables and the "
            "report are complete without it"
        ) from error


@dataclass(frozen=True, slots=True)
class _Log:
    client: MlflowClient
    experiment: str
    outcome: RunOutcome
    target: Target


def _experiment(client: MlflowClient, name: str, target: Target) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    place = None
    if target.artifact_root is not None:
        target.artifact_root.mkdir(parents=True, exist_ok=True)
        place = target.artifact_root.as_uri()
    return str(client.create_experiment(name, artifact_location=place))


def _find_or_create(
    log: _Log, name: str, tags: Mapping[str, str], parent: str | None
) -> Run:
    """The run that has these tags, or a new one."""
    info = log.outcome.info
    own = {f"{PREFIX}.{key}": value[:MAX_TAG] for key, value in tags.items()}
    own[f"{PREFIX}.run_id"] = info.run_id
    quoted = [f"tags.`{key}` = '{_quote(value)}'" for key, value in own.items()]
    found = log.client.search_runs([log.experiment], " AND ".join(quoted), max_results=1)
    if found:
        return found[0]
    if parent is not None:
        own["mlflow.parentRunId"] = parent
    started = int(info.started_at.timestamp() * 1000)
    return log.client.create_run(log.experiment, start_time=started, tags=own, run_name=name)


def _quote(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _log_evaluation(log: _Log, result: EvaluationResult) -> str:
    info = log.outcome.info
    name = f"eval-{info.suite}-{result.name}"
    parent = _find_or_create(log, name, {"evaluation": result.name, "kind": "evaluation"}, None)
    run_id = str(parent.info.run_id)
    for model in result.models:
        _log_model(log, result, model, run_id)
    counts = _counts(result.cells)
    _log_metrics(log, run_id, {f"verdicts/{key}": value for key, value in counts.items()})
    _log_metrics(log, run_id, {metric_key("cost", k): v for k, v in result.timings.items()})
    _log_input(log, run_id, result, None)
    log.client.set_tag(run_id, f"{PREFIX}.gate", log.outcome.gate.outcome.value)
    log.client.set_tag(run_id, f"{PREFIX}.dataset_version", str(result.dataset.version))
    for file in log.target.files:
        log.client.log_artifact(run_id, str(file))
    log.client.log_text(run_id, info.suite_resolved, "suite.yml")
    log.client.set_terminated(run_id, "FINISHED", int(log.outcome.finished_at.timestamp() * 1000))
    return run_id


def _log_model(log: _Log, result: EvaluationResult, model: ModelVersion, parent: str) -> None:
    info = log.outcome.info
    version = f"-v{model.version}" if model.version else ""
    stem = model.registered_name or model.name
    tags = {"evaluation": result.name, "model": model.name, "kind": "model"}
    run = _find_or_create(log, f"eval-{info.suite}-{stem}{version}", tags, parent)
    run_id = str(run.info.run_id)
    cells = [cell for cell in result.cells if cell.model.name == model.name]
    values = {**overall_metrics(cells), **worst_slices(cells)}
    values.update({f"verdicts/{key}": value for key, value in _counts(cells).items()})
    values.update(slice_metrics(cells, log.target.max_slice_metrics))
    _log_metrics(log, run_id, values, model)
    _log_input(log, run_id, result, model)
    params = {"model_uri": model.uri, "model_digest": model.digest, "flavor": model.flavor}
    for key, value in params.items():
        log.client.log_param(run_id, key, value)
    gate = log.outcome.model_gates.get((result.name, model.name))
    if gate is not None:
        log.client.set_tag(run_id, f"{PREFIX}.gate", gate.outcome.value)
        _tag_version(log, model, gate)
    log.client.set_tag(run_id, f"{PREFIX}.dataset_version", str(result.dataset.version))
    log.client.set_terminated(run_id, "FINISHED", int(log.outcome.finished_at.timestamp() * 1000))


def _tag_version(log: _Log, model: ModelVersion, gate: Gate) -> None:
    """Tells the registry how a version did; models that are not registered have no place for it."""
    if model.registered_name is None or model.version is None:
        return
    tags = {"gate": gate.outcome.value, "run_id": log.outcome.info.run_id, "reason": gate.reason}
    for key, value in tags.items():
        log.client.set_model_version_tag(
            model.registered_name, model.version, f"{PREFIX}.{key}", value
        )


def _metric_name(cell: Cell) -> str:
    metric = METRICS.find(cell.test.metric)
    return metric.mlflow_key if metric else cell.test.metric


def overall_metrics(cells: Iterable[Cell]) -> dict[str, float]:
    """Values and intervals on all rows; what is undefined is left out."""
    values: dict[str, float] = {}
    for cell in cells:
        if cell.slice.kind != "overall" or cell.measured.value is None:
            continue
        key = _metric_name(cell)
        values[metric_key(key)] = cell.measured.value
        if cell.measured.ci_low is not None and cell.measured.ci_high is not None:
            values[metric_key(f"{key}.ci_low")] = cell.measured.ci_low
            values[metric_key(f"{key}.ci_high")] = cell.measured.ci_high
        values.setdefault("example_count", float(cell.counts.n))
    return values


def _is_worse(cell: Cell, than: Cell) -> bool:
    metric = METRICS.find(cell.test.metric)
    assert cell.measured.value is not None and than.measured.value is not None
    if metric is not None and metric.higher_is_better is False:
        return cell.measured.value > than.measured.value
    return cell.measured.value < than.measured.value


def worst_slices(cells: Iterable[Cell]) -> dict[str, float]:
    """For each metric the worst value of a slice, as `worst/<metric>`, and that slice's rows."""
    worst: dict[str, Cell] = {}
    for cell in cells:
        if cell.slice.kind == "overall" or cell.measured.value is None:
            continue
        key = _metric_name(cell)
        if key not in worst or _is_worse(cell, worst[key]):
            worst[key] = cell
    values: dict[str, float] = {}
    for key, cell in worst.items():
        assert cell.measured.value is not None
        values[metric_key("worst", key)] = cell.measured.value
        values[metric_key("worst", f"{key}.n")] = float(cell.counts.n)
    return values


def slice_metrics(cells: Iterable[Cell], limit: int) -> dict[str, float]:
    """Values by slice as `<slice>/<metric>`, what failed first, at most `limit` of them."""
    sliced = [
        cell
        for cell in cells
        if cell.slice.kind != "overall" and cell.measured.value is not None
    ]
    values: dict[str, float] = {}
    for cell in sorted(sliced, key=lambda cell: _rank(cell.verdict)):
        if len(values) >= limit:
            break
        assert cell.measured.value is not None
        values[metric_key(cell.slice.name, _metric_name(cell))] = cell.measured.value
    return values


def _rank(verdict: Verdict) -> int:
    first = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.RECORDED)
    return first.index(verdict)


def _counts(cells: Iterable[Cell]) -> dict[str, float]:
    counts = dict.fromkeys((verdict.value for verdict in Verdict), 0.0)
    for cell in cells:
        counts[cell.verdict.value] += 1
    return counts


def _log_metrics(
    log: _Log, run_id: str, values: Mapping[str, float], model: ModelVersion | None = None
) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    about = {"model_id": model.model_id} if model is not None and model.model_id else {}
    metrics: list[Metric] = [
        Metric(key, value, now, 0, **about) for key, value in values.items()
    ]
    for start in range(0, len(metrics), 1000):
        log.client.log_batch(run_id, metrics=metrics[start : start + 1000])


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
    columns = [{"name": name, "type": kind} for name, kind in dataset.schema]
    entity = Dataset(
        name=f"{dataset.name}@v{dataset.version}"[:500],
        digest=digest,
        source_type="delta_table",
        source=json.dumps(source),
        schema=json.dumps({"columns": columns}),
        profile=json.dumps({"num_rows": dataset.rows}),
    )
    tags = [
        InputTag("mlflow.data.context", "evaluation"),
        InputTag(f"{PREFIX}.dataset_version", str(dataset.version)),
    ]
    models = [LoggedModelInput(model.model_id)] if model is not None and model.model_id else None
    log.client.log_inputs(run_id, [DatasetInput(entity, tags)], models)
