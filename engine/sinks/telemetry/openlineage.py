"""OpenLineage: which version of which dataset was read, and what tests said of models and data.

An event for the run and one for each evaluation, whose parent it is. A cell is a test: PASS, FAIL
and ERROR as pass and fail, INCONCLUSIVE as skip; those that only record a value are counted.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, Run, RunEvent, RunState, set_producer
from openlineage.client.facet_v2 import (
    data_quality_assertions_dataset,
    dataset_version_dataset,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    parent_run,
    processing_engine_run,
    schema_dataset,
    tags_run,
    test_run,
)
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport

from engine._version import __version__
from engine.conditions import demand_text
from engine.core.vocabulary import (
    Cell,
    DatasetVersion,
    EvaluationResult,
    GateOutcome,
    Severity,
    Verdict,
)
from engine.sinks import highlights
from engine.sinks.telemetry.record import RunRecord, run_uuid
from engine.sinks.telemetry.waiting import SECONDS_TO_ANSWER

MOST_TESTS = 1_000
"""The most cells of an evaluation that are told one by one; of more, those that did not pass."""

_PRODUCER = f"urn:evalmatrix:{__version__}"
_PATH = "api/v1/lineage"
_BUSY = frozenset({429, 502, 503, 504})
_PAUSE_SECONDS = 0.5
_STATUS = {Verdict.PASS: "pass", Verdict.FAIL: "fail", Verdict.ERROR: "fail",
           Verdict.INCONCLUSIVE: "skip"}  # fmt: skip
_SEVERITY = {Severity.FAIL: "error", Severity.WARN: "warn"}


def make_events(record: RunRecord) -> list[RunEvent]:
    """The events of a run: its own, then one for each evaluation."""
    set_producer(_PRODUCER)
    if record.outcome is None:
        parts = [_event(record, name, None) for name in record.evaluations]
    else:
        parts = [_event(record, result.name, result) for result in record.outcome.evaluations]
    return [_event(record, None, None), *parts]


def namespace() -> str:
    """The namespace of jobs; OpenLineage's own variable of the environment says otherwise."""
    return os.environ.get("OPENLINEAGE_NAMESPACE") or "evalmatrix"


def _event(record: RunRecord, name: str | None, result: EvaluationResult | None) -> RunEvent:
    """The event of an evaluation; of the run itself where there is no name."""
    outcome = record.outcome
    is_over = outcome is not None and outcome.gate.outcome is not GateOutcome.ERROR
    if result is not None:
        is_over = not any(cell.verdict is Verdict.ERROR for cell in result.cells)
    run_id = run_uuid(record.info, *([] if name is None else [name]))
    return RunEvent(
        eventType=RunState.COMPLETE if is_over else RunState.FAIL,
        eventTime=_time(record),
        run=Run(str(run_id), _run_facets(record, name, result)),
        job=_job(record.info.suite, name),
        inputs=[] if result is None else [_dataset(result)],
    )


def _time(record: RunRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.ended / 1e9, dt.UTC)
    return (moment if record.outcome is None else record.outcome.finished_at).isoformat()


def _job(suite: str, name: str | None) -> Job:
    kind = job_type_job.JobTypeJobFacet("BATCH", "EVALMATRIX", "RUN" if name is None else "TEST")
    own = suite if name is None else f"{suite}.{name}"
    return Job(namespace(), own, {"jobType": kind})


def _run_facets(
    record: RunRecord, name: str | None, result: EvaluationResult | None
) -> dict[str, Any]:
    info = record.info
    engine = processing_engine_run.ProcessingEngineRunFacet(__version__, "evalmatrix")
    tags = {"run_id": info.run_id, **_counts(record, name, result)}
    fields = [
        tags_run.TagsRunFacetFields(f"evalmatrix.{key}", value, "EVALMATRIX")
        for key, value in tags.items()
    ]
    facets: dict[str, Any] = {"processing_engine": engine, "tags": tags_run.TagsRunFacet(fields)}
    if name is not None:
        run = parent_run.Run(str(run_uuid(info)))
        facets["parent"] = parent_run.ParentRunFacet(run, parent_run.Job(namespace(), info.suite))
    if record.failure is not None:
        message = ": ".join(filter(None, record.failure))
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "PYTHON")
    if result is not None:
        facets["test"] = test_run.TestRunFacet([_test(cell) for cell in _cells(result.cells)])
    return facets


def _counts(record: RunRecord, name: str | None, result: EvaluationResult | None) -> dict[str, str]:
    """How many cells have each verdict: of an evaluation, or of the run with its gate."""
    if result is not None:
        counts = Counter(cell.verdict for cell in result.cells)
        return {f"cells.{verdict.value}": str(counts[verdict]) for verdict in Verdict}
    if record.outcome is None or name is not None:
        return {}
    gate = record.outcome.gate
    cells = {f"cells.{verdict.value}": str(gate.counts.get(verdict, 0)) for verdict in Verdict}
    return {"gate": gate.outcome.value, **cells}


def _cells(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that are told one by one: all that demand something, if they are not too many."""
    judged = [cell for cell in cells if cell.verdict in _STATUS]
    if len(judged) > MOST_TESTS:
        judged = [cell for cell in judged if cell.verdict is not Verdict.PASS]
        judged = sorted(judged, key=highlights.rank)[:MOST_TESTS]
    return judged


def _test(cell: Cell) -> Any:
    return test_run.TestExecution(
        name=cell.test.name,
        status=_STATUS[cell.verdict],
        severity=_SEVERITY[cell.test.severity],
        type=cell.test.metric,
        description=cell.reason,
        expected=demand_text(cell.test),
        actual=_actual(cell),
        params=_params(cell),
    )


def _actual(cell: Cell) -> str | None:
    return None if cell.measured.value is None else repr(float(cell.measured.value))


def _params(cell: Cell) -> dict[str, Any]:
    params = {
        "verdict": cell.verdict.value,
        "reason": cell.reason,
        "slice": cell.slice.name,
        "variant": cell.variant,
        "rows": cell.counts.n,
        "model": cell.model.name,
        "model_uri": cell.model.uri,
        "model_version": cell.model.version,
        "model_digest": cell.model.digest,
        "baseline": cell.baseline_model,
        "delta": cell.delta,
        "ci_low": cell.measured.ci_low,
        "ci_high": cell.measured.ci_high,
    }
    return {key: value for key, value in params.items() if value not in (None, "")}


def _dataset(result: EvaluationResult) -> InputDataset:
    """The dataset version that was read, with its schema and what tests of the data said."""
    data = result.dataset
    fields = [schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in data.schema]
    facets: dict[str, Any] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(str(data.version)),
        "schema": schema_dataset.SchemaDatasetFacet(fields),
    }
    rows = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=data.rows)
    own: dict[str, Any] = {"inputStatistics": rows}
    # What is undecided neither holds nor breaks; it is among the tests of the run.
    of_data = [cell for cell in result.cells if not cell.model.name]
    decided = [cell for cell in _cells(of_data) if cell.verdict is not Verdict.INCONCLUSIVE]
    if decided:
        facet = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet
        own["dataQualityAssertions"] = facet([_assertion(cell) for cell in decided])
    where, name = dataset_name(data)
    return InputDataset(where, name, inputFacets=own, facets=facets)


def _assertion(cell: Cell) -> Any:
    return data_quality_assertions_dataset.Assertion(
        assertion=cell.test.kind if cell.test.kind != "metric" else cell.test.metric,
        success=cell.verdict is Verdict.PASS,
        severity=_SEVERITY[cell.test.severity],
        name=cell.test.name,
        description=cell.reason,
        expected=demand_text(cell.test),
        actual=_actual(cell),
        params=_params(cell),
    )


def dataset_name(data: DatasetVersion) -> tuple[str, str]:
    """A dataset's namespace and name, by OpenLineage's rules for names: `file`, `s3://bucket`."""
    if data.is_catalog_table:
        return namespace(), data.uri
    if "://" not in data.uri and not data.uri.startswith("file:"):
        return "file", str(Path(data.uri).absolute())
    parts = urlsplit(data.uri)
    if parts.scheme == "file":
        return "file", unquote(parts.path)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.strip("/") or "/"


def send_events(events: Sequence[RunEvent], url: str) -> None:
    """Sends events with OpenLineage's own client, to a server or into a file.

    `OPENLINEAGE_API_KEY` in the environment is the server's key. What a server that is busy did not
    take is sent once more.

    Raises:
        requests.RequestException, OSError, RuntimeError: when they were not taken.
    """
    client = OpenLineageClient(transport=_transport(url))
    try:
        for event in events:
            try:
                client.emit(event)
            except requests.RequestException as error:
                if getattr(error.response, "status_code", None) not in _BUSY:
                    raise
                time.sleep(_PAUSE_SECONDS)
                client.emit(event)
    finally:
        client.close(timeout=1.0)


def _transport(url: str) -> Any:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FileTransport(FileConfig(unquote(parts.path), append=True))
    whole = f"?{parts.query}" if parts.query else ""
    endpoint = parts.path.lstrip("/") or _PATH
    config = HttpConfig(
        url=f"{parts.scheme}://{parts.netloc}",
        endpoint=f"{endpoint}{whole}",
        timeout=SECONDS_TO_ANSWER,
        # Each of its own tries is a warning in the log; the caller tells once.
        retry={"total": 0, "status_forcelist": []},
    )
    key = os.environ.get("OPENLINEAGE_API_KEY")
    if key:
        config.auth = ApiKeyTokenProvider({"apiKey": key})
    return HttpTransport(config)
