"""Metrics as Prometheus' own parser reads them, from a file and as they are pushed."""

from __future__ import annotations

import datetime as dt
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from engine.core.vocabulary import Cell, RunOutcome, Slice, Verdict
from engine.sinks.telemetry.prometheus import make_metrics, send_metrics
from engine.sinks.telemetry.record import RunRecord
from engine.sinks.telemetry.waiting import TelemetryError, problem_text
from tests.fixtures.receiver import Receiver

Records = Callable[..., RunRecord]
LABELS = ("suite", "evaluation", "dataset", "model", "outcome", "verdict")
PASSED = dt.datetime(2026, 11, 19, 2, 0, tzinfo=dt.UTC)


def read(text: str) -> dict[tuple[str, ...], float]:
    """Values by the name and the labels of the series."""
    return {
        (sample.name, *(sample.labels[key] for key in LABELS if key in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_textfile_has_the_latest_run(
    full_run: RunOutcome, record_of: Records, tmp_path: Path
) -> None:
    path = tmp_path / "made" / "metrics.prom"
    send_metrics(make_metrics(record_of(full_run, last_success=PASSED)), "nightly", str(path))
    series = read(path.read_text())
    assert series["evalmatrix_last_run_timestamp_seconds", "nightly"] == (
        full_run.info.started_at.timestamp()
    )
    assert series["evalmatrix_last_success_timestamp_seconds", "nightly"] == PASSED.timestamp()
    assert series["evalmatrix_run_duration_seconds", "nightly"] == pytest.approx(94.3)
    assert series["evalmatrix_gate", "nightly", "error"] == 1
    assert series["evalmatrix_gate", "nightly", "passed"] == 0
    cells = [cell for cell in full_run.cells if cell.model.name == "claims-v3"]
    counts = Counter(cell.verdict for cell in cells)
    about = ("nightly", "claims", "claims-v3")
    for verdict in Verdict:
        assert series["evalmatrix_cells", *about, verdict.value] == counts[verdict]
    judged = len(cells) - counts[Verdict.RECORDED]
    assert series["evalmatrix_undecided_ratio", *about] == pytest.approx(
        counts[Verdict.INCONCLUSIVE] / judged
    )
    assert series["evalmatrix_dataset_rows", "nightly", "claims", "claims"] == 48_210
    assert series["evalmatrix_dataset_version", "nightly", "claims", "claims"] == 7
    assert full_run.info.run_id not in path.read_text()
    # Who collects it is another user; nothing is left beside it.
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_costs_are_by_evaluation_and_model(
    run_of: Any, cell_of: Callable[..., Cell], record_of: Records, tmp_path: Path
) -> None:
    run = run_of([cell_of()])
    timings = {"seconds": 9.0, "predictions": 240.0, "predict_seconds/candidate": 1.5,
               "predictions/candidate": 240.0}  # fmt: skip
    result = replace(run.evaluations[0], timings=timings)
    path = tmp_path / "m.prom"
    send_metrics(make_metrics(record_of(replace(run, evaluations=[result]))), "nightly", str(path))
    series = read(path.read_text())
    assert series["evalmatrix_evaluation_duration_seconds", "nightly", "claims"] == 9
    assert series["evalmatrix_predictions", "nightly", "claims"] == 240
    assert series["evalmatrix_model_predict_seconds", "nightly", "claims", "candidate"] == 1.5
    assert series["evalmatrix_model_predictions", "nightly", "claims", "candidate"] == 240
    # A suite that has never passed has no time of it.
    assert "evalmatrix_last_success_timestamp_seconds" not in path.read_text()


def test_any_name_comes_back_as_it_was(
    run_of: Any, cell_of: Callable[..., Cell], record_of: Records, tmp_path: Path
) -> None:
    path = tmp_path / "m.prom"
    name = 'a "b" \\ c\nd {e="f"} ü🦄'
    run = run_of([cell_of(model=name)], suite=name)
    send_metrics(make_metrics(record_of(run)), name, str(path))
    assert ("evalmatrix_cells", name, "claims", name, "PASS") in read(path.read_text())
    send_metrics(make_metrics(record_of(run)), name, str(path))


def test_names_of_slices_are_no_labels(
    run_of: Any, cell_of: Callable[..., Cell], record_of: Records, tmp_path: Path
) -> None:
    where = Slice("iban=CANARY-7f3a", "by", "by", (("iban", "CANARY-7f3a"),))
    path = tmp_path / "m.prom"
    run = run_of([cell_of(slice=where, reason="found CANARY-7f3a")])
    send_metrics(make_metrics(record_of(run)), "nightly", str(path))
    assert "CANARY" not in path.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('evalmatrix_cells{suite="weekly"} 3\n', "metrics of another suite"),
        ("node_load1 0.5\n", "metrics of another suite or program"),
        ("# evalmatrix\n\nSome page of ours\n", "something else than metrics"),
    ],
)
def test_what_is_not_of_the_suite_is_not_written_over(
    full_run: RunOutcome, record_of: Records, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "metrics.prom"
    path.write_text(text)
    with pytest.raises(TelemetryError, match=says):
        send_metrics(make_metrics(record_of(full_run)), "nightly", str(path))
    assert path.read_text() == text


def test_a_pushgateway_gets_the_group_of_the_suite(
    full_run: RunOutcome, record_of: Records, receiver: Receiver
) -> None:
    send_metrics(make_metrics(record_of(full_run)), "nightly", receiver.url)
    ((method, path, body),) = receiver.requests
    # To put is to replace the group: a model that is gone has no series any more.
    assert (method, path) == ("PUT", "/metrics/job/evalmatrix/suite/nightly")
    assert read(body.decode())["evalmatrix_gate", "nightly", "error"] == 1
    receiver.codes = [400]
    with pytest.raises(requests.RequestException) as told:
        send_metrics(make_metrics(record_of(full_run)), "nightly", receiver.url)
    assert problem_text(told.value) == "it answered 400"


def test_a_run_that_stopped_leaves_the_metrics_as_they_are(
    full_run: RunOutcome, record_of: Records, tmp_path: Path
) -> None:
    path = tmp_path / "m.prom"
    send_metrics(make_metrics(record_of(full_run, outcome=None)), "nightly", str(path))
    assert not path.exists()
