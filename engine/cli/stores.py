"""What the commands about a store print."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import typer

from engine.cli.reporting import tell
from engine.cli.runs import AsJson


def show_audit(acts: Sequence[Any], *, as_json: AsJson = False) -> int:
    """A row for each act, the oldest first."""
    from engine.sinks import audit, listing

    if as_json:
        typer.echo(json.dumps(audit.audit_json(acts)))
    elif acts:
        listing.wide().print(audit.audit_table(acts))
    else:
        typer.echo("no act is noted")
    return 0


def show_forgotten(forgotten: Any) -> int:
    """What was reached, a line for each place; what could not be on standard error."""
    for place in forgotten.places:
        typer.echo(str(place))
    for sentence in forgotten.beyond:
        tell(f"evalmatrix: not reached: {sentence}", logging.WARNING)
    return 0


def show_maintained(tables: Sequence[Any]) -> int:
    """A line for each table."""
    for table in tables:
        typer.echo(str(table))
    return 0


def show_sync(result: Any) -> int:
    """What was sent to MLflow, and what could not be."""
    if text := str(result):
        typer.echo(text)
    for error in result.errors:
        tell(f"evalmatrix: {error}", logging.ERROR)
    exit_code: int = result.exit_code
    return exit_code
