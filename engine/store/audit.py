"""The audit table: who did what with a store, when, and what left it, whither.

Rows are only ever added, one an act, when it ends. No value of a row, no prediction and no secret
stands in them: of a URL there is its host, of a forgotten key that there was one.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from engine._version import __version__
from engine.core.identity import on_behalf, user_name
from engine.delta.filters import Filter
from engine.delta.records import records
from engine.store.tables import StoreTable

AUDIT = "audit"
AUDIT_VERSION = 1
AUDIT_SCHEMA = pa.schema(
    [
        ("act_id", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("user", pa.string()),
        ("on_behalf", pa.string()),
        ("host", pa.string()),
        ("command", pa.string()),
        ("suite", pa.string()),
        ("run_id", pa.string()),
        ("outcome", pa.string()),
        ("about", pa.string()),
        ("left_store", pa.string()),
        ("evalmatrix", pa.string()),
        ("schema_version", pa.int32()),
    ]
)
_FIELDS = AUDIT_SCHEMA.names[: AUDIT_SCHEMA.names.index("evalmatrix")]


@dataclass(frozen=True, slots=True)
class Departure:
    """What left the store, and whither: a host, or a folder."""

    what: str
    to: str

    def __str__(self) -> str:
        return f"{self.what} to {self.to}"


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did with a store.

    `command` is that of the command line. `outcome` is a word: the gate's, what became of a
    promotion, or the name of the error that ended it. `about` has what it read or wrote.
    """

    command: str
    suite: str | None = None
    run_id: str | None = None
    outcome: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    departures: Sequence[Departure] = ()
    user: str = field(default_factory=user_name)
    on_behalf: str = field(default_factory=on_behalf)
    host: str = field(default_factory=socket.gethostname)
    at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    act_id: str = field(default_factory=lambda: secrets.token_hex(8))


def write_act(table: StoreTable, act: Act) -> None:
    """Adds the row of an act.

    Raises:
        StoreError: when the table cannot be written.
    """
    row = {name: getattr(act, name) for name in _FIELDS if name not in ("about", "left_store")}
    row |= {
        "about": json.dumps(dict(act.about), ensure_ascii=False, sort_keys=True),
        "left_store": json.dumps([asdict(item) for item in act.departures], ensure_ascii=False),
        "evalmatrix": __version__,
        "schema_version": AUDIT_VERSION,
    }
    table.append_once(
        pa.Table.from_pylist([row], AUDIT_SCHEMA),
        token=f"act {act.act_id}",
        # Statistics of two columns are enough to find rows by.
        properties={"delta.appendOnly": "true", "delta.dataSkippingStatsColumns": "at,run_id"},
    )


def read_acts(
    table: StoreTable,
    *,
    since: dt.datetime | None = None,
    where: Sequence[Filter] = (),
) -> list[Act]:
    """The acts in the order in which they ended, those since a time.

    Raises:
        StoreError: when the table cannot be read.
    """
    if not table.exists():
        return []
    filters = [*where, *([] if since is None else [("at", ">=", since)])]
    acts = [_act(row) for row in records(table.rows(_FIELDS, where=filters))]
    return sorted(acts, key=lambda act: (act.at, act.act_id))


def _act(row: Mapping[str, Any]) -> Act:
    values = {name: row[name] for name in _FIELDS}
    departures = json.loads(values.pop("left_store") or "[]")
    values["about"] = json.loads(values["about"] or "{}")
    return Act(**values, departures=tuple(Departure(**item) for item in departures))


def shown_place(place: str) -> str:
    """A place as it may be told: of a URL the host, of a file its path, else as it is.

    A path behind a host may be a secret, as that of a webhook is; so may be a user and a query.

    >>> shown_place("https://ada:secret@hooks.example.com:8443/services/T0/B0?token=x")
    'hooks.example.com:8443'
    >>> shown_place("sqlite:////data/store/mlflow.db")
    '/data/store/mlflow.db'
    """
    if "://" not in place:
        return place
    try:
        parts = urlsplit(place)
        host, port = parts.hostname or "", "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return f"{place.partition('://')[0]}://…"
    if parts.scheme in ("file", "sqlite") and not host:
        path = parts.path.partition("?")[0]
        return path.removeprefix("/") if parts.scheme == "sqlite" else path
    return f"{host}{port}" if host else f"{parts.scheme}://…"
