"""OpenTelemetry: a run as a trace, built from when its steps were once they are over.

The trace's id follows from the run's, so one that was resumed is one trace with several roots. No
tracer of the process is touched: who traces their own program keeps their own provider.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from engine._version import __version__
from engine.core.stopwatch import Cost, Step
from engine.core.vocabulary import EvaluationResult, GateOutcome, RunOutcome, Verdict
from engine.sinks.telemetry.record import RunRecord, run_uuid
from engine.sinks.telemetry.waiting import SECONDS_TO_ANSWER, TelemetryError

_PATH = "/v1/traces"
_RESULTS = {GateOutcome.PASSED: "success", GateOutcome.FAILED: "failure",
            GateOutcome.ERROR: "error"}  # fmt: skip
# What a scan cost, by the names of its meters.
_METERS = {"rows": "rows", "predictions": "predictions", "batches": "batches",
           "loads": "model_loads"}  # fmt: skip

Attributes = Mapping[str, str | bool | int | float]


def make_spans(record: RunRecord) -> list[ReadableSpan]:
    """The spans of a run: itself, its plan, its evaluations with their steps and models, its sinks.

    A model's span is as long as the scans in which it predicted; what it took of them is the
    attribute `evalmatrix.predict_seconds`, added up over all workers.
    """
    builder = _Builder(record)
    outcome = record.outcome
    name = f"evalmatrix run {record.info.suite}"
    root = builder.add(name, None, (record.started, record.ended), run_attributes(record))
    builder.end(root, failure=record.failure[0] if record.failure else "")
    results = {result.name: result for result in outcome.evaluations} if outcome else {}
    owners = {}
    for step in record.steps:
        if step.kind == "evaluation":
            facts = evaluation_attributes(record, step.evaluation, results.get(step.evaluation))
            facts |= _cost_attributes(step.cost)
            owners[step.evaluation] = builder.step(step_name(step), root, step, facts)
    for step in record.steps:
        if step.kind != "evaluation":
            # What is written beside a run may be written when its evaluation is over.
            owner = root if step.kind == "sink" else owners.get(step.evaluation, root)
            builder.step(step_name(step), owner, step, _step_attributes(step))
    for result in results.values():
        if result.name in owners:
            times = _scan_times(record, result.name)
            for model_name, facts in _models(result):
                span = builder.add(model_name, owners[result.name], times, facts)
                builder.end(span, failure="ModelError" if "error.type" in facts else "")
    return builder.spans


class _Builder:
    """Spans of one trace, each with its own times."""

    def __init__(self, record: RunRecord) -> None:

        trace_id = run_uuid(record.info).int

        class OneTrace(RandomIdGenerator):
            def generate_trace_id(self) -> int:
                return trace_id

        about = {"service.version": __version__}
        if not os.environ.get("OTEL_SERVICE_NAME"):
            about["service.name"] = "evalmatrix"
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(about),
            shutdown_on_exit=False,
            id_generator=OneTrace(),
        )
        self._tracer = provider.get_tracer("evalmatrix", __version__)
        self._ends: dict[int, int] = {}
        self.spans: list[Any] = []

    def add(self, name: str, parent: Any, times: tuple[int, int], attributes: Attributes) -> Any:

        # An empty context: the caller's own trace is no parent of it.
        context = Context() if parent is None else set_span_in_context(parent, Context())
        span = self._tracer.start_span(
            name, context, attributes=dict(attributes), start_time=times[0]
        )
        self._ends[id(span)] = times[1]
        if span.is_recording():
            self.spans.append(span)
        return span

    def end(self, span: Any, *, failure: str = "") -> None:

        if failure:
            span.set_attribute("error.type", failure)
            span.set_status(Status(StatusCode.ERROR))
        span.end(self._ends[id(span)])

    def step(self, name: str, parent: Any, step: Step, attributes: Attributes) -> Any:
        span = self.add(name, parent, (step.started, step.ended), attributes)
        self.end(span, failure=step.failure)
        return span


def run_attributes(record: RunRecord) -> dict[str, Any]:
    """What is known of a run, by OpenTelemetry's names where it has some."""
    info, outcome = record.info, record.outcome
    facts: dict[str, Any] = {
        "cicd.pipeline.name": info.suite,
        "cicd.pipeline.run.id": info.run_id,
        "cicd.pipeline.result": "error" if outcome is None else _RESULTS[outcome.gate.outcome],
        "test.suite.name": info.suite,
        "evalmatrix.run_id": info.run_id,
    }
    if outcome is not None:
        facts["evalmatrix.gate"] = outcome.gate.outcome.value
        facts |= _count_attributes(outcome.gate.counts)
        facts["evalmatrix.rows"] = sum(result.dataset.rows for result in outcome.evaluations)
        facts["evalmatrix.predictions"] = _total(outcome, "predictions")
        facts["evalmatrix.retries"] = sum(_is_retry(step) for step in record.steps)
    return facts


def _total(outcome: RunOutcome, meter: str) -> int:
    return int(sum(result.timings.get(meter, 0) for result in outcome.evaluations))


def _count_attributes(counts: Mapping[Verdict, int]) -> dict[str, int]:
    return {f"evalmatrix.cells.{verdict.value}": counts.get(verdict, 0) for verdict in Verdict}


def _is_retry(step: Step) -> bool:
    """Whether a step was done again: it had failed, and the run went on."""
    return bool(step.failure) and step.kind in ("scan", "judge")


def evaluation_attributes(
    record: RunRecord, name: str, result: EvaluationResult | None
) -> dict[str, Any]:
    """What is known of an evaluation: its dataset version, its cells, what its scan cost."""
    retries = sum(_is_retry(step) and step.evaluation == name for step in record.steps)
    facts: dict[str, Any] = {"evalmatrix.evaluation": name, "evalmatrix.retries": retries}
    if result is None:
        return facts
    counts = {verdict: sum(cell.verdict is verdict for cell in result.cells) for verdict in Verdict}
    costs = {
        f"evalmatrix.scan.{word}": int(result.timings[meter])
        for meter, word in _METERS.items()
        if meter in result.timings
    }
    return {
        **facts,
        **costs,
        **_count_attributes(counts),
        "evalmatrix.dataset": result.dataset.name,
        "evalmatrix.dataset.version": result.dataset.version,
        "evalmatrix.rows": result.dataset.rows,
    }


def step_name(step: Step) -> str:
    """How the span of a step is called: `scan claims`, `sink mlflow`, `plan`."""
    return " ".join(filter(None, [step.kind, step.evaluation, step.name]))


def _step_attributes(step: Step) -> dict[str, Any]:
    facts: dict[str, Any] = {"evalmatrix.evaluation": step.evaluation} if step.evaluation else {}
    if step.rows is not None:
        facts["evalmatrix.rows"] = step.rows
    return {**facts, **_cost_attributes(step.cost)}


def _cost_attributes(cost: Cost) -> dict[str, Any]:
    """What a step took of this machine, as far as it is known."""
    amounts = {
        "cpu_seconds": cost.cpu_seconds,
        "peak_memory_bytes": cost.peak_bytes,
        "jvm.cpu_seconds": cost.jvm_cpu_seconds,
        "jvm.peak_memory_bytes": cost.jvm_peak_bytes,
        "spark.jobs": None if cost.jobs is None else cost.jobs[1] - cost.jobs[0],
    }
    return {f"evalmatrix.{name}": amount for name, amount in amounts.items() if amount is not None}


def _scan_times(record: RunRecord, evaluation: str) -> tuple[int, int]:
    """From the first scan of an evaluation to its last; without one, its own time."""
    for kind in ("scan", "evaluation"):
        steps = [
            step for step in record.steps if step.kind == kind and step.evaluation == evaluation
        ]
        if steps:
            return min(step.started for step in steps), max(step.ended for step in steps)
    return record.started, record.ended


def _models(result: EvaluationResult) -> Iterator[tuple[str, dict[str, Any]]]:
    for model in result.models:
        counts = {
            verdict: sum(
                cell.verdict is verdict and cell.model.name == model.name for cell in result.cells
            )
            for verdict in Verdict
        }
        facts: dict[str, Any] = {
            "evalmatrix.model": model.name,
            "evalmatrix.model.version": model.version or "",
            "evalmatrix.model.digest": model.digest,
            "evalmatrix.rows": result.dataset.rows,
            **_count_attributes(counts),
        }
        for meter in ("predict_seconds", "predictions"):
            cost = result.timings.get(f"{meter}/{model.name}")
            if cost is not None:
                facts[f"evalmatrix.{meter}"] = cost if meter == "predict_seconds" else int(cost)
        if model.name in result.model_errors:
            facts["error.type"] = "ModelError"
        yield f"model {model.name}", facts


def send_spans(spans: Sequence[ReadableSpan], url: str) -> None:
    """Sends spans by OTLP over HTTP; headers and certificates are those of `OTEL_EXPORTER_OTLP_*`.

    Raises:
        requests.RequestException: when nobody answered, or answered with an error.
        TelemetryError: when the spans were not taken for another reason.
    """
    if not spans:
        return
    endpoint = url if url.rstrip("/").endswith(_PATH) else url.rstrip("/") + _PATH
    # It logs each try, and the caller tells once.
    logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)
    session = _NotingSession()
    exporter = OTLPSpanExporter(endpoint, timeout=SECONDS_TO_ANSWER, session=session)
    try:
        if exporter.export(spans) is not SpanExportResult.SUCCESS:
            session.raise_last()
            raise TelemetryError("its spans were not taken")
    finally:
        session.close()


class _NotingSession(requests.Session):
    """A session that notes what came of its last request: the exporter only says that it failed."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: requests.Response | None = None
        self._failure: requests.RequestException | None = None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        try:
            self._answer = super().send(request, **kwargs)
        except requests.RequestException as error:
            self._answer, self._failure = None, error
            raise
        return self._answer

    def raise_last(self) -> None:
        """Raises what the last request came to, where it failed."""
        if self._answer is not None:
            self._answer.raise_for_status()
        elif self._failure is not None:
            raise self._failure
