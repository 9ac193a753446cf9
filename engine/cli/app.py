"""The command `evalmatrix`: each command is a function of `engine.commands`, read as it stands.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from engine._version import __version__
from engine.cli import (
    experiments,
    exports,
    generation,
    lifecycle,
    machine,
    models,
    runs,
    serving,
    stores,
)
from engine.cli.declaration import make_command, read_declaration, summary
from engine.cli.reporting import LogFormatOption, configure_logging
from engine.spark.lazy_session import prefer_spark

# What prints the result of each command, and its exit code. The order is that of the help.
COMMANDS: dict[str, Callable[..., int]] = {
    "run": runs.show_run,
    "plan": runs.show_plan,
    "results": runs.show_results,
    "report": runs.show_report,
    "explain": runs.show_explanation,
    "judge": runs.show_judgement,
    "pin": runs.show_pinned,
    "forget": stores.show_forgotten,
    "maintain": stores.show_maintained,
    "audit": stores.show_audit,
    "sync": stores.show_sync,
    "promote": lifecycle.show_promotion,
    "history": lifecycle.show_history,
    "init": models.show_draft,
    "train": models.show_trained,
    "watch": lifecycle.show_watch,
    "card": lifecycle.show_papers,
    "export": exports.show_export,
    "experiment": experiments.show_experiment,
    "serve": serving.show_served,
    "generate": generation.show_generated,
    "doctor": machine.show_findings,
    "warmup": machine.show_archive,
    "kinds": machine.show_kinds,
    "metrics": machine.show_metrics,
    "schema": machine.show_schema,
}


class Commands(TyperGroup):
    """The commands by name: only the one that runs is imported, and Spark with it."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        show = COMMANDS.get(cmd_name)
        return None if show is None else make_command(read_declaration(cmd_name), show)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(name)) for name in COMMANDS])


app = typer.Typer(
    name="evalmatrix",
    cls=Commands,
    help="Evaluate model versions on the slices of versioned data, with verdicts CI can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    log_format: LogFormatOption = None,
) -> None:
    configure_logging()
    if version:
        typer.echo(f"evalmatrix {__version__}")
        raise typer.Exit(0)


def run_job(name: str, **before: Callable[[Path | None], None]) -> None:
    """Runs a command as the whole of a program, such as a job for `spark-submit`.

    `before` are further options that take a file, and what is done with it first.
    """
    configure_logging()
    with prefer_spark(), _quick_end():
        make_command(read_declaration(name), COMMANDS[name], before)()


@contextmanager
def _quick_end() -> Iterator[None]:
    """Spares the end of the process a last look at every object of every library: a second.

    Bindings such as those of PyTorch's compiler tell what is left then, at length: where they are
    loaded, everything is looked at.
    """
    try:
        yield
    finally:
        if "triton" not in sys.modules:
            gc.freeze()


def main() -> None:
    """The console script."""
    with _quick_end():
        try:
            app()
        except SystemExit as ended:
            daemons = sys.modules.get("engine.core.daemons")
            if daemons is not None and daemons.are_daemons_busy() and isinstance(ended.code, int):
                _leave(ended.code)
            raise


def _leave(code: int) -> None:
    """Ends the process beside a thread that is at work: Python would end it within a library."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
