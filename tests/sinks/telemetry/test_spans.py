"""Spans as a receiver of OTLP reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from engine.core.vocabulary import Cell, ModelTest, RunOutcome, Slice, Verdict
from engine.sinks.telemetry.record import RunRecord, run_uuid
from engine.sinks.telemetry.spans import make_spans, send_spans
from engine.sinks.telemetry.waiting import TelemetryError, problem_text
from tests.fixtures.receiver import Receiver
from tests.sinks.telemetry.conftest import SECOND

Records = Callable[..., RunRecord]
ERROR = 2


def read(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The spans of a request by their names, and what they are all about."""
    message = ExportTraceServiceRequest()
    message.ParseFromString(body)
    (resource,) = message.resource_spans
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    return spans, facts(resource.resource)


def facts(thing: Any) -> dict[str, Any]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value")) for item in thing.attributes
    }


def test_a_run_is_one_trace_of_all_its_steps(
    full_run: RunOutcome, record_of: Records, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=theirs")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=ci")
    record = record_of(full_run)
    send_spans(make_spans(record), receiver.url)
    ((_, path, body),) = receiver.requests
    assert path == "/v1/traces"
    spans, resource = read(body)
    assert resource["service.name"] == "evalmatrix"
    assert resource["deployment.environment"] == "ci"
    assert receiver.headers[0]["x-key"] == "theirs"
    assert {span.trace_id.hex() for span in spans.values()} == {run_uuid(record.info).hex}
    root = spans["evalmatrix run nightly"]
    assert not root.parent_span_id
    assert (root.end_time_unix_nano - root.start_time_unix_nano) == 94 * SECOND
    about = facts(root)
    assert about["cicd.pipeline.result"] == "error"
    assert about["evalmatrix.retries"] == 3
    counts = Counter(cell.verdict for cell in full_run.cells)
    assert all(about[f"evalmatrix.cells.{word}"] == counts[word] for word in Verdict)
    # Each hangs where it belongs.
    claims = spans["evaluation claims"]
    assert claims.parent_span_id == root.span_id
    inside = {name for name, span in spans.items() if span.parent_span_id == claims.span_id}
    assert inside == {"scan claims", "judge claims", "model claims-v2", "model claims-v3",
                      "model claims-v4-wide"}  # fmt: skip
    outside = {name for name, span in spans.items() if span.parent_span_id == root.span_id}
    assert outside >= {"plan", "sink mlflow", "sink claims results"}


def test_what_failed_and_was_done_again_is_seen(full_run: RunOutcome, record_of: Records) -> None:
    spans = [span for span in make_spans(record_of(full_run)) if span.name == "scan claims"]
    first, second = spans
    assert first.attributes["error.type"] == "WorkerDiedError"
    assert first.status.status_code.value == ERROR and second.status.status_code.value != ERROR
    assert first.end_time == second.start_time


def test_models_have_what_they_cost_in_the_time_of_the_scans(
    run_of: Any, cell_of: Callable[..., Cell], record_of: Records
) -> None:
    from dataclasses import replace

    run = run_of([cell_of(), cell_of(verdict=Verdict.FAIL)])
    timings = {"predictions": 240.0, "loads": 2.0, "predict_seconds/candidate": 1.5,
               "predictions/candidate": 240.0}  # fmt: skip
    result = replace(run.evaluations[0], timings=timings, model_errors={"candidate": "broke"})
    spans = {span.name: span for span in make_spans(record_of(replace(run, evaluations=[result])))}
    model = spans["model candidate"]
    assert model.attributes["evalmatrix.predict_seconds"] == 1.5
    assert model.attributes["evalmatrix.predictions"] == 240
    assert model.attributes["evalmatrix.cells.FAIL"] == 1
    assert model.attributes["error.type"] == "ModelError"
    assert model.end_time - model.start_time == 3 * SECOND
    whole = spans["evaluation claims"].attributes
    assert (whole["evalmatrix.scan.predictions"], whole["evalmatrix.scan.model_loads"]) == (240, 2)
    assert spans["evalmatrix run nightly"].attributes["evalmatrix.predictions"] == 240


def test_a_run_that_stopped_is_told_with_what_stopped_it(
    full_run: RunOutcome, record_of: Records
) -> None:
    record = record_of(full_run, outcome=None, failure=("StoreError", "the store is full"))
    root = next(span for span in make_spans(record) if span.parent is None)
    assert root.attributes["cicd.pipeline.result"] == "error"
    assert root.attributes["error.type"] == "StoreError"
    assert root.status.status_code.value == ERROR


def test_no_names_of_slices_nor_reasons_are_in_a_trace(
    run_of: Any, cell_of: Callable[..., Cell], record_of: Records, receiver: Receiver
) -> None:
    canary = "CANARY-7f3a"
    where = Slice(f"iban={canary}", "by", "by", (("iban", canary),))
    cell = cell_of(slice=where, reason=f"found {canary}", verdict=Verdict.ERROR,
                   test=ModelTest("t", "recall"))  # fmt: skip
    send_spans(make_spans(record_of(run_of([cell]))), receiver.url)
    assert canary.encode() not in receiver.requests[0][2]


def test_the_callers_own_tracing_is_left_alone(full_run: RunOutcome, record_of: Records) -> None:
    from opentelemetry import trace

    before = trace.get_tracer_provider()
    with trace.get_tracer("theirs").start_as_current_span("theirs"):
        spans = make_spans(record_of(full_run))
    assert trace.get_tracer_provider() is before
    assert [span.name for span in spans if span.parent is None] == ["evalmatrix run nightly"]


def test_a_receiver_that_refuses_is_told_of_in_words(
    full_run: RunOutcome, record_of: Records, receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    receiver.codes = [401]
    spans = make_spans(record_of(full_run))
    with pytest.raises(requests.RequestException) as told:
        send_spans(spans, f"{receiver.url}/v1/traces")
    assert problem_text(told.value) == "it answered 401"
    with pytest.raises((requests.RequestException, TelemetryError)) as told:
        send_spans(spans, "http://127.0.0.1:9")
    assert problem_text(told.value) == "nobody answered (ConnectionError)"
    assert caplog.records == []
