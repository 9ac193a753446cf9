"""The error budget of a suite: how sure a failure must be, given all that was judged before.

A suite that runs every night would raise a false alarm sooner or later, however few each night
has. An online procedure gives each evaluation of each run its share of one budget; what it has
spent, and what it found, is kept in the store. The same tests on the same states are judged once:
repeating them spends nothing and changes nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from engine.core.vocabulary import EvaluationResult, OverRuns
from engine.planning import EvaluationPlan
from engine.statistics import PastTest, next_level
from engine.store.tables import StoreTable
from engine.store.turns import turn

BUDGET_SCHEMA = pa.schema(
    [
        ("suite", pa.string()),
        ("evaluation", pa.string()),
        ("run_id", pa.string()),
        ("judged", pa.string()),
        ("p_value", pa.float64()),
        ("alpha", pa.float64()),
        ("rejected", pa.bool_()),
        ("judged_at", pa.timestamp("us", tz="UTC")),
        ("method", pa.string()),
        ("level", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one evaluation was judged at, by the digest of what was judged, and what it found."""

    judged: str
    p: float
    alpha: float
    rejected: bool


def judged_digest(plan: EvaluationPlan, earlier: Sequence[EvaluationResult]) -> str:
    """The digest of what is judged: tests and states, and the thresholds chosen before."""
    named = {test.threshold.evaluation for test in plan.tests if test.threshold is not None}
    chosen = [sorted(result.thresholds.items()) for result in earlier if result.name in named]
    about = f"{plan.judging_digest} {chosen}" if named else plan.judging_digest
    return hashlib.sha256(about.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Budget:
    """The error budget of a suite, in a Delta table of the store."""

    table: StoreTable
    suite: str

    def level(self, plan: EvaluationPlan, judged: str) -> float | None:
        """The share of false alarms for an evaluation; None where no budget is kept.

        `judged` is the digest of what is judged, see `judged_digest`.
        """
        if plan.over_runs is OverRuns.NONE:
            return None
        past = self._past(plan)
        known = next((spent.alpha for spent in past if spent.judged == judged), None)
        return self._next(plan, past) if known is None else known

    def spend(self, plan: EvaluationPlan, result: EvaluationResult, key: tuple[str, str]) -> None:
        """Keeps what an evaluation was judged at, once for the same tests on the same states.

        `of` is the run's id and the digest of what was judged.
        """
        run_id, judged = key
        if plan.over_runs is OverRuns.NONE:
            return
        if any(spent.judged == judged for spent in self._past(plan)):
            return
        row = {
            "suite": self.suite,
            "evaluation": plan.name,
            "run_id": run_id,
            "judged": judged,
            "p_value": result.p_value,
            "alpha": result.alpha,
            "rejected": result.rejected,
            "judged_at": dt.datetime.now(dt.UTC),
            "method": plan.over_runs.value,
            "level": 1 - plan.confidence,
        }
        rows = pa.Table.from_pylist([row], BUDGET_SCHEMA)
        self.table.append_once(rows, token=f"budget {run_id} {plan.name}")

    @contextmanager
    def turn(self, plan: EvaluationPlan) -> Iterator[None]:
        """Lets no other process spend of the budget while the block judges, see `store.turns`."""
        if plan.over_runs is OverRuns.NONE:
            yield
            return
        # Not the table's own lock, which the block takes to write.
        with turn(self.table.store, "budget-turn"):
            yield

    def _past(self, plan: EvaluationPlan) -> list[Spent]:
        """What was judged before by the same procedure at the same level, which is one budget."""
        if not self.table.exists():
            return []
        past = [
            row
            for row in self.table.rows(where=[("suite", "=", self.suite)]).to_pylist()
            if (row["method"], row["level"]) == (plan.over_runs.value, 1 - plan.confidence)
        ]
        past.sort(key=lambda row: (row["judged_at"], row["run_id"], row["evaluation"]))
        return [Spent(row["judged"], row["p_value"], row["alpha"], row["rejected"]) for row in past]

    @staticmethod
    def _next(plan: EvaluationPlan, past: Sequence[Spent]) -> float:
        tests = [PastTest(spent.p, spent.alpha, spent.rejected) for spent in past]
        return next_level(tests, level=1 - plan.confidence, method=plan.over_runs.value)
