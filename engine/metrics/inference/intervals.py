"""How sure a metric is: its spread on one slice, and that of its difference to the baseline's.

Shares have the binomial's interval and means Student's, from sums of all rows. All else has the
delete-a-group jackknife over the buckets of rows. Student's t is taken on a scale that has no
bounds: the logarithm of a mean that is above 0, the logit of a metric between two bounds. Where
rows belong together the buckets hold whole clusters, so the jackknife is right for all metrics
then, and gives shares the number of rows they are worth. `docs/intervals.md` shows by simulation
how often each kind holds the truth.

All is computed with an axis of slices; `differences` has what compares two versions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from engine.metrics.base import Metric, Problem
from engine.metrics.basis import Averaged, Basis, Counted, Known, Map, Ordered
from engine.metrics.slices import Slices
from engine.metrics.values import Figured, Rested
from engine.states import Bools, Floats, Ints, MomentsView
from engine.statistics import (
    REALS,
    Figures,
    Jackknifed,
    Mapped,
    Moved,
    QuantileOf,
    Several,
    Share,
    Spread,
    StudentT,
    jackknives,
)
from engine.statistics.effective_size import Outcome, degrees_of_freedom, worth

# Of what rows by themselves vary, a smaller share between clusters is rounding.
NOISE = 1e-12
# Fewer rows that are all alike say nothing of how rows differ.
MANY_ALIKE = 30
# Of the distance between a metric's bounds: what sums of a different order differ by.
ROUNDING = 1e-14

Parts = Iterator[tuple[Ints, Spread]]


def spread_of(metric: Metric, problem: Problem, states: Slices) -> Spread | None:
    """What is known of the metric's true value on a single slice; None where it has no interval.

    The metric must be defined on the slice.
    """
    spreads = spreads_of(metric, problem, states)
    return None if spreads is None else spreads.at(0)


def spreads_of(metric: Metric, problem: Problem, slices: Slices) -> Several | None:
    """What is known of the metric's true values on slices where it is defined.

    None for a metric that has no intervals.
    """
    if not metric.intervals:
        return None
    figured = metric.figures(problem, slices)
    parts: list[tuple[Ints, Spread]] = []
    with np.errstate(all="ignore"):
        for rested in figured.rested:
            case = Case.of(metric, slices, figured, rested)
            parts += [(case.places[part], spread) for part, spread in case.spreads() if part.size]
    return Several(len(slices), tuple(parts))


def simple(slices: Slices) -> bool:
    """Whether each row stands for itself alone."""
    return not (slices.sampling.weighted or slices.sampling.clustered)


def support_of(figured: Figured, slices: Slices) -> Floats:
    """How many effective rows values rest on, in their scarcest class where they say so."""
    rows = np.where(np.isnan(figured.support), slices.n, figured.support)
    return np.asarray(rows / slices.sampling.rows_per_cluster)


@dataclass(frozen=True, slots=True)
class Case:
    """Slices on which a metric is defined, and whose values rest on a basis of one kind."""

    metric: Metric
    slices: Slices
    figured: Figured
    places: Ints
    basis: Basis | None
    map: Map | None

    @classmethod
    def of_all(cls, metric: Metric, slices: Slices, figured: Figured) -> Iterator[Case]:
        """The cases of all slices."""
        return (cls.of(metric, slices, figured, rested) for rested in figured.rested)

    @classmethod
    def of(cls, metric: Metric, slices: Slices, figured: Figured, rested: Rested) -> Case:
        """The case of what some slices rest on."""
        places, basis, by = rested
        defined = figured.is_defined[places]
        if not defined.all():
            places, basis = places[defined], filter_basis(basis, defined)
        return cls(metric, slices, figured, places, basis, by)

    def spreads(self) -> Parts:
        """The spreads of parts of the slices, whose numbers among `places` stand before each."""
        basis, weighted = self.basis, self.slices.sampling.weighted
        if not self.places.size:
            return
        if isinstance(basis, Counted) and not (basis.unweighted_only and weighted):
            known, share = self.shares(basis)
            yield np.flatnonzero(known), self.map_spread(_some(share, known))
        elif isinstance(basis, Averaged):
            yield from self._means(basis.moments)
        elif isinstance(basis, Ordered):
            yield from self._quantile(basis)
        elif isinstance(basis, Known) and simple(self.slices):
            unknown = np.isnan(basis.se)
            if unknown.any():
                by_buckets = self.jackknife()
                se = np.where(unknown, by_buckets.se, basis.se)
                yield from self._within_bounds(se, np.where(unknown, by_buckets.df, basis.df))
            else:
                yield from self._within_bounds(basis.se, basis.df)
        else:
            by_buckets = self.jackknife()
            yield from self._within_bounds(by_buckets.se, by_buckets.df)

    def map_spread(self, spread: Spread) -> Spread:
        """The spread of the values, from that of what they are a function of."""
        if self.map is None:
            return spread
        return Mapped(spread, self.map.function, self.map.back, self.map.rising)

    def jackknife(self) -> Jackknifed:
        """The standard errors of the values, NaN where nothing is known."""
        return by_buckets(self.figured.replicates[self.places], self.slices.buckets[self.places])

    def jackknife_basis(self) -> Jackknifed:
        """The standard errors of what the values are a function of."""
        replicates = self.figured.replicates[self.places]
        if self.map is not None:
            back = [self.map.back(value) for value in replicates.ravel().tolist()]
            replicates = np.array(back, np.float64).reshape(replicates.shape)
        return by_buckets(replicates, self.slices.buckets[self.places])

    def shares(self, counted: Counted) -> tuple[Bools, Share]:
        """Shares in effective rows: of weights by their squares, of clusters by their spread.

        The first array tells the shares of which something is known.
        """
        sampling = self.slices.sampling
        share = counted.hits / counted.trials
        outcomes = [
            Outcome(counted.hits, counted.hit_squares, 1 - share),
            Outcome(counted.trials - counted.hits, counted.miss_squares, share),
        ]
        rows = worth(outcomes) if sampling.weighted else counted.trials
        # Weights so small that their squares have no room make no rows.
        known = (counted.trials > 0) & (rows > 0)
        df: Any = math.inf
        if sampling.clustered:
            between = self.jackknife_basis()
            known &= ~np.isnan(between.se)
            rows, df = between_rows(share * (1 - share), rows, between, self.slices)
        elif sampling.weighted:
            mean_weight = self.slices.weight[self.places] / self.slices.n[self.places]
            df = degrees_of_freedom(outcomes, mean_weight)
        return known, Share(share * rows, rows, df)

    def _means(self, moments: MomentsView) -> Parts:
        """Student's t of the means themselves, whatever the metric makes of them."""
        value = moments.mean[:, 0]
        errors = of_rows(moments) if simple(self.slices) else self.jackknife_basis()
        (low, high), by = self.metric.bounds, self.map
        if by is not None:
            low, high = sorted((by.back(low), by.back(high)))
        known, inside = np.isfinite(errors.se), (low < value) & (value < high)
        for part, bounds in ((known & inside, (low, high)), (known & ~inside, REALS)):
            at = np.flatnonzero(part)
            if at.size:
                spread = StudentT(value[at], errors.se[at], errors.df[at], bounds)
                yield at, self.map_spread(spread)

    def _quantile(self, ordered: Ordered) -> Parts:
        """A quantile is as sure as the share of rows below it (Woodruff 1952)."""
        counted = _arrays(ordered.counted)
        case = self
        if self.slices.sampling.clustered:
            below = np.asarray(ordered.below(), np.float64)[None]
            replicates = np.full((len(self.figured), below.shape[1]), np.nan)
            replicates[self.places] = below
            case = replace(self, figured=replace(self.figured, replicates=replicates), map=None)
        known, share = case.shares(counted)
        if known[0]:
            up_to = np.cumsum(ordered.weight) / ordered.weight.sum()
            yield np.array([0]), QuantileOf(share.at(0), ordered.low, ordered.high, up_to)

    def _within_bounds(self, se: Floats, df: Floats) -> Parts:
        """Student's t on the scale of the metric's bounds, of which a value itself may be one."""
        value, known = self.figured.centres[self.places], np.isfinite(se)
        low, high = self.metric.bounds
        width = high - low
        inside = (low < value) & (value < high)
        sizes = np.abs(self.figured.replicates[self.places]).max(-1)
        still = is_still(se, width) | (inside & (se <= ROUNDING * sizes))
        at = np.flatnonzero(known & inside & ~still)
        yield at, StudentT(value[at], se[at], df[at], self.metric.bounds)
        outside = np.flatnonzero(known & ~inside)
        if not outside.size:
            return
        if not math.isfinite(width):
            yield outside, StudentT(value[outside], se[outside], df[outside])
            return
        rows = support_of(self.figured, self.slices)[self.places]
        outside = outside[rows[outside] > 0]
        rows = rows[outside]
        share = Share(np.where(value[outside] >= high, rows, 0.0), rows)
        yield outside, Moved(share, low, width)


def is_still(se: Floats, width: float) -> Bools:
    """Whether a metric between two bounds has not moved, but for what rounding makes of it."""
    return np.asarray(se <= ROUNDING * width if math.isfinite(width) else np.zeros(len(se), bool))


def by_buckets(replicates: Floats, sizes: Floats) -> Jackknifed:
    """The jackknife's; NaN of numbers so large that their squares have no room."""
    jackknife = jackknives(replicates, sizes)
    finite = np.isfinite(jackknife.se)
    return Jackknifed(np.where(finite, jackknife.se, np.nan), jackknife.df)


def of_rows(moments: MomentsView) -> Jackknifed:
    """The standard errors of means over rows that stand for themselves."""
    rows = moments.weight[:, 0]
    se = standard_errors(moments)
    known = (rows >= 2) & np.isfinite(se) & ~alike(se, rows)
    return Jackknifed(np.where(known, se, np.nan), rows - 1)


def alike(se: Floats, rows: Floats) -> Bools:
    """Whether rows are all alike, and too few to take that for the truth."""
    return np.asarray((se == 0) & (rows < MANY_ALIKE))


def standard_errors(moments: MomentsView) -> Floats:
    """Those of the means, as if each row had the weight 1."""
    rows = moments.weight[:, 0]
    return np.asarray(np.sqrt(moments.m2[:, 0] / (rows - 1) / rows))


def between_rows(
    variance: Floats, rows: Floats, between: Jackknifed, slices: Slices
) -> tuple[Floats, Floats]:
    """How many rows shares of clustered rows are worth, and the degrees of freedom of that."""
    squares = between.se**2
    spreads = (squares * rows > NOISE * variance) & (variance > 0)
    # Where nothing spreads, nothing says how alike the rows of a cluster are: quite alike.
    few = rows / slices.sampling.rows_per_cluster
    return np.where(spreads, variance / np.where(spreads, squares, 1.0), few), between.df


def filter_basis(basis: Basis | None, which: Bools) -> Basis | None:
    """The basis of some of the slices."""
    if isinstance(basis, Averaged):
        view = basis.moments
        return Averaged(MomentsView(*(getattr(view, f.name)[which] for f in fields(view))))
    if isinstance(basis, Counted):
        names = ("hits", "trials", "hit_squares", "miss_squares")
        figures = (_of(getattr(basis, name), which) for name in names)
        hits, trials, hit_squares, miss_squares = figures
        return replace(
            basis, hits=hits, trials=trials, hit_squares=hit_squares, miss_squares=miss_squares
        )
    if isinstance(basis, Known):
        return Known(_of(basis.se, which), _of(basis.df, which))
    return basis


def _of(figures: Figures, which: Bools) -> Figures:
    return figures[which] if np.ndim(figures) else figures


def _arrays(counted: Counted) -> Counted:
    """The share of one slice among many."""
    names = ("hits", "trials", "hit_squares", "miss_squares")
    hits, trials, own, others = (np.array([getattr(counted, name)], np.float64) for name in names)
    return replace(counted, hits=hits, trials=trials, hit_squares=own, miss_squares=others)


def _some(share: Share, which: Bools) -> Share:
    return Share(share.hits[which], share.trials[which], _of(share.df, which))
