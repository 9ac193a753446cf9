"""One suite by processes of this machine and by Spark, each from its process's start to its end.

For each size and executor, in a process of its own: wall-clock seconds, the core-seconds of all its
processes, and how often they are the models' own, which are measured beside it on one thread.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import mlflow.sklearn
import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake
from process_cost import adopt_orphans, measure
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits
from world import FEATURES, Size, levels, make_models, make_rows, write_suite

ALL = ("logistic", "boosting", "forest")
EXECUTORS = ("local", "spark")
ROOT = Path(__file__).resolve().parents[1]


def prediction_seconds(rows: pd.DataFrame, paths: dict[str, Path], names: tuple[str, ...]) -> float:
    """Core-seconds of the models' own predictions of all rows, on one thread."""
    total = 0.0
    for name in names:
        model = mlflow.sklearn.load_model(str(paths[name]))
        with threadpool_limits(1):
            started = time.process_time()
            model.predict_proba(rows[FEATURES])
            total += time.process_time() - started
    return total


def main() -> None:
    """Measures the sizes that are asked for, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 1_000_000])
    parser.add_argument("--models", nargs="+", default=list(ALL), choices=ALL)
    parser.add_argument("--executors", nargs="+", default=list(EXECUTORS), choices=EXECUTORS)
    asked = parser.parse_args()
    adopt_orphans()
    table = Table("rows", "executor", "wall s", "core-s", "predictions core-s", "ratio", "MiB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_models(folder / "models")
        for count in asked.rows:
            size = Size(count, tuple(asked.models), "small", 9)
            rows = make_rows(count, levels(size.slices))
            lake = folder / f"rows-{count}"
            write_deltalake(str(lake), pa.Table.from_pandas(rows, preserve_index=False))
            own = prediction_seconds(rows, paths, size.models)
            for executor in asked.executors:
                place = folder / f"{count}-{executor}"
                place.mkdir()
                suite = write_suite(place, str(lake), paths, size)
                command = [sys.executable, "-m", "engine.cli.app", "run", str(suite),
                           "--set", f"executor={executor}"]  # fmt: skip
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                cost = measure(command, cwd=place, env=environment, log=place / "log")
                if cost.exit_code:
                    raise SystemExit((place / "log").read_text())
                peak = max(cost.peaks.values(), default=0.0)
                table.add_row(f"{count:,}", executor, f"{cost.wall:.1f}", f"{cost.cores:.1f}",
                              f"{own:.1f}", f"{cost.cores / own:.2f}", f"{peak:,.0f}")  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
