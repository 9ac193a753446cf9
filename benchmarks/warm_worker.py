"""The process of `fixed_costs.py` that holds a warm session: a request a line, an answer a line.

The engine is the one that this process's `PYTHONPATH` names. What anything prints goes to standard
error, so that standard output has answers alone.

    {"act": "data", "folder": "build/fixed-costs", "rows": 20000, "new": 3000}
    {"act": "run", "suite": "suite.yml"}
    {"act": "predict", "rows": 20000, "models": ["build/fixed-costs/models/logistic"]}
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.sklearn
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from world import FEATURES, make_rows, quiet_session

from engine.commands.run import run
from engine.spark.session import get_session

# One slice for all rows, 14 of single columns and 65 of pairs: 80.
LEVELS = {"country": 7, "device": 2, "plan": 3, "age_band": 2}
BATCH = 50_000


def make_data(folder: str, rows: int, new: int) -> dict[str, Any]:
    """A Delta table of so many rows, made once, and a file of further ones."""
    table, files = Path(folder) / f"rows-{rows}", Path(folder) / f"rows-{rows}.parquet"
    if not table.exists():
        make_rows(rows, LEVELS).to_parquet(files, index=False)
        get_session().read.parquet(str(files)).write.format("delta").save(str(table))
        files.unlink()
    more = Path(folder) / f"new-{new}"
    make_rows(new, LEVELS, seed=2).to_parquet(more, index=False)
    return {"table": str(table), "new": str(more)}


def run_suite(suite: str) -> dict[str, Any]:
    """A whole run with every sink; tells what its workers measured."""
    evaluation = run(suite).outcome.evaluations[0]
    return {
        "predict_seconds": evaluation.timings.get("predict_seconds", 0.0),
        "slices": len({cell.slice.name for cell in evaluation.cells}),
        "cells": len(evaluation.cells),
    }


def predict(rows: int, models: list[str]) -> dict[str, Any]:
    """The core-seconds of the models' predictions alone, in this process and one thread."""
    data = make_rows(rows, LEVELS)[FEATURES]
    loaded = [mlflow.sklearn.load_model(path) for path in models]
    with threadpool_limits(1):
        started = time.process_time()
        for model in loaded:
            for first in range(0, rows, BATCH):
                model.predict_proba(data.iloc[first : first + BATCH])
        return {"core_seconds": time.process_time() - started}


ACTS: dict[str, Callable[..., dict[str, Any]]] = {
    "data": make_data,
    "run": run_suite,
    "predict": predict,
}


def main() -> None:
    """Answers requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    quiet_session(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        answer = ACTS[request.pop("act")](**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
