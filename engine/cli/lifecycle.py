"""What the commands about a model's way to production print."""

from __future__ import annotations

import json
from typing import Any

import typer

from engine.cli.runs import AsJson


def show_promotion(result: Any, *, as_json: AsJson = False) -> int:
    """What became of it, why, and on what evidence."""
    from engine.sinks import lifecycle

    if as_json:
        typer.echo(json.dumps(lifecycle.promotion_json(result)))
    else:
        for line in lifecycle.promotion_lines(result):
            typer.echo(line)
    exit_code: int = result.exit_code
    return exit_code


def show_history(story: Any, *, as_json: AsJson = False) -> int:
    """What is served now, then a row for each event."""
    from engine.sinks import lifecycle, listing

    if as_json:
        typer.echo(json.dumps(lifecycle.history_json(story)))
        return 0
    out = listing.wide()
    for line in lifecycle.history_head(story):
        typer.echo(line)
    if story.events:
        out.print(lifecycle.history_table(story))
    return 0
