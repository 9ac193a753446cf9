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
