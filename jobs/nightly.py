"""The nightly job: `spark-submit jobs/nightly.py SUITE.yml [--prepare FILE] [--set ...] ...`.

Takes new files into Delta and trains what changed (with `--prepare`), then evaluates the suite's
matrix. Arguments and exit codes are those of `evalmatrix run`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.app import configure_logging, handle_errors, print_result
from engine.commands.context import RunOptions
from engine.commands.prepare import provide_models, provide_tables, read_provision
from engine.commands.progress import Reporter
from engine.commands.run import run_suite
from engine.core.locations import Store
from engine.spark.session import get_session


@handle_errors
def main(
    suite: Annotated[Path, typer.Argument(metavar="SUITE.yml", help="The suite file.")],
    prepare: Annotated[
        Path | None, typer.Option("--prepare", help="Tables to fill and models to train first.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")
    ] = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="The new run's id.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", help="The run to complete.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Prepare data and models, evaluate the suite, print the summary."""
    configure_logging()
    tell = Reporter()
    if prepare is not None:
        wanted = read_provision(prepare)
        store = Store(wanted.store)
        store.check_writable()
        tell.say("starting Spark")
        spark = get_session(log_file=store.log_file)
        provide_tables(spark, wanted, tell)
        provide_models(wanted, tell)
    result = run_suite(suite, RunOptions(tuple(set_ or ()), run_id, resume), tell=tell)
    print_result(result, as_json=as_json)
    return result.exit_code


if __name__ == "__main__":
    typer.run(main)
