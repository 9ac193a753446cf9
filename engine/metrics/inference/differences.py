"""How sure the difference of two versions is, on the same rows of many slices.

Shares of hits are compared by the rows on which the versions differ, means by the differences of
each row, areas under the ROC curve by DeLong's variance; any other metric by the jackknife over the
buckets, which hold the same rows for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.metrics.base import Metric, Problem
from engine.metrics.basis import Averaged, Counted, Known
from engine.metrics.inference.areas import difference_of_areas
from engine.metrics.inference.intervals import (
    Case,
    alike,
    between_rows,
    by_buckets,
    is_still,
    simple,
    standard_errors,
    support_of,
)
from engine.metrics.slices import Slices
from engine.metrics.values import Figured
from engine.states import (
    Floats,
    MomentsView,
    PairedHits,
    PairedHitsOf,
    PairedScores,
    PairedView,
    ScorePairsView,
)
from engine.states.pairs import GAINED, LOST
from engine.statistics import Figures, Jackknifed, Moved, PairedShare, Several, Spread, StudentT
from engine.statistics.effective_size import Outcome, worth
from engine.statistics.spread import one_of


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate's metric beside the baseline's on the same rows, of one slice or of many.

    `spread` is that of the difference, candidate less baseline, and `se_delta` its standard error.
    `errors` gives those of the candidate and of the baseline, from which any other combination of
    the two has its own; few tests ask for one.
    """

    candidate: Figures
    baseline: Figures
    spread: Spread
    se_delta: Figures
    df: Figures
    errors: Callable[[], tuple[Figures, Figures]]

    @property
    def delta(self) -> Figures:
        return self.candidate - self.baseline

    def at(self, place: int) -> Comparison | None:
        """That of one slice among many; None where nothing is known of its spread."""
        spread = self.spread.at(place)
        if spread is None:
            return None

        def errors() -> tuple[float, float]:
            own, other = self.errors()
            return one_of(own, place), one_of(other, place)

        names = (self.candidate, self.baseline, self.se_delta, self.df)
        candidate, baseline, se_delta, df = (one_of(figures, place) for figures in names)
        return Comparison(candidate, baseline, spread, se_delta, df, errors)

    def less(self, share: Figures) -> Spread:
        """The spread of the candidate less `share` times the baseline."""
        own, other = (error * error for error in self.errors())
        covariance = (own + other - self.se_delta**2) / 2
        variance = own + share**2 * other - 2 * share * covariance
        value = self.candidate - share * self.baseline
        return StudentT(value, np.sqrt(np.maximum(variance, 0.0)), self.df)


@dataclass(frozen=True, slots=True)
class Pairs:
    """A metric of a model and of the baseline on slices."""

    metric: Metric
    problem: Problem
    slices: Slices
    baseline: Slices

    @property
    def width(self) -> float:
        """How far a difference may go, in either direction."""
        low, high = self.metric.bounds
        return high - low

    @property
    def both(self) -> tuple[Figured, Figured]:
        ours, theirs = (
            self.metric.figures(self.problem, side) for side in (self.slices, self.baseline)
        )
        return ours, theirs

    def of_parts(
        self,
        parts: list[tuple[Any, Spread]],
        se: Floats,
        df: Figures,
        errors: Callable[[], tuple[Floats, Floats]],
    ) -> Comparison:
        ours, theirs = self.both
        spread = Several(len(self.slices), tuple(part for part in parts if part[0].size))
        df = np.broadcast_to(np.asarray(df, np.float64), se.shape)
        return Comparison(ours.values, theirs.values, spread, se, df, errors)


@dataclass(frozen=True, slots=True)
class Changes(Pairs):
    """What a variant changes of a metric: of a model, and of the baseline behind the same one.

    `baseline` is the baseline behind the variant. What each is compared with is in the `baseline`
    of its slices; a metric that compares the two already is its own change.
    """

    @property
    def width(self) -> float:
        low, high = self.metric.bounds
        return (high - low) * (1 if self.metric.against else 2)

    @property
    def both(self) -> tuple[Figured, Figured]:
        ours, theirs = (
            change_of(self.metric, self.problem, side) for side in (self.slices, self.baseline)
        )
        return ours, theirs


def change_of(metric: Metric, problem: Problem, slices: Slices) -> Figured:
    """A metric less that of what the slices are compared with."""
    own = metric.figures(problem, slices)
    if metric.against:
        return own
    assert slices.baseline is not None, "a change is from something"
    return own.less(metric.figures(problem, slices.baseline))


def compare_changes(metric: Metric, problem: Problem, slices: Slices) -> Comparison:
    """How much more a variant changes a metric of a model than of the baseline: `slices.rival`.

    A difference of differences on the same rows, by the jackknife over the buckets.
    """
    assert slices.rival is not None, "there is a baseline behind the same variant"
    with np.errstate(all="ignore"):
        return _of_buckets(Changes(metric, problem, slices, slices.rival))


def comparison_of(metric: Metric, problem: Problem, states: Slices) -> Comparison | None:
    """The paired comparison of a single slice; None where nothing is known of its spread.

    The metric must be defined for both.
    """
    comparisons = comparisons_of(metric, problem, states)
    return None if comparisons is None else comparisons.at(0)


def comparisons_of(metric: Metric, problem: Problem, slices: Slices) -> Comparison | None:
    """The paired comparisons with `slices.baseline` where the metric is defined for both.

    None for a metric that has no intervals, or without a baseline.
    """
    if slices.baseline is None or not metric.intervals:
        return None
    pairs = Pairs(metric, problem, slices, slices.baseline)
    with np.errstate(all="ignore"):
        for family in metric.paired(problem) if metric.paired else ():
            if family.key not in slices.families:
                continue
            if isinstance(family, PairedHits | PairedHitsOf) and metric.hits_of is not None:
                return _of_shares(pairs, slices.view(family.key))
            if isinstance(family, PairedScores) and simple(slices):
                return _of_areas(pairs, slices.view(family.key))
            if simple(slices):
                return _of_means(pairs, slices.view(family.key))
        return _of_buckets(pairs)


def _of_buckets(pairs: Pairs) -> Comparison:
    """Any metric of two versions: both have the same rows in the same buckets."""
    sizes = pairs.slices.buckets

    def errors() -> tuple[Floats, Floats]:
        own, base = (
            np.nan_to_num(by_buckets(figured.replicates, sizes).se) for figured in pairs.both
        )
        return own, base

    return _around(pairs, _jackknife(pairs), errors)


def _of_areas(pairs: Pairs, view: ScorePairsView) -> Comparison:
    """Areas under the ROC curve, or a line of them: by DeLong's variance, where it is known."""
    low, high = pairs.metric.bounds
    areas, between = difference_of_areas(view), _jackknife(pairs)
    unknown = np.isnan(areas.se)
    se = np.where(unknown, between.se, areas.se * (high - low))
    df = np.where(unknown, between.df, areas.df)

    def errors() -> tuple[Floats, Floats]:
        own, base = (_errors_of(pairs, side) for side in (pairs.slices, pairs.baseline))
        return own, base

    return _around(pairs, Jackknifed(se, df), errors)


def _jackknife(pairs: Pairs) -> Jackknifed:
    """The standard errors of the differences, bucket by bucket."""
    ours, theirs = pairs.both
    return by_buckets(ours.replicates - theirs.replicates, pairs.slices.buckets)


def _around(
    pairs: Pairs, error: Jackknifed, errors: Callable[[], tuple[Floats, Floats]]
) -> Comparison:
    """Student's t around the differences; where nothing moves, as of shares."""
    ours, theirs = pairs.both
    delta = ours.values - theirs.values
    known = np.isfinite(error.se) & np.isfinite(delta)
    still = known & is_still(error.se, pairs.width)
    at = np.flatnonzero(known & ~still)
    parts: list[tuple[Any, Spread]] = [(at, StudentT(delta[at], error.se[at], error.df[at]))]
    if still.any():
        rows = np.minimum(support_of(ours, pairs.slices), support_of(theirs, pairs.baseline))
        at = np.flatnonzero(still & (rows > 0))
        # As of shares of which no row differs.
        none = np.zeros(len(at))
        parts.append((at, Moved(PairedShare(none, none, rows[at]), delta[at], pairs.width)))
    return pairs.of_parts(parts, error.se, error.df, errors)


def _of_means(pairs: Pairs, moments: MomentsView) -> Comparison:
    """Means over rows: by the differences of each row, which have more digits than the means'."""
    rows, se = moments.weight[:, 0], standard_errors(moments)
    at = np.flatnonzero((rows >= 2) & np.isfinite(se) & ~alike(se, rows))
    spread = StudentT(moments.mean[at, 0], se[at], rows[at] - 1)

    def errors() -> tuple[Floats, Floats]:
        own, base = (_errors_of(pairs, side) for side in (pairs.slices, pairs.baseline))
        return own, base

    return pairs.of_parts([(at, spread)], se, rows - 1, errors)


def _errors_of(pairs: Pairs, slices: Slices) -> Floats:
    """The standard errors of means over rows, shares of them or areas; 0 where nothing spreads."""
    errors = np.zeros(len(slices))
    figured = pairs.metric.figures(pairs.problem, slices)
    with np.errstate(all="ignore"):
        for case in Case.of_all(pairs.metric, slices, figured):
            if isinstance(case.basis, Averaged):
                errors[case.places] = standard_errors(case.basis.moments)
            elif isinstance(case.basis, Counted) and case.map is not None:
                errors[case.places] = np.nan_to_num(case.jackknife().se)
            elif isinstance(case.basis, Counted):
                share = case.basis.hits / case.basis.trials
                variance = np.maximum(share * (1 - share), 0.0)
                errors[case.places] = np.sqrt(variance / case.basis.trials)
            elif isinstance(case.basis, Known):
                se = np.broadcast_to(case.basis.se, case.places.shape)
                se = np.where(np.isnan(se), case.jackknife().se, se)
                errors[case.places] = np.nan_to_num(se)
    return errors


def _of_shares(pairs: Pairs, view: PairedView) -> Comparison:
    """Shares of hits: by the rows that one version has right and the other wrong."""
    assert pairs.metric.hits_of is not None, "a share of hits says of which rows"
    slices, sampling = pairs.slices, pairs.slices.sampling
    classes = list(pairs.metric.hits_of(pairs.problem))
    total, squares = view.total[:, classes].sum(1), view.squares[:, classes].sum(1)
    trials, gained, lost = total.sum(-1), total[:, GAINED], total[:, LOST]
    delta = (gained - lost) / trials
    variance = np.maximum((gained + lost) / trials - delta**2, 0.0)
    # Few rows that differ make a score interval wide enough: the rows are taken as known.
    rows = worth(_outcomes(total, squares, delta)) if sampling.weighted else trials
    df: Figures = math.inf
    known = trials > 0
    if sampling.clustered:
        ours, theirs = pairs.both
        between = by_buckets(ours.replicates - theirs.replicates, slices.buckets)
        known &= np.isfinite(between.se)
        rows, df = between_rows(variance, rows, between, slices)
    at = np.flatnonzero(known & (rows > 0))
    scale = rows / trials
    own_df = df[at] if np.ndim(df) else df
    spread = PairedShare((gained * scale)[at], (lost * scale)[at], rows[at], own_df)

    def errors() -> tuple[Floats, Floats]:
        own, base = (_errors_of_shares(pairs, side) for side in (slices, pairs.baseline))
        return own, base

    return pairs.of_parts([(at, spread)], np.sqrt(variance / rows), df, errors)


def _errors_of_shares(pairs: Pairs, slices: Slices) -> Floats:
    """The standard errors of shares, by the rows they are worth by themselves."""
    errors = np.zeros(len(slices))
    figured = pairs.metric.figures(pairs.problem, slices)
    with np.errstate(all="ignore"):
        for case in Case.of_all(pairs.metric, slices, figured):
            assert isinstance(case.basis, Counted), "a share of hits is counted"
            if case.basis.unweighted_only and slices.sampling.weighted:
                errors[case.places] = np.nan_to_num(case.jackknife().se)
                continue
            value = figured.values[case.places]
            rows = case.shares(case.basis)[1].trials
            errors[case.places] = np.sqrt(np.maximum(value * (1 - value), 0.0) / rows)
    return errors


def _outcomes(total: Floats, squares: Floats, delta: Floats) -> list[Outcome]:
    """The rows that differ in each direction, and the others, around a difference."""
    weight, own = total.sum(-1), squares.sum(-1)
    gained, lost, gains, losses = (
        sums[:, at] for sums in (total, squares) for at in (GAINED, LOST)
    )
    return [
        Outcome(gained, gains, 1 - delta),
        Outcome(lost, losses, 1 + delta),
        Outcome(weight - gained - lost, own - gains - losses, delta),
    ]
