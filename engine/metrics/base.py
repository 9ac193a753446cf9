"""What a metric is: a name, the states it needs, and a pure function of them.

A metric's function reads *views*: arrays whose first axis is the replicate, 0 for all rows and
1 + b for all but bucket b. It returns one number for each replicate, so that an interval for any
metric, a user's own too, needs nothing more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from engine.core.registry import Registry
from engine.core.vocabulary import LATER, Label, MetricValue, TaskKind
from engine.errors import InputError
from engine.metrics.basis import Averaged, Counted
from engine.metrics.slices import HISTOGRAMS, Slices
from engine.metrics.values import (
    Figured,
    Undefined,
    Value,
    add_slice_axis,
    first_replicate,
    gather_bases,
)
from engine.states import (
    Family,
    Floats,
    Ints,
    Mean,
    MomentsView,
    PairedMean,
    PairFamily,
    Scored,
    ScoreHistogram,
    add_columns,
    column_tuple,
)

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
    suite says so. `is_ordered` tells whether the order of the classes means something: that the
    suite names it, or that they are numbers.
    """

    task: TaskKind
    classes: tuple[Label, ...] = ()
    positive: int = 1
    costs: tuple[tuple[float, ...], ...] = ()
    is_ordered: bool = field(default=True, metadata=LATER)

    @property
    def n_classes(self) -> int:
        return len(self.classes)


F = TypeVar("F")

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
        needs_probabilities: whether scores that only rank rows do not do.
        needs_order: whether the order of three or more classes must mean something.
        bounds: the smallest and the largest value; an interval stays within them.
        intervals: whether it has one at all; of a maximum none is known.
        against: whether it compares two versions; then the baseline itself has no value.
        of_baseline: the states of the baseline that it reads besides, after its own.
        paired: the states by which two versions are compared row by row, where the value is a mean
            over rows, a share of them, or an area under the ROC curve (a line of it that fills the
            bounds); others are compared bucket by bucket.
        hits_of: for a share of hits, the true classes of the rows that it is a share of.
        many: whether the function takes views of many slices too, whose arrays have an axis
            [slice] before the others, and gives [slice, replicate]: written with `...` it does.
            Others are called slice by slice, which costs several times as much. It reads
            confusions, moments and at most one histogram of scores.
        needs_columns: other columns of the rows that its losses read, as `batch.columns[name]`.
        any_rows: whether it is judged on slices of few rows as on others, since it says something
            of how many there are.
    """

    name: str
    tasks: frozenset[TaskKind]
    needs: Needs
    function: Function = field(repr=False)
    higher_is_better: bool | None = True
    mlflow: str | None = None
    needs_scores: bool = False
    needs_probabilities: bool = False
    needs_order: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    summary: str = ""
    intervals: bool = True
    against: bool = False
    of_baseline: Needs | None = None
    paired: Pairs | None = None
    hits_of: Callable[[Problem], Sequence[int]] | None = None
    many: bool = False
    needs_columns: tuple[str, ...] = ()
    any_rows: bool = False

    def __post_init__(self) -> None:
        columns = column_tuple(self.needs_columns, f"metric {self.name!r}")
        object.__setattr__(self, "needs_columns", columns)
        if columns:
            for name in ("needs", "of_baseline", "paired"):
                families = getattr(self, name)
                if families is not None:
                    object.__setattr__(self, name, _with_columns(families, columns))

    @property
    def mlflow_key(self) -> str:
        return self.mlflow or self.name

    def families(self, problem: Problem, *, compared: bool) -> tuple[Family | PairFamily, ...]:
        """The states to keep of a model; of one that is compared, those of its pairs as well."""
        own = tuple(self.needs(problem))
        if not compared:
            return tuple(family for family in own if not isinstance(family, PairFamily))
        return (*own, *(self.paired(problem) if self.paired else ()))

    def value(self, problem: Problem, states: Slices) -> MetricValue:
        """The metric on a single slice; undefined is None with a reason, never a number."""
        (value,) = self.figures(problem, states).metric_values()
        return value

    def figures(self, problem: Problem, slices: Slices) -> Figured:
        """The metric on all slices, computed once for them."""
        return slices.once(("figured", self.name), lambda: self._compute_figures(problem, slices))

    def _compute_figures(self, problem: Problem, slices: Slices) -> Figured:
        lacking = self._reasons(slices)
        families = self.needs(problem)
        if not self.many or self.of_baseline is not None:
            figured = self._figures_slice_by_slice(problem, slices, lacking)
        elif any(isinstance(slices.families[family.key], ScoreHistogram) for family in families):
            (family,) = families
            figured = self._figures_of_scores(problem, slices, family.key)
        else:
            views = [slices.view(family.key) for family in families]
            figured = Figured.of(self.of_views(problem, views))
        for at, why in enumerate(lacking):
            if why is not None:
                figured.undefine(at, why)
        return figured

    def _reasons(self, slices: Slices) -> list[Undefined | None]:
        """Why slices have no value whatever the function says, None where they may have one."""
        own = [None if reason is None else Undefined(reason) for reason in slices.reasons]
        if self.needs_probabilities and not slices.has_probabilities:
            return [why or Undefined("not_probabilities") for why in own]
        if not self.against or slices.baseline is None:
            return own
        bad = Undefined("nan_input", "those of the baseline")
        return [
            bad if rows.bad_scores > 0 else why
            for rows, why in zip(slices.baseline.counts, own, strict=True)
        ]

    def _figures_of_scores(self, problem: Problem, slices: Slices, key: str) -> Figured:
        """From score histograms, of which some have a view of their own for the replicates."""
        values: list[tuple[Ints, Figured]] = []
        spreading: list[tuple[Ints, Figured]] = []
        for block in slices.score_blocks(key):
            part = (block.at, Figured.of(self.of_views(problem, [block.view])))
            if block.has_values:
                values.append(part)
            else:
                spreading.append(part)
        figured = Figured.join(len(slices), values)
        for at, coarse in spreading:
            figured.replicates[at] = coarse.replicates
        return gather_bases(figured)

    def _figures_slice_by_slice(
        self, problem: Problem, slices: Slices, lacking: Sequence[Undefined | None]
    ) -> Figured:
        """By a function that takes no axis of slices: the one place that calls it for each."""
        parts = [
            (np.array([at]), self._figures_at(problem, slices, at))
            for at, why in enumerate(lacking)
            if why is None
        ]
        return gather_bases(Figured.join(len(slices), parts))

    def _figures_at(self, problem: Problem, slices: Slices, at: int) -> Figured:
        """The figures of one slice; of a histogram beyond its cap the replicates are coarser."""
        sources = [(slices, family.key) for family in self.needs(problem)]
        if self.of_baseline is not None:
            assert slices.baseline is not None, "a comparison has a baseline"
            sources += [(slices.baseline, family.key) for family in self.of_baseline(problem)]
        views = [on.view_at(key, at) for on, key in sources]
        value = add_slice_axis(self.of_views(problem, views))
        if not any(isinstance(view, HISTOGRAMS) for view in views):
            return Figured.of(value)
        # Beside a histogram, which has one replicate, others can have all: the first is the value.
        figured = Figured.of(first_replicate(value))
        if not self.intervals or figured.reasons[0] is not None:
            return figured
        left_out = [on.replicates_view_at(key, at) for on, key in sources]
        coarse = Figured.of(add_slice_axis(self.of_views(problem, left_out)))
        return replace(figured, replicates=coarse.replicates)

    def of_views(self, problem: Problem, views: Sequence[Any]) -> Value:
        """What the metric's function makes of views."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            result = self.function(problem, *views)
        return result if isinstance(result, Value) else Value(np.atleast_1d(result))


def _with_columns(
    families: Callable[[Problem], Sequence[F]], columns: tuple[str, ...]
) -> Callable[[Problem], Sequence[F]]:
    """The same families, whose losses have these columns."""

    def of_problem(problem: Problem) -> tuple[F, ...]:
        return tuple(add_columns(family, columns) for family in families(problem))

    return of_problem


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


def mean(
    loss: RowLoss,
    problem: Problem,
    *,
    name: str | None = None,
    needs_columns: Sequence[str] = (),
) -> Mean:
    """The family that keeps the moments of a loss of each row.

    Families of one name are one family, so `name` must tell apart what `loss` alone does not: a
    lambda, a partial, a function made in another. `needs_columns` are other columns of the rows
    that the loss reads, as `batch.columns[name]`.

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

    def of_batch(batch: Scored) -> Floats:
        return loss(batch, problem)

    # What is kept is of this code: states are named by the module that it was written in.
    of_batch.__module__ = loss.__module__
    return Mean(name, of_batch, column_tuple(needs_columns, f"the loss {name!r}"))


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
    return PairedMean(family.loss, family.function, family.columns)


def mean_metric(
    name: str, *, tasks: frozenset[TaskKind], aliases: Sequence[str] = (), **more: Any
) -> Callable[[RowLoss], RowLoss]:
    """Registers the weighted mean of a loss of each row as the metric `name`.

    The loss takes a batch (`Scored`) and the problem, and gives float64 [rows]. `more` are fields
    of `Metric`, such as `needs_columns`.
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
