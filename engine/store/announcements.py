"""The announcements table: which verdicts another system has been told of, a row each.

A verdict is told until the other system takes it, and then never again.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass

import pyarrow as pa

from engine.store.tables import StoreTable

ANNOUNCEMENTS_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("suite", pa.string()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("gate", pa.string()),
        ("announced_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True, slots=True)
class Announcement:
    """A verdict of a run on a registered model's version that somebody was told of."""

    run_id: str
    suite: str
    model: str
    version: str
    gate: str

    @property
    def token(self) -> str:
        return f"announced {self.run_id} {self.model}/{self.version}"


def is_announced(table: StoreTable, announcement: Announcement) -> bool:
    """Whether somebody has been told.

    Raises:
        StoreError: when the table cannot be read.
    """
    if not table.exists():
        return False
    named = ("run_id", "model", "version")
    where = [(name, "=", getattr(announcement, name)) for name in named]
    return bool(table.rows(named, where).num_rows)


def keep_announcement(table: StoreTable, announcement: Announcement, when: dt.datetime) -> None:
    """Keeps that somebody was told, once.

    Raises:
        StoreError: when the table cannot be written.
    """
    row = {**asdict(announcement), "announced_at": when}
    table.append_once(pa.Table.from_pylist([row], ANNOUNCEMENTS_SCHEMA), token=announcement.token)
