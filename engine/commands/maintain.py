"""`evalmatrix maintain`: what no recent run used expires, small files come together."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from engine.commands.redacted import redacted
from engine.commands.stored_runs import open_store
from engine.core.locations import DEFAULT_STORE
from engine.store import maintenance
from engine.store.maintenance import Maintained

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def maintain(
    *,
    store: str = DEFAULT_STORE,
    days: float = 90,
    report_days: float | None = None,
    keep_hours: float | None = None,
    spark: SparkSession | None = None,
) -> list[Maintained]:
    """Expires states that no run of the last days used, compacts tables, removes old files.

    Args:
        store: the store's root.
        days: for how long a run's states are kept after it began.
        report_days: for how long the files of a run's report are kept; default: for good. Its
            results stay in the table in any case.
        keep_hours: for how long files of older versions of the tables stay; default: Delta's own
            retention, a week. Less can break a run that is going on.
        spark: the session to use.

    Raises:
        InputError: when there is no such store, or a number is negative.
        StoreError: when a table cannot be written.
    """
    tables = open_store(store, spark)
    keeping = maintenance.Keeping(days, report_days, keep_hours)
    return maintenance.maintain(tables, keeping, now=dt.datetime.now(dt.UTC))
