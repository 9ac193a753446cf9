"""What the commands about a model's way to production print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer
from rich.table import Table

from engine.cli.reporting import tell
from engine.cli.runs import AsJson


def show_watch(verdicts: Sequence[Any], *, as_json: AsJson = False) -> int:
    """The verdicts on the versions that were looked at; the code is the worst of the new ones."""
    from engine.sinks import listing

    if as_json:
        typer.echo(json.dumps([verdict.to_json() for verdict in verdicts]))
    elif verdicts:
        table = Table("model", "version", "verdict", "new", "why", "run")
        for item in verdicts:
            new = "yes" if item.is_new else ""
            told = (item.model, item.version, item.gate, new, item.reason, item.run_id)
            table.add_row(*map(listing.plain, told))
        listing.wide().print(table)
    else:
        typer.echo("nothing to look at: no version is ready")
    return max((item.exit_code for item in verdicts if item.counts), default=0)


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


def show_papers(papers: Any, *, as_json: AsJson = False) -> int:
    """Where the papers are; what could not be asked on standard error."""
    if as_json:
        about = {name: getattr(papers, name) for name in ("model", "version", "run_id", "gate")}
        typer.echo(json.dumps({**about, "files": dict(papers.files), "notes": papers.notes}))
    else:
        for path in papers.files.values():
            typer.echo(path)
    for note in papers.notes:
        tell(f"evalmatrix: {note}")
    return 0
