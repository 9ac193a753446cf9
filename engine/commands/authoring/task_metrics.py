"""The metrics of a task, the first of them the one that decides, and what knows nothing scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from engine.commands.authoring.figures import HALF_WIDTHS, Figure
from engine.commands.authoring.wishes import Situation
from engine.core.vocabulary import TaskKind
from engine.metrics import METRICS


@dataclass(frozen=True, slots=True)
class LabelShares:
    """What of the labels decides how well a model does that knows no row from another."""

    shares: tuple[float, ...]
    positive: float
    deviation: float
    absolute: float


Trivial = Callable[[LabelShares], float]


@dataclass(frozen=True, slots=True)
class TaskMetric:
    """A metric, and the value of a model that gives each row the same answer."""

    name: str
    trivial: float

    @property
    def is_better_higher(self) -> bool:
        return METRICS.get(self.name).higher_is_better is True

    def headroom(self, figure: Figure) -> float:
        """How much better than knowing nothing a value is; 0 where it is not."""
        gap = figure.value - self.trivial
        return max(gap if self.is_better_higher else -gap, 0.0)

    def decides(self, figure: Figure, headroom: float) -> bool:
        """Whether a model that knows nothing would surely fail two half widths below a value.

        Its interval, as wide as this one, lies beyond the limit as a whole.
        """
        return 0 < (HALF_WIDTHS + 1) * figure.width <= headroom


def _entropy(label: LabelShares) -> float:
    return -sum(share * math.log(share) for share in label.shares if share > 0)


def _f1_of_all(label: LabelShares) -> float:
    return 2 * label.positive / (1 + label.positive)


def _f1_macro(label: LabelShares) -> float:
    largest = max(label.shares)
    return 2 * largest / (1 + largest) / len(label.shares)


_OF_SCORES: dict[TaskKind, dict[str, Trivial]] = {
    TaskKind.BINARY: {"roc_auc": lambda label: 0.5, "log_loss": _entropy},
    TaskKind.MULTICLASS: {"log_loss": _entropy},
}
_OF_ALL: dict[TaskKind, dict[str, Trivial]] = {
    TaskKind.BINARY: {"accuracy": lambda label: max(label.shares), "f1": _f1_of_all},
    TaskKind.MULTICLASS: {"accuracy": lambda label: max(label.shares), "f1_macro": _f1_macro},
    TaskKind.REGRESSION: {
        "mean_absolute_error": lambda label: label.absolute,
        "root_mean_squared_error": lambda label: label.deviation,
        "r2": lambda label: 0.0,
    },
}
_FIRST = {TaskKind.BINARY: ("roc_auc", "accuracy"), TaskKind.MULTICLASS: ("accuracy",)}
_ON_SLICES = {
    TaskKind.BINARY: ("roc_auc", "accuracy"),
    TaskKind.MULTICLASS: ("accuracy",),
    TaskKind.REGRESSION: ("mean_absolute_error",),
}


def task_metrics(situation: Situation) -> list[TaskMetric]:
    """The metrics of the task that the models have, the one that decides first."""
    task, label = situation.roles.task, _label_shares(situation)
    own = dict(_OF_ALL[task])
    if situation.gives_scores:
        own |= _OF_SCORES.get(task, {})
    first = next((name for name in _FIRST.get(task, ()) if name in own), next(iter(own)))
    names = [first, *(name for name in own if name != first)]
    return [TaskMetric(name, own[name](label)) for name in names]


def slice_metrics(situation: Situation) -> list[TaskMetric]:
    """The metrics that are looked at on slices, the preferred one first."""
    by_name = {metric.name: metric for metric in task_metrics(situation)}
    wanted = _ON_SLICES[situation.roles.task]
    return [by_name[name] for name in wanted if name in by_name]


def _label_shares(situation: Situation) -> LabelShares:
    column = situation.table.columns[situation.roles.label]
    rows = max(sum(count for _, count in column.values), 1)
    shares = tuple(count / rows for _, count in column.values) or (1.0,)
    positive = situation.roles.positive_label
    of_positive = [
        count / rows for value, count in column.values if positive is not None and value == positive
    ]
    spread = situation.spread
    return LabelShares(
        shares,
        of_positive[0] if of_positive else shares[-1],
        spread.deviation if spread else 0.0,
        spread.absolute if spread else 0.0,
    )
