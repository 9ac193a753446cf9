"""The audit table in words, and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.sinks import format as fmt
from engine.store.audit import Act

_LONG = 300


def audit_table(acts: Sequence[Act]) -> Table:
    """A row for each act, the oldest first."""
    table = Table(box=None, header_style="bold")
    for name in ("when (UTC)", "who", "host", "act", "outcome", "suite", "run", "about",
                 "left the store"):  # fmt: skip
        table.add_column(name, overflow="fold")
    for act in acts:
        who = f"{act.user} for {act.on_behalf}" if act.on_behalf else act.user
        row = (
            f"{act.at:%Y-%m-%d %H:%M:%S}", who, act.host, act.command, act.outcome,
            act.suite or "", act.run_id or "", about_text(act),
            "; ".join(map(str, act.departures)),
        )  # fmt: skip
        table.add_row(*[Text(fmt.log_line(part, _LONG)) for part in row])
    return table


def about_text(act: Act) -> str:
    """What an act read or wrote, in a few words."""
    return "; ".join(f"{name}: {_words(value)}" for name, value in act.about.items()
                     if value not in (None, "", [], {}))  # fmt: skip


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return str(value)


def audit_json(acts: Sequence[Act]) -> list[dict[str, Any]]:
    """The acts for programs."""
    return [
        {
            "act_id": act.act_id,
            "at": act.at.isoformat(),
            "user": act.user,
            "on_behalf": act.on_behalf,
            "host": act.host,
            "command": act.command,
            "suite": act.suite,
            "run_id": act.run_id,
            "outcome": act.outcome,
            "about": dict(act.about),
            "left_store": [{"what": item.what, "to": item.to} for item in act.departures],
        }
        for act in acts
    ]
