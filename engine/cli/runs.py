"""What the commands about runs print: a run's summary, its plan, its results."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from engine.cli.reporting import tell
from engine.sinks import format as fmt


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def show_run(result: Any, *, as_json: AsJson = False) -> int:
    """A run's summary on standard output; the tracking server's failure on standard error."""
    from engine.sinks import console, lifecycle, listing

    if as_json:
        typer.echo(json.dumps(listing.result_json(result)))
    else:
        console.render(result.outcome, console=Console(), places=result.places)
        for promotion in result.promotions:
            typer.echo()
            for line in lifecycle.promotion_lines(promotion):
                typer.echo(line)
    for error in (result.tracking_error, result.promotion_error):
        if error is not None:
            text = fmt.log_text(f"evalmatrix: {error}")
            tell(text, logging.ERROR, run_id=result.run_id)
    exit_code: int = result.exit_code
    return exit_code


def show_plan(planned: Sequence[Any]) -> int:
    """A table for each evaluation, and how many scans they take together."""
    from engine.sinks import listing

    out = listing.wide()
    for evaluation in planned:
        out.print(listing.plan_table(evaluation))
        for column in evaluation.personal:
            text = fmt.log_line(f"evalmatrix: {evaluation.plan.name}: {column}")
            tell(text, logging.WARNING)
    scans = sum(not evaluation.steps.nothing_to_do for evaluation in planned)
    typer.echo(f"{scans} scan{'' if scans == 1 else 's'}; nothing was run")
    return 0


def show_results(
    frame: Any,
    *,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> int:
    """The cells of a run: for the eye, or for a program."""
    from engine.sinks import listing

    if format_ is Format.CSV:
        typer.echo(listing.csv(frame), nl=False)
    elif format_ is Format.JSON:
        # pandas' own JSON rounds to 15 digits.
        typer.echo(
            json.dumps(listing.json_records(frame), default=listing.json_value, allow_nan=False)
        )
    else:
        listing.wide().print(listing.results(frame))
    return 0


def show_report(page: Path) -> int:
    """Where the page is."""
    typer.echo(str(page))
    return 0


def show_explanation(text: str) -> int:
    """Why a cell has its verdict."""
    typer.echo(text)
    return 0


def show_pinned(text: str) -> int:
    """What was added to a suite, or is to be."""
    typer.echo(text)
    return 0


def show_judgement(
    result: Any,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A folder for its report.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """The summary of a run that was judged again; its report where a folder is named."""
    if out is not None:
        from engine.commands.audit_trail import note_at
        from engine.sinks.files import write_report
        from engine.store.audit import Act, Departure

        write_report(result.outcome, out)
        left = (Departure("a report, JUnit and the results", str(out)),)
        note_at(result.store.root, Act("judge", None, result.run_id, "written", departures=left))
        result = replace(result, judged_into=out)
    return show_run(result, as_json=as_json)
