"""Files into Delta: `spark-submit jobs/ingest.py 'data/*.csv' TABLE [--format parquet]`.

TABLE is a path, a URI or a catalog name. A file that the table has makes no new version.
"""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.reporting import configure_logging, handle_errors
from engine.data.ingest import ingest
from engine.spark.session import get_session


@handle_errors
def main(
    files: Annotated[str, typer.Argument(metavar="GLOB", help="Files, e.g. 'data/*.csv'.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Path, URI or catalog table.")],
    format_: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
) -> int:
    """Append new files to a Delta table, one commit for each."""
    configure_logging()
    done = ingest(get_session(app_name="evalmatrix-ingest"), files, table=table, fmt=format_)
    typer.echo(
        f"{done.table} version {done.version}: {len(done.added)} files added, "
        f"{len(done.known)} known"
    )
    return 0


if __name__ == "__main__":
    typer.run(main)
