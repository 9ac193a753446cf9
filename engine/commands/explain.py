"""`evalmatrix explain`: why a cell has its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.commands.redacted import redacted
from engine.commands.stored_runs import find_finished_run, open_store
from engine.core.locations import DEFAULT_STORE
from engine.delta.records import records
from engine.planning.suites import stored_suite
from engine.sinks import explanation as explaining
from engine.store import results as results_sink

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def explain(
    run: str,
    cell: str,
    *,
    store: str = DEFAULT_STORE,
    spark: SparkSession | None = None,
) -> str:
    """Says in a few sentences why a cell of a run has its verdict.

    Args:
        run: the run's id, or `latest`.
        cell: `EVALUATION/MODEL/SLICE/TEST`, the end of it, with `*` for any text, or the position.
        store: the store's root.
        spark: the session to use.

    Raises:
        InputError: when the store has no such run, or the run not exactly one such cell.
    """
    tables = open_store(store, spark)
    run_row = find_finished_run(tables, run)
    table = results_sink.read_results(tables["results"], str(run_row["run_id"]))
    row = explaining.find(records(table), cell)
    suite = stored_suite(str(run_row["suite_resolved"]))
    return explaining.explain(
        row,
        confidence=suite.confidence,
        on_inconclusive=suite.gate.on_inconclusive.value,
        on_error=suite.gate.on_error.value,
    )
