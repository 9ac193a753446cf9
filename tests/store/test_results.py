"""The rows of the results table, without a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from engine.core.vocabulary import Cell, MetricValue, RunOutcome
from engine.store.results import RESULTS_SCHEMA, RESULTS_VERSION, cells_table, upgrade_rows
from engine.store.runs import with_timings

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
FIGURES = {
    "baseline_value": 0.87,
    "delta": -0.05,
    "delta_ci_low": -0.07,
    "delta_ci_high": -0.03,
    "p_value": 0.0005,
    "q_value": 0.004,
    "violation_p_value": 0.0125,
    "violation_q_value": 0.025,
}


def test_intervals_differences_and_their_chances_are_written(cell_of: Cells, run_of: Runs) -> None:
    measured = MetricValue(0.82, ci_low=0.79, ci_high=0.85)
    run = run_of([cell_of(measured=measured, baseline_model="old", **FIGURES), cell_of()])
    table = cells_table(run.cells, run.info)
    assert table.schema == RESULTS_SCHEMA
    full, bare = table.to_pylist()
    assert {name: full[name] for name in FIGURES} == FIGURES
    assert (full["value"], full["ci_low"], full["ci_high"]) == (0.82, 0.79, 0.85)
    assert full["baseline_model"] == "old"
    assert all(bare[name] is None for name in (*FIGURES, "ci_low", "ci_high", "baseline_model"))
    assert [row["position"] for row in (full, bare)] == [0, 1]


def test_new_columns_come_last_and_keep_the_version() -> None:
    assert RESULTS_SCHEMA.names[-3:] == [
        "schema_version",
        "violation_p_value",
        "violation_q_value",
    ]
    assert RESULTS_SCHEMA.field("violation_q_value").type == pa.float64()
    assert RESULTS_VERSION == 1


def test_rows_of_an_older_store_are_read_with_nulls(cell_of: Cells, run_of: Runs) -> None:
    run = run_of([cell_of()])
    table = cells_table(run.cells, run.info)
    old = table.select(RESULTS_SCHEMA.names[:-2])
    assert upgrade_rows(old) == table
    assert upgrade_rows(table.select(list(reversed(RESULTS_SCHEMA.names)))) == table


def test_an_evaluation_gets_back_what_it_cost_when_it_was_run(cell_of: Cells, run_of: Runs) -> None:
    (result,) = run_of([cell_of()]).evaluations
    short, long, old = (replace(result, name=name) for name in ("a", "a/b", "c"))
    row = {"timings": {"a/seconds": 1.0, "a/b/seconds": 2.0, "a/loads/m/1": 3.0, "seconds": 9.0}}
    given = [short, long, replace(old, timings={"rows": 7.0})]
    costs = [each.timings for each in with_timings(given, row)]
    assert costs == [{"seconds": 1.0, "loads/m/1": 3.0}, {"seconds": 2.0}, {"rows": 7.0}]
