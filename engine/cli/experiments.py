"""What `evalmatrix experiment` prints."""

from __future__ import annotations

import logging
from typing import Any

import typer
from rich.console import Console

from engine.cli.models import show_trained
from engine.cli.reporting import tell
from engine.sinks import format as fmt


def show_experiment(result: Any) -> int:
    """The leaderboard, the runs of the suites, and where the results are."""
    from engine.sinks import console

    if result.comparison is not None:
        show_trained(result.comparison)
    elif result.trained is not None:
        show_trained(result.trained)
    for run in result.runs:
        console.render(run.outcome, console=Console(), places=run.places)
        if run.tracking_error is not None:
            text = fmt.log_text(f"evalmatrix: {run.tracking_error}")
            tell(text, logging.ERROR, run_id=run.run_id)
    typer.echo(fmt.log_text(f"results: {result.folder}"))
    exit_code: int = result.exit_code
    return exit_code
