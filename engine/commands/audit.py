"""`evalmatrix audit`: who did what with a store, and what left it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.redacted import redacted
from engine.commands.stored_runs import open_store
from engine.core.locations import DEFAULT_STORE
from engine.errors import InputError
from engine.lifecycle.durations import parse_duration
from engine.planning.suites import read_suite
from engine.store.audit import AUDIT, Act, read_acts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def audit(
    suite: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    store: str = DEFAULT_STORE,
    since: str | None = None,
    user: str | None = None,
    act: str | None = None,
    spark: SparkSession | None = None,
) -> list[Act]:
    """Tells who ran, planned, judged, promoted, forgot and exported, and what left the store.

    Args:
        suite: a suite, whose store is looked at, and of which only its own acts are told.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        store: the store's root, where no suite is given.
        since: how far back: an age such as 24h or 7d, or a date or a time (UTC without a zone).
        user: the user, or on whose behalf, of the acts to tell.
        act: the command to tell of, such as run or forget.
        spark: the session to use.

    Returns:
        The acts, in the order in which they ended.

    Raises:
        InputError: when there is no such store, or `since` is neither an age nor a time.
        StoreError: when the table cannot be read.
    """
    loaded = None if suite is None else read_suite(suite, tuple(overrides))
    if overrides and loaded is None:
        raise InputError("found overrides and no suite that they are over; name the suite")
    begin = None if since is None else _time(since, dt.datetime.now(dt.UTC))
    tables = open_store(store if loaded is None else loaded.store, spark)
    acts = read_acts(tables[AUDIT], since=begin)
    return [
        item
        for item in acts
        if (loaded is None or item.suite in (None, loaded.name))
        and (user is None or user in (item.user, item.on_behalf))
        and (act is None or item.command == act)
    ]


def _time(since: str, now: dt.datetime) -> dt.datetime:
    """When an age or a time was."""
    try:
        when = dt.datetime.fromisoformat(since.strip())
    except ValueError:
        return now - parse_duration(since, "since")
    return when.replace(tzinfo=dt.UTC) if when.tzinfo is None else when.astimezone(dt.UTC)
