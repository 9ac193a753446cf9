"""What the commands about models print."""

from __future__ import annotations

from typing import Any

import typer


def show_trained(version: Any) -> int:
    """The URI of the new version; its metrics on standard error."""
    for name, value in sorted(version.metrics.items()):
        typer.echo(f"{name}: {value:.6g}", err=True)
    typer.echo(version.uri)
    return 0


def show_draft(drafted: Any) -> int:
    """The suite, or its file; how much is in it on standard error."""
    count, left = drafted.tests, len(drafted.omissions)
    typer.echo(f"{count} tests; {left} left out, see the end of the suite", err=True)
    typer.echo(
        drafted.text if drafted.out is None else str(drafted.out), nl=drafted.out is not None
    )
    return 0
