"""Training: `spark-submit jobs/train.py MODEL_DIR [--set KEY=VALUE] [--search] [--store S]`.

The arguments and exit codes of `evalmatrix train`; prints the URI of the new version. With
`--search --workers spark` the folds are tasks of the cluster.
"""

from __future__ import annotations

from engine.cli.app import run_job

if __name__ == "__main__":
    run_job("train")
