"""`evalmatrix plan`: the pinned matrix and its scans, without running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.audit_trail import note_act
from engine.commands.redacted import redacted
from engine.core.locations import Store
from engine.data.personal import Look
from engine.execution.incremental import StatePlan, base_note, plan_states
from engine.execution.roads import road_text, settle_executor
from engine.kinds import kind_of
from engine.planning import EvaluationPlan, questions
from engine.planning.model_finder import ModelFinder, short_waits
from engine.planning.planner import Prepared, prepare
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession
from engine.store.audit import Act
from engine.store.reach import check_store
from engine.store.states import find_states
from engine.store.tables import StoreTables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True)
class PlannedEvaluation:
    """One evaluation as it would run, with about how many slices and cells it has.

    `kept` are the tests that ask beside the scan, and of which the store has all answers. `road`
    says how the rows reach the workers, and why; "" where none is read. `personal` are columns that
    look personal and of which the suite says nothing.
    """

    plan: EvaluationPlan
    slices: int
    steps: StatePlan
    reference: StatePlan | None = None
    kept: frozenset[str] = frozenset()
    road: str = ""
    personal: tuple[Look, ...] = ()

    @property
    def cells(self) -> int:
        """About how many cells: slices x tests x models, where every test is on every slice.

        A test of variants has one for each, one of the data none for a model.
        """
        subjects = self.plan.subjects
        asked = [(test, subject) for test in self.plan.tests for subject in subjects]
        return self.slices * sum(self.plan.is_about(*pair) for pair in asked)

    @property
    def costs(self) -> list[tuple[str, str]]:
        """What tests cost beside the scan, by their names."""
        setting = self.plan.setting
        told = [(test.name, kind_of(test).cost(test, setting)) for test in self.plan.tests]
        spared = dict.fromkeys(self.kept, "; its answers are kept")
        return [(name, f"{cost}{spared.get(name, '')}") for name, cost in told if cost]

    @property
    def predictions(self) -> int:
        """How many rows will be predicted, by all models together."""
        beside = 0 if self.reference is None else self.reference.predictions
        return self.steps.predictions + beside

    @property
    def rows(self) -> int:
        """How many rows will be read, those of a reference among them."""
        return self.steps.rows + (0 if self.reference is None else self.reference.rows)

    @property
    def reused(self) -> int:
        """How many predictions are spared by what the store keeps."""
        return self.steps.reused

    @property
    def reuse_note(self) -> str:
        """Where what is reused comes from, or why nothing is, to go behind the number."""
        return base_note(self.steps)


@redacted()
def plan(
    suite: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    spark: SparkSession | None = None,
) -> list[PlannedEvaluation]:
    """Pins the matrix and finds the scans it takes, one for each evaluation; predicts nothing.

    Args:
        suite: the suite file, or what stands in one as a mapping.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        spark: the session to use.

    Raises:
        InputError: when the suite or its inputs are wrong.
    """
    loaded = read_suite(suite, tuple(overrides))
    store = Store(loaded.store)
    check_store(store)
    short_waits()
    tables = StoreTables(
        store, LazySession(spark, executor=loaded.executor, log_file=store.log_file)
    )
    finder = ModelFinder(loaded)
    try:
        # No row is scanned, so no session is begun before somebody asks for it.
        prepared = prepare(tables.session, loaded, finder=finder, scans=False)
    finally:
        finder.stop()
    if tables.session.is_undecided:
        settle_executor(tables, [item.plan for item in prepared], run_id="", reuse=loaded.reuse)
    planned = [_plan_evaluation(tables, item, reuse=loaded.reuse) for item in prepared]
    rows = sum(evaluation.rows for evaluation in planned)
    note_act(tables, Act("plan", loaded.name, about={"rows_to_read": rows}))
    return planned


def _plan_evaluation(tables: StoreTables, prepared: Prepared, *, reuse: bool) -> PlannedEvaluation:
    catalog = find_states(tables["states"], prepared.plan, run_id="")
    if not reuse:
        catalog.forget_others()
    todo = plan_states(tables.session, catalog)
    todo.release()
    road = road_text(tables.session, todo)
    beside = None
    if catalog.reference is not None:
        beside = plan_states(tables.session, catalog.reference)
        beside.release()
    unknown = {question.place for question in catalog.open_questions}
    kept = frozenset(
        name
        for name, asked in questions(prepared.plan).items()
        if unknown.isdisjoint(question.place for question in asked)
    )
    personal = prepared.personal
    return PlannedEvaluation(
        prepared.plan, prepared.slices, todo, beside, kept, road=road, personal=personal
    )
