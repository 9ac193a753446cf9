"""Prometheus: the latest run of a suite as metrics, in a textfile or at a Pushgateway.

Nothing has the run's id as a label: neither forgets a series. What tells of trouble is the age of
`evalmatrix_last_success_timestamp_seconds`, which a run that fails, or never ends, does not move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import requests
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from engine.core.vocabulary import GateOutcome, RunOutcome, Verdict
from engine.sinks.subjects import columns_of, model_label
from engine.sinks.telemetry.record import RunRecord
from engine.sinks.telemetry.waiting import SECONDS_TO_ANSWER, TelemetryError

_JOB = "evalmatrix"
# What an evaluation cost, by the names of its meters.
_COSTS = {
    "seconds": ("evaluation_duration_seconds", "Seconds that an evaluation took."),
    "scan_seconds": ("scan_seconds", "Seconds that workers scanned, added up."),
    "predict_seconds": ("predict_seconds", "Seconds that models predicted, added up."),
    "worker_cpu_seconds": ("worker_cpu_seconds", "CPU seconds of the workers' Python."),
    "worker_peak_bytes": ("worker_peak_memory_bytes", "The most memory that a worker held."),
    "rows": ("scanned_rows", "Rows that were read."),
    "predictions": ("predictions", "Rows that models predicted."),
    "loads": ("model_loads", "How often a model was loaded."),
}
_MODEL_COSTS = {
    "predict_seconds": "Seconds that a model predicted.",
    "predictions": "Rows that a model predicted.",
}


def make_metrics(record: RunRecord) -> CollectorRegistry | None:
    """The metrics of a suite's latest run; None of a run that stopped before its end."""
    outcome = record.outcome
    if outcome is None:
        return None
    registry = CollectorRegistry(auto_describe=False)

    def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"evalmatrix_{name}", text, ["suite", *labels], registry=registry)

    suite = outcome.info.suite
    began = gauge("last_run_timestamp_seconds", "When the latest run began.")
    began.labels(suite).set(outcome.info.started_at.timestamp())
    if record.last_success is not None:
        passed = gauge("last_success_timestamp_seconds", "When the latest run that passed began.")
        passed.labels(suite).set(record.last_success.timestamp())
    gauge("run_duration_seconds", "Seconds that the run took.").labels(suite).set(outcome.seconds)
    gates = gauge("gate", "1 for what the run's gate has come to, 0 for the others.", ["outcome"])
    for gate in GateOutcome:
        gates.labels(suite, gate.value).set(float(gate is outcome.gate.outcome))
    _add_cells(gauge, outcome)
    _add_datasets(gauge, outcome)
    _add_costs(gauge, outcome)
    return registry


def _add_cells(gauge: Callable[..., Gauge], outcome: RunOutcome) -> None:
    labels = ["evaluation", "model"]
    cells = gauge("cells", "Cells by their verdict.", [*labels, "verdict"])
    undecided = gauge("undecided_ratio", "The share of judged cells that are undecided.", labels)
    for result in outcome.evaluations:
        for model in columns_of(result):
            counts = Counter(cell.verdict for cell in result.cells if cell.model.name == model)
            about = (outcome.info.suite, result.name, model_label(model))
            for verdict in Verdict:
                cells.labels(*about, verdict.value).set(counts[verdict])
            judged = counts.total() - counts[Verdict.RECORDED]
            if judged:
                undecided.labels(*about).set(counts[Verdict.INCONCLUSIVE] / judged)


def _add_datasets(gauge: Callable[..., Gauge], outcome: RunOutcome) -> None:
    labels = ["evaluation", "dataset"]
    rows = gauge("dataset_rows", "Rows of the dataset version.", labels)
    version = gauge("dataset_version", "The Delta version that was evaluated on.", labels)
    for result in outcome.evaluations:
        about = (outcome.info.suite, result.name, result.dataset.name)
        rows.labels(*about).set(result.dataset.rows)
        version.labels(*about).set(result.dataset.version)


def _add_costs(gauge: Callable[..., Gauge], outcome: RunOutcome) -> None:
    for meter, (name, text) in _COSTS.items():
        costs = gauge(name, text, ["evaluation"])
        for result in outcome.evaluations:
            if meter in result.timings:
                costs.labels(outcome.info.suite, result.name).set(result.timings[meter])
    for meter, text in _MODEL_COSTS.items():
        own = gauge(f"model_{meter}", text, ["evaluation", "model"])
        for result in outcome.evaluations:
            for model in result.models:
                if (cost := result.timings.get(f"{meter}/{model.name}")) is not None:
                    own.labels(outcome.info.suite, result.name, model.name).set(cost)


def send_metrics(registry: CollectorRegistry | None, suite: str, place: str) -> None:
    """Writes metrics to a textfile, or puts them in the place of the suite's at a Pushgateway.

    Raises:
        requests.RequestException, OSError: when they were not taken.
        TelemetryError: when the file has something else in it.
    """
    if registry is None:
        return
    if place.startswith(("http://", "https://")):
        grouping = {"suite": suite}
        push_to_gateway(place, _JOB, registry, grouping, SECONDS_TO_ANSWER, handler=_push)
        return
    path = Path(place)
    _check_file(path, suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)
    # Who collects it is another user.
    path.chmod(0o644)


def _push(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    def handle() -> None:
        answer = requests.request(
            method, url, data=data, headers=dict(headers), timeout=timeout, allow_redirects=False
        )
        answer.raise_for_status()

    return handle


def _check_file(path: Path, suite: str) -> None:
    """Refuses to write over what is not of this suite: its series would be gone without a word."""
    if not path.exists():
        return
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except ValueError:
        raise TelemetryError("the file holds something else than metrics") from None
    samples = [sample for family in families for sample in family.samples]
    others = {sample.labels.get("suite") for sample in samples} - {suite}
    if others or any(not sample.name.startswith("evalmatrix_") for sample in samples):
        raise TelemetryError(
            "the file holds the metrics of another suite or program; expected a file of its own"
        )
