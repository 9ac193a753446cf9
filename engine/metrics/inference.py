"""How sure a metric is: its spread on one slice, and that of its difference to the baseline's.

Shares have Wilson's interval and means Student's, from sums of all rows. Everything else has the
delete-a-group jackknife over the buckets of rows. Student's t is taken on a scale that has no
bounds: the logarithm of a mean that is above 0, the logit of a metric between two bounds. Where
rows belong together the buckets hold whole clusters, so the jackknife is right for all metrics
then, and gives shares the number of rows they are worth. `docs/intervals.md` shows by simulation
how often each kind holds the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.metrics.base import Metric, Problem, SliceStates, Value
from engine.metrics.basis import Averaged, Counted, Known, Ordered
from engine.states import (
    BUCKETS,
    Floats,
    MomentsView,
    PairedHits,
    PairedView,
)
from engine.states.pairs import GAINED, LOST
from engine.statistics import (
    REALS,
    Jackknifed,
    Mapped,
    PairedShare,
    QuantileOf,
    Share,
    Spread,
    StudentT,
    jackknife,
)
from engine.statistics.worth import Outcome, degrees_of_freedom, worth

# Of what rows by themselves vary, a smaller share between clusters is rounding.
NOISE = 1e-12
# Fewer rows that are all alike say nothing of how rows differ.
MANY_ALIKE = 30


def spread_of(metric: Metric, problem: Problem, states: SliceStates) -> Spread | None:
    """What is known of the metric's true value on a slice; None where it has no interval.

    The metric must be defined on the slice.
    """
    if not metric.intervals:
        return None
    measured = metric.measured(problem, states)
    basis = measured.basis
    spread: Spread | None
    if isinstance(basis, Counted) and not (basis.unweighted_only and states.sampling.weighted):
        spread = _share(basis, _jackknifed_if_clustered(metric, problem, states), states)
    elif isinstance(basis, Averaged):
        spread = _mean(metric, problem, states, basis.moments)
    elif isinstance(basis, Ordered):
        return _quantile(basis, states)
    elif isinstance(basis, Known) and _simple(states):
        return _bounded(metric, measured, Jackknifed(basis.se, basis.df), states)
    else:
        found = _jackknife(metric.replicates(problem, states), states)
        return None if found is None else _bounded(metric, measured, found, states)
    if spread is None or measured.map is None:
        return spread
    return Mapped(spread, measured.map.function, measured.map.back, measured.map.rising)


def _both(of: Jackknifed) -> tuple[float, float]:
    return of.se, of.df


def _simple(states: SliceStates) -> bool:
    """Whether each row stands for itself alone."""
    return not (states.sampling.weighted or states.sampling.clustered)


def _jackknife(replicates: Floats, states: SliceStates) -> Jackknifed | None:
    sizes = states.buckets
    found = jackknife(replicates, np.ones(BUCKETS) if sizes is None else sizes)
    return None if found is None else _known(*_both(found))


def _of_basis(metric: Metric, problem: Problem, states: SliceStates) -> Floats:
    """The replicates of what the value is a function of."""
    values, made_by = metric.replicates(problem, states), metric.measured(problem, states).map
    return values if made_by is None else np.array([made_by.back(value) for value in values])


def _jackknifed_if_clustered(
    metric: Metric, problem: Problem, states: SliceStates
) -> Jackknifed | None:
    if not states.sampling.clustered:
        return None
    return _jackknife(_of_basis(metric, problem, states), states)


def _share(of: Counted, between: Jackknifed | None, states: SliceStates) -> Share | None:
    """A share in effective rows: of weights by their squares, of clusters by their spread."""
    if of.trials <= 0:
        return None
    share = of.hits / of.trials
    hits = Outcome(of.hits, of.hit_squares, 1 - share)
    misses = Outcome(of.trials - of.hits, of.miss_squares, share)
    rows = worth([hits, misses]) if states.sampling.weighted else of.trials
    if rows <= 0:
        # Weights so small that their squares have no room.
        return None
    df = math.inf
    if states.sampling.clustered:
        if between is None:
            return None
        rows, df = _between(share * (1 - share), rows, between, states)
    elif states.sampling.weighted:
        mean_weight = states.rows.weight_sum / states.rows.n
        df = degrees_of_freedom([hits, misses], mean_weight)
    return Share(share * rows, rows, df)


def _between(
    variance: float, rows: float, between: Jackknifed, states: SliceStates
) -> tuple[float, float]:
    """How many rows a share of clustered rows is worth, and the degrees of freedom of that."""
    if between.se**2 * rows > NOISE * variance > 0:
        return variance / between.se**2, between.df
    # Nothing spreads, so nothing says how alike the rows of a cluster are: quite alike.
    return rows / states.sampling.rows_per_cluster, between.df


def _quantile(of: Ordered, states: SliceStates) -> QuantileOf | None:
    """A quantile is as sure as the share of rows below it (Woodruff 1952)."""
    between = _jackknife(of.below(), states) if states.sampling.clustered else None
    share = _share(of.counted, between, states)
    if share is None:
        return None
    return QuantileOf(share, of.low, of.high, np.cumsum(of.weight) / of.weight.sum())


def _mean(
    metric: Metric, problem: Problem, states: SliceStates, of: MomentsView
) -> StudentT | None:
    """Student's t of the mean itself, whatever the metric makes of it."""
    value, rows = float(of.mean[0]), float(of.weight[0])
    found: Jackknifed | None
    if _simple(states):
        found = _known(_standard_error(of), rows - 1) if rows >= 2 else None
        found = None if found is not None and _alike(found.se, rows) else found
    else:
        found = _jackknife(_of_basis(metric, problem, states), states)
    if found is None:
        return None
    (low, high), made_by = metric.bounds, metric.measured(problem, states).map
    if made_by is not None:
        low, high = sorted((made_by.back(low), made_by.back(high)))
    return StudentT(value, *_both(found), (low, high) if low < value < high else REALS)


def _alike(se: float, rows: float) -> bool:
    """Whether rows are all alike, and too few to take that for the truth."""
    return se == 0 and rows < MANY_ALIKE


def _known(se: float, df: float) -> Jackknifed | None:
    """None of numbers so large that their squares have no room."""
    return Jackknifed(se, df) if math.isfinite(se) else None


def _standard_error(of: MomentsView) -> float:
    rows = float(of.weight[0])
    return math.sqrt(float(of.m2[0]) / (rows - 1) / rows)


def _bounded(
    metric: Metric, measured: Value, found: Jackknifed, states: SliceStates
) -> Spread | None:
    """Student's t on the scale of the metric's bounds, of which the value itself may be one."""
    value = float(measured.spreading()[0])
    low, high = metric.bounds
    if low < value < high:
        if found.se == 0 and math.isfinite(high - low):
            return None
        return StudentT(value, *_both(found), metric.bounds)
    if not math.isfinite(high - low):
        return StudentT(value, found.se, found.df)
    rows = _support(measured, states)
    if rows <= 0:
        return None
    share = Share(rows if value >= high else 0.0, rows)
    width = high - low
    return Mapped(share, lambda u: low + u * width, lambda v: (v - low) / width)


def _support(measured: Value, states: SliceStates) -> float:
    """How many effective rows a value rests on, in its scarcest class where it says so."""
    rows = measured.support if measured.support is not None else float(states.rows.n)
    return rows / states.sampling.rows_per_cluster


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate's metric beside the baseline's on the same rows.

    `spread` is that of the difference, candidate less baseline, and `se_delta` its standard error.
    `errors` gives those of the candidate and of the baseline, from which any other combination of
    the two has its own; few tests ask for one.
    """

    candidate: float
    baseline: float
    spread: Spread
    se_delta: float
    df: float
    errors: Callable[[], tuple[float, float]]

    @property
    def delta(self) -> float:
        return self.candidate - self.baseline

    def less(self, share: float) -> Spread:
        """The spread of the candidate less `share` times the baseline."""
        own, other = (error * error for error in self.errors())
        covariance = (own + other - self.se_delta**2) / 2
        variance = own + share**2 * other - 2 * share * covariance
        return StudentT(
            self.candidate - share * self.baseline, math.sqrt(max(variance, 0.0)), self.df
        )


def comparison_of(metric: Metric, problem: Problem, states: SliceStates) -> Comparison | None:
    """The paired comparison with `states.baseline`; None where nothing is known of its spread.

    The metric must be defined for both.
    """
    if states.baseline is None or not metric.intervals:
        return None
    for family in metric.paired(problem) if metric.paired else ():
        if family.key not in states:
            continue
        if isinstance(family, PairedHits) and metric.hits_of is not None:
            return _paired_share(metric, problem, states, states.view(family.key))
        if _simple(states):
            return _paired_mean(metric, problem, states, states.view(family.key))
    return _by_buckets(metric, problem, states, states.baseline)


def _by_buckets(
    metric: Metric, problem: Problem, states: SliceStates, other: SliceStates
) -> Comparison | None:
    """Any metric of two versions: both have the same rows in the same buckets."""
    both = (states, other)
    here, there = (float(metric.measured(problem, each).values[0]) for each in both)
    own, base = (metric.replicates(problem, each) for each in both)
    of_delta = _jackknife(own - base, states)
    if of_delta is None:
        return None
    delta = here - there
    spread: Spread = StudentT(delta, of_delta.se, of_delta.df)
    low, high = metric.bounds
    width = high - low
    if of_delta.se == 0 and math.isfinite(width):
        rows = min(_support(metric.measured(problem, each), each) for each in both)
        if rows <= 0:
            return None
        # As of shares of which no row differs.
        none = PairedShare(0.0, 0.0, rows)
        spread = Mapped(none, lambda u: delta + u * width, lambda v: (v - delta) / width)

    def errors() -> tuple[float, float]:
        found = [_jackknife(each, states) for each in (own, base)]
        first, second = (0.0 if each is None else each.se for each in found)
        return first, second

    return Comparison(here, there, spread, of_delta.se, of_delta.df, errors)


def _paired_mean(
    metric: Metric, problem: Problem, states: SliceStates, pairs: MomentsView
) -> Comparison | None:
    assert states.baseline is not None, "a comparison has a baseline"
    rows = float(pairs.weight[0])
    if rows < 2:
        return None
    both = [metric.measured(problem, each) for each in (states, states.baseline)]
    here, there = (float(each.values[0]) for each in both)
    se = _standard_error(pairs)
    if not math.isfinite(se) or _alike(se, rows):
        return None
    # The mean of the differences has more digits than the difference of the means.
    spread = StudentT(float(pairs.mean[0]), se, rows - 1)

    def errors() -> tuple[float, float]:
        return _error_of(both[0]), _error_of(both[1])

    return Comparison(here, there, spread, se, rows - 1, errors)


def _error_of(measured: Value) -> float:
    """The standard error of a mean over rows or a share of them; 0 where nothing spreads."""
    basis = measured.basis
    if isinstance(basis, Averaged):
        return _standard_error(basis.moments)
    if isinstance(basis, Counted):
        share = basis.hits / basis.trials
        return math.sqrt(max(share * (1 - share), 0.0) / basis.trials)
    return 0.0


def _paired_share(
    metric: Metric, problem: Problem, states: SliceStates, pairs: PairedView
) -> Comparison | None:
    assert states.baseline is not None, "a comparison has a baseline"
    assert metric.hits_of is not None, "a share of hits says of which rows"
    classes = list(metric.hits_of(problem))
    total, squares = pairs.total[classes].sum(0), pairs.squares[classes].sum(0)
    trials, gained, lost = float(total.sum()), float(total[GAINED]), float(total[LOST])
    if trials <= 0:
        return None
    delta = (gained - lost) / trials
    variance = max((gained + lost) / trials - delta**2, 0.0)
    # Few rows that differ make a score interval wide enough: the rows are taken as known.
    rows = worth(_outcomes(total, squares, delta)) if states.sampling.weighted else trials
    df = math.inf
    both = (states, states.baseline)
    if states.sampling.clustered:
        replicates = [metric.replicates(problem, each) for each in both]
        between = _jackknife(replicates[0] - replicates[1], states)
        if between is None:
            return None
        rows, df = _between(variance, rows, between, states)
    if rows <= 0:
        return None
    scale = rows / trials
    here, there = (float(metric.measured(problem, each).values[0]) for each in both)
    spread = PairedShare(gained * scale, lost * scale, rows, df)

    def errors() -> tuple[float, float]:
        shares = [_share_of(metric, problem, each) for each in both]
        first, second = (math.sqrt(max(p * (1 - p), 0.0) / n) for p, n in shares)
        return first, second

    return Comparison(here, there, spread, math.sqrt(variance / rows), df, errors)


def _share_of(metric: Metric, problem: Problem, states: SliceStates) -> tuple[float, float]:
    """A share, and how many rows it is worth by itself."""
    measured = metric.measured(problem, states)
    assert isinstance(measured.basis, Counted), "a share of hits is counted"
    between = _jackknifed_if_clustered(metric, problem, states)
    share = _share(measured.basis, between, states)
    assert share is not None, "a share that is compared has rows"
    return float(measured.values[0]), share.trials


def _outcomes(total: Floats, squares: Floats, delta: float) -> list[Outcome]:
    """The rows that differ in each direction, and the others, around a difference."""
    weight, own = float(total.sum()), float(squares.sum())
    gained, lost = float(total[GAINED]), float(total[LOST])
    gains, losses = float(squares[GAINED]), float(squares[LOST])
    return [
        Outcome(gained, gains, 1 - delta),
        Outcome(lost, losses, 1 + delta),
        Outcome(weight - gained - lost, own - gains - losses, delta),
    ]
