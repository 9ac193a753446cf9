"""What a metric is: a name, the states it needs, and a pure function of them.

A metric's function reads *views*: arrays whose first axis is the replicate, 0 for all rows and
1 + b for all but bucket b. It returns one number for each replicate, so that an interval for any
metric, a user's own too, needs nothing more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.registry import Registry
from engine.states import Bools, Family, Floats, Mean, MomentsView, Scored, ScoresView, States, view
from engine.vocabulary import Label, MetricValue, RowCounts, TaskKind

BINARY = frozenset({TaskKind.BINARY})
MULTICLASS = frozenset({TaskKind.MULTICLASS})
CLASSIFICATION = BINARY | MULTICLASS
REGRESSION = frozenset({TaskKind.REGRESSION})

GROUP = "evalmatrix.metrics"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is predicted: the task, the classes in the order of the scores, the positive one."""

    task: TaskKind
    classes: tuple[Label, ...] = ()
    positive: int = 1

    @property
    def n_classes(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, slots=True)
class Value:
    """A metric's numbers: [replicate], NaN where undefined.

    `undefined` names the reasons with the replicates they hold for, the first that holds counts;
    `bound` is what approximation can have cost the first replicate.
    """

    values: Floats
    undefined: tuple[tuple[str, Bools], ...] = ()
    bound: float = 0.0

    def reason(self) -> str | None:
        """Why the first replicate is undefined; None when it is a number."""
        for code, mask in self.undefined:
            if mask[0]:
                return code
        return None if np.isfinite(self.values[0]) else "undefined"


def ratio(numerator: Floats, denominator: Floats, reason: str) -> Value:
    """The quotient, undefined with `reason` where the denominator is 0."""
    zero = denominator == 0
    values = np.divide(numerator, denominator, out=np.full(zero.shape, np.nan), where=~zero)
    return Value(values, ((reason, zero),))


Function = Callable[..., Value | Floats]
Needs = Callable[[Problem], Sequence[Family]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: what it is called, where it applies, which states it reads and how.

    Attributes:
        name: the suite file's name, scikit-learn's scorer without `neg_`.
        tasks: the tasks it is defined for.
        needs: the state families it reads, for a problem.
        function: takes the problem and one view for each family; gives [replicate] numbers.
        higher_is_better: the direction; None where there is none.
        mlflow: the key under which MLflow's own evaluation writes it.
        needs_scores: whether a model that returns labels only cannot have it.
        bounds: the smallest and the largest value.
    """

    name: str
    tasks: frozenset[TaskKind]
    needs: Needs
    function: Function = field(repr=False)
    higher_is_better: bool | None = True
    mlflow: str | None = None
    needs_scores: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    summary: str = ""

    @property
    def mlflow_key(self) -> str:
        return self.mlflow or self.name

    def value(self, problem: Problem, states: SliceStates) -> MetricValue:
        """The metric on one slice; undefined is None with a reason, never a number."""
        rows = states.rows
        if rows.n == rows.unknown_labels:
            return MetricValue(None, "empty")
        if rows.bad_scores:
            return MetricValue(None, "nan_input")
        if rows.weight_sum == 0:
            return MetricValue(None, "zero_weight")
        measured = self._measured(problem, self._views(problem, states))
        reason = measured.reason()
        if reason is not None:
            return MetricValue(None, reason)
        return MetricValue(float(measured.values[0]), error_bound=float(measured.bound))

    def replicates(self, problem: Problem, states: SliceStates) -> Floats:
        """The metric with all rows, then with each bucket left out; NaN where undefined.

        Of a score histogram beyond its cap these are coarser than `value`; their differences count.
        """
        views = self._views(problem, states)
        measured = self._measured(
            problem, [each.left_out() if isinstance(each, ScoresView) else each for each in views]
        )
        values = np.array(measured.values, np.float64)
        for _, mask in measured.undefined:
            values[mask] = np.nan
        return values

    def _views(self, problem: Problem, states: SliceStates) -> list[Any]:
        return [states.view(family.key) for family in self.needs(problem)]

    def _measured(self, problem: Problem, views: Sequence[Any]) -> Value:
        with np.errstate(divide="ignore", invalid="ignore"):
            result = self.function(problem, *views)
        return result if isinstance(result, Value) else Value(np.atleast_1d(result))


class SliceStates:
    """All the states of one model on one slice, with the views that metrics read made once."""

    def __init__(self, rows: RowCounts, states: Mapping[str, States]) -> None:
        self.rows = rows
        self._states = states
        self._views: dict[str, Any] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._states

    def view(self, key: str) -> Any:
        """The view of the family `key`."""
        if key not in self._views:
            self._views[key] = view(self._states[key])
        return self._views[key]


METRICS: Registry[Metric] = Registry("metric", GROUP)


def metric(
    name: str, *, tasks: frozenset[TaskKind], needs: Needs, aliases: Sequence[str] = (), **more: Any
) -> Callable[[Function], Function]:
    """Registers a function of states as the metric `name`; `more` are fields of `Metric`."""

    def register(function: Function) -> Function:
        made = Metric(name, tasks, needs, function, **{"summary": summary_of(function), **more})
        METRICS.add(name, made, aliases=aliases)
        return function

    return register


def summary_of(function: object) -> str:
    """The first line of a docstring."""
    return (getattr(function, "__doc__", None) or "").strip().split("\n")[0]


RowLoss = Callable[[Scored, Problem], Floats]


def mean(loss: RowLoss, problem: Problem, *, name: str | None = None) -> Mean:
    """The family that keeps the moments of a loss of each row.

    Families of one name are one family, so `name` must tell apart what `loss` alone does not: a
    lambda, a partial, a function made in another.

    Raises:
        InputError: for such a loss without a name.
    """
    if name is None:
        qualname = getattr(loss, "__qualname__", "<")
        if "<" in qualname:
            raise InputError(
                f"the loss {loss!r} shares its name with others; give `mean` a name for it"
            )
        own = loss.__module__.startswith("engine.")
        name = loss.__name__ if own else f"{loss.__module__}:{qualname}"
    return Mean(name, lambda batch: loss(batch, problem))


def mean_of(problem: Problem, moments: MomentsView) -> Value:
    """The metric that is a mean over the rows."""
    return Value(moments.mean, (("zero_weight", moments.weight == 0),))


def mean_metric(
    name: str, *, tasks: frozenset[TaskKind], aliases: Sequence[str] = (), **more: Any
) -> Callable[[RowLoss], RowLoss]:
    """Registers the weighted mean of a loss of each row as the metric `name`.

    The loss takes a batch (`Scored`) and the problem, and gives float64 [rows].
    """

    def register(loss: RowLoss) -> RowLoss:
        # A user's losses are told apart by their metrics: a notebook has many a `def loss`.
        own = loss.__module__.startswith("engine.")
        family = None if own else f"{loss.__module__}:{name}"

        def needs(problem: Problem) -> tuple[Mean]:
            return (mean(loss, problem, name=family),)

        metric(name, tasks=tasks, needs=needs, aliases=aliases, summary=summary_of(loss), **more)(
            mean_of
        )
        return loss

    return register
