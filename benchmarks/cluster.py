"""Two workers against one: the same evaluation on standalone clusters of this machine.

Each cluster is started anew, with workers of one core, each pinned to a CPU of its own. A driver
of its own runs the suite once on few rows (imports, the JVM's warming up), then twice in full; the
better scan counts. Printed are the wall-clock seconds of the scan (from the first row read until
the states are written), of the whole evaluation (the verdicts and the results table too, which the
driver makes), the seconds of the tasks inside the models, and the ratios of one worker to two.

    .venv/bin/python benchmarks/cluster.py --rows 4000000 --models forest
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from world import MODELS, Size, make_models, make_table, write_suite

from engine.cli.app import configure_logging
from engine.commands import context
from engine.commands.progress import Reporter
from engine.commands.run import run
from engine.spark.session import get_session

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "infrastructure"))

from local_cluster import LocalCluster

SMALL = 50_000
TIMES = 2


def measure(folder: Path, size: Size, master: str) -> dict[str, float]:
    """The seconds of an evaluation, and of its predictions, on a cluster that is there."""
    # `MASTER` says it to Spark, and the loopback keeps the driver where the workers are.
    env = os.environ | {"MASTER": master, "SPARK_LOCAL_IP": "127.0.0.1"}
    arguments = ["--folder", folder, "--rows", size.rows, "--models", ",".join(size.models)]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments), "--drive"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class Timed(Reporter):
    """Notes how long the scan takes."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.seconds = 0.0

    @contextmanager
    def show_scan(self, *args: Any, **options: Any) -> Iterator[None]:
        """Times the block."""
        started = time.perf_counter()
        with super().show_scan(*args, **options):
            yield
        self.seconds += time.perf_counter() - started


def drive(folder: Path, size: Size) -> dict[str, float]:
    """What a driver does: a short run, then the measured ones."""
    logging.getLogger("evalmatrix").setLevel(logging.WARNING)
    spark = get_session(log_file=folder / "cluster-driver.log")
    paths = make_models(folder / "models")
    best: dict[str, float] = {}
    for rows in (SMALL, *[size.rows] * TIMES):
        this = Size(rows, size.models, size.slices, size.tests)
        suite = write_suite(folder, make_table(spark, folder, this), paths, this)
        tell = Timed()
        context.Reporter = lambda tell=tell: tell  # type: ignore[assignment,misc]
        timings = run(suite).outcome.evaluations[0].timings
        if rows == size.rows and (not best or tell.seconds < best["scan"]):
            best = {
                "scan": round(tell.seconds, 2),
                "evaluation": round(timings["seconds"], 2),
                "predicting": round(timings["predict_seconds"], 2),
            }
    return best


def main() -> None:
    """Measures with one worker and with two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="build/bench", help="where data and models are kept")
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--models", default="forest", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--drive", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    configure_logging()
    folder = Path(chosen.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    size = Size(chosen.rows, tuple(chosen.models.split(",")), "small", 10)
    if chosen.drive:
        print(json.dumps(drive(folder, size)))
        return
    found = {}
    for workers in (1, 2):
        with LocalCluster(workers, pinned=True) as cluster:
            found[workers] = measure(folder, size, cluster.master)
        print(f"{workers} worker(s): {found[workers]}; load {os.getloadavg()[0]:.1f}", flush=True)
    for what in ("scan", "evaluation"):
        print(f"{what}: {found[1][what] / found[2][what]:.2f}x faster with two workers")


if __name__ == "__main__":
    main()
