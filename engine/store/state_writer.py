"""Writes states into their table, each scan of a run once."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engine.errors import StoreError, WorkerDiedError
from engine.planning import EvaluationPlan
from engine.spark import table_errors, tables
from engine.states.rows import STATES_VERSION

# How Spark says that the process is gone in which the kernel ran.
_DIED = re.compile("Python worker exited unexpectedly|ExecutorLostFailure")

# Of the columns by which states are looked up; each commit of a table lists those of its files.
_LOOKED_UP = ("run_id", "evaluation", "step", "dataset_id", "dataset_version", "model_digest")
_STATISTICS = {"delta.dataSkippingStatsColumns": ",".join(_LOOKED_UP)}


@dataclass(frozen=True, slots=True)
class Target:
    """Where the states of a run are written; `step` tells the scans of one evaluation apart."""

    table: str
    run_id: str
    now: dt.datetime
    step: str = ""


def store_states(states: DataFrame, plan: EvaluationPlan, target: Target) -> None:
    """Runs the scan and writes its states, once for a run, evaluation and step.

    Raises:
        DataError: when a worker met data it cannot take.
        WorkerDiedError: when a model, or something else, has ended a worker's Python.
        StoreError: when the dataset's files are gone or damaged, or the states cannot be written.
    """
    about = states.select(
        F.lit(target.run_id).alias("run_id"),
        F.lit(plan.name).alias("evaluation"),
        F.lit(target.step).alias("step"),
        F.lit(plan.dataset.name).alias("dataset"),
        F.lit(plan.dataset.table_id).alias("dataset_id"),
        F.lit(plan.dataset.version).cast("long").alias("dataset_version"),
        _model_digest(plan).alias("model_digest"),
        *states.columns,
        F.lit(STATES_VERSION).alias("schema_version"),
        F.lit(target.now).cast("timestamp").alias("created_at"),
    )
    # By its repr, so that no name and step are another name.
    token = f"states {target.run_id} {plan.name!r} {target.step}".rstrip()
    try:
        tables.append_once(about, target.table, token=token, options=_STATISTICS, long=True)
    except StoreError as error:
        cause = error.__cause__
        if _DIED.search(str(cause)):
            raise WorkerDiedError(
                f"evaluation {plan.name!r}: a Python worker of Spark died, though each model was "
                "in a process of its own; most likely the machine's memory ran out"
            ) from cause
        if isinstance(cause, Exception) and table_errors.reads_data(cause, target.table):
            named = f"evaluation {plan.name!r}: dataset {plan.dataset.name!r}"
            raise table_errors.read_error(cause, named, under_way=True) from cause
        raise


def _model_digest(plan: EvaluationPlan) -> Column:
    digests = F.array(*[F.lit(model.digest) for model in plan.models])
    return F.element_at(digests, F.col("model") + 1)
