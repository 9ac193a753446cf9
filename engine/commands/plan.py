"""`evalmatrix plan`: the pinned matrix and its scans, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.redacted import discreet
from engine.core.locations import Store
from engine.execution.incremental import Steps, steps
from engine.planning import EvaluationPlan
from engine.planning import planner as preparing
from engine.planning.model_finder import ModelFinder, short_waits
from engine.planning.suites import read_suite
from engine.spark.session import get_session
from engine.store.states import take_stock

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True)
class PlannedEvaluation:
    """One evaluation as it would run, with about how many slices and cells it has."""

    plan: EvaluationPlan
    slices: int
    steps: Steps

    @property
    def cells(self) -> int:
        """About how many cells: slices x tests x models, where every test is on every slice."""
        return self.slices * len(self.plan.tests) * len(self.plan.models)

    @property
    def predictions(self) -> int:
        """How many rows will be predicted, by all models together."""
        return self.steps.predictions

    @property
    def reused(self) -> int:
        """How many predictions are spared by what the store keeps."""
        return self.steps.reused


@discreet()
def plan(
    suite: str | Path,
    *,
    overrides: Sequence[str] = (),
    spark: SparkSession | None = None,
) -> list[PlannedEvaluation]:
    """The pinned matrix and the scans it takes, one for each evaluation; nothing is predicted.

    Raises:
        InputError: when the suite or its inputs are wrong.
    """
    loaded = read_suite(suite, tuple(overrides))
    store = Store(loaded.store)
    store.check_writable()
    short_waits()
    finder = ModelFinder(loaded)
    try:
        session = spark or get_session(log_file=store.log_file)
        prepared = [
            preparing.prepare(session, loaded, each, finder=finder) for each in loaded.evaluations
        ]
    finally:
        finder.stop()
    return [_planned(session, store, each, reuse=loaded.reuse) for each in prepared]


def _planned(
    spark: SparkSession, store: Store, of: preparing.Prepared, *, reuse: bool
) -> PlannedEvaluation:
    stock = take_stock(spark, of.plan, table=store.table("states"), run_id="")
    if not reuse:
        stock.forget_others()
    todo = steps(spark, stock)
    todo.release()
    return PlannedEvaluation(of.plan, of.slices, todo)
