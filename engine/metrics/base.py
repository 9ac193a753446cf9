"""What a metric is: a name, the states it needs, and a pure function of them.

A metric's function reads *views*: arrays whose first axis is the replicate, 0 for all rows and
1 + b for all but bucket b. It returns one number for each replicate, so that an interval for any
metric, a user's own too, needs nothing more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from engine.core.registry import Registry
from engine.core.vocabulary import Label, MetricValue, RowCounts, TaskKind
from engine.errors import InputError
from engine.metrics.basis import Averaged, Basis, Counted, Map
from engine.states import (
    Bools,
    Family,
    Floats,
    Mean,
    MomentsView,
    PairedMean,
    PairFamily,
    Scored,
    ScoresView,
    States,
    ValuesView,
    view,
)
from engine.statistics import Figures

BINARY = frozenset({TaskKind.BINARY})
MULTICLASS = frozenset({TaskKind.MULTICLASS})
CLASSIFICATION = BINARY | MULTICLASS
REGRESSION = frozenset({TaskKind.REGRESSION})
RANKING = frozenset({TaskKind.RANKING})
MULTILABEL = frozenset({TaskKind.MULTILABEL})

GROUP = "evalmatrix.metrics"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is predicted: the task, the classes in the order of the scores, the positive one.

    `costs` is what a row of a true class (first axis) costs when another is predicted, where the
    suite says so.
    """

    task: TaskKind
    classes: tuple[Label, ...] = ()
    positive: int = 1
    costs: tuple[tuple[float, ...], ...] = ()

    @property
    def n_classes(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, slots=True)
class Value:
    """A metric's numbers: [replicate], NaN where undefined.

    `undefined` names the reasons with the replicates they hold for, the first that holds counts;
    `bound` is what approximation can have cost the first replicate. `basis` is what an interval
    can rest on better than on the replicates, after `map` where the value is a function of it.
    `support` is the number of rows that the value rests on in the scarcest class, from which
    an interval comes where the value is at its bound and nothing spreads. `detail` adds to
    the reason. `centre` is, where chance alone pushes the values one way, what is left of them
    without that: an interval lies around it, and its replicates are those of the metric.

    Of many slices at once all arrays have one axis more, that of the slices, before the others.
    """

    values: Floats
    undefined: tuple[tuple[str, Bools], ...] = ()
    bound: Figures = 0.0
    basis: Basis | None = None
    map: Map | None = None
    support: Figures | None = None
    detail: str | None = None
    centre: Floats | None = None

    def reason(self) -> str | None:
        """Why the first replicate is undefined; None when it is a number."""
        for code, mask in self.undefined:
            if mask[0]:
                return code
        return None if np.isfinite(self.values[0]) else "undefined"

    def replicates(self) -> Floats:
        """The numbers of all replicates that an interval lies around, NaN where undefined."""
        values = np.array(self.values if self.centre is None else self.centre, np.float64)
        for _, mask in self.undefined:
            values[mask] = np.nan
        return values


def ratio(
    numerator: Floats,
    denominator: Floats,
    reason: str,
    *,
    squares: tuple[Figures, Figures] | None = None,
) -> Value:
    """The quotient, undefined with `reason` where the denominator is 0.

    With `squares`, the sums of squared weights of the numerator's rows and of the denominator's
    other rows, it is a share of rows, and has the interval of one.
    """
    zero = denominator == 0
    values = np.divide(numerator, denominator, out=np.full(zero.shape, np.nan), where=~zero)
    basis = None
    if squares is not None:
        basis = Counted(numerator[..., 0], denominator[..., 0], *squares)
    return Value(values, ((reason, zero),), basis=basis)


Function = Callable[..., Value | Floats]
Needs = Callable[[Problem], Sequence[Family | PairFamily]]
Pairs = Callable[[Problem], Sequence[PairFamily]]


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
        bounds: the smallest and the largest value; an interval stays within them.
        intervals: whether it has one at all; of a maximum none is known.
        against: whether it compares two versions; then the baseline itself has no value.
        of_baseline: the states of the baseline that it reads besides, after its own.
        paired: the states by which two versions are compared row by row, where the value is a mean
            over rows or a share of them; others are compared bucket by bucket.
        hits_of: for a share of hits, the true classes of the rows that it is a share of.
        many: whether the function takes views of many slices too, whose arrays have an axis
            [slice] before the others, and gives [slice, replicate]: written with `...` it does.
            Others are called slice by slice, which costs several times as much. It reads
            confusions, moments and at most one histogram of scores.
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
    intervals: bool = True
    against: bool = False
    of_baseline: Needs | None = None
    paired: Pairs | None = None
    hits_of: Callable[[Problem], Sequence[int]] | None = None
    many: bool = False

    @property
    def mlflow_key(self) -> str:
        return self.mlflow or self.name

    def families(self, problem: Problem, *, compared: bool) -> tuple[Family | PairFamily, ...]:
        """The states to keep of a model; of one that is compared, those of its pairs as well."""
        own = tuple(self.needs(problem))
        if not compared:
            return tuple(family for family in own if not isinstance(family, PairFamily))
        return (*own, *(self.paired(problem) if self.paired else ()))

    def value(self, problem: Problem, states: SliceStates) -> MetricValue:
        """The metric on one slice; undefined is None with a reason, never a number."""
        lacking = lacking_rows(states.rows)
        if lacking is not None:
            return MetricValue(None, lacking)
        measured = self.measure(problem, states)
        why = measured.reason()
        if why is not None:
            return MetricValue(None, why, detail=measured.detail)
        return MetricValue(float(measured.values[0]), error_bound=float(measured.bound))

    def measure(self, problem: Problem, states: SliceStates) -> Value:
        """What the metric's function makes of the states, computed once for a slice."""
        return states.once(
            ("value", self.name), lambda: self.of_views(problem, self._views(states, problem))
        )

    def replicates(self, problem: Problem, states: SliceStates) -> Floats:
        """The metric with all rows, then with each bucket left out; NaN where undefined.

        Of a histogram beyond its cap these are coarser than `value`; their differences count.
        """
        return states.once(("replicates", self.name), lambda: self._replicates(problem, states))

    def _replicates(self, problem: Problem, states: SliceStates) -> Floats:
        views = self._views(states, problem)
        histograms = ScoresView | ValuesView
        if not any(isinstance(view, histograms) for view in views):
            return self.measure(problem, states).replicates()
        left_out = [
            # The views are kept with the states, so each has an id of its own.
            states.once(("left_out", id(view)), view.with_replicates)
            if isinstance(view, histograms)
            else view
            for view in views
        ]
        return self.of_views(problem, left_out).replicates()

    def _views(self, states: SliceStates, problem: Problem) -> list[Any]:
        views = [states.view(family.key) for family in self.needs(problem)]
        if self.of_baseline is not None:
            assert states.baseline is not None, "a comparison has a baseline"
            views += [
                states.baseline.view(baseline_family.key)
                for baseline_family in self.of_baseline(problem)
            ]
        return views

    def of_views(self, problem: Problem, views: Sequence[Any]) -> Value:
        """What the metric's function makes of views."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            result = self.function(problem, *views)
        return result if isinstance(result, Value) else Value(np.atleast_1d(result))


def lacking_rows(rows: RowCounts) -> str | None:
    """Why no metric has a value on a slice with these rows."""
    if rows.n == rows.unknown_labels:
        return "empty"
    if rows.bad_scores:
        return "nan_input"
    return "zero_weight" if rows.weight_sum == 0 else None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the rows came: with weights or without, alone or in clusters of about some size."""

    weighted: bool = False
    clustered: bool = False
    rows_per_cluster: float = 1.0


T = TypeVar("T")


class SliceStates:
    """All the states of one model on one slice, with what is read from them made once.

    `buckets` is the weight of the rows in each bucket, None where nobody asked for intervals.
    """

    def __init__(
        self,
        rows: RowCounts,
        states: Mapping[str, States],
        *,
        buckets: Floats | None = None,
        sampling: Sampling = Sampling(),
        baseline: SliceStates | None = None,
    ) -> None:
        self.rows = rows
        self.buckets = buckets
        self.sampling = sampling
        self.baseline = baseline
        self._states = states
        self._made: dict[Hashable, Any] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._states

    @property
    def families(self) -> Mapping[str, States]:
        """The states by the key of their family."""
        return self._states

    def view(self, key: str) -> Any:
        """The view of the family `key`."""
        return self.once(("view", key), lambda: view(self._states[key]))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `make`, computed once for this slice."""
        if key not in self._made:
            self._made[key] = make()
        value: T = self._made[key]
        return value


METRICS: Registry[Metric] = Registry("metric", GROUP)


def metric(
    name: str, *, tasks: frozenset[TaskKind], needs: Needs, aliases: Sequence[str] = (), **more: Any
) -> Callable[[Function], Function]:
    """Registers a function of states as the metric `name`; `more` are fields of `Metric`."""

    def register(function: Function) -> Function:
        entry = Metric(name, tasks, needs, function, **{"summary": summary_of(function), **more})
        METRICS.add(name, entry, aliases=aliases)
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
    return Value(moments.mean, (("zero_weight", moments.weight == 0),), basis=Averaged(moments))


def share_of(problem: Problem, moments: MomentsView) -> Value:
    """The metric that is a mean of zeros and ones, hence a share of the rows."""
    weight, squares, share = (
        array[..., 0] for array in (moments.weight, moments.weight_squares, moments.mean)
    )
    counted = Counted(weight * share, weight, squares * share, squares * (1 - share))
    return Value(moments.mean, (("zero_weight", moments.weight == 0),), basis=counted)


def pairs_of(family: Mean) -> PairedMean:
    """The family of the row by row difference of a loss between two versions."""
    return PairedMean(family.loss, family.function)


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

        def pairs(problem: Problem) -> tuple[PairedMean]:
            return (pairs_of(*needs(problem)),)

        about = {"summary": summary_of(loss), "paired": pairs, **more}
        metric(name, tasks=tasks, needs=needs, aliases=aliases, many=True, **about)(mean_of)
        return loss

    return register
