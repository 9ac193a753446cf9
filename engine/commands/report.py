"""`evalmatrix report`: a run's report, built again from the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.audit_trail import note_act
from engine.commands.outcome import look_back, rebuild_outcome
from engine.commands.redacted import redacted
from engine.commands.stored_runs import find_finished_run, open_store
from engine.core.locations import DEFAULT_STORE
from engine.planning.suites import stored_suite
from engine.sinks.files import write_report
from engine.store.audit import Act, Departure

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def report(
    *,
    store: str = DEFAULT_STORE,
    run: str = "latest",
    out: str | Path | None = None,
    spark: SparkSession | None = None,
) -> Path:
    """(Re)builds the report of a run from the states in the store; gives the page's path.

    Args:
        store: the store's root.
        run: the run's id, or `latest`.
        out: the folder to write to; default: where the run's report is.
        spark: the session to use.

    Raises:
        InputError: when the store has no such run.
    """
    tables = open_store(store, spark)
    run_row = find_finished_run(tables, run)
    suite = stored_suite(str(run_row["suite_resolved"]))
    outcome = look_back(tables, rebuild_outcome(tables, suite, run_row))
    folder = Path(out) if out is not None else tables.store.report_folder(outcome.info.run_id)
    write_report(outcome, folder)
    left = () if out is None else (Departure("a report, JUnit and the results", str(folder)),)
    note_act(tables, Act("report", suite.name, outcome.info.run_id, departures=left))
    return folder / "index.html"
