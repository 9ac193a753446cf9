"""Files into Delta: `spark-submit jobs/ingest.py 'data/*.csv' TABLE [--format parquet]`.

TABLE is a path, a URI or a catalog name. Files are appended: one that the table has makes no new
version, one whose content has changed is appended beside its old rows, and nothing is taken out. A
dataset that is exactly what its files are now is a suite's `csv:` or `parquet:`.
"""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from engine.cli.reporting import LogFormatOption, configure_logging, handle_errors, tell
from engine.data.files.reading import Reading
from engine.data.ingest import ingest
from engine.data.personal import look_at_table
from engine.errors import InputError
from engine.fields.column_types import column_type, type_names
from engine.spark.lazy_session import LazySession


@handle_errors
def main(
    files: Annotated[str, typer.Argument(metavar="GLOB", help="Files, e.g. 'data/*.csv'.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Path, URI or catalog table.")],
    format_: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
    column: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TYPE", help="The type of a CSV column.")
    ] = None,
    null: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A text of CSV that means null.")
    ] = None,
    log_format: LogFormatOption = None,
) -> int:
    """Append new files to a Delta table, one commit for each; nothing is replaced or taken out."""
    configure_logging()
    reading = Reading(dict(map(_type_of, column or ())), tuple(null or ()))
    session = LazySession(executor="auto", say=lambda text: tell(f"evalmatrix: {text}"))
    done = ingest(session, files, table=table, fmt=format_, reading=reading)
    typer.echo(
        f"{done.table} version {done.version}: {len(done.added)} files added, "
        f"{len(done.known)} known (files are appended; nothing is replaced)"
    )
    if done.added:
        for look in look_at_table(session, done.table, done.version).columns:
            tell(f"evalmatrix: {look} in the dataset of a suite", logging.WARNING)
    return 0


def _type_of(given: str) -> tuple[str, str]:
    name, _, word = given.rpartition("=")
    kind = column_type(word)
    if not name or kind is None:
        raise InputError(f"--column is {given!r}; expected NAME=TYPE, {type_names(word)}")
    return name, kind


if __name__ == "__main__":
    typer.run(main)
