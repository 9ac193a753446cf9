"""Training: `spark-submit jobs/train.py MODEL_DIR [--set KEY=VALUE] [--store S]`.

The arguments and exit codes of `evalmatrix train`; prints the URI of the new version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.app import configure_logging, handle_errors
from engine.commands.stored_runs import DEFAULT_STORE
from engine.commands.train import train


@handle_errors
def main(
    model_dir: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="models/<name>")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")
    ] = None,
    store: Annotated[str, typer.Option("--store", help="The store's root.")] = DEFAULT_STORE,
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow; default: in the store.")
    ] = None,
) -> int:
    """Train a model, log it to MLflow, register a new version."""
    configure_logging()
    trained = train(model_dir, overrides=set_ or (), store=store, tracking_uri=tracking_uri)
    typer.echo(trained.uri)
    return 0


if __name__ == "__main__":
    typer.run(main)
