"""What the steps of a run cost, in its row: kept, read back, and absent from rows of before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.core.locations import Store
from engine.core.vocabulary import Cell, RunOutcome, StepCost
from engine.spark.lazy_session import LazySession
from engine.store.runs import (
    find_run,
    finish_run,
    keep_steps,
    read_steps,
    start_run,
)
from engine.store.tables import StoreTable, StoreTables
from tests.fixtures.tables import read_rows, write_rows

STEPS = (
    StepCost("plan", "", "", 0.1 + 0.2, cpu_seconds=1 / 3, peak_bytes=300 * 2**20),
    StepCost("scan", "part 1 of 2", "Ströme 'a/b'", 12.5, jvm_cpu_seconds=0.0, rows=400,
             spilled_memory_bytes=2**40, spilled_disk_bytes=0, failure="WorkerDiedError"),
)  # fmt: skip


def runs_of(folder: Path) -> StoreTable:
    return StoreTables(Store(str(folder)), LazySession(None))["runs"]


def steps_of(table: StoreTable, run_id: str) -> tuple[StepCost, ...]:
    row = find_run(table, run_id)
    assert row is not None
    return read_steps(row)


def test_steps_are_read_as_they_were_kept(
    cell_of: Callable[..., Cell], run_of: Callable[..., RunOutcome], tmp_path: Path
) -> None:
    outcome = replace(run_of([cell_of()]), steps=STEPS[:1])
    table, run_id = runs_of(tmp_path), outcome.info.run_id
    start_run(table, outcome.info, "[]")
    assert steps_of(table, run_id) == ()
    finish_run(table, outcome, exit_code=0)
    assert steps_of(table, run_id) == STEPS[:1]
    keep_steps(table, run_id, STEPS)
    assert steps_of(table, run_id) == STEPS
    # A field that a later version adds is no obstacle.
    row = {"steps": '[{"kind": "plan", "seconds": 1.0, "watts": 60}]'}
    assert read_steps(row) == (StepCost("plan", "", "", 1.0),)


def test_a_store_of_before_gets_the_column_with_the_next_run(
    cell_of: Callable[..., Cell], run_of: Callable[..., RunOutcome], tmp_path: Path
) -> None:
    outcome = replace(run_of([cell_of()]), steps=STEPS)
    table, run_id = runs_of(tmp_path), outcome.info.run_id
    start_run(table, outcome.info, "[]")
    old = read_rows(tmp_path / "runs").drop(columns="steps")
    maps = ["counts", "timings", "versions"]
    before = tmp_path / "before"
    write_rows(before / "runs", old.drop(columns=maps))
    table = runs_of(before)
    assert "steps" not in table.columns() and steps_of(table, run_id) == ()
    keep_steps(table, run_id, STEPS)
    assert "steps" not in table.columns()
    later = replace(outcome, info=replace(outcome.info, run_id="later"))
    start_run(table, later.info, "[]")
    finish_run(table, later, exit_code=0)
    assert steps_of(table, "later") == STEPS and steps_of(table, run_id) == ()
