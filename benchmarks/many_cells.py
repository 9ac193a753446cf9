"""What a cell costs the driver: judging, results, report, JUnit and MLflow, layer by layer.

The states of a table's slices are made in this process and kept in a file; then all that comes
behind them is done as a run does it, without Spark. Prints for each layer its process time in
seconds, the same for 100,000 cells, and the peak memory; and the SHA-256 of what was written, by
which two checkouts are compared.

    .venv/bin/python benchmarks/many_cells.py --models 3 --columns 3 --demand
"""

from __future__ import annotations

import argparse
import cProfile
import datetime as dt
import gc
import hashlib
import pstats
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.feather as feather
from large_matrix import LEVELS, MORE, make_models
from one_process import LABEL, OVERALL, Asked, Bench, added, scan_table, scanned
from world import FEATURES, METRICS, make_rows

from engine.commands.outcome import conclude_run, send
from engine.core.collector import collector_paused
from engine.core.locations import Store
from engine.core.vocabulary import Dimension, ModelVersion, RunInfo, SliceSet, TaskKind
from engine.evaluation.measure import measure
from engine.models import ModelRequest, resolve
from engine.models.mlflow_tables import make_database
from engine.planning import EvaluationPlan
from engine.planning.suites import read_suite
from engine.sinks import github, junit, report
from engine.spark.lazy_session import LazySession
from engine.states.rows import StateRow
from engine.store.results import write_parquet, write_results
from engine.store.tables import StoreTables
from engine.suite import Suite

T = TypeVar("T")

STARTED = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
RUN_ID = "many-cells"
# With --demand: limits that some slices break. Where more is better, it is a least and a margin.
LESS = {
    "log_loss": 0.5,
    "brier_score": 0.17,
    "false_positive_rate": 0.3,
    "false_negative_rate": 0.3,
}
LEAST, DROP = 0.7, 0.02


@dataclass(slots=True)
class Layers:
    """The process time of each layer, in seconds."""

    profile: cProfile.Profile | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    collecting: float = 0.0

    def watch(self, phase: str, about: object) -> None:
        """Notes what Python's collector takes, as one of its callbacks."""
        self.collecting += time.process_time() * (-1 if phase == "start" else 1)

    def take(self, name: str, work: Callable[[], T]) -> T:
        """Does the work of a layer, and notes what it took."""
        started = time.process_time()
        if self.profile is not None:
            self.profile.enable()
        result = work()
        if self.profile is not None:
            self.profile.disable()
        self.seconds[name] = time.process_time() - started
        return result

    def lines(self, cells: int) -> Iterator[str]:
        """A table of the layers."""
        whole = {**self.seconds, "together": sum(self.seconds.values())}
        yield "| layer | seconds | for 100,000 cells |"
        yield "| --- | --- | --- |"
        for name, seconds in whole.items():
            yield f"| {name} | {seconds:.2f} | {seconds / cells * 100_000:.2f} |"


def models_of(folder: Path, count: int) -> list[ModelVersion]:
    """Models of the largest matrix, resolved as a run does."""
    return [
        replace(
            resolve(
                ModelRequest(
                    uri=str(path),
                    task=TaskKind.BINARY,
                    tracking_uri="",
                    cache_dir=folder / "cache",
                    name=name,
                    features=FEATURES,
                )
            ),
            classes=(0, 1),
        )
        for name, path in make_models(folder, count).items()
    ]


def asked(metric: str, *, demand: bool) -> Asked:
    """A test as a suite has it."""
    if not demand:
        return {"metric": metric}
    if metric in LESS:
        return {"metric": metric, "max": LESS[metric]}
    return {"metric": metric, "min": LEAST, "max_drop": DROP}


def plan_of(models: list[ModelVersion], rows: int, columns: int, *, demand: bool) -> EvaluationPlan:
    """The matrix: all values of the first slice columns and all their pairs."""
    names = list(LEVELS)[:columns]
    crosses = [*((name,) for name in names), *combinations(names, 2)]
    sets = (OVERALL, *(SliceSet(" x ".join(c), "by", tuple(map(Dimension, c))) for c in crosses))
    listed = [asked(metric, demand=demand) for metric in (*METRICS, *MORE)]
    plan = Bench(models, table_of(100)).plan(*listed)
    on_sets = tuple(slice_set.name for slice_set in sets)
    return replace(
        plan,
        name="bench",
        dataset=replace(plan.dataset, rows=rows),
        baseline=plan.baseline if demand else None,
        slice_sets=sets,
        tests=tuple(replace(test, slice_sets=on_sets) for test in plan.tests),
        min_slice_rows=30,
        max_slices=100_000,
    )


def table_of(rows: int) -> Any:
    """Rows of the largest matrix."""
    return make_rows(rows, LEVELS).rename(columns={"id": "key", "label": LABEL})


def states_of(plan: EvaluationPlan, rows: int, folder: Path) -> list[StateRow]:
    """The states of the matrix, made once."""
    path = folder / f"{plan.digest[:16]}-{rows}.feather"
    if not path.exists():
        states = added(scanned(plan, scan_table(table_of(rows), 0), 100_000))
        columns = {name: [getattr(row, name) for row in states] for name in StateRow.__slots__}
        columns["payload"] = pa.array(columns["payload"], pa.large_binary())
        feather.write_feather(pa.table(columns), path)
    return [StateRow(**row) for row in feather.read_table(path).to_pylist()]


def suite_of(folder: Path) -> Suite:
    """A suite for the rules of the gate, and what MLflow is told."""
    evaluation = {
        "name": "bench",
        "dataset": {"delta": "./rows", "task": "binary", "label": LABEL, "key": "key"},
        "models": [{"uri": "./model", "name": "model"}],
        "slices": ["overall"],
        "tests": [{"metric": "accuracy"}],
    }
    return read_suite({"name": "bench", "store": str(folder), "evaluations": [evaluation]})


def work_through(plan: EvaluationPlan, states: list[StateRow], folder: Path, layers: Layers) -> int:
    """All layers behind the states; gives how many cells there are."""
    make_database(str(Store(str(folder)).tracking_uri))
    suite = suite_of(folder)
    info = RunInfo(RUN_ID, suite.name, STARTED, str(folder), "", {})
    store = Store(str(folder))
    table = StoreTables(store, LazySession())["results"]
    report_folder = store.report_folder(RUN_ID)
    report_folder.mkdir(parents=True)
    ended = STARTED + dt.timedelta(minutes=1)
    result = layers.take("judge", lambda: measure(plan, states))
    layers.take("results table", lambda: write_results(table, result, info))
    outcome = layers.take("gates", lambda: conclude_run(suite, info, [result], ended))
    with collector_paused():
        # As `write_report` does, which writes all of these.
        layers.take("report", lambda: report.write(outcome, report_folder))
        layers.take("JUnit", lambda: junit.write(outcome, report_folder / "junit.xml"))
        layers.take("summary", lambda: github.write(outcome, report_folder / "summary.md"))
        parquet = report_folder / "results.parquet"
        layers.take("Parquet", lambda: write_parquet(outcome.cells, info, parquet))
    layers.take("MLflow", lambda: send(outcome, suite, store, store.tracking_uri))
    return len(result.cells)


def main() -> None:
    """Works through the layers once and prints what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="build/bench", help="where models and states are kept")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--columns", type=int, default=3, help="slice columns, 1 to 4")
    parser.add_argument("--demand", action="store_true", help="limits and a baseline")
    parser.add_argument("--profile", metavar="FILE", help="a profile of all layers, for pstats")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = Path(chosen.folder).absolute()
    models = models_of(folder / "models", chosen.models)
    plan = plan_of(models, chosen.rows, chosen.columns, demand=chosen.demand)
    states = states_of(plan, chosen.rows, folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    layers = Layers(cProfile.Profile() if chosen.profile else None)
    gc.callbacks.append(layers.watch)
    with tempfile.TemporaryDirectory(prefix="cells-", dir=folder) as store:
        cells = work_through(plan, states, Path(store), layers)
        digests = {
            path.name: hashlib.sha256(path.read_bytes().replace(store.encode(), b"")).hexdigest()
            for path in sorted(Store(store).report_folder(RUN_ID).iterdir())
            if path.is_file()
        }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{cells:,} cells", *layers.lines(cells), sep="\n")
    print(f"of it collecting garbage: {layers.collecting:.2f} seconds")
    print(f"peak memory: {peak / 1024:,.0f} MiB, before the layers {before / 1024:,.0f} MiB")
    for name, digest in digests.items():
        print(f"{digest[:16]}  {name}")
    if layers.profile is not None:
        pstats.Stats(layers.profile).dump_stats(chosen.profile)


if __name__ == "__main__":
    main()
