"""What the steps of a run cost: from its clock, its evaluations and what Spark tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.commands.context import RunContext
from engine.core.stopwatch import Step
from engine.core.vocabulary import EvaluationResult, StepCost


def step_costs(
    context: RunContext, results: Sequence[EvaluationResult] = ()
) -> tuple[StepCost, ...]:
    """The steps of a run that are over, in the order of their ends, each with what it took.

    What the workers' Python took is known of an evaluation as a whole, where its states were
    computed by this run.
    """
    timings = {result.name: result.timings for result in results}
    return tuple(
        _step_cost(context, step, timings.get(step.evaluation, {}))
        for step in tuple(context.clock.steps)
    )


def _step_cost(context: RunContext, step: Step, timings: Mapping[str, float]) -> StepCost:
    cost = step.cost
    spilled = context.usage.spills(cost.jobs)
    of_workers = timings if step.kind == "evaluation" else {}
    return StepCost(
        step.kind,
        step.name,
        step.evaluation,
        (step.ended - step.started) / 1e9,
        cost.cpu_seconds,
        cost.peak_bytes,
        cost.jvm_cpu_seconds,
        cost.jvm_peak_bytes,
        None if spilled is None else spilled.task_cpu_seconds,
        of_workers.get("worker_cpu_seconds"),
        _whole(of_workers.get("worker_peak_bytes")),
        None if spilled is None else spilled.memory,
        None if spilled is None else spilled.disk,
        None if spilled is None else spilled.failed_tasks,
        step.rows,
        _whole(of_workers.get("predictions")),
        step.failure,
        step.road,
    )


def _whole(amount: float | None) -> int | None:
    return None if amount is None else int(amount)
