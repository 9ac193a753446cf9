"""The losses that add up: what a row costs, by a metric that is the mean of it."""

from __future__ import annotations

import numpy as np

from engine.core.vocabulary import TaskKind
from engine.errors import InputError
from engine.fields.wording import suggestion
from engine.metrics import METRICS, Problem, mean
from engine.states import Floats, Mean, Scored

ERROR_RATE = "error_rate"
_USUAL = {
    TaskKind.BINARY: ERROR_RATE,
    TaskKind.MULTICLASS: ERROR_RATE,
    TaskKind.REGRESSION: "mean_absolute_error",
    TaskKind.MULTILABEL: "hamming_loss",
}


def wrong_label(batch: Scored, problem: Problem) -> Floats:
    """1 where the predicted class is not the true one."""
    return np.asarray(batch.predicted != batch.truth, np.float64)


def usual_loss(task: TaskKind) -> str | None:
    """The loss of a task where a test names none; None where rows have no loss of their own."""
    return _USUAL.get(task)


def loss_family(name: str, problem: Problem) -> Mean:
    """The loss of each row by its metric's name.

    Raises:
        InputError: for a metric that is no mean of the rows' losses, or better higher.
    """
    if name == ERROR_RATE:
        return mean(wrong_label, problem)
    metric = METRICS.get(name)
    families = metric.needs(problem)
    if len(families) == 1 and isinstance(families[0], Mean) and not metric.against:
        if metric.higher_is_better is False:
            return families[0]
        raise InputError(f"{name!r} is better higher; expected a loss, {_losses(problem)}")
    raise InputError(f"{name!r} is no mean of what each row loses; expected {_losses(problem)}")


def _losses(problem: Problem) -> str:
    """Losses that a task has, in words."""
    names = [
        metric.name
        for metric in METRICS
        if problem.task in metric.tasks and metric.higher_is_better is False and metric.many
        and not metric.against
    ]  # fmt: skip
    known = []
    for name in names:
        families = METRICS.get(name).needs(problem)
        if len(families) == 1 and isinstance(families[0], Mean):
            known.append(name)
    usual = usual_loss(problem.task)
    return suggestion("", list(dict.fromkeys([*([usual] if usual else []), *known])))
