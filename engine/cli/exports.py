"""What `evalmatrix export` prints."""

from __future__ import annotations

from typing import Any

import typer


def show_export(result: Any) -> int:
    """Each file, whether it was written, and what to do with them."""
    for file in result.files:
        typer.echo(f"{'wrote' if file.is_new else 'is there'}  {file.path}")
    typer.echo(f"then: {result.then}")
    return 0
