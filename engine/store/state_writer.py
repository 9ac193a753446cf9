"""Writes states into their table, each scan of a run once.

Where they are small they come to the driver, which measures from them next, and are written from
there; large ones stay with the workers.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from engine.errors import StoreError, WorkerDiedError
from engine.pieces.opening import UnreadableError
from engine.planning import EvaluationPlan
from engine.spark import table_errors
from engine.spark.api import F, pyspark
from engine.states.rows import MERGED_SCHEMA, STATES_VERSION
from engine.store.tables import StoreTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


SMALL_BYTES = 128 * 2**20
"""As many bytes of states as the driver takes at once."""

# How Spark says that the process is gone in which the kernel ran.
_UNREADABLE = re.compile(r"(?:UnreadableError|DamagedFileError|UnreachableError): ([^\n]+)")
_DIED = re.compile("Python worker exited unexpectedly|ExecutorLostFailure")

# Of the columns by which states are looked up; each commit of a table lists those of its files.
_LOOKED_UP = ("run_id", "evaluation", "step", "dataset_id", "dataset_version", "model_digest")
_STATISTICS = {"delta.dataSkippingStatsColumns": ",".join(_LOOKED_UP)}

Later = Callable[[Callable[[], None]], None]


def now(action: Callable[[], None]) -> None:
    """Does what could be done later."""
    action()


@dataclass(frozen=True, slots=True)
class Target:
    """Where the states of a run are written; `step` tells the scans of one evaluation apart."""

    table: StoreTable
    run_id: str
    now: dt.datetime
    step: str = ""


def store_states(
    states: DataFrame, plan: EvaluationPlan, target: Target, *, later: Later = now
) -> pa.Table | None:
    """Runs the scan and writes its states, once for a run, evaluation and step.

    Args:
        states: the merged states.
        plan: the evaluation that they are of.
        target: where they go.
        later: is given the write of states that are small, to be done beside other work.

    Returns:
        The states, in no order, where they are small; None where they are in the table only.

    Raises:
        DataError: when a worker met data it cannot take.
        WorkerDiedError: when a model, or something else, has ended a worker's Python.
        StoreError: when the dataset's files are gone or damaged, or the states cannot be written.
    """
    if target.table.folder is None and not target.table.is_direct:
        try:
            _append(states, plan, target)
        except StoreError as error:
            raise _scan_error(error, plan, target) from error.__cause__
        return None
    kept = states.persist(pyspark.StorageLevel.DISK_ONLY)
    try:
        rows = _collect(kept) if target.table.is_direct else None
        if rows is not None:
            later(lambda: write_rows(rows, plan, target))
            return rows
        # Computed first: no other writer of the table waits for that.
        kept.count()
        _append(kept, plan, target)
        return None
    except Exception as error:
        instead = _scan_error(error, plan, target)
        if instead is error:
            raise
        raise instead from error
    finally:
        kept.unpersist()


def _collect(states: DataFrame) -> pa.Table | None:
    """The states, where they are small."""
    size = states.agg(F.sum(F.length("payload"))).collect()[0][0] or 0
    if size > SMALL_BYTES:
        return None
    return states.select(*MERGED_SCHEMA.names).toArrow().cast(MERGED_SCHEMA)


def write_rows(rows: pa.Table, plan: EvaluationPlan, target: Target) -> None:
    """Writes merged states that the driver has, once for a run, evaluation and step."""
    subjects = plan.subjects
    digests = [subjects[number].digest for number in rows["model"].to_pylist()]
    count = rows.num_rows

    def repeat(value: object, kind: pa.DataType) -> pa.Array:
        return pa.array([value] * count, kind)

    text, number = pa.string(), pa.int64()
    columns = {
        "run_id": repeat(target.run_id, text),
        "evaluation": repeat(plan.name, text),
        "step": repeat(target.step, text),
        "dataset": repeat(plan.dataset.name, text),
        "dataset_id": repeat(plan.dataset.table_id, text),
        "dataset_version": repeat(plan.dataset.version, number),
        "model_digest": pa.array(digests, text),
        **{name: rows[name] for name in MERGED_SCHEMA.names},
        "schema_version": repeat(STATES_VERSION, pa.int32()),
        "created_at": repeat(target.now, pa.timestamp("us", tz="UTC")),
    }
    target.table.append_once(pa.table(columns), token=_token(plan, target), properties=_STATISTICS)


def _append(states: DataFrame, plan: EvaluationPlan, target: Target) -> None:
    digests = F.array(*[F.lit(subject.digest) for subject in plan.subjects])
    about = states.select(
        F.lit(target.run_id).alias("run_id"),
        F.lit(plan.name).alias("evaluation"),
        F.lit(target.step).alias("step"),
        F.lit(plan.dataset.name).alias("dataset"),
        F.lit(plan.dataset.table_id).alias("dataset_id"),
        F.lit(plan.dataset.version).cast("long").alias("dataset_version"),
        F.element_at(digests, F.col("model") + 1).alias("model_digest"),
        *states.columns,
        F.lit(STATES_VERSION).alias("schema_version"),
        F.lit(target.now).cast("timestamp").alias("created_at"),
    )
    token = _token(plan, target)
    target.table.append_frame_once(about, token=token, options=_STATISTICS)


def _token(plan: EvaluationPlan, target: Target) -> str:
    # By its repr, so that no name and step are another name.
    return f"states {target.run_id} {plan.name!r} {target.step}".rstrip()


def _scan_error(error: Exception, plan: EvaluationPlan, target: Target) -> Exception:
    """What ended a scan or the write of its states, in a user's words."""
    path = target.table.path
    cause = error.__cause__ if isinstance(error, StoreError) else error
    if _DIED.search(str(cause)):
        return WorkerDiedError(
            f"evaluation {plan.name!r}: a Python worker of Spark died, though each model was "
            "in a process of its own; most likely the machine's memory ran out"
        )
    if unreadable := _UNREADABLE.search(str(cause)):
        return UnreadableError(unreadable[1])
    if isinstance(cause, Exception) and table_errors.reads_data(cause, path):
        named = f"evaluation {plan.name!r}: dataset {plan.dataset.name!r}"
        return table_errors.read_error(cause, named, under_way=True)
    return table_errors.unwritten(path, error)
