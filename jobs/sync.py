"""Sends to MLflow what it lacks: `spark-submit jobs/sync.py [--store S] [--run ID] ...`.

Arguments and exit codes are those of `evalmatrix sync`.
"""

from __future__ import annotations

import typer

from engine.cli.app import configure_logging, sync

if __name__ == "__main__":
    configure_logging()
    typer.run(sync)
