"""What `evalmatrix generate` prints."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print what is known of the rows as JSON.")]


def show_generated(result: Any, *, as_json: AsJson = False) -> int:
    """The table and its version, closeness, answers and notes."""
    from engine.data.generation.answers import summary
    from engine.sinks.generated_rows import console

    if as_json:
        typer.echo(json.dumps(summary(result), default=str))
    else:
        console.render(result)
    return 0
