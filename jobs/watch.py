"""The job for new model versions: `spark-submit jobs/watch.py SUITE.yml --once [--set ...] ...`.

Arguments and exit codes are those of `evalmatrix watch`. A Databricks deployment job hands over
`--model-name` and `--model-version`.
"""

from __future__ import annotations

from engine.cli.app import run_job

if __name__ == "__main__":
    run_job("watch")
