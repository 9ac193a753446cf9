"""The nightly job: `spark-submit jobs/nightly.py SUITE.yml [--prepare FILE] [--set ...] ...`.

Takes new files into Delta and trains what changed (with `--prepare`), then evaluates the suite's
matrix. Arguments and exit codes are those of `evalmatrix run`.
"""

from __future__ import annotations

from engine.cli.app import run_job
from engine.commands.prepare import prepare

if __name__ == "__main__":
    run_job("run", prepare=prepare)
