"""How much faster two workers search than one, and what that costs in core-seconds.

A random forest is searched by cross-validation on a table that is made from a fixed seed, by
`engine.train`'s own road, from the reading of the folder to the leaderboard, without MLflow. The
numbers of workers take turns; a worker's start, which imports scikit-learn, is counted. The
core-seconds are those of the workers, and hardly change with what else the machine does: those of
the longer of the two say how fast the search is where both have a core for themselves. Both
searches must give equal figures. Exits with 1 where two workers are less than 1.8 times as fast as
one by seconds and by these.

    .venv/bin/python benchmarks/search.py --times 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification

from engine.training import Leaderboard, SearchOptions, read_config
from engine.training.local_workers import LocalWorkers
from engine.training.model_search import compare_candidates
from engine.training.rows import data_files, read_rows
from engine.training.tasks import FoldScore, FoldTask, FoldWork

BAR = 1.8

CODE = """
from sklearn.ensemble import RandomForestClassifier


def build(params):
    return RandomForestClassifier(**params)
"""
CONFIG = """
name: forest
framework: sklearn
task: binary
output: probability
label: y
params: {{n_estimators: {trees}, max_depth: null, max_features: sqrt, random_state: 0}}
search: {{params: {{max_depth: [4, 8, null], max_features: [sqrt, 0.5]}}}}
"""


@dataclass(frozen=True)
class Cost:
    """What one search took: seconds, core-seconds of all workers, and of the one that took most."""

    wall: float
    cores: float
    longest: float
    board: Leaderboard


class Counted:
    """Workers whose core-seconds are read before they end."""

    def __init__(self, workers: LocalWorkers) -> None:
        self.workers = workers
        self.seconds: list[float] = []

    def run(self, tasks: Sequence[FoldTask]) -> Iterator[tuple[FoldTask, FoldScore]]:
        return self.workers.run(tasks)

    def close(self) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        for thread in Path("/proc/self/task").iterdir():
            for number in (thread / "children").read_text().split():
                # Behind the name, which may hold blanks, the 12th and 13th of the fields.
                fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
                self.seconds.append((int(fields[11]) + int(fields[12])) / ticks)
        self.workers.close()


def make_folder(place: Path, rows: int, trees: int) -> Path:
    """A model folder with a table of 20 columns."""
    inputs, labels = make_classification(rows, 20, n_informative=8, flip_y=0.1, random_state=0)
    (place / "train_data").mkdir(parents=True)
    names = ",".join([*(f"f{number}" for number in range(20)), "y"])
    table = np.column_stack([inputs, labels])
    np.savetxt(place / "train_data" / "rows.csv", table, delimiter=",", header=names, comments="")
    (place / "model_code.py").write_text(CODE)
    (place / "model_config.yml").write_text(CONFIG.format(trees=trees))
    return place


def search(folder: Path, workers: int) -> Cost:
    """Searches once, with new processes."""
    pools: list[Counted] = []

    def make_workers(work: FoldWork) -> Counted:
        pools.append(Counted(LocalWorkers(work, workers)))
        return pools[-1]

    started = time.perf_counter()
    config = read_config(folder)
    rows = read_rows(data_files(folder, config), config)
    options = SearchOptions(search=True, make_workers=make_workers)
    board = compare_candidates(folder, config, rows, options)
    wall = time.perf_counter() - started
    seconds = pools[0].seconds
    return Cost(wall, sum(seconds), max(seconds), board)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    costs: dict[int, list[Cost]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as place:
        folder = make_folder(Path(place) / "forest", arguments.rows, arguments.trees)
        print(f"load at the start: {os.getloadavg()[0]:.1f}, on {os.cpu_count()} cores")
        for _ in range(arguments.times):
            for workers, kept in costs.items():
                cost = search(folder, workers)
                kept.append(cost)
                print(
                    f"{workers} workers: {cost.wall:.1f} s, {cost.cores:.1f} core-seconds, "
                    f"{cost.longest:.1f} of one worker"
                )
    one, two = costs[1], costs[2]
    frames = [cost.board.to_pandas().drop(columns="fit_seconds") for cost in (*one, *two)]
    assert all(frame.equals(frames[0]) for frame in frames), "the figures depend on the workers"
    ratio = statistics.median(a.wall / b.wall for a, b in zip(one, two, strict=True))
    more = statistics.median(c.cores for c in two) / statistics.median(c.cores for c in one)
    best = min(cost.wall for cost in one) / min(cost.wall for cost in two)
    free = min(cost.longest for cost in one) / min(cost.longest for cost in two)
    print(f"{one[0].board.fitted} fits, two workers beside one, of {arguments.times} times each:")
    print(f"{best:.2f} x as fast by the best, {ratio:.2f} by the median; {more:.2f} x the cores")
    print(f"{free:.2f} x by the core-seconds of the worker that took most")
    return 0 if max(best, free) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
