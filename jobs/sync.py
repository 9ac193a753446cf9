"""Sends to MLflow what it lacks: `spark-submit jobs/sync.py [--store S] [--run ID] ...`.

Arguments and exit codes are those of `evalmatrix sync`.
"""

from __future__ import annotations

from engine.cli.app import run_job

if __name__ == "__main__":
    run_job("sync")
