"""The cells of an evaluation from the states that a store keeps; no row is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.core.vocabulary import EvaluationResult
from engine.evaluation.measure import Beside, measure
from engine.evaluation.shares import Spread
from engine.kinds import load_extensions
from engine.states.rows import StateRow
from engine.store.error_budget import Budget, judged_digest
from engine.store.state_reader import state_rows
from engine.store.states import StateCatalog
from engine.store.tables import StoreTables


def measure_states(
    budget: Budget,
    tables: StoreTables,
    catalog: StateCatalog,
    earlier: Sequence[EvaluationResult],
    spread: Spread | None = None,
) -> EvaluationResult:
    """The cells of an evaluation from the states that are kept.

    `earlier` are the evaluations of the run that came before this one; `spread` judges in other
    processes what is a lot.
    """
    plan = catalog.plan
    load_extensions(plan.plugins)
    alpha = budget.level(plan, judged_digest(plan, earlier))
    rows = state_rows(tables["states"], catalog)
    known = replace(beside(tables, catalog), spread=spread)
    return measure(plan, rows, alpha=alpha, earlier=earlier, beside=known)


def beside(tables: StoreTables, catalog: StateCatalog) -> Beside:
    """What the store keeps of an evaluation beside its states."""
    reference: Iterable[StateRow] = ()
    if catalog.reference is not None:
        reference = state_rows(tables["states"], catalog.reference)
    return Beside(reference, catalog.known_answers)


def budget_of(tables: StoreTables, suite: str) -> Budget:
    """The error budget that a store keeps of a suite."""
    return Budget(tables["budget"], suite)
