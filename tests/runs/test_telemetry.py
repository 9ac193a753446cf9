"""Runs that tell of themselves, on the real Spark: to receivers of this machine, or to nobody."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from engine.errors import InputError
from engine.sinks.telemetry import delivery
from engine.store.runs import read_steps
from tests.fixtures.receiver import Receiver
from tests.fixtures.tables import read_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


def metric(path: Path, name: str) -> float | None:
    families = text_string_to_metric_families(path.read_text())
    return next(
        (one.value for family in families for one in family.samples if one.name == name), None
    )


def test_a_run_is_told_to_all_that_the_suite_names(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    path = tmp_path / "metrics.prom"
    where = {"openlineage": receiver.url, "otlp": receiver.url, "prometheus": str(path)}
    suite = small(
        models=[{"uri": world.model("good")}, {"uri": world.model("raise"), "name": "raises"}],
        tests=[{"metric": "accuracy", "min": 0.1}],
        slices=["overall", {"by": "device"}],
        dataset={"sensitive": ["age"]},
    )
    suite |= {"name": "telling", "telemetry": where, "gate": {"on_error": "warn"}}
    result = evaluated(suite, "telling", run_id="telling-1")
    assert result.exit_code == 0, str(result)
    bodies = {path: body for _, path, body in receiver.requests}
    message = ExportTraceServiceRequest.FromString(bodies["/v1/traces"])
    spans = [span for scope in message.resource_spans[0].scope_spans for span in scope.spans]
    names = {span.name for span in spans}
    assert names >= {"evalmatrix run telling", "plan", "evaluation few", "scan few", "judge few",
                     "model good", "model raises", "sink few results", "sink report",
                     "sink mlflow"}  # fmt: skip
    root = next(span for span in spans if not span.parent_span_id)
    for span in spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    good = next(span for span in spans if span.name == "model good")
    about = {item.key: item.value.int_value for item in good.attributes}
    costs = result.outcome.evaluations[0].timings
    assert about["evalmatrix.predictions"] == costs["predictions/good"]
    # Each row that has a label is predicted, once or for scores and labels.
    labelled = int(world.few["fraud"].notna().sum())
    assert costs["predictions/good"] in (labelled, 2 * labelled)
    check_costs(result, next(span for span in spans if span.name == "scan few"))
    events = [json.loads(body) for _, at, body in receiver.requests if at == "/api/v1/lineage"]
    assert [event["job"]["name"] for event in events] == ["telling", "telling.few"]
    tests = events[1]["run"]["facets"]["test"]["tests"]
    assert {test["params"]["slice"] for test in tests} == {"overall", "device=ios", "device=web"}
    assert events[1]["inputs"][0]["facets"]["version"]["datasetVersion"] == "1"
    success = metric(path, "evalmatrix_last_success_timestamp_seconds")
    assert success == pytest.approx(result.outcome.info.started_at.timestamp())
    # No value of a row is anywhere.
    everything = b"".join(body for _, _, body in receiver.requests) + path.read_bytes()
    for column in ("f0", "f1", "w"):
        for value in world.few[column][:50]:
            # Not in the middle of another number, such as one of seconds.
            text = repr(float(value)).encode()
            alone = rb"(?<![\d.])" + re.escape(text) + rb"(?!\d)"
            assert len(text) < 5 or not re.search(alone, everything)

    # Asked again, it answers: its lineage is the same, its spans and metrics were those of then.
    before, metrics = len(receiver.requests), path.read_text()
    evaluated(suite, "telling", run_id="telling-1")
    assert [at for _, at, _ in receiver.requests[before:]] == ["/api/v1/lineage"] * 2
    assert path.read_text() == metrics

    # A night that fails does not move the time of the last success.
    suite["evaluations"][0]["tests"] = [{"metric": "accuracy", "min": 0.99999}]
    assert evaluated(suite, "telling", run_id="telling-2").exit_code == 1
    later = metric(path, "evalmatrix_last_success_timestamp_seconds")
    assert later == success < metric(path, "evalmatrix_last_run_timestamp_seconds")


def check_costs(result: RunResult, scan: Any) -> None:
    """What each step took: in the result, in the row of the run, in MLflow, in a span."""
    steps = {(step.kind, step.evaluation, step.name): step for step in result.outcome.steps}
    whole, part = steps["evaluation", "few", ""], steps["scan", "few", ""]
    assert part.rows == 400 and whole.predictions == result.outcome.evaluations[0].timings[
        "predictions"
    ]  # fmt: skip
    assert 0 < part.seconds <= whole.seconds and whole.failure == ""
    # Spark ran jobs, in a JVM of this machine, and its workers ran Python; nothing was too large.
    for step in (whole, part):
        assert step.cpu_seconds is not None and step.jvm_cpu_seconds and step.task_cpu_seconds
        assert step.peak_bytes is not None and step.peak_bytes > 50 * 2**20
        assert step.jvm_peak_bytes is not None and step.jvm_peak_bytes > 100 * 2**20
        assert step.spilled_memory_bytes == step.spilled_disk_bytes == step.failed_tasks == 0
    assert whole.worker_cpu_seconds and whole.worker_peak_bytes is not None
    assert whole.worker_peak_bytes > 50 * 2**20
    about = {item.key for item in scan.attributes}
    assert about >= {"evalmatrix.cpu_seconds", "evalmatrix.jvm.peak_memory_bytes"}

    runs = Path(result.store.root) / "runs"
    ((_, row),) = read_rows(runs, run=result.run_id).iterrows()
    kept = read_steps(dict(row))
    # In the row those are as well that wrote the results.
    assert kept[: len(result.outcome.steps)] == tuple(result.outcome.steps)
    names = [(step.kind, step.name) for step in kept]
    assert names.count(("sink", "report")) == names.count(("sink", "mlflow")) == 1
    page = (result.store.report_folder(result.run_id) / "index.html").read_text()
    assert "What each step cost" in page and "evaluation few" in page

    run = MlflowClient(result.tracking_uri).get_run(result.parents["few"])
    system = {key: value for key, value in run.data.metrics.items() if key.startswith("system/")}
    assert system["system/workers_cpu_seconds"] == whole.worker_cpu_seconds
    assert system["system/jvm_peak_memory_megabytes"] == whole.jvm_peak_bytes / 1e6
    assert system["system/spilled_disk_megabytes"] == 0


def test_a_missing_library_is_told_before_the_store_is_touched(
    small: Callable[..., dict[str, Any]], evaluated: Callable[..., RunResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(delivery, "find_spec", lambda name: None)
    suite = small() | {"telemetry": {"otlp": "http://127.0.0.1:9"}}
    with pytest.raises(InputError, match=r"pip install 'evalmatrix\[telemetry\]'"):
        evaluated(suite, "lacking")


@pytest.mark.slow
def test_a_log_of_json_with_receivers_that_are_down(
    world: Any, small: Callable[..., dict[str, Any]], root: Path, tmp_path: Path
) -> None:
    """As a pod runs it: each line of standard error is an object, and the run goes on."""
    down = "http://127.0.0.1:9"
    suite = small(store=str(world.make_store(tmp_path / "store")))
    suite |= {"telemetry": {"openlineage": down, "otlp": down, "prometheus": down}}
    command = [sys.executable, "-m", "engine.cli.app", "run", world.write("down", suite),
               "--run-id", "pod-1", "--log-format", "json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=500)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    told = [line for line in lines if "was not told of the run" in line["message"]]
    assert len(told) == 3 and all("ConnectionError" in line["message"] for line in told)
    assert {line["logger"] for line in lines} == {"evalmatrix"}
    assert {line["run_id"] for line in lines} == {"pod-1"}
