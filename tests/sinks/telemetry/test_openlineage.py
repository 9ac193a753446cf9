"""OpenLineage's events as a server and a file get them, read by OpenLineage's own classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from openlineage.client.event_v2 import InputDataset, Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import data_quality_assertions_dataset as assertions
from openlineage.client.facet_v2 import test_run as tests_of_run
from openlineage.client.serde import Serde

from engine.core.vocabulary import (
    NO_MODEL,
    Cell,
    Condition,
    DatasetVersion,
    ModelTest,
    RunOutcome,
    Severity,
    Slice,
    Verdict,
)
from engine.sinks.telemetry.openlineage import MOST_TESTS, dataset_name, make_events, send_events
from engine.sinks.telemetry.record import RunRecord, run_uuid
from engine.sinks.telemetry.waiting import problem_text
from tests.fixtures.receiver import Receiver

Records = Callable[..., RunRecord]
Cells = Callable[..., Cell]
WARNS = ModelTest("warns", "log_loss", (Condition("max", 0.1),), severity=Severity.WARN)


def check(event: dict[str, Any]) -> RunEvent:
    """Builds an event anew with OpenLineage's classes, which check ids, times and fields."""
    run, job = event["run"], event["job"]
    for test in run["facets"].get("test", {}).get("tests", []):
        tests_of_run.TestExecution(**test)
    for dataset in event["inputs"]:
        facet = dataset["inputFacets"].get("dataQualityAssertions", {"assertions": []})
        for assertion in facet["assertions"]:
            assertions.Assertion(**assertion)
    return RunEvent(
        eventType=RunState(event["eventType"]),
        eventTime=event["eventTime"],
        run=Run(run["runId"]),
        job=Job(job["namespace"], job["name"]),
        inputs=[InputDataset(item["namespace"], item["name"]) for item in event["inputs"]],
    )


def test_a_server_gets_an_event_for_the_run_and_each_evaluation(
    full_run: RunOutcome, record_of: Records, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "key-of-theirs")
    send_events(make_events(record_of(full_run)), receiver.url)
    assert {path for _, path, _ in receiver.requests} == {"/api/v1/lineage"}
    assert receiver.headers[0]["Authorization"] == "Bearer key-of-theirs"
    whole, *parts = events = [json.loads(body) for _, _, body in receiver.requests]
    for event in events:
        check(event)
    assert whole["run"]["runId"] == str(run_uuid(full_run.info))
    assert [event["job"]["name"] for event in events] == [
        "nightly", "nightly.claims", "nightly.digits", "nightly.diabetes",
    ]  # fmt: skip
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in parts} == {
        whole["run"]["runId"]
    }
    # An evaluation of which some could not be done has failed; that a model is bad is no failure.
    assert [event["eventType"] for event in events] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    (dataset,) = parts[0]["inputs"]
    assert dataset["namespace"] == "file" and dataset["name"].endswith("/store/lake/claims")
    assert dataset["facets"]["version"]["datasetVersion"] == "7"
    assert dataset["inputFacets"]["inputStatistics"]["rowCount"] == 48_210


def test_verdicts_become_statuses(
    run_of: Any, cell_of: Cells, record_of: Records, tmp_path: Path
) -> None:
    cells = [
        cell_of(verdict=Verdict.PASS),
        cell_of(verdict=Verdict.FAIL, test=WARNS, value=0.25, reason="it is too much"),
        cell_of(verdict=Verdict.INCONCLUSIVE, reason="too few rows", slice_name="country=DE"),
        cell_of(verdict=Verdict.ERROR, value=None),
        cell_of(verdict=Verdict.RECORDED),
    ]
    path = tmp_path / "events of ours.jsonl"
    send_events(make_events(record_of(run_of(cells))), path.as_uri())
    _, event = [json.loads(line) for line in path.read_text().splitlines()]
    check(event)
    tests = event["run"]["facets"]["test"]["tests"]
    assert [test["status"] for test in tests] == ["pass", "fail", "skip", "fail"]
    assert [test["severity"] for test in tests] == ["error", "warn", "error", "error"]
    assert (tests[1]["expected"], tests[1]["actual"]) == ("max 0.1", "0.25")
    assert tests[2]["params"]["reason"] == "too few rows"
    assert tests[2]["params"]["slice"] == "country=DE"
    assert tests[3]["params"]["verdict"] == "ERROR" and "actual" not in tests[3]
    tags = {tag["key"]: tag["value"] for tag in event["run"]["facets"]["tags"]["tags"]}
    assert tags["evalmatrix.cells.RECORDED"] == "1" and tags["evalmatrix.cells.FAIL"] == "1"
    # What is told again goes behind what is there.
    send_events(make_events(record_of(run_of(cells))), path.as_uri())
    assert len(path.read_text().splitlines()) == 4


def test_tests_of_the_data_are_assertions_of_the_dataset(
    run_of: Any, cell_of: Cells, record_of: Records
) -> None:
    quality = ModelTest("not_null(age)", "nulls", (Condition("max", 0.0),), kind="data_quality")
    of_data = {"test": quality}
    cells = [
        cell_of(),
        replace(cell_of(**of_data, value=0.1, verdict=Verdict.FAIL), model=NO_MODEL),
        replace(cell_of(**of_data, value=0.0), model=NO_MODEL),
        replace(cell_of(**of_data, verdict=Verdict.INCONCLUSIVE), model=NO_MODEL),
    ]
    _, event = make_events(record_of(run_of(cells)))
    facet = event.inputs[0].inputFacets["dataQualityAssertions"]
    assert [item.success for item in facet.assertions] == [False, True]
    assert {item.assertion for item in facet.assertions} == {"data_quality"}
    assert len(event.run.facets["test"].tests) == 4


def test_of_many_cells_those_are_told_that_did_not_pass(
    big_run: Callable[[int], RunOutcome], record_of: Records
) -> None:
    run = big_run(600)
    judged = [cell for cell in run.cells if cell.verdict is not Verdict.RECORDED]
    assert len(judged) > 2 * MOST_TESTS
    _, event = make_events(record_of(run))
    tests = event.run.facets["test"].tests
    assert len(tests) == MOST_TESTS and "pass" not in {test.status for test in tests}
    counts = {tag.key: tag.value for tag in event.run.facets["tags"].tags}
    passed = sum(cell.verdict is Verdict.PASS for cell in run.cells)
    assert counts["evalmatrix.cells.PASS"] == str(passed)
    # The gravest first: all that failed are there.
    failed = [cell for cell in judged if cell.verdict in (Verdict.FAIL, Verdict.ERROR)]
    assert sum(test.status == "fail" for test in tests) == min(len(failed), MOST_TESTS)


def test_a_run_that_stopped_is_told_as_failed(full_run: RunOutcome, record_of: Records) -> None:
    failure = ("StoreError", "the store is full")
    events = make_events(record_of(full_run, outcome=None, failure=failure))
    assert [event.eventType for event in events] == [RunState.FAIL] * 4
    assert events[1].run.facets["errorMessage"].message == "StoreError: the store is full"
    # The same run, told again once it was resumed, has the same ids.
    later = make_events(record_of(full_run))
    assert [event.run.runId for event in events] == [event.run.runId for event in later]


@pytest.mark.parametrize(
    ("uri", "is_catalog", "name"),
    [
        ("/data/a b", False, ("file", "/data/a b")),
        ("file:///data/a%20b", False, ("file", "/data/a b")),
        ("s3a://key:secret@bucket/lake/claims/", False, ("s3a://bucket", "lake/claims")),
        ("main.lake.claims", True, ("evalmatrix", "main.lake.claims")),
        ("/data/50%?", False, ("file", "/data/50%?")),
    ],
)
def test_datasets_have_the_names_of_openlineage(
    uri: str, is_catalog: bool, name: tuple[str, str]
) -> None:
    data = DatasetVersion("claims", uri, 1, "id", 2, is_catalog_table=is_catalog)
    assert dataset_name(data) == name


def test_values_of_slices_are_told_as_results_have_them_and_no_others(
    run_of: Any, cell_of: Cells, record_of: Records
) -> None:
    where = Slice("a name", "where", "a name", (("iban", "CANARY-7f3a"),))
    events = make_events(record_of(run_of([cell_of(slice=where)])))
    texts = [Serde.to_json(event) for event in events]
    assert "a name" in texts[1] and "CANARY" not in "".join(texts)


def test_what_goes_wrong_is_put_in_words(
    full_run: RunOutcome, record_of: Records, receiver: Receiver, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    events = make_events(record_of(full_run))
    # A server that is busy is asked once more.
    receiver.codes = [503]
    send_events(events, f"{receiver.url}/own/path")
    assert len(receiver.requests) == len(events) + 1
    receiver.codes = [503] * 2
    with pytest.raises(requests.RequestException) as told:
        send_events(events, f"{receiver.url}/own/path")
    assert problem_text(told.value) == "it answered 503"
    assert {path for _, path, _ in receiver.requests} == {"/own/path"}
    with pytest.raises(requests.RequestException) as told:
        send_events(events, "http://127.0.0.1:9")
    assert problem_text(told.value) == "nobody answered (ConnectionError)"
    with pytest.raises(RuntimeError) as failed:
        send_events(events, (tmp_path / "none" / "events.jsonl").as_uri())
    assert problem_text(failed.value) == "it could not be written (No such file or directory)"
    assert [record for record in caplog.records if record.levelname != "INFO"] == []
