"""The promotions table: what was done with aliases, by whom, when, why and on what evidence.

Rows are only ever added. A promotion has a row for each of its steps: `begun` with all that is to
be done, before anything is; then `done`, or why it came to nothing. So one that was killed is seen.
"""

from __future__ import annotations

import datetime as dt
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

import pyarrow as pa

from engine._version import __version__
from engine.delta.filters import Filter
from engine.delta.records import records
from engine.store.tables import StoreTable

PROMOTIONS_VERSION = 1
PROMOTIONS_SCHEMA = pa.schema(
    [
        ("promotion_id", pa.string()),
        ("step", pa.string()),
        ("action", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("user", pa.string()),
        ("host", pa.string()),
        ("registry", pa.string()),
        ("model", pa.string()),
        ("alias", pa.string()),
        ("version", pa.string()),
        ("digest", pa.string()),
        ("from_version", pa.string()),
        ("from_digest", pa.string()),
        ("previous_version", pa.string()),
        ("previous_before", pa.string()),
        ("source_model", pa.string()),
        ("source_version", pa.string()),
        ("suite", pa.string()),
        ("suite_digest", pa.string()),
        ("run_id", pa.string()),
        ("by_run", pa.string()),
        ("evidence", pa.string()),
        ("reason", pa.string()),
        ("evalmatrix", pa.string()),
        ("schema_version", pa.int32()),
    ]
)


_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


class Step(StrEnum):
    """How far a promotion has come.

    Of each there is `begun` and one of `done`, `undone` (it was stopped before the alias was set)
    and `overtaken` (somebody else moved the alias); or `refused` alone.
    """

    BEGUN = "begun"
    DONE = "done"
    UNDONE = "undone"
    OVERTAKEN = "overtaken"
    REFUSED = "refused"


class Action(StrEnum):
    """What was to be done."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Promotion:
    """A row: an alias of a registered model, where it goes, from where, and why.

    `from_version` is what the alias pointed to (None where it was not there), `previous_version`
    what the alias of the previous one is to point to afterwards, `previous_before` where it did
    before. `source_model` and `source_version` are what was judged, where the version is a copy of
    it. `by_run` is the run whose suite says that it promotes. `evidence` is the verdicts that it
    rests on, a mapping each; `reason` says why in words.
    """

    promotion_id: str
    action: Action
    registry: str
    model: str
    alias: str
    version: str
    digest: str | None = None
    from_version: str | None = None
    from_digest: str | None = None
    previous_version: str | None = None
    previous_before: str | None = None
    source_model: str | None = None
    source_version: str | None = None
    suite: str | None = None
    suite_digest: str | None = None
    run_id: str | None = None
    by_run: str | None = None
    evidence: Sequence[Any] = ()
    reason: str = ""
    user: str = ""
    host: str = field(default_factory=socket.gethostname)
    step: Step = Step.BEGUN
    at: dt.datetime = _NEVER


def write_promotion(table: StoreTable, promotion: Promotion, step: Step, **more: Any) -> Promotion:
    """Adds the row of a step, once; `more` replaces what is known otherwise by now."""
    row = replace(promotion, step=step, at=dt.datetime.now(dt.UTC), **more)
    values = {part.name: getattr(row, part.name) for part in fields(row)}
    values |= {
        "step": row.step.value,
        "action": row.action.value,
        "evidence": json.dumps(list(row.evidence)),
        "evalmatrix": __version__,
        "schema_version": PROMOTIONS_VERSION,
    }
    rows = pa.Table.from_pylist([values], PROMOTIONS_SCHEMA)
    table.append_once(
        rows,
        token=f"promotion {row.promotion_id} {step.value}",
        properties={"delta.appendOnly": "true"},
    )
    return row


def read_promotions(table: StoreTable, model: str, alias: str | None = None) -> list[Promotion]:
    """The rows of a registered model in the order in which they were written, of one alias or all.

    Raises:
        StoreError: when the table cannot be read.
    """
    where = [("model", "=", model), *([] if alias is None else [("alias", "=", alias)])]
    return _read(table, where)


def read_copies(table: StoreTable, source_model: str) -> list[Promotion]:
    """The rows of other registered models that got copies of one.

    Raises:
        StoreError: when the table cannot be read.
    """
    return _read(table, [("source_model", "=", source_model)])


def _read(table: StoreTable, where: Sequence[Filter]) -> list[Promotion]:
    if not table.exists():
        return []
    names = [part.name for part in fields(Promotion)]
    rows = [_promotion({name: row[name] for name in names})
            for row in records(table.rows(names, where=where))]  # fmt: skip
    return sorted(rows, key=lambda row: (row.at, row.promotion_id, row.step is not Step.BEGUN))


def _promotion(row: dict[str, Any]) -> Promotion:
    step, action = Step(row.pop("step")), Action(row.pop("action"))
    evidence = tuple(json.loads(row.pop("evidence") or "[]"))
    return Promotion(**row, step=step, action=action, evidence=evidence)


def open_promotions(rows: Sequence[Promotion]) -> list[Promotion]:
    """Those that were begun, and of which nobody has written how they ended."""
    ended = {row.promotion_id for row in rows if row.step is not Step.BEGUN}
    return [row for row in rows if row.step is Step.BEGUN and row.promotion_id not in ended]
