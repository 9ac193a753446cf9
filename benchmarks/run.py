"""Rows x models x slices x tests: how close a run is to the models' own time.

For each size, in one warm session: wall-clock seconds of a whole run, the core-seconds of all its
processes, the share of them that went into the models' predictions, and the ratio to one process
that predicts once and calls scikit-learn on a mask for each slice.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
import psutil
from rich.console import Console
from rich.table import Table
from sklearn import metrics
from world import FEATURES, METRICS, Size, make_rows, make_table, quiet_session, write_suite
from world import levels as levels_of

from engine.commands.run import run
from engine.spark.session import get_session

ALL = ("logistic", "boosting", "forest")
SIZES = (
    Size(200_000, ALL, "small", 10),
    Size(200_000, ALL, "overall", 10),
    Size(200_000, ALL, "large", 10),
    Size(200_000, ALL, "small", 1),
    Size(200_000, ("forest",), "small", 10),
    Size(200_000, ("logistic",), "small", 10),
    Size(1_000_000, ALL, "small", 10),
)

Score = Callable[[np.ndarray, np.ndarray], float]

ORACLES: dict[str, Score] = {
    "accuracy": lambda y, p: metrics.accuracy_score(y, p > 0.5),
    "precision": lambda y, p: metrics.precision_score(y, p > 0.5),
    "recall": lambda y, p: metrics.recall_score(y, p > 0.5),
    "f1": lambda y, p: metrics.f1_score(y, p > 0.5),
    "balanced_accuracy": lambda y, p: metrics.balanced_accuracy_score(y, p > 0.5),
    "matthews_corrcoef": lambda y, p: metrics.matthews_corrcoef(y, p > 0.5),
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "log_loss": lambda y, p: metrics.log_loss(y, p, labels=[0, 1]),
    "brier_score": metrics.brier_score_loss,
}


def core_seconds() -> float:
    """What this process and all its children (the JVM, Spark's workers) have used so far.

    A process that has ended is counted with the parent that waited for it.
    """
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def by_hand(size: Size, paths: dict[str, Path]) -> float:
    """Seconds of one process: predict once with each model, then scikit-learn for each slice."""
    data = make_rows(size.rows, levels_of(size.slices))
    models = [mlflow.sklearn.load_model(str(paths[name])) for name in size.models]
    started = time.perf_counter()
    truth = data["label"].to_numpy()
    masks = list(slice_masks(data, size.slices))
    for model in models:
        scores = model.predict_proba(data[FEATURES])[:, 1]
        for mask, name in itertools.product(masks, METRICS[: size.tests]):
            ORACLES[name](truth[mask], scores[mask])
    return time.perf_counter() - started


def slice_masks(data: pd.DataFrame, slices: str) -> list[np.ndarray]:
    """A mask for each slice: overall, each value, each pair of values that occurs."""
    masks = [np.ones(len(data), bool)]
    if slices == "overall":
        return masks
    names = list(levels_of(slices))
    for columns in [*((n,) for n in names), *itertools.combinations(names, 2)]:
        keys = data[list(columns)].agg("|".join, axis=1) if len(columns) > 1 else data[columns[0]]
        values = keys.to_numpy()
        masks.extend(values == value for value in pd.unique(values))
    return masks


def measure(size: Size, folder: Path, paths: dict[str, Path], *, hand: bool) -> list[str]:
    """One row of the table."""
    spark = get_session()
    suite = write_suite(folder, make_table(spark, folder, size), paths, size)
    before, started = core_seconds(), time.perf_counter()
    result = run(suite)
    wall, cores = time.perf_counter() - started, core_seconds() - before
    evaluation = result.outcome.evaluations[0]
    predicting = evaluation.timings["predict_seconds"]
    slices = len({cell.slice.name for cell in evaluation.cells})
    ratio = f"{by_hand(size, paths) / wall:.1f}x" if hand else "-"
    return [
        f"{size.rows:,}",
        ", ".join(size.models),
        f"{slices:,}",
        str(size.tests),
        f"{wall:.1f}",
        f"{evaluation.timings['seconds']:.1f}",
        f"{cores:.1f}",
        f"{predicting:.1f}",
        f"{100 * predicting / cores:.0f} %",
        ratio,
    ]


def main() -> None:
    """Runs the sizes and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="build/bench", help="where data and models are kept")
    parser.add_argument("--rows", type=int, help="only this number of rows, in every size")
    parser.add_argument("--no-hand", action="store_true", help="leave the comparison out")
    chosen = parser.parse_args()
    spark, folder, paths = quiet_session(chosen.folder)
    sizes = [Size(chosen.rows or size.rows, size.models, size.slices, size.tests) for size in SIZES]
    # The first pass of a session pays for imports and for the JVM's warming up.
    warm = sizes[0]
    run(write_suite(folder, make_table(spark, folder, warm), paths, warm))
    table = Table(box=None)
    for name in ("rows", "models", "slices", "tests", "wall s", "of it evaluation", "core s"):
        table.add_column(name, justify="right")
    for name in ("predicting s", "share", "by hand / wall"):
        table.add_column(name, justify="right")
    for size in dict.fromkeys(sizes):
        row = measure(size, folder, paths, hand=not chosen.no_hand)
        print("\t".join(row), flush=True)
        table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
