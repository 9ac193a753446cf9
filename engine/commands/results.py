"""`evalmatrix results`: the cells of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.commands.redacted import redacted
from engine.commands.stored_runs import find_finished_run, open_store
from engine.core.locations import DEFAULT_STORE
from engine.store import results as results_sink

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession


@redacted()
def results(
    *, store: str = DEFAULT_STORE, run: str = "latest", spark: SparkSession | None = None
) -> pd.DataFrame:
    """Reads the cells of a run, with the columns of the results table.

    Args:
        store: the store's root.
        run: the run's id, or `latest`.
        spark: the session to use.

    Raises:
        InputError: when the store has no such run.
    """
    tables = open_store(store, spark)
    run_id = str(find_finished_run(tables, run)["run_id"])
    table = results_sink.read_results(tables["results"], run_id)
    frame: pd.DataFrame = table.to_pandas(maps_as_pydicts="strict")
    return frame
