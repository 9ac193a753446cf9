"""The largest matrix: ten models x some ten thousand slices x twenty tests, and its memory.

Prints the wall-clock seconds of the whole run, its phases, and the peak memory of the driver, of
Java, of the largest worker, and of all of them at one moment (proportional set sizes: pages that
processes share count once).

    .venv/bin/python benchmarks/large_matrix.py --java-memory 2g
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow.sklearn
import psutil
import yaml
from sklearn.linear_model import LogisticRegression
from world import FEATURES, METRICS, SMALL, make_rows, quiet_session

from engine.commands.run import run
from engine.spark.session import get_session

LEVELS = {"country": 80, "device": 25, "plan": 40, "age_band": 30}
MORE = (
    "specificity",
    "negative_predictive_value",
    "false_positive_rate",
    "false_negative_rate",
    "jaccard",
    "cohen_kappa",
    "fbeta_2",
    "precision_at_threshold_0.7",
    "recall_at_threshold_0.7",
    "f1_at_threshold_0.7",
)
EVERY_SECONDS = 0.5


@contextmanager
def memory() -> Iterator[dict[str, int]]:
    """Notes the peak memory in bytes, by kind of process, of this process and all below it."""
    peak: dict[str, int] = {}
    over = threading.Event()

    def sample() -> None:
        me = psutil.Process()
        while not over.wait(EVERY_SECONDS):
            together = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    name, used = process.name(), process.memory_full_info().pss
                except psutil.Error:
                    continue
                kind = "driver" if process == me else "java" if "java" in name else "worker"
                peak[kind] = max(peak.get(kind, 0), used)
                together += used
            peak["together"] = max(peak.get("together", 0), together)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def make_models(folder: Path, count: int) -> dict[str, Path]:
    """Logistic regressions that differ in how strongly they are regularised."""
    data = make_rows(20_000, SMALL, seed=1)
    paths = {}
    for number in range(count):
        name = f"model-{number}"
        paths[name] = folder / "many" / name
        if not paths[name].exists():
            model = LogisticRegression(max_iter=200, C=10.0 ** (number / 2 - 4))
            mlflow.sklearn.save_model(
                model.fit(data[FEATURES], data["label"]),
                paths[name],
                serialization_format="cloudpickle",
                signature=mlflow.models.infer_signature(data[FEATURES], data["label"]),
            )
    return paths


def make_table(folder: Path, rows: int) -> Path:
    """A Delta table whose four columns give some ten thousand slices."""
    table = folder / f"rows-{rows}-huge"
    if not table.exists():
        files = folder / f"{table.name}.parquet"
        make_rows(rows, LEVELS).to_parquet(files, index=False)
        spark = get_session()
        spark.read.parquet(str(files)).write.format("delta").save(str(table))
        files.unlink()
    return table


def write_suite(folder: Path, table: Path, paths: dict[str, Path], chosen: int) -> Path:
    """The suite: all values of the slice columns and all pairs of the first `chosen` of them."""
    names = list(LEVELS)[:chosen]
    pairs = [[a, b] for place, a in enumerate(names) for b in names[place + 1 :]]
    evaluation = {
        "name": "bench",
        "dataset": {"delta": str(table), "task": "binary", "label": "label", "key": "id"},
        "models": [{"uri": str(path), "name": name} for name, path in paths.items()],
        "slices": ["overall", *({"by": [name]} for name in names), *({"by": p} for p in pairs)],
        "tests": [{"metric": name} for name in (*METRICS, *MORE)],
    }
    store = tempfile.mkdtemp(prefix="store-", dir=folder)
    path = folder / "large-matrix.yml"
    path.write_text(yaml.safe_dump({"name": "b", "store": store, "evaluations": [evaluation]}))
    return path


def main() -> None:
    """Runs the matrix once and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="build/bench", help="where data and models are kept")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--columns", type=int, default=len(LEVELS), help="slice columns, 1 to 4")
    parser.add_argument("--java-memory", help="Java's heap; by default a quarter of the machine's")
    chosen = parser.parse_args()
    _, folder, _ = quiet_session(chosen.folder, chosen.java_memory)
    paths = make_models(folder / "models", chosen.models)
    suite = write_suite(folder, make_table(folder, chosen.rows), paths, chosen.columns)
    with memory() as peak:
        started = time.perf_counter()
        result = run(suite)
        wall = time.perf_counter() - started
    evaluation = result.outcome.evaluations[0]
    slices = len({cell.slice.name for cell in evaluation.cells})
    print(f"{chosen.rows:,} rows, {slices:,} slices, {len(evaluation.cells):,} cells: {wall:.0f} s")
    print({name: round(value, 1) for name, value in evaluation.timings.items()})
    print({name: f"{value / 2**20:,.0f} MiB" for name, value in peak.items()})


if __name__ == "__main__":
    main()
