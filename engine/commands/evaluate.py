"""An evaluation from Python: a frame and models as they are, without a suite file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.commands.redacted import redacted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult


@redacted()
def evaluate(
    data: Any,
    models: Any,
    *,
    label: str,
    task: str,
    slices: Sequence[Any] | None = None,
    tests: Sequence[Any] | None = None,
    baseline: str | None = None,
    key: str | Sequence[str] | None = None,
    weight: str | None = None,
    store: Any = None,
    spark: SparkSession | None = None,
    **dataset: Any,
) -> RunResult:
    """Evaluates models on a frame, as a suite does.

    `result.suite` is the suite that it was, as YAML to take to a nightly job.

    Args:
        data: a frame of Spark, pandas, Polars or Arrow; a path of a Delta table, of CSV or of
            Parquet; or a suite's dataset as a mapping.
        models: by name a fitted estimator (scikit-learn, Keras, PyTorch), a function of a frame of
            the features, a model's URI, a column of the data with scores (of numbers with
            fractions) or labels, a list of columns with the scores of the classes, or what stands
            in a suite as a mapping; a fitted model in it is its `model`. One model alone, or a
            list of estimators, are called by their types.
        label: the column of the true values.
        task: binary, multiclass, regression, multilabel or ranking.
        slices: columns, lists of columns (crossed), or what stands in a suite.
        tests: names of metrics, or what stands in a suite; by default some metrics of the task,
            which must be no worse than the baseline where there is one.
        baseline: the name of the model that the others are compared with.
        key: the column or columns that identify a row; default: all columns.
        weight: the column of the rows' weights.
        store: where results, reports and the data go; default: a temporary folder of this process.
        spark: the session to use; else the frame's, the active one, or a new local one.
        dataset: other keys of a suite's dataset (`positive_label`, `features`, `cluster`,
            `sensitive`, ...), of an evaluation (`costs`, `min_slice_rows`, ...) or of a suite
            (`gate`, `confidence`, ...), as they are written there. `name` is that of all three.

    Raises:
        InputError: when an argument, a model or the data are wrong; nothing was evaluated.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    from engine.commands.notebook_run import Asked, run_asked

    asked = Asked(
        data=data,
        models=models,
        slices=slices,
        tests=tests,
        baseline=baseline,
        columns={"label": label, "task": task, "key": key, "weight": weight},
        more=dict(dataset),
    )
    return run_asked(asked, store=store, spark=spark)
