"""What an evaluation has to compute, given what the store keeps.

What is kept of the pinned version of the dataset is taken as it is. What is kept of another version
is brought up to date: the rows that came are added, those that went are taken away, and only these
are predicted. The rest is computed from all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.data.changes import CannotTell
from engine.execution.distribute import FrameRows, Part, PieceRows
from engine.execution.kernel.model_task import Work
from engine.execution.moved import Moved, find_by_spark, find_moved
from engine.models import UNWATCHED, Guard
from engine.planning import EvaluationPlan, Need, needs
from engine.planning.projection import select_columns
from engine.spark.lazy_session import LazySession
from engine.states.rows import PREDICTIONS
from engine.store.predictions import join_kept
from engine.store.states import Kept, Place, StateCatalog, Writer, blocks_of, missing_needs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True, slots=True)
class StatePlan:
    """How an evaluation gets its states: what it finds, what it updates, what it computes.

    Attributes:
        found: the states that are kept of this very version of the dataset.
        updated: the kept states of another version that are brought up to date.
        full: what is computed from all rows.
        base: the other version; None without one.
        moved: the rows that came and went since; None without a base.
        why: why nothing, or not all, could be reused; "" where there is nothing to say.
        scored: models of which predictions are kept, so that all rows need no inference.
        stale: the rows that came since those predictions; None where they are of this version.
        lost: what Spark would spare that processes of this machine do anew; "" for nothing.
        guard: how the scans are watched.
    """

    plan: EvaluationPlan
    found: Mapping[Place, Kept]
    updated: Mapping[Place, Kept] = field(default_factory=dict)
    full: tuple[Need, ...] = ()
    base: int | None = None
    moved: Moved | None = None
    why: str = ""
    scored: Mapping[int, Kept] = field(default_factory=dict)
    stale: Moved | None = None
    lost: str = ""
    guard: Guard = UNWATCHED

    @property
    def predictions(self) -> int:
        """How many rows will be predicted, by all models together."""
        moved = 0 if self.moved is None else self.moved.rows
        updated = [need for need in needs(self.plan) if need.place in self.updated]
        full = _predicting_models(self.plan, self.full)
        rows = self.plan.dataset.rows * self._calls(full - self.scored.keys())
        if self.stale is not None:
            rows += self.stale.rows_came * self._calls(full & self.scored.keys())
        return rows + moved * self._calls(_predicting_models(self.plan, updated))

    def _calls(self, numbers: Iterable[int]) -> int:
        """How often a row is predicted by these subjects together."""
        models = (self.plan.subjects[number].model for number in numbers)
        return sum(model.calls for model in models if model is not None)

    @property
    def reused(self) -> int:
        """How many predictions a computation of everything would take more."""
        predicting = [s.number for s in self.plan.subjects if not s.members]
        asked = self._calls(predicting) if self.plan.tests_models else 0
        return max(self.plan.dataset.rows * asked - self.predictions, 0)

    @property
    def rows(self) -> int:
        """How many rows will be read for it."""
        moved = 0 if self.moved is None else self.moved.rows
        return moved + (self.plan.dataset.rows if self.full else 0)

    @property
    def nothing_to_do(self) -> bool:
        """Whether all that is needed is kept."""
        return not self.full and not self.updated

    @property
    def blocks(self) -> dict[str, int]:
        """Into how many parts the states of a slice set go, where it is more than one."""
        return dict(self.plan.blocks) | blocks_of(self.updated) | blocks_of(self.found)

    @property
    def outputs(self) -> dict[Place, int]:
        """What the scans write, by place, with the number of its parts."""
        blocks = self.blocks
        places = [*self.updated, *(need.place for need in self.full)]
        return {place: blocks.get(place[1], 1) for place in places}

    def parts(self, given: DataFrame | PieceRows | None, *, predictions: str) -> list[Part]:
        """The scans that this takes.

        Args:
            given: all the rows of the pinned version; None where none of them is scanned.
            predictions: the table in which predictions are kept.
        """
        whole = []
        if self.full:
            assert given is not None, "all rows are scanned"
            whole = [self.whole(given, self.plan.dataset.rows, predictions=predictions)]
        return whole + self.change_parts()

    @property
    def usable_predictions(self) -> dict[int, Kept]:
        """The kept predictions by which a scan of all rows is spared a model's own."""
        predicting = _predicting_models(self.plan, self.full)
        return {number: self.scored[number] for number in predicting & self.scored.keys()}

    def whole(self, given: DataFrame | PieceRows, rows: int, *, predictions: str) -> Part:
        """The scan of what is computed from all rows, of those that are given."""
        work = Work(frozenset(need.place for need in self.full), self.blocks, guard=self.guard)
        if isinstance(given, PieceRows):
            return Part(given, rows, work)
        scan_frame, spared = select_columns(given, self.plan), self.usable_predictions
        extra: tuple[str, ...] = ()
        if spared:
            stale = None if self.stale is None else _frame_of(self.stale.came)
            scan_frame, extra = join_kept(
                scan_frame, self.plan, spared, table=predictions, stale=stale
            )
        return Part(FrameRows(scan_frame, extra), rows, work)

    def change_parts(self) -> list[Part]:
        """The scans of the rows that came and of those that went."""
        if self.moved is None:
            return []
        parts = []
        wanted, blocks, moved = frozenset(self.updated), self.blocks, self.moved
        if moved.came is not None:
            work = Work(wanted, blocks, guard=self.guard)
            parts.append(Part(moved.came, moved.rows_came, work))
        if moved.gone is not None:
            work = Work(wanted, blocks, -1, self.guard)
            parts.append(Part(moved.gone, moved.rows_gone, work))
        return parts

    def release(self) -> None:
        """Lets go of what was held to find the changes."""
        for moved in (self.moved, self.stale):
            if moved is not None:
                moved.release()

    def chains(self) -> dict[int, tuple[int, ...]]:
        """The versions at which the predictions were made that are kept anew, by model."""
        pinned, by_model = self.plan.dataset.version, {}
        for need in (need for need in needs(self.plan) if need.family == PREDICTIONS):
            before = self.updated.get(need.place)
            if before is None and any(other.place == need.place for other in self.full):
                before = self.scored.get(need.model)
                by_model[need.model] = (*(before.chain if before else ()), pinned)
            elif before is not None:
                by_model[need.model] = (*before.chain, pinned)
        return by_model


def base_note(todo: StatePlan) -> str:
    """Where what is reused comes from, or why nothing is, to go behind a number."""
    if todo.why:
        return f": {todo.why}"
    if todo.moved is not None:
        came, gone = todo.moved.rows_came, todo.moved.rows_gone
        return f", from version {todo.base}; since then {came:,} rows came and {gone:,} went"
    return ", from the same version" if todo.reused else ""


def plan_states(
    session: LazySession,
    catalog: StateCatalog,
    *,
    without: Iterable[Writer] = (),
    anew: Iterable[Place] = (),
) -> StatePlan:
    """Finds the cheapest way to the states that an evaluation needs.

    Args:
        session: is asked for where rows must be compared.
        catalog: what the store keeps.
        without: scans whose states are not to be used, because one of them was damaged.
        anew: states that cannot be brought up to date, and are computed from all rows.
    """
    plan, without = catalog.plan, set(without)
    lacking = missing_needs(catalog, without)
    usable = catalog.usable(plan.dataset.version, without)
    if not lacking:
        return StatePlan(plan, usable)
    # Predictions of this very version make any state without inference.
    scored = _predictions_in(usable)
    base, updated = _nearest(catalog, lacking, without, set(anew))
    base_predictions = {} if base is None else _predictions_in(catalog.usable(base, without))
    if base is None or not (updated or base_predictions.keys() - scored.keys()):
        return StatePlan(plan, usable, full=tuple(lacking), scored=scored)
    try:
        moved = find_moved(session, plan, base)
    except CannotTell as reason:
        why = str(reason)
        lost = why if session.is_local else ""
        whole = StatePlan(plan, usable, full=tuple(lacking), base=base, why=why, scored=scored)
        return replace(whole, lost=lost)
    if moved.rows >= plan.dataset.rows:
        moved.release()
        why = (
            f"{moved.rows_came:,} rows came and {moved.rows_gone:,} went since version {base}: "
            "to compute all is less work"
        )
        return StatePlan(plan, usable, full=tuple(lacking), base=base, why=why, scored=scored)
    full = tuple(need for need in lacking if need.place not in updated)
    changed = moved if updated else None
    simple = StatePlan(plan, usable, updated, full, base, changed, scored=scored)
    if not full or scored or not base_predictions:
        return simple
    if moved.by_pieces and not session.is_local:
        try:
            # The rows that predictions are joined to are Spark's.
            moved = find_by_spark(session.get(), plan, base)
        except CannotTell:
            return simple
    return replace(simple, moved=moved if updated else None, scored=base_predictions, stale=moved)


def read_by_spark(spark: SparkSession, todo: StatePlan) -> StatePlan:
    """The same plan, in which Spark finds the rows that came and went, and reads them."""
    if not any(side is not None and side.by_pieces for side in (todo.moved, todo.stale)):
        return todo
    assert todo.base is not None, "rows moved since a version"
    try:
        moved = find_by_spark(spark, todo.plan, todo.base)
    except CannotTell as reason:
        anew = [need for need in needs(todo.plan) if need.place in todo.updated]
        scored = todo.scored if todo.stale is None else {}
        todo = replace(todo, updated={}, full=(*todo.full, *anew), moved=None, why=str(reason))
        return replace(todo, scored=scored, stale=None)
    return replace(
        todo,
        moved=None if todo.moved is None else moved,
        stale=None if todo.stale is None else moved,
    )


def _frame_of(rows: PieceRows | FrameRows | None) -> DataFrame | None:
    """The rows of a side that Spark reads."""
    if rows is None:
        return None
    assert isinstance(rows, FrameRows), "what is joined is read by Spark"
    return rows.frame


def _predictions_in(kept: Mapping[Place, Kept]) -> dict[int, Kept]:
    """The predictions among what is kept, by model."""
    return {place[0]: state for place, state in kept.items() if place[2] == PREDICTIONS}


def _nearest(
    catalog: StateCatalog, lacking: Sequence[Need], without: set[Writer], anew: set[Place]
) -> tuple[int | None, dict[Place, Kept]]:
    """The other version that has most of what is lacking, and what can be updated from there."""
    best: tuple[int | None, dict[Place, Kept]] = (None, {})
    most = 0
    blocks = blocks_of(catalog.usable(catalog.plan.dataset.version, without))
    for version in catalog.versions:
        if version == catalog.plan.dataset.version:
            continue
        kept = catalog.usable(version, without)
        known = {
            need.place: kept[need.place]
            for need in lacking
            if need.place in kept
            and need.place not in anew
            and kept[need.place].blocks == blocks.get(need.slice_set, kept[need.place].blocks)
        }
        updatable = _updatable_states(catalog.plan, lacking, known)
        # A model's predictions are worth more than any of its states.
        worth = len(updatable) + len(catalog.needs) * len(_predictions_in(kept))
        if worth > most:
            best, most = (version, updatable), worth
    return best


def _updatable_states(
    plan: EvaluationPlan, lacking: Sequence[Need], known: Mapping[Place, Kept]
) -> dict[Place, Kept]:
    """What is worth an update: nothing of models that must predict all rows in any case."""
    predicting = _predicting_models(plan, (need for need in lacking if need.place not in known))
    return {place: state for place, state in known.items() if place[0] not in predicting}


def _predicting_models(plan: EvaluationPlan, needed: Iterable[Need]) -> set[int]:
    """The subjects that predict: those too with which others are compared row by row."""
    subjects = plan.subjects
    models: set[int] = set()
    for need in needed:
        subject = subjects[need.model]
        if subject.model is None:
            continue
        models.update(subject.members or [need.model])
        if need.paired and subject.reference is not None:
            models.add(subject.reference)
    return models
