"""What intervals, pairs and corrections cost: the same matrix with them and without.

The kernel, the merge and the judgement run in one process, without Spark, so that nothing else is
counted: the share would be smaller beside a session's own work. Times are the processor's, the
least of several repetitions; the models' predictions cost nothing, their scores are in the data.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import pyarrow as pa
import world

from engine.core.vocabulary import (
    Condition,
    DatasetVersion,
    Dimension,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
)
from engine.evaluation.measure import measure
from engine.execution.kernel import scan
from engine.execution.kernel.merge import merge
from engine.kinds import estimates
from engine.metrics import METRICS, Problem
from engine.models import Prediction
from engine.planning import Columns, EvaluationPlan
from engine.planning.scan_columns import BUCKET_COLUMN
from engine.states import BUCKETS
from engine.states.rows import STATE_KEY, StateRow

PARTITIONS = 4
MODELS = ("one", "two", "three")
EXTRA = ("specificity", "npv", "selection_rate", "fpr", "fnr", "fdr", "jaccard", "ks_statistic",
         "gini", "balanced_accuracy")  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Processor seconds: what is not prediction, by where it goes."""

    states: float
    merge: float
    judge: float

    @property
    def total(self) -> float:
        return self.states + self.merge + self.judge


def sets(count: int) -> tuple[SliceSet, ...]:
    """The overall slice and crosses of the columns, `count` of them."""
    names = list(world.LARGE)
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    listed = [SliceSet("overall", "overall"), *(_by(name) for name in names)]
    return (*listed, *(_by(*pair) for pair in pairs))[:count]


def _by(*names: str) -> SliceSet:
    return SliceSet(" x ".join(names), "by", tuple(Dimension(name) for name in names))


def make_plan(rows: int, tests: int, slice_sets: int) -> EvaluationPlan:
    """Three models, the first of them the baseline of the others."""
    models = tuple(
        ModelVersion(
            name, name, None, name, "", "none", TaskKind.BINARY, Output.PROBABILITY, (0, 1),
            features=(name,),
        )
        for name in MODELS
    )  # fmt: skip
    metrics = list(dict.fromkeys([*world.METRICS, *EXTRA]))[:tests]
    made = sets(slice_sets)
    names = tuple(each.name for each in made)
    return EvaluationPlan(
        name="cost",
        dataset=DatasetVersion("rows", "rows", 0, "rows", rows),
        columns=Columns("label", key=("id",)),
        problem=Problem(TaskKind.BINARY, (0, 1)),
        models=models,
        baseline=models[0].name,
        slice_sets=made,
        tests=tuple(_test(metric, names) for metric in metrics),
        min_slice_rows=1,
        max_slices=10_000,
    )


def _test(metric: str, names: tuple[str, ...]) -> ModelTest:
    drop = METRICS.get(metric).higher_is_better is not False
    condition = Condition("max_drop" if drop else "max_rise", 0.02)
    return ModelTest(metric, metric, (condition,), names)


@dataclass(frozen=True)
class Scores:
    """A model whose scores stand in a column: predicting costs nothing."""

    column: str

    def predict(self, batch: pa.RecordBatch) -> Prediction:
        score = batch.column(self.column).to_numpy()
        return Prediction(np.stack([1 - score, score], axis=1), None)


def batches(rows: int) -> list[list[pa.RecordBatch]]:
    """The rows in partitions, with their scores and the bucket that Spark would hash."""
    data = world.make_rows(rows, world.LARGE)
    random = np.random.default_rng(1)
    data[BUCKET_COLUMN] = random.integers(0, BUCKETS, rows)
    known = data[world.FEATURES[:5]].to_numpy() @ np.array([1.0, -0.8, 0.6, 0.4, -0.2])
    for at, name in enumerate(MODELS):
        noisy = known + 0.3 * (at + 1) * random.normal(size=rows)
        data[name] = 1 / (1 + np.exp(-noisy))
    table = pa.Table.from_pandas(data.drop(columns=world.FEATURES), preserve_index=False)
    step = -(-rows // PARTITIONS)
    return [table.slice(at, step).to_batches(10_000) for at in range(0, rows, step)]


def run(plan: EvaluationPlan, parts: list[list[pa.RecordBatch]]) -> tuple[Cost, int]:
    """Scans, merges and judges in this process; gives the cost and the number of cells."""
    started = time.process_time()
    made = pa.Table.from_batches([out for part in parts for out in scan.scan(part, plan)])
    scanned = time.process_time()
    ordered = made.sort_by([(name, "ascending") for name in STATE_KEY])
    merged = pa.Table.from_batches(list(merge(ordered.to_batches())))
    added = time.process_time()
    columns = [field.name for field in fields(StateRow)]
    rows = [StateRow(**row) for row in merged.select(columns).to_pylist()]
    result = measure(plan, rows)
    judged = time.process_time()
    cost = Cost(scanned - started, added - scanned, judged - added)
    return cost, len(result.cells)


@contextmanager
def without_intervals() -> Iterator[None]:
    """Leaves the spreads out of the judgement."""
    known = estimates.spreads_of, estimates.comparisons_of
    estimates.spreads_of = estimates.comparisons_of = lambda *_: None  # type: ignore[assignment]
    try:
        yield
    finally:
        estimates.spreads_of, estimates.comparisons_of = known


def least(work: Callable[[], tuple[Cost, int]], times: int) -> tuple[Cost, int]:
    return min((work() for _ in range(times)), key=lambda found: found[0].total)


def compare(rows: int, times: int) -> None:
    """Prints a line of the table for each matrix on so many rows."""
    parts = batches(rows)
    for tests, slice_sets in ((1, 11), (10, 5), (10, 11), (20, 11)):
        plan = make_plan(rows, tests, slice_sets)
        alone = replace(plan, baseline=None)
        with without_intervals():
            plain, _ = least(partial(run, alone, parts), times)
        full, count = least(partial(run, plan, parts), times)
        print(_line(rows, count // (len(MODELS) * tests), tests, plain, full), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--times", type=int, default=2)
    options = parser.parse_args()
    scan.load = lambda model: Scores(model.name)  # type: ignore[assignment]
    print("| rows | slices | tests | without: states + merge + judge | with | more |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rows in options.rows:
        compare(rows, options.times)


def _line(rows: int, slices: int, tests: int, plain: Cost, full: Cost) -> str:
    more = f"{full.total / plain.total - 1:.0%}"
    parts = [f"{c.states:.1f} + {c.merge:.1f} + {c.judge:.1f} s" for c in (plain, full)]
    return f"| {rows:,} | {slices:,} | {tests} | {parts[0]} | {parts[1]} | {more} |"


if __name__ == "__main__":
    main()
