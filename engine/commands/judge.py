"""Judging a run again from the states that it kept: other demands, no data, no predictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.audit_trail import trail
from engine.commands.outcome import conclude_run, look_back
from engine.commands.redacted import redacted
from engine.commands.run_result import RunResult
from engine.commands.stored_runs import find_finished_run, open_store, run_info
from engine.core.locations import DEFAULT_STORE
from engine.core.vocabulary import EvaluationResult, OverRuns, RunOutcome
from engine.errors import InputError
from engine.evaluation.measure import measure
from engine.evaluation.stored import beside, budget_of
from engine.kinds import (
    Contrast,
    Query,
    kind_of,
    known_bins,
    load_extensions,
    pin_bins,
    pin_test,
    trivial_of,
)
from engine.planning import (
    EvaluationPlan,
    Need,
    Question,
    check_fit,
    code_of,
    expand_tests,
    load_plans,
)
from engine.planning.suites import read_suite, stored_suite
from engine.planning.trivial import pin_trivial
from engine.states.rows import ROWS
from engine.store.audit import Act
from engine.store.error_budget import judged_digest
from engine.store.state_reader import state_rows
from engine.store.states import StateCatalog, check_complete, find_states, missing_needs
from engine.store.tables import StoreTables
from engine.suite import Evaluation, Suite, dump_suite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What the states of a run depend on, so that it cannot be judged otherwise.
_FIXED = ("dataset", "reference", "models", "slices", "baseline", "max_slices")


@dataclass(frozen=True, slots=True)
class Replay:
    """A run that is judged again: where it lies, its row, the suite it had, the one it gets."""

    tables: StoreTables
    row: dict[str, Any]
    before: Suite
    after: Suite

    @property
    def run_id(self) -> str:
        return str(self.row["run_id"])


def judge_again(replay: Replay) -> RunOutcome:
    """The outcome of a run under another suite, from its stored states; nothing is written.

    Raises:
        InputError: when the suite differs in what the states depend on, or needs states that the
            run did not keep.
    """
    load_extensions(replay.after.plugins)
    plans = list(_plans(replay))
    catalogs = []
    for stored, plan in plans:
        check_fit(plan)
        catalogs.append(_catalog(replay, stored, plan))
    results: list[EvaluationResult] = []
    for (stored, _), catalog in zip(plans, catalogs, strict=True):
        results.append(_result(replay, stored, catalog, results))
    info = replace(
        run_info(replay.row, replay.tables.store), suite_resolved=dump_suite(replay.after)
    )
    # The run took the time it took, whenever it is judged.
    finished = replay.row["finished_at"] or replay.row["started_at"]
    outcome = conclude_run(replay.after, info, results, finished.astimezone(dt.UTC))
    return look_back(replay.tables, outcome)


def _plans(replay: Replay) -> Iterator[tuple[EvaluationPlan, EvaluationPlan]]:
    """Each plan as it was run, and as it is judged now."""
    before = {entry.name: entry for entry in replay.before.evaluations}
    after = {entry.name: entry for entry in replay.after.evaluations}
    stored = {plan.name: plan for plan in load_plans(str(replay.row["evaluations"]))}
    unknown = sorted(after.keys() - stored.keys())
    if unknown:
        raise InputError(
            f"the run {replay.run_id!r} has no evaluation {unknown[0]!r}; it has "
            f"{', '.join(map(repr, stored))}; run the suite to evaluate it"
        )
    for name, evaluation in after.items():
        _check_same(replay.run_id, before[name], evaluation)
        yield stored[name], _revised_plan(replay.after, evaluation, stored[name])


def _check_same(run_id: str, before: Evaluation, after: Evaluation) -> None:
    for part in _FIXED:
        if getattr(before, part) != getattr(after, part):
            raise InputError(
                f"evaluation {after.name!r}: {part} differs from what the run {run_id!r} was made "
                "with; judging again can change tests, costs, levels and the gate; run the suite "
                f"to change {part}"
            )


def _revised_plan(suite: Suite, evaluation: Evaluation, plan: EvaluationPlan) -> EvaluationPlan:
    problem = replace(plan.problem, costs=evaluation.costs)
    plan = replace(plan, problem=problem)
    # What the first look at the data has found of them.
    spreads = {k: v for t in plan.tests for k, v in kind_of(t).known_spreads(t).items()}
    ranges = {k: v for t in plan.tests for k, v in kind_of(t).known_ranges(t).items()}
    values = {k: v for t in plan.tests for k, v in kind_of(t).known_values(t).items()}
    tests = expand_tests(evaluation.tests, plan.setting)
    bins = known_bins(plan.tests, tests)
    pinned, _ = pin_bins([pin_test(test, spreads, values, ranges) for test in tests], bins)
    judged = replace(
        plan,
        tests=pinned,
        min_slice_rows=evaluation.min_slice_rows,
        plugins=suite.plugins,
        confidence=suite.confidence,
        correction=suite.false_alarms.within,
        over_runs=suite.false_alarms.over_runs,
    )
    # Its states have the numbers that they were written under.
    judged = pin_trivial(replace(judged, numbered=plan.subject_order))
    judged = replace(judged, code=code_of(judged))
    if plan.reference is None:
        return judged
    judged = judged.beside(plan.reference.dataset)
    if judged.reference is None:
        return judged
    reference = replace(judged.reference, numbered=plan.reference.subject_order)
    return replace(judged, reference=reference)


def _catalog(replay: Replay, stored: EvaluationPlan, plan: EvaluationPlan) -> StateCatalog:
    """What is kept for a plan; refuses tests whose states are not, all of them at once."""
    states = replay.tables["states"]
    before = find_states(states, stored, run_id=replay.run_id)
    check_complete(states, before)
    catalog = find_states(states, plan, run_id=replay.run_id)
    unmet = unmet_needs(plan, missing_needs(catalog))
    if plan.reference is not None and catalog.reference is not None:
        unmet |= unmet_needs(plan.reference, missing_needs(catalog.reference))
    unmet |= {question.test.name: _asked_text(question) for question in catalog.open_questions}
    unmet |= {
        test.name: f"the trivial model {kind!r}"
        for test in plan.tests
        for kind in trivial_of(test)
        if kind not in plan.trivial_numbers(test)
    }
    if unmet:
        listed = "; ".join(f"test {name!r} needs {what}" for name, what in unmet.items())
        raise InputError(
            f"evaluation {plan.name!r}: the run {replay.run_id!r} did not keep the states for "
            f"{listed}; run the suite to compute them"
        )
    return catalog


def _asked_text(question: Question) -> str:
    what = type(question.content)
    word = "query" if what is Query else "contrast" if issubclass(what, Contrast) else "probe"
    return f"the answer to the {word} on the slices by {question.slice_set.name!r}"


def unmet_needs(plan: EvaluationPlan, absent: Sequence[Need]) -> dict[str, str]:
    """What is absent of what a plan's tests cannot do without, by the test that needs it."""
    without: dict[str, set[str]] = {}
    subjects = plan.subjects
    for slice_set in plan.scanned_sets:
        here = [need for need in absent if need.slice_set == slice_set.name]
        for test in plan.tests_reading(slice_set):
            own = {*kind_of(test).state_keys(test, plan.problem), ROWS}
            # What a test's subjects lack, or that with which they are compared.
            about = {s.number for s in subjects if plan.is_about(test, s)}
            about |= {
                s.reference
                for s in subjects
                if s.number in about and s.variant is not None and s.reference is not None
            }
            about |= set(plan.trivial_numbers(test).values())
            families = {need.family for need in here if need.model in about}
            for family in sorted(families & own):
                what = f"{family} on the slices by {slice_set.name!r}"
                without.setdefault(test.name, set()).add(what)
    return {name: ", ".join(sorted(what)) for name, what in without.items()}


def _result(
    replay: Replay,
    stored: EvaluationPlan,
    catalog: StateCatalog,
    earlier: Sequence[EvaluationResult],
) -> EvaluationResult:
    plan = catalog.plan
    rows = state_rows(replay.tables["states"], catalog)
    alpha = None
    if plan.over_runs is not OverRuns.NONE:
        # The run's own share of the budget: to look again costs nothing and gains nothing.
        budget = budget_of(replay.tables, replay.before.name)
        before = replace(stored, over_runs=plan.over_runs)
        alpha = budget.level(before, judged_digest(before, earlier))
    return measure(plan, rows, alpha=alpha, earlier=earlier, beside=beside(replay.tables, catalog))


@redacted()
def judge(
    run: str = "latest",
    *,
    store: str = DEFAULT_STORE,
    suite: str | Path | None = None,
    overrides: Sequence[str] = (),
    spark: SparkSession | None = None,
) -> RunResult:
    """Judges a run again from its stored states: no data is read, and no row predicted.

    Args:
        run: the run's id, or `latest`.
        store: the store's root.
        suite: a suite file with other tests, thresholds or levels; default: the run's own.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        spark: the session to use.

    Raises:
        InputError: when there is no such run, when the suite differs in more than what is
            demanded, or when it needs states that the run did not keep.
    """
    tables = open_store(store, spark)
    run_row = find_finished_run(tables, run)
    before = stored_suite(str(run_row["suite_resolved"]))
    if suite is None:
        after = stored_suite(str(run_row["suite_resolved"]), overrides)
    else:
        after = read_suite(suite, tuple(overrides))
    act = Act("judge", str(run_row["suite"]), str(run_row["run_id"]))
    with trail(tables, act) as acts:
        outcome = judge_again(Replay(tables, run_row, before, after))
        acts[0] = replace(act, outcome=outcome.gate.outcome.value)
    return RunResult(outcome, tables.store, "", judged_into=Path())
