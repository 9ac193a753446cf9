"""The job that promotes: `spark-submit jobs/promote.py MODEL@challenger --to champion --suite ...`.

Arguments and exit codes are those of `evalmatrix promote`: 1 where the evidence is lacking.
"""

from __future__ import annotations

from engine.cli.app import run_job

if __name__ == "__main__":
    run_job("promote")
