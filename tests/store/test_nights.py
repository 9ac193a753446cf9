"""What the latest runs of a suite found, from a store's tables, without a session."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.commands.outcome import look_back
from engine.core.locations import Store
from engine.core.vocabulary import (
    Cell,
    Condition,
    MetricValue,
    ModelTest,
    NightCell,
    RunOutcome,
    Severity,
    Slice,
    Verdict,
)
from engine.kinds import parameters_text
from engine.spark.lazy_session import LazySession
from engine.store import nights as module
from engine.store.nights import MOST_NIGHTS, with_nights
from engine.store.results import write_results
from engine.store.runs import finish_run, start_run
from engine.store.tables import StoreTables

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
START = dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC)
COUNTRY = Slice("country=DE", "by", "country")


class Nights:
    """A store to which nights are written."""

    def __init__(self, folder: Path, cell_of: Cells, run_of: Runs) -> None:
        self.tables = StoreTables(Store(str(folder)), LazySession(None))
        self.cell_of, self.run_of = cell_of, run_of

    def cell(self, value: float | None, column: str = "amount", **more: Any) -> Cell:
        parameters = parameters_text({"distance": "psi", "columns": [column]})
        test = ModelTest(
            f"drift psi({column})", "psi", (Condition("max", 0.1),), kind="drift",
            parameters=parameters, severity=Severity.WARN,
        )  # fmt: skip
        low, high = (None, None) if value is None else (value / 2, value * 2)
        return self.cell_of(
            model="", test=test, measured=MetricValue(value, None, 0.0, low, high), **more
        )

    def outcome(self, night: int, *cells: Cell, **more: Any) -> RunOutcome:
        outcome = self.run_of(cells, **more)
        (evaluation,) = outcome.evaluations
        dataset = replace(evaluation.dataset, version=night)
        cells = [replace(cell, dataset=dataset) for cell in cells]
        evaluation = replace(evaluation, dataset=dataset, cells=cells)
        info = replace(
            outcome.info, run_id=f"night {night}", started_at=START + dt.timedelta(days=night)
        )
        return replace(outcome, info=info, evaluations=[evaluation])

    def write(self, outcome: RunOutcome, *, finished: bool = True) -> None:
        start_run(self.tables["runs"], outcome.info, "[]")
        for evaluation in outcome.evaluations:
            write_results(self.tables["results"], evaluation, outcome.info)
        if finished:
            finish_run(self.tables["runs"], outcome, exit_code=0)

    def read(self, outcome: RunOutcome) -> Any:
        (result,) = with_nights(self.tables, outcome.info, outcome.evaluations)
        return result.nights


@pytest.fixture
def nights(tmp_path: Path, cell_of: Cells, run_of: Runs) -> Nights:
    return Nights(tmp_path, cell_of, run_of)


def test_nights_are_the_cells_of_earlier_runs_on_all_rows(nights: Nights) -> None:
    metric = nights.cell_of(value=0.9)
    for night, value in enumerate((0.05, None, 0.3)):
        verdict = Verdict.FAIL if value == 0.3 else Verdict.PASS
        own = nights.cell(value, verdict=verdict)
        nights.write(
            nights.outcome(night, own, replace(own, slice=COUNTRY), nights.cell(1, "gone"), metric)
        )
    today = nights.outcome(5, nights.cell(0.02), nights.cell(0.5, "new"), metric)
    read = nights.read(today)
    assert [night.run_id for night in read] == ["night 0", "night 1", "night 2", "night 5"]
    assert [night.dataset_version for night in read] == [0, 1, 2, 5]
    assert [(night.started_at - START).days for night in read] == [0, 1, 2, 5]
    amount, new = ("", "drift psi(amount)"), ("", "drift psi(new)")
    assert [set(night.cells) for night in read] == [{amount}] * 3 + [{amount, new}]
    assert [night.cells[amount] for night in read] == [
        NightCell(0.05, 0.025, 0.1, Verdict.PASS, Severity.WARN),
        NightCell(None, None, None, Verdict.PASS, Severity.WARN),
        NightCell(0.3, 0.15, 0.6, Verdict.FAIL, Severity.WARN),
        NightCell(0.02, 0.01, 0.04, Verdict.PASS, Severity.WARN),
    ]


def test_only_finished_runs_of_the_same_suite_and_evaluation_before_it(nights: Nights) -> None:
    cell = nights.cell(0.1)
    nights.write(nights.outcome(1, cell))
    nights.write(nights.outcome(2, cell), finished=False)
    nights.write(nights.outcome(3, cell, suite="other"))
    nights.write(nights.outcome(9, cell))
    renamed = nights.outcome(4, cell)
    nights.write(
        replace(renamed, evaluations=[replace(
            renamed.evaluations[0], name="other", cells=[replace(cell, evaluation="other")]
        )])
    )  # fmt: skip
    assert [night.run_id for night in nights.read(nights.outcome(5, cell))] == [
        "night 1", "night 5",
    ]  # fmt: skip
    # A report that is built again looks back from its own night, which the tables have.
    again = nights.read(nights.outcome(9, cell))
    assert [night.run_id for night in again] == ["night 1", "night 9"]


def test_no_more_nights_than_a_picture_has_room_for(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_NIGHTS == 30
    monkeypatch.setattr(module, "MOST_NIGHTS", 4)
    for night in range(6):
        nights.write(nights.outcome(night, nights.cell(0.1)))
    read = nights.read(nights.outcome(99, nights.cell(0.1)))
    assert [night.run_id for night in read] == ["night 3", "night 4", "night 5", "night 99"]


def test_nothing_is_read_for_kinds_that_do_not_look_back(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    table = StoreTables.__getitem__
    monkeypatch.setattr(
        StoreTables, "__getitem__", lambda self, name: opened.append(name) or table(self, name)
    )
    assert nights.read(nights.outcome(0, nights.cell_of(value=0.9))) == ()
    assert not opened
    assert [night.run_id for night in nights.read(nights.outcome(0, nights.cell(0.1)))] == [
        "night 0"
    ]
    assert set(opened) == {"runs"}, "without an earlier run no results are read"


def test_a_store_that_cannot_be_read_costs_the_history_alone(
    nights: Nights, caplog: pytest.LogCaptureFixture
) -> None:
    nights.write(nights.outcome(0, nights.cell(0.1)))
    log = Path(nights.tables.store.table("results")) / "_delta_log"
    for file in log.iterdir():
        file.write_text("{")
    today = nights.outcome(1, nights.cell(0.1))
    assert look_back(nights.tables, today) == today
    assert "the report shows no earlier runs" in caplog.text
