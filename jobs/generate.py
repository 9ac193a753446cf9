"""Made rows: `spark-submit jobs/generate.py GENERATE.yml [--set KEY=VALUE] ...`.

The arguments and exit codes of `evalmatrix generate`. Where the table is not on this machine the
blocks of rows are tasks of the cluster.
"""

from __future__ import annotations

from engine.cli.app import run_job

if __name__ == "__main__":
    run_job("generate")
