"""How sure a metric is: its spread on one slice, and that of its difference to the baseline's.

Shares have Wilson's interval and means Student's, from sums of all rows. Everything else has the
delete-a-group jackknife over the buckets of rows, on a scale that has no bounds. Where rows belong
together the buckets hold whole clusters, so the jackknife is right for all metrics then, and gives
shares the number of rows they are worth.
"""

from __future__ import annotations

import math
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
    Jackknifed,
    Mapped,
    PairedShare,
    QuantileOf,
    Share,
    Spread,
    StudentT,
    jackknife,
)


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
    elif isinstance(basis, Averaged) and _simple(states):
        spread = _mean(basis.moments)
    elif isinstance(basis, Ordered):
        return _quantile(basis, states)
    elif isinstance(basis, Known) and _simple(states):
        return _bounded(metric, measured, Jackknifed(basis.se, basis.df), states)
    else:
        found = _jackknife(metric.replicates(problem, states), states)
        if isinstance(basis, Averaged):
            return None if found is None else StudentT(float(measured.values[0]), *_both(found))
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
    return jackknife(replicates, np.ones(BUCKETS) if sizes is None else sizes)


def _jackknifed_if_clustered(
    metric: Metric, problem: Problem, states: SliceStates
) -> Jackknifed | None:
    if not states.sampling.clustered:
        return None
    plain = metric.measured(problem, states)
    values = metric.replicates(problem, states)
    if plain.map is not None:
        values = np.array([plain.map.back(value) for value in values])
    return _jackknife(values, states)


def _kish(weight: float, squares: float) -> float:
    """How many rows of equal weight some rows are worth (Kish 1965)."""
    return weight * weight / squares if squares > 0 else 0.0


def _share(of: Counted, between: Jackknifed | None, states: SliceStates) -> Share | None:
    """A share in effective rows: of weights by their squares, of clusters by their spread."""
    if of.trials <= 0:
        return None
    share = of.hits / of.trials
    rows = _kish(of.trials, of.hit_squares + of.miss_squares)
    if states.sampling.weighted:
        own = (of.hit_squares * (1 - share) ** 2 + of.miss_squares * share**2) / of.trials**2
        rows = min(rows, share * (1 - share) / own) if own > 0 and 0 < share < 1 else rows
    return _clustered(share, rows, between, states)


def _clustered(
    share: float, rows: float, between: Jackknifed | None, states: SliceStates
) -> Share | None:
    if not states.sampling.clustered:
        return Share(share * rows, rows)
    if between is None:
        return None
    if 0 < share < 1 and between.se > 0:
        rows = min(rows, share * (1 - share) / between.se**2)
    else:
        # Nothing spreads, so nothing says how alike the rows of a cluster are: quite alike.
        rows /= states.sampling.rows_per_cluster
    return Share(share * rows, rows, between.df)


def _quantile(of: Ordered, states: SliceStates) -> QuantileOf | None:
    """A quantile is as sure as the share of rows below it (Woodruff 1952)."""
    between = _jackknife(of.below(), states) if states.sampling.clustered else None
    share = _share(of.counted, between, states)
    if share is None:
        return None
    return QuantileOf(share, of.low, of.high, np.cumsum(of.weight) / of.weight.sum())


def _mean(of: MomentsView) -> StudentT | None:
    rows = float(of.weight[0])
    if rows < 2:
        return None
    return StudentT(float(of.mean[0]), _standard_error(of), rows - 1)


def _standard_error(of: MomentsView) -> float:
    rows = float(of.weight[0])
    return math.sqrt(float(of.m2[0]) / (rows - 1) / rows)


def _bounded(
    metric: Metric, measured: Value, found: Jackknifed, states: SliceStates
) -> Spread | None:
    """Student's t on the scale of the metric's bounds, of which the value itself may be one."""
    value = float(measured.values[0])
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

    `spread` is that of the difference, candidate less baseline. `se_candidate`, `se_baseline` and
    `se_delta` are standard errors, from which any other combination of the two has its own.
    """

    candidate: float
    baseline: float
    spread: Spread
    se_candidate: float
    se_baseline: float
    se_delta: float
    df: float

    @property
    def delta(self) -> float:
        return self.candidate - self.baseline

    def less(self, share: float) -> Spread:
        """The spread of the candidate less `share` times the baseline."""
        own, other = self.se_candidate**2, self.se_baseline**2
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
    of_own, of_base, of_delta = (_jackknife(each, states) for each in (own, base, own - base))
    if of_own is None or of_base is None or of_delta is None:
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
    return Comparison(here, there, spread, of_own.se, of_base.se, of_delta.se, of_delta.df)


def _paired_mean(
    metric: Metric, problem: Problem, states: SliceStates, pairs: MomentsView
) -> Comparison | None:
    assert states.baseline is not None, "a comparison has a baseline"
    rows = float(pairs.weight[0])
    if rows < 2:
        return None
    bases = [metric.measured(problem, each).basis for each in (states, states.baseline)]
    moments = [each.moments for each in bases if isinstance(each, Averaged)]
    own, other = (_standard_error(each) for each in moments)
    means = [float(each.mean[0]) for each in moments]
    se = _standard_error(pairs)
    # The mean of the differences has more digits than the difference of the means.
    spread = StudentT(float(pairs.mean[0]), se, rows - 1)
    return Comparison(means[0], means[1], spread, own, other, se, rows - 1)


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
    rows, df = _kish(trials, float(squares.sum())), math.inf
    if states.sampling.weighted:
        own = _variance_of_weighted(squares, delta) / trials**2
        rows = min(rows, variance / own) if own > 0 and variance > 0 else rows
    both = (states, states.baseline)
    if states.sampling.clustered:
        replicates = [metric.replicates(problem, each) for each in both]
        between = _jackknife(replicates[0] - replicates[1], states)
        if between is None:
            return None
        df = between.df
        if between.se > 0 and variance > 0:
            rows = min(rows, variance / between.se**2)
        else:
            rows /= states.sampling.rows_per_cluster
    scale = rows / trials
    here, there = (float(metric.measured(problem, each).values[0]) for each in both)
    own_se, base_se = (math.sqrt(share * (1 - share) / rows) for share in (here, there))
    spread = PairedShare(gained * scale, lost * scale, rows, df)
    return Comparison(here, there, spread, own_se, base_se, math.sqrt(variance / rows), df)


def _variance_of_weighted(squares: Floats, delta: float) -> float:
    """The sum over rows of (w (d - delta))², where d is 1 for a gain, -1 for a loss, else 0."""
    gains, losses = float(squares[GAINED]), float(squares[LOST])
    alike = float(squares.sum()) - gains - losses
    return gains * (1 - delta) ** 2 + losses * (1 + delta) ** 2 + alike * delta**2
