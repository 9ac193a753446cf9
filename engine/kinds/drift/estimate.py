"""From counts of both samples to distances with intervals, of many slices at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.core.vocabulary import MetricValue
from engine.kinds.drift.distances import Distance
from engine.kinds.estimates import SliceEstimates
from engine.metrics import Slices
from engine.states import Sums
from engine.statistics import Several, Spread
from engine.statistics.design_effect import FEWEST_BUCKETS, design_effect, stretch_along
from engine.statistics.distances import DISTANCES, Sizes, distance_spread, shares
from engine.statistics.histogram_distances import (
    BinSums,
    cumulative_effect,
    gap_spread,
    kolmogorov_smirnov,
    wasserstein,
    wasserstein_spread,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NO_REFERENCE = MetricValue(None, "empty", detail="in the reference")
# A move of less than this share is none that a reader wants to know of.
LEAST_MOVE = 0.0005


@dataclass(frozen=True, slots=True)
class Samples:
    """Counts of both samples on slices, [slice, bucket, column], and whether rows come in clusters.

    `names` are the bins' names, for what is said of them.
    """

    reference: Floats
    current: Floats
    clustered: bool
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Measured:
    """Distances of slices, how far they may be off, and the spread of those at some places."""

    values: Floats
    bounds: Floats
    spread: Callable[[NDArray[np.int64]], Spread]
    sizes: Sizes


def sums_of(on: Slices, key: str) -> Floats:
    """The sums of a family on slices: [slice, bucket, column]."""
    states = on.families[key]
    assert isinstance(states, Sums), "drift is measured of sums"
    values: Floats = states.select(np.arange(on.first, on.first + len(on))).values
    return values


def estimate_counts(distance: Distance, samples: Samples, level: float) -> SliceEstimates:
    """A distance of counts over bins."""
    counts = [sample.sum(axis=1) for sample in (samples.reference, samples.current)]
    effects = [_effect(sample, samples.clustered) for sample in _both(samples)]
    rows = [count.sum(axis=-1) for count in counts]
    stretch = np.ones(len(rows[0]))
    if samples.clustered:
        stretch = stretch_along(_both(samples), (effects[0], effects[1]))
    sizes = Sizes(rows[0] / effects[0], rows[1] / effects[1], stretch)

    def spread(at: NDArray[np.int64]) -> Spread:
        own = Sizes(sizes.first[at], sizes.second[at], stretch[at])
        return distance_spread(distance.key, (counts[0][at], counts[1][at]), own)

    with np.errstate(all="ignore"):
        values = np.asarray(DISTANCES[distance.key](*counts))
    measured = _Measured(values, np.zeros(len(values)), spread, sizes)
    why = [_no_distance(n, m) for n, m in zip(*(n.tolist() for n in rows), strict=True)]
    details = _moves(samples.names, shares(counts[0]), shares(counts[1]))
    return _estimates(distance, measured, why, details, level)


def estimate_gaps(
    distance: Distance, samples: Samples, edges: Floats, level: float
) -> SliceEstimates:
    """The Kolmogorov-Smirnov statistic of counts between edges, where nothing more is known."""
    # What lies in a bin may lie anywhere in it: nothing of it on the edge.
    before, now = (
        np.concatenate([side, side, side[..., :1] * 0], axis=-1) for side in _both(samples)
    )
    wide = Samples(before, now, samples.clustered)
    return estimate_sums(distance, wide, edges.tolist(), None, level)


def estimate_sums(
    distance: Distance, samples: Samples, edges: Sequence[float], deviation: float | None,
    level: float,
) -> SliceEstimates:  # fmt: skip
    """A distance of distribution functions, from counts and sums between edges."""
    sides = [_bin_sums(sample, edges) for sample in _both(samples)]
    unit = 1.0
    effects = [cumulative_effect(s) if samples.clustered else _alone(s.counts) for s in sides]
    if distance.key == "ks" and not samples.clustered:
        effects = [np.ones(len(effect)) for effect in effects]
    rows = [side.rows for side in sides]
    with np.errstate(all="ignore"):
        sizes = Sizes(*(n / effect for n, effect in zip(rows, effects, strict=True)))
        if distance.key == "ks":
            least, most = kolmogorov_smirnov(*sides)
        else:
            least, most = wasserstein(*sides)
            unit = deviation or np.nan
    middle = (least + most) / 2

    def spread(at: NDArray[np.int64]) -> Spread:
        own = Sizes(sizes.first[at], sizes.second[at])
        if distance.key == "ks":
            return gap_spread(middle[at], own)
        one, other = (BinSums(s.edges / unit, s.counts[at], s.distances[at] / unit) for s in sides)
        return wasserstein_spread((one, other), middle[at] / unit, own)

    measured = _Measured(middle / unit, (most - least) / 2 / unit, spread, sizes)
    why = [
        _no_distance(n, m)
        or (None if unit > 0 else MetricValue(None, "constant", detail="in the reference"))
        for n, m in zip(*(n.tolist() for n in rows), strict=True)
    ]
    return _estimates(distance, measured, why, _rest_texts(samples), level)


def _both(samples: Samples) -> tuple[Floats, Floats]:
    return samples.reference, samples.current


def _bin_sums(sums: Floats, edges: Sequence[float]) -> BinSums:
    bins = len(edges) + 1
    return BinSums(np.asarray(edges, np.float64), sums[..., :bins], sums[..., bins : 2 * bins])


def _effect(counts: Floats, clustered: bool) -> Floats:
    return design_effect(counts) if clustered else np.ones(len(counts))


def _alone(counts: Floats) -> Floats:
    """The design effect of rows that stand for themselves; NaN where buckets say too little."""
    return np.where((counts.sum(axis=-1) > 0).sum(axis=-1) < FEWEST_BUCKETS, np.nan, 1.0)


def _no_distance(reference: float, current: float) -> MetricValue | None:
    """Why there is no distance of so many rows."""
    if not current:
        return MetricValue(None, "empty")
    return None if reference else NO_REFERENCE


def _moves(names: Sequence[str], before: Floats, now: Floats) -> list[str | None]:
    """The bin of each slice whose share has moved the most, in words."""
    if not names:
        return [None] * len(before)
    details: list[str | None] = []
    for p, q in zip(np.nan_to_num(before), np.nan_to_num(now), strict=True):
        at = int(np.argmax(np.abs(q - p)))
        moved = abs(q[at] - p[at]) >= LEAST_MOVE
        details.append(f"{names[at]}: {p[at]:.1%} to {q[at]:.1%}" if moved else None)
    return details


def _rest_texts(samples: Samples) -> list[str | None]:
    """How many rows have no finite number, in words."""
    details: list[str | None] = []
    for sides in zip(*(s.sum(axis=1) for s in _both(samples)), strict=True):
        bins = (sides[0].shape[-1] - 1) // 2
        gone = [side[-1] for side in sides]
        share = [n / max(n + side[:bins].sum(), 1) for n, side in zip(gone, sides, strict=True)]
        told = f"without a number, left out: {share[0]:.1%} to {share[1]:.1%}"
        details.append(told if any(gone) else None)
    return details


def _estimates(
    distance: Distance, measured: _Measured, why: Sequence[MetricValue | None],
    details: Sequence[str | None], level: float,
) -> SliceEstimates:  # fmt: skip
    """The distances with their intervals; those of too few clusters have none."""
    count = len(measured.values)
    known = np.array([lacking is None for lacking in why], bool)
    known &= np.isfinite(measured.values) & np.isfinite(measured.sizes.variance)
    places = np.flatnonzero(known)
    spread = Several(count, ((places, measured.spread(places)),) if places.size else ())
    ends = np.full((2, count), np.nan)
    with np.errstate(all="ignore"):
        ends[:] = spread.interval(level)
    values = []
    for at, lacking in enumerate(why):
        if lacking is not None:
            values.append(lacking)
            continue
        low, high = (None if np.isnan(end) else float(end) for end in ends[:, at])
        high = None if high is None else min(high, distance.most)
        bound = float(measured.bounds[at])
        values.append(
            MetricValue(float(measured.values[at]), None, bound, low, high, detail=details[at])
        )
    return SliceEstimates.of_values(values, spread)
