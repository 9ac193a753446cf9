"""How a command ends: a message and an exit code for what goes wrong, never a traceback."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from engine.core import json_log
from engine.core.signals import stop_on_signal
from engine.errors import EvalMatrixError
from engine.sinks import format as fmt
from engine.spark.error_messages import failure_message

P = ParamSpec("P")
log = logging.getLogger("evalmatrix")


class LogFormat(StrEnum):
    """What the log on standard error is made of."""

    TEXT = "text"
    JSON = "json"


def _choose_format(value: LogFormat | None) -> LogFormat | None:
    """Is asked when the option is read, which of the program's own is before all else."""
    if value is LogFormat.JSON:
        configure_logging()
        json_log.use_json()
    return value


LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option(
        "--log-format",
        help="The log on standard error: text, or json, one object a line.",
        callback=_choose_format,
        is_eager=True,
    ),
]


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turns what a block raises into a message and an exit code, never a traceback.

    Raises:
        typer.Exit: with that code.
    """
    try:
        with stop_on_signal():
            yield
        return
    except typer.Exit:
        raise
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


def handle_errors(command: Callable[P, int]) -> Callable[P, None]:
    """The command with its exit code as typer takes it, also where it raises."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        with exit_on_error():
            raise typer.Exit(command(*args, **kwargs))

    return wrapper


def _tell(message: str, error: BaseException) -> None:
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    text = fmt.log_text(f"evalmatrix: {message}{notes}")
    tell(text, logging.ERROR, run_id=getattr(error, json_log.RUN_ID, None))


def tell(text: str, level: int = logging.INFO, *, run_id: str | None = None) -> None:
    """Writes a line to standard error: as it is, or as a line of the log where that is JSON."""
    if json_log.is_json():
        log.log(level, "%s", text, extra={json_log.RUN_ID: run_id})
    else:
        typer.echo(text, err=True)


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
