"""`evalmatrix maintain`: what no recent run used expires, small files come together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.audit_trail import trail
from engine.commands.redacted import redacted
from engine.commands.stored_runs import open_store
from engine.core.locations import DEFAULT_STORE
from engine.errors import InputError
from engine.planning.suites import read_suite
from engine.store import maintenance
from engine.store.audit import Act
from engine.store.maintenance import Maintained
from engine.suite import RetentionConfig

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def maintain(
    suite: str | Path | Mapping[str, Any] | None = None,
    *,
    overrides: Sequence[str] = (),
    store: str = DEFAULT_STORE,
    days: float = 90,
    report_days: float | None = None,
    prediction_days: float | None = None,
    keep_hours: float | None = None,
    dry_run: bool = False,
    spark: SparkSession | None = None,
) -> list[Maintained]:
    """Expires states that no run of the last days used, compacts tables, removes old files.

    Args:
        suite: a suite, whose store is maintained, for as long as its `retention` says.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        store: the store's root, where no suite is given.
        days: for how long a run's states are kept after it began.
        report_days: for how long the files of a run's report are kept; default: what the suite
            says, else for good. Its results stay in the table in any case.
        prediction_days: for how long a prediction is kept after it was made; default: what the
            suite says, else as long as its states.
        keep_hours: for how long files of older versions of the tables stay; default: Delta's own
            retention, a week. Less can break a run that is going on.
        dry_run: say what would expire; nothing is changed.
        spark: the session to use.

    Raises:
        InputError: when there is no such store, or a number is negative.
        StoreError: when a table cannot be written.
    """
    loaded = None if suite is None else read_suite(suite, tuple(overrides))
    if overrides and loaded is None:
        raise InputError("found overrides and no suite that they are over; name the suite")
    said = (loaded and loaded.retention) or RetentionConfig()
    keeping = maintenance.Keeping(
        days,
        said.reports_days if report_days is None else report_days,
        said.predictions_days if prediction_days is None else prediction_days,
        keep_hours,
    )
    tables = open_store(store if loaded is None else loaded.store, spark)
    now = dt.datetime.now(dt.UTC)
    act = Act("maintain", None if loaded is None else loaded.name)
    with trail(tables, act) as acts:
        done = maintenance.maintain(tables, keeping, now=now, dry=dry_run)
        expired = {item.table: item.rows_expired for item in done if item.rows_expired}
        about = {"expired": expired, **({"dry_run": True} if dry_run else {})}
        acts[0] = replace(act, about=about)
    return done
