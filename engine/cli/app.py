"""The command `evalmatrix`: arguments in, exit codes out; every command is a call of the API.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console

from engine._version import __version__
from engine.core.signals import stop_on_signal
from engine.errors import EvalMatrixError
from engine.sinks import format as fmt
from engine.sinks import listing
from engine.spark.error_messages import failure_message

P = ParamSpec("P")

DEFAULT_STORE = "./store"

app = typer.Typer(
    name="evalmatrix",
    help="Evaluate model versions on the slices of versioned data, with verdicts CI can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


Suite = Annotated[Path, typer.Argument(metavar="SUITE.yml", help="The suite file.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the suite (dotted)."),
]
StoreOption = Annotated[str, typer.Option("--store", help="The store's root.")]
RunOption = Annotated[str, typer.Option("--run", metavar="ID|latest", help="Which run.")]


def handle_errors(command: Callable[P, int]) -> Callable[P, None]:
    """Turns our errors into a message and an exit code, never a traceback."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with stop_on_signal():
                code = command(*args, **kwargs)
        except EvalMatrixError as error:
            _tell(str(error), error)
            code = error.exit_code
        except KeyboardInterrupt as error:
            _stop_jobs()
            _tell("stopped", error)
            code = getattr(error, "exit_code", 130)
        except BrokenPipeError:
            code = 0
        except Exception as error:  # exit code 1 would say that the gate failed
            code = EvalMatrixError.exit_code
            _tell(failure_message(error), error)
        raise typer.Exit(code)

    return wrapper


def _tell(message: str, error: BaseException) -> None:
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    typer.echo(fmt.log_text(f"evalmatrix: {message}{notes}"), err=True)


def _stop_jobs() -> None:
    """Cancels what Spark is doing; a second Ctrl-C is not needed."""
    if "pyspark" not in sys.modules:
        return
    from pyspark.sql import SparkSession

    from engine.spark.internals import stop_jobs

    active = SparkSession.getActiveSession()
    if active is not None:
        stop_jobs(active)


def configure_logging() -> None:
    """Own messages to standard error, the libraries' only from warnings on."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("evalmatrix").setLevel(logging.INFO)
    for noisy in ("mlflow", "alembic", "pyspark"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # MLflow sets the level anew when it is imported.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_no_py4j)
    # PySpark writes what it raises to standard error as well, with values of the data in it.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).disabled = True
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _no_py4j(record: logging.LogRecord) -> bool:
    """Drops what py4j tells, by the root logger too, of the connection that Ctrl-C cuts."""
    return "py4j" not in Path(record.pathname).parts


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    configure_logging()
    if version:
        typer.echo(f"evalmatrix {__version__}")
        raise typer.Exit(0)


@app.command()
@handle_errors
def run(
    suite: Suite,
    set_: Set = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="The new run's id.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", help="The run to complete.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Evaluate the suite's matrix, write every sink, print the summary."""
    from engine.commands.context import RunOptions
    from engine.commands.run import run_suite as run_job

    result = run_job(suite, RunOptions(tuple(set_ or ()), run_id, resume))
    print_result(result, as_json=as_json)
    return result.exit_code


def print_result(result: Any, *, as_json: bool = False) -> None:
    """A run's summary on standard output; the tracking server's failure on standard error."""
    from engine.sinks import console

    if as_json:
        typer.echo(json.dumps(listing.result_json(result)))
    else:
        console.render(result.outcome, console=Console(), places=result.places)
    if result.tracking_error is not None:
        typer.echo(fmt.log_text(f"evalmatrix: {result.tracking_error}"), err=True)


@app.command()
@handle_errors
def plan(suite: Suite, set_: Set = None) -> int:
    """Show the pinned matrix and the scans it takes, without running it."""
    from engine.commands.plan import plan as plan_suite
    from engine.execution.incremental import base_note

    planned = plan_suite(suite, overrides=set_ or ())
    out = listing.wide()
    for evaluation in planned:
        out.print(listing.plan_table(evaluation, reuse_note=base_note(evaluation.steps)))
    scans = sum(not evaluation.steps.nothing_to_do for evaluation in planned)
    typer.echo(f"{scans} scan{'' if scans == 1 else 's'}; nothing was run")
    return 0


@app.command()
@handle_errors
def results(
    store: StoreOption = DEFAULT_STORE,
    run: RunOption = "latest",
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> int:
    """Read a run's results."""
    from engine.commands.results import results as read_results

    frame = read_results(store=store, run=run)
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


@app.command()
@handle_errors
def report(
    store: StoreOption = DEFAULT_STORE,
    run: RunOption = "latest",
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write to.")] = None,
) -> int:
    """(Re)build the HTML report of a run from the store."""
    from engine.commands.report import report as build_report

    typer.echo(str(build_report(store=store, run=run, out=out)))
    return 0


@app.command()
@handle_errors
def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or latest.")],
    cell: Annotated[
        str,
        typer.Argument(
            metavar="CELL", help="EVALUATION/MODEL/SLICE/TEST, the end of it, * for any text."
        ),
    ],
    store: StoreOption = DEFAULT_STORE,
) -> int:
    """Say in a few sentences why a cell has its verdict."""
    from engine.commands.explain import explain as explain_cell

    typer.echo(explain_cell(run, cell, store=store))
    return 0


@app.command()
@handle_errors
def judge(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or latest.")],
    set_: Set = None,
    suite: Annotated[
        Path | None, typer.Option("--suite", help="Another suite; default: the run's own.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for its report.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Judge a run again by other demands, from its stored states; nothing is predicted."""
    from engine.commands.judge import judge as judge_run
    from engine.sinks.files import write_report

    result = judge_run(run, store=store, suite=suite, overrides=set_ or ())
    if out is not None:
        write_report(result.outcome, out)
        result = replace(result, judged_into=out)
    print_result(result, as_json=as_json)
    return result.exit_code


@app.command()
@handle_errors
def forget(
    key: Annotated[
        list[str],
        typer.Option("--key", metavar="COLUMN=VALUE", help="A row's key; can be given again."),
    ],
    store: StoreOption = DEFAULT_STORE,
) -> int:
    """Erase the kept predictions of rows, from old files too."""
    from engine.commands.forget import forget as forget_keys

    count = forget_keys(key, store=store)
    typer.echo(f"{count:,} prediction{'' if count == 1 else 's'} erased")
    return 0


@app.command()
@handle_errors
def maintain(
    store: StoreOption = DEFAULT_STORE,
    days: Annotated[float, typer.Option("--days", help="How long a run's states are kept.")] = 90,
    report_days: Annotated[
        float | None,
        typer.Option("--report-days", help="How long a run's report is kept; default: for good."),
    ] = None,
) -> int:
    """Expire states that no recent run used, put small files together, remove old ones."""
    from engine.commands.maintain import maintain as maintain_store

    for done in maintain_store(store=store, days=days, report_days=report_days):
        typer.echo(str(done))
    return 0


@app.command()
@handle_errors
def sync(
    store: StoreOption = DEFAULT_STORE,
    run: Annotated[str, typer.Option("--run", metavar="ID|latest|all", help="Which run.")] = "all",
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow; default: as the runs' suites say.")
    ] = None,
) -> int:
    """Send to MLflow what it lacks of the runs in the store; nothing is predicted."""
    from engine.commands.sync import sync as sync_runs

    result = sync_runs(store=store, run=run, tracking_uri=tracking_uri)
    if told := str(result):
        typer.echo(told)
    for error in result.errors:
        typer.echo(f"evalmatrix: {error}", err=True)
    return result.exit_code


@app.command()
@handle_errors
def train(
    model_dir: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="models/<name>")],
    set_: Set = None,
    store: StoreOption = DEFAULT_STORE,
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow; default: in the store.")
    ] = None,
) -> int:
    """Train a model, log it to MLflow, register a new version."""
    from engine.commands.train import train as train_model

    trained = train_model(model_dir, overrides=set_ or (), store=store, tracking_uri=tracking_uri)
    for name, value in sorted(trained.metrics.items()):
        typer.echo(f"{name}: {value:.6g}", err=True)
    typer.echo(trained.uri)
    return 0


@app.command()
@handle_errors
def doctor(store: StoreOption = DEFAULT_STORE) -> int:
    """Check Python, Java, Spark with Delta, MLflow and the store."""
    from engine.commands.doctor import examine

    well = True
    for finding in examine(store):
        typer.echo(str(finding))
        well = well and (finding.well or finding.optional)
    return 0 if well else 4


@app.command()
@handle_errors
def warmup() -> int:
    """Keep what Spark loads at each start in an archive, so that runs here start seconds sooner."""
    from engine.spark.class_archive import write_archive
    from engine.spark.internals import delta_jars
    from engine.spark.session import check_java, class_archive, get_session

    check_java()
    jars = delta_jars()
    if jars is None:
        # A first session fetches them.
        get_session()
        jars = delta_jars()
    archive = class_archive(jars or ())
    write_archive(archive, "engine.commands.warmup")
    typer.echo(f"{archive} ({archive.stat().st_size / 2**20:.0f} MiB)")
    return 0


@app.command()
@handle_errors
def schema() -> int:
    """Print the JSON Schema of the suite file."""
    from engine.suite import schema as suite_schema

    typer.echo(json.dumps(suite_schema(), indent=2))
    return 0


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
