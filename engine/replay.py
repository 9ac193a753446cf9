"""Judging a run again from the states that it kept: other demands, no data, no predictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engine import tables
from engine.budget import judged_digest
from engine.config import Evaluation, Suite, dump_suite
from engine.errors import InputError
from engine.execute import has_states, stored_states
from engine.job import budget_of, concluded, run_info
from engine.kernel import FAILURE
from engine.matrix import ANY_THRESHOLD, EvaluationPlan, check_fit, expand_tests, load_plans
from engine.measure import measure
from engine.metrics import METRICS
from engine.store import Store
from engine.vocabulary import EvaluationResult, ModelVersion, OverRuns, RunOutcome, SliceSet

# What the states of a run depend on, so that it cannot be judged otherwise.
_FIXED = ("dataset", "models", "slices", "baseline", "max_slices")

Kept = dict[tuple[int, str], set[str]]


@dataclass(frozen=True, slots=True)
class Replay:
    """A run that is judged again: where it lies, its row, the suite it had, the one it gets."""

    spark: SparkSession
    store: Store
    row: dict[str, Any]
    before: Suite
    after: Suite

    @property
    def run_id(self) -> str:
        return str(self.row["run_id"])


def rejudged(replay: Replay) -> RunOutcome:
    """The outcome of a run under another suite, from its stored states; nothing is written.

    Raises:
        InputError: when the suite differs in what the states depend on, or needs states that the
            run did not keep.
    """
    METRICS.load(replay.after.plugins)
    plans = list(_plans(replay))
    for stored, plan in plans:
        check_fit(plan)
        _check_states(replay, stored, plan)
    results: list[EvaluationResult] = []
    for stored, plan in plans:
        results.append(_result(replay, stored, plan, results))
    info = replace(run_info(replay.row, replay.store), suite_resolved=dump_suite(replay.after))
    # The run took the time it took, whenever it is judged.
    finished = replay.row["finished_at"] or replay.row["started_at"]
    return concluded(replay.after, info, results, finished.astimezone(dt.UTC))


def _plans(replay: Replay) -> Iterator[tuple[EvaluationPlan, EvaluationPlan]]:
    """Each plan as it was run, and as it is judged now."""
    before = {each.name: each for each in replay.before.evaluations}
    after = {each.name: each for each in replay.after.evaluations}
    stored = {plan.name: plan for plan in load_plans(str(replay.row["evaluations"]))}
    unknown = sorted(after.keys() - stored.keys())
    if unknown:
        raise InputError(
            f"the run {replay.run_id!r} has no evaluation {unknown[0]!r}; it has "
            f"{', '.join(map(repr, stored))}; run the suite to evaluate it"
        )
    for name, evaluation in after.items():
        _check_same(replay.run_id, before[name], evaluation)
        yield stored[name], _judged_by(replay.after, evaluation, stored[name])


def _check_same(run_id: str, before: Evaluation, after: Evaluation) -> None:
    for part in _FIXED:
        if getattr(before, part) != getattr(after, part):
            raise InputError(
                f"evaluation {after.name!r}: {part} differs from what the run {run_id!r} was made "
                "with; judging again can change tests, costs, levels and the gate; run the suite "
                f"to change {part}"
            )


def _judged_by(suite: Suite, evaluation: Evaluation, plan: EvaluationPlan) -> EvaluationPlan:
    problem = replace(plan.problem, costs=evaluation.costs)
    return replace(
        plan,
        problem=problem,
        tests=expand_tests(evaluation.tests, problem),
        min_slice_rows=evaluation.min_slice_rows,
        plugins=suite.plugins,
        confidence=suite.confidence,
        correction=suite.false_alarms.within,
        over_runs=suite.false_alarms.over_runs,
    )


def _check_states(replay: Replay, stored: EvaluationPlan, plan: EvaluationPlan) -> None:
    """Refuses tests whose states the run did not keep, all of them at once."""
    table = replay.store.table("states")
    if not has_states(replay.spark, plan.name, table=table, run_id=replay.run_id):
        raise InputError(
            f"the run {replay.run_id!r} has no states of the evaluation {plan.name!r}; complete it "
            f"with `evalmatrix run SUITE.yml --resume {replay.run_id}`"
        )
    found = lacking(stored, plan, _kept(replay, stored))
    if found:
        listed = "; ".join(f"test {name!r} needs {what}" for name, what in found.items())
        raise InputError(
            f"evaluation {plan.name!r}: the run {replay.run_id!r} did not keep the states for "
            f"{listed}; run the suite to compute them"
        )


def lacking(stored: EvaluationPlan, plan: EvaluationPlan, kept: Kept) -> dict[str, str]:
    """What was not kept of what a plan reads, by the test that needs it."""
    scanned = {each.name: each for each in stored.scanned_sets}
    without: dict[str, str] = {}
    for slice_set in plan.scanned_sets:
        for number, model in enumerate(plan.models):
            wanted = {family.key: family for family in plan.families(slice_set, model)}
            pairs = {family.key for family in plan.pair_families(slice_set, model)}
            # Of what failed there are no states, and nothing to wait for.
            failed = kept.get((number, ""), set())
            had = kept.get((number, slice_set.name), set()) | failed
            if "" in failed:
                continue
            # What was asked for and is not there had no usable row.
            asked = _asked(stored, scanned.get(slice_set.name), model)
            for test in plan.tests_reading(slice_set):
                metric = METRICS.get(test.metric_at(ANY_THRESHOLD))
                keys = {each.key for each in metric.families(plan.problem, compared=metric.against)}
                missing = sorted(keys & (wanted.keys() | pairs) - had - asked)
                # A set that was scanned and has no states has no rows; another was never scanned.
                rows = had or slice_set.name not in scanned or _has_rows(kept, slice_set.name)
                if missing and rows:
                    without[test.name] = f"{', '.join(missing)} on the slices by {slice_set.name!r}"
    return without


def _asked(stored: EvaluationPlan, of: SliceSet | None, model: ModelVersion) -> set[str]:
    """The families that a run was to keep of a model on a slice set."""
    if of is None:
        return set()
    own = {family.key for family in stored.families(of, model)}
    return own | {family.key for family in stored.pair_families(of, model)}


def _has_rows(kept: Kept, set_name: str) -> bool:
    """Whether any model has states on a slice set."""
    return any(name == set_name for _, name in kept)


def _kept(replay: Replay, plan: EvaluationPlan) -> Kept:
    """The families that the run kept, by model and slice set; of failures the failed families."""
    table = replay.store.table("states")
    failure = F.col("family") == FAILURE
    rows = (
        tables.read(replay.spark, table)
        .where((F.col("run_id") == replay.run_id) & (F.col("evaluation") == plan.name))
        .select(
            "model",
            F.when(failure, "").otherwise(F.col("slice_set")).alias("place"),
            F.when(failure, F.col("slice_key")).otherwise(F.col("family")).alias("family"),
        )
        .distinct()
        .collect()
    )
    kept: Kept = {}
    for row in rows:
        kept.setdefault((row.model, row.place), set()).add(row.family)
    return kept


def _result(
    replay: Replay,
    stored: EvaluationPlan,
    plan: EvaluationPlan,
    earlier: Sequence[EvaluationResult],
) -> EvaluationResult:
    table = replay.store.table("states")
    rows = stored_states(replay.spark, plan, table=table, run_id=replay.run_id)
    alpha = None
    if plan.over_runs is not OverRuns.NONE:
        # The run's own share of the budget: to look again costs nothing and gains nothing.
        budget = budget_of(replay.spark, replay.store, replay.before.name)
        before = replace(stored, over_runs=plan.over_runs)
        alpha = budget.level(before, judged_digest(before, earlier))
    return measure(plan, rows, alpha=alpha, earlier=earlier)
