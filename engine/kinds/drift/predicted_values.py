"""Distances of a regression's predictions: of its values beside those on the reference, by slice.

The values are those of a histogram: each of them while a slice has few, else of bins a thousandth
of the value wide, which no data choose. For distances of bins they are put together to ten parts of
the reference's rows; for those of distribution functions they are taken as they are, and what a bin
can hide bounds the distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.kinds.drift.bin_rows import BinRows, bin_rows
from engine.kinds.drift.bins import BINS, equal_parts
from engine.kinds.drift.distances import Distance
from engine.kinds.drift.estimate import (
    Samples,
    estimate_counts,
    estimate_gaps,
    estimate_sums,
)
from engine.kinds.estimates import SliceEstimates
from engine.metrics import Slices
from engine.states import BUCKETS, PredictionHistogram, relative_bins

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """Rows by value of both samples on a slice: the ends of values' bins, counts [bucket, value].

    The ends are the value itself while it is exact.
    """

    low: Floats
    high: Floats
    reference: Floats
    current: Floats

    @classmethod
    def of(cls, states: Sequence[PredictionHistogram], groups: Sequence[int]) -> Self:
        """Those of the reference's state and of the dataset's, each of a group."""
        pairs = list(zip(states, groups, strict=True))
        sides = [own.by_value(group) for own, group in pairs]
        gridded = any(bool(own.gridded[group]) for own, group in pairs if group < len(own.gridded))
        values = np.concatenate([values for values, _ in sides])
        # A bin is known by what the grid makes of its values, which ascends as they do.
        keys, low, high = relative_bins(values) if gridded else (values, values, values)
        points, first, places = np.unique(keys, return_index=True, return_inverse=True)
        counts = []
        for at, (_, rows) in zip(np.split(places, [len(sides[0][0])]), sides, strict=True):
            into = np.zeros((len(points), BUCKETS))
            np.add.at(into, at, rows.T)
            counts.append(into.T)
        return cls(low[first], high[first], counts[0], counts[1])

    @property
    def is_exact(self) -> bool:
        return bool((self.low == self.high).all())

    @property
    def middle(self) -> Floats:
        """A value for each bin."""
        # Halves first: the sum of two large values has no room.
        return self.low / 2 + self.high / 2

    @property
    def slack(self) -> float:
        """By how much both samples' distance may be off, of rows taken to be in the middle."""
        half, off = (self.high - self.low) / 2, 0.0
        for side in (self.reference, self.current):
            rows = side.sum()
            off += float((side.sum(axis=0) * half).sum() / rows) if rows else 0.0
        return off

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the reference's values; None of too few."""
        weight, middle = self.reference.sum(axis=0), self.middle
        rows = weight.sum()
        if rows < 2:
            return None
        mean = (weight * middle).sum() / rows
        return math.sqrt((weight * (middle - mean) ** 2).sum() / (rows - 1))

    def samples(self, clustered: bool) -> Samples:
        """The counts as those of one slice."""
        return Samples(self.reference[None], self.current[None], clustered)


def estimate_values(distance: Distance, on: Slices, key: str, level: float) -> SliceEstimates:
    """A distance of predicted values on slices, each by its own values."""
    assert on.reference is not None, "it has a reference"
    states = [side.families[key] for side in (on.reference, on)]
    assert all(isinstance(state, PredictionHistogram) for state in states), "its own states"
    parts = []
    for place in range(len(on)):
        groups = [side.first + place for side in (on.reference, on)]
        counts = ValueCounts.of(states, groups)  # type: ignore[arg-type]
        parts.append(_estimate(distance, counts, on.sampling.clustered, level))
    return SliceEstimates.concat(parts)


def value_rows(on: Slices, key: str) -> BinRows:
    """The rows of both samples of the first slice, by ten parts of the reference's values."""
    assert on.reference is not None, "it has a reference"
    states = [side.families[key] for side in (on.reference, on)]
    assert all(isinstance(state, PredictionHistogram) for state in states), "its own states"
    counts = ValueCounts.of(states, [on.reference.first, on.first])  # type: ignore[arg-type]
    parts = _with_names(put_together(counts.samples(on.sampling.clustered)), counts)
    named = [place for place, name in enumerate(parts.names) if name]
    return bin_rows(
        Samples(
            parts.reference[..., named], parts.current[..., named], parts.clustered,
            [parts.names[place] for place in named],
        )
    )  # fmt: skip


def _estimate(
    distance: Distance, counts: ValueCounts, clustered: bool, level: float
) -> SliceEstimates:
    samples = counts.samples(clustered)
    if not distance.of_order:
        return estimate_counts(distance, _with_names(put_together(samples), counts), level)
    if distance.key == "ks" and not counts.is_exact:
        # Edges between bins, of which nothing is needed but that they ascend.
        between = np.arange(len(counts.low) - 1, dtype=np.float64)
        return estimate_gaps(distance, samples, between, level)
    # All rows are on their edge: what is below the first is nothing.
    edges = counts.middle if len(counts.low) else np.zeros(1)
    sides = [_on_edges(side, len(edges)) for side in (samples.reference, samples.current)]
    wide = Samples(sides[0], sides[1], clustered)
    deviation = counts.deviation
    estimates = estimate_sums(distance, wide, edges.tolist(), deviation, level)
    off = counts.slack / deviation if deviation else 0.0
    values = [replace(value, error_bound=value.error_bound + off) for value in estimates.values]
    return replace(estimates, values=values)


def _on_edges(counts: Floats, edges: int) -> Floats:
    """Counts [slice, bucket, value] as sums of bins between edges, without any distance to them."""
    sums = np.zeros((*counts.shape[:2], 2 * edges + 3))
    sums[..., 1 : 1 + counts.shape[-1]] = counts
    return sums


def _with_names(samples: Samples, counts: ValueCounts) -> Samples:
    """The parts, called by the least and the greatest value in them."""
    part = equal_parts(counts.reference.sum(axis=0))
    names = []
    for place in range(BINS):
        own = np.flatnonzero(part == place)
        ends = [counts.low[own[0]], counts.high[own[-1]]] if own.size else []
        names.append(" to ".join(f"{end:.4g}" for end in dict.fromkeys(ends)))
    return replace(samples, names=names)


def put_together(samples: Samples) -> Samples:
    """Counts over about equal parts of the reference's rows on each slice."""
    before = samples.reference.sum(axis=1)
    count = len(before)
    parts = [
        np.zeros((count, side.shape[1], BINS)) for side in (samples.reference, samples.current)
    ]
    for at, fine in enumerate(before):
        part = equal_parts(fine)
        for into, side in zip(parts, (samples.reference, samples.current), strict=True):
            np.add.at(into[at].T, part, side[at].T)
    return replace(samples, reference=parts[0], current=parts[1])
