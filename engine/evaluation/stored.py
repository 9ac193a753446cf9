"""The cells of an evaluation from the states that a store keeps; no row is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.core.vocabulary import EvaluationResult
from engine.evaluation.measure import measure
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
) -> EvaluationResult:
    """The cells of an evaluation from the states that are kept.

    `earlier` are the evaluations of the run that came before this one.
    """
    plan = catalog.plan
    load_extensions(plan.plugins)
    alpha = budget.level(plan, judged_digest(plan, earlier))
    rows = state_rows(tables["states"], catalog)
    return measure(
        plan, rows, alpha=alpha, earlier=earlier, reference=reference_rows(tables, catalog)
    )


def reference_rows(tables: StoreTables, catalog: StateCatalog) -> Iterator[StateRow]:
    """The states of an evaluation's reference dataset; none where it has none."""
    if catalog.reference is not None:
        yield from state_rows(tables["states"], catalog.reference)


def budget_of(tables: StoreTables, suite: str) -> Budget:
    """The error budget that a store keeps of a suite."""
    return Budget(tables["budget"], suite)
