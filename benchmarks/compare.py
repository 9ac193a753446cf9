"""The same cells by other tools: scikit-learn by hand, MLflow, Fairlearn, and Spark SQL by hand.

Each is given the same rows, models, slices and metrics, after a run of evalmatrix has warmed the
session. What would take hours is done for a few slices and multiplied; the table says so. Fairlearn
is measured where it is installed. None of the others gives intervals.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from run import ALL, ORACLES, slice_masks
from world import FEATURES, METRICS, Size, levels, make_rows, make_table, quiet_session, slice_rules
from world import write_suite as suite_of

from engine.commands.run import run
from engine.spark.session import get_session


@dataclass(frozen=True)
class Task:
    """What every tool is given."""

    size: Size
    folder: Path
    paths: dict[str, Path]

    @property
    def columns(self) -> list[list[str]]:
        """The columns of each slice set but the overall one."""
        rules = slice_rules(self.size.slices)[1:]
        return [rule["by"] for rule in rules if isinstance(rule, dict)]

    def rows(self) -> pd.DataFrame:
        return make_rows(self.size.rows, levels(self.size.slices))

    @property
    def cells(self) -> int:
        masks = slice_masks(make_rows(20_000, levels(self.size.slices)), self.size.slices)
        return len(masks) * len(self.paths) * self.size.tests


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    into.append(time.perf_counter() - started)


def scores_of(data: pd.DataFrame, path: Path) -> np.ndarray:
    scores: np.ndarray = mlflow.sklearn.load_model(str(path)).predict_proba(data[FEATURES])[:, 1]
    return scores


def by_mask(task: Task, names: Sequence[str], part: int, parts: int) -> int:
    """A process of scikit-learn: its share of the slices, with all models; gives the cells."""
    data = task.rows()
    truth = data["label"].to_numpy()
    masks = slice_masks(data, task.size.slices)[part::parts]
    for path in task.paths.values():
        scores = scores_of(data, path)
        for mask, name in itertools.product(masks, names):
            ORACLES[name](truth[mask], scores[mask])
    return len(masks) * len(names) * len(task.paths)


def scikit_learn(task: Task) -> tuple[float, str]:
    """Two processes that share the slices; each predicts all rows, as nothing is shared."""
    taken: list[float] = []
    names = METRICS[: task.size.tests]
    with ProcessPoolExecutor(2) as pool, timed(taken):
        list(pool.map(by_mask, [task] * 2, [names] * 2, (0, 1), (2, 2)))
    made: list[float] = []
    with timed(made):
        task.rows()
    return taken[0] - made[0], "two processes; their making of the data taken off"


def mlflow_evaluate(task: Task, sample: int = 2) -> tuple[float, str]:
    """`mlflow.models.evaluate_plan` of each model on each slice, for a few slices."""
    data = task.rows()
    masks = slice_masks(data, task.size.slices)
    chosen = masks[1 : 1 + sample]
    taken: list[float] = []
    mlflow.set_tracking_uri(f"sqlite:///{task.folder / 'evaluate.db'}")
    path = next(iter(task.paths.values()))
    with mlflow.start_run(), timed(taken):
        for mask in chosen:
            mlflow.models.evaluate(
                f"file://{path}",
                data.loc[mask, [*FEATURES, "label"]],
                targets="label",
                model_type="classifier",
                evaluator_config={"log_model_explainability": False, "log_explainer": False},
            )
    times = len(masks) * len(task.paths) / len(chosen)
    return taken[0] * times, f"{len(chosen)} slices of {len(masks)}, times {times:.0f}"


def fairlearn(task: Task, sample: int = 3) -> tuple[float, str]:
    """A MetricFrame for each slice set and model, for a few sets and one model."""
    from fairlearn.metrics import MetricFrame

    data = task.rows()
    truth = data["label"].to_numpy()
    path = next(iter(task.paths.values()))
    predicting: list[float] = []
    with timed(predicting):
        scores = scores_of(data, path)
    named = {name: ORACLES[name] for name in METRICS[: task.size.tests]}
    sets = task.columns
    chosen = [sets[0], *sets[-(sample - 1) :]]
    taken: list[float] = []
    with timed(taken):
        for columns in chosen:
            frame = MetricFrame(
                metrics=named, y_true=truth, y_pred=scores, sensitive_features=data[columns]
            )
            assert len(frame.by_group)
    whole = taken[0] * len(sets) / len(chosen) + predicting[0]
    return whole * len(task.paths), f"{len(chosen)} sets of {len(sets)} and one model, multiplied"


def spark_sql(task: Task) -> tuple[float, str]:
    """`spark_udf` once for each model, held in memory, and a query for each slice set."""
    spark = get_session()
    taken: list[float] = []
    with timed(taken):
        frame = spark.read.format("delta").load(make_table(spark, task.folder, task.size))
        for name, path in task.paths.items():
            predict = mlflow.pyfunc.spark_udf(
                spark, str(path), result_type="double", env_manager="local"
            )
            frame = frame.withColumn(name, predict(*FEATURES))
        held = frame.persist()
        for columns in ([], *task.columns):
            for name in task.paths:
                by_sql(held, columns, name).collect()
        held.unpersist()
    return taken[0], "labels only: no score reaches it, so log loss, Brier and areas are missing"


def by_sql(frame: DataFrame, columns: Sequence[str], model: str) -> DataFrame:
    """What SQL makes of predicted labels: counts, and the metrics of counts."""

    def count(true: int, predicted: int) -> Column:
        return F.count_if((F.col("label") == true) & (F.round(model) == predicted))

    counts = frame.groupBy(*columns).agg(
        count(1, 1).alias("tp"), count(0, 1).alias("fp"), count(1, 0).alias("fn"),
        count(0, 0).alias("tn"),
    )  # fmt: skip
    tp, fp, fn, tn = (F.col(name).cast("double") for name in ("tp", "fp", "fn", "tn"))
    recall, precision = tp / (tp + fn), tp / (tp + fp)
    return counts.select(
        *columns,
        ((tp + tn) / (tp + fp + fn + tn)).alias("accuracy"),
        precision.alias("precision"),
        recall.alias("recall"),
        (2 * tp / (2 * tp + fp + fn)).alias("f1"),
        ((recall + tn / (tn + fp)) / 2).alias("balanced_accuracy"),
    )


def ours(task: Task) -> tuple[float, float]:
    """The wall-clock seconds of a whole run, and of its evaluation without the sinks."""
    spark = get_session()
    suite = suite_of(task.folder, make_table(spark, task.folder, task.size), task.paths, task.size)
    taken: list[float] = []
    with timed(taken):
        result = run(suite)
    return taken[0], result.outcome.evaluations[0].timings["seconds"]


TOOLS: dict[str, Callable[[Task], tuple[float, str]]] = {
    "scikit-learn on a mask for each slice": scikit_learn,
    "mlflow.models.evaluate for each slice": mlflow_evaluate,
    "Fairlearn's MetricFrame for each slice set": fairlearn,
    "spark_udf and SQL for each slice set": spark_sql,
}


def main() -> None:
    """Runs evalmatrix and the others, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="build/bench", help="where data and models are kept")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--slices", choices=("small", "large"), default="small")
    parser.add_argument("--only", default="", help="only the tools whose name has this text")
    chosen = parser.parse_args()
    _, folder, paths = quiet_session(chosen.folder)
    task = Task(Size(chosen.rows, ALL, chosen.slices, 10), folder, paths)
    ours(task)
    wall, evaluation = ours(task)
    print(f"{task.size.rows:,} rows, {len(paths)} models, {task.cells:,} cells")
    print("| tool | seconds | evalmatrix is faster by | remark |")
    print("| --- | --- | --- | --- |")
    print(f"| evalmatrix, with every sink | {wall:.1f} | | of it evaluation {evaluation:.1f} |")
    for name, tool in TOOLS.items():
        if chosen.only not in name or (tool is fairlearn and find_spec("fairlearn") is None):
            continue
        seconds, remark = tool(task)
        print(f"| {name} | {seconds:.1f} | {seconds / wall:.1f}x | {remark} |", flush=True)


if __name__ == "__main__":
    main()
