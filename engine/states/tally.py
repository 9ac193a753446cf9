"""A sparse table of weights by cell: the confusion of classes, in buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from engine.states import codec
from engine.states.base import (
    BUCKETS,
    Family,
    Floats,
    Ints,
    Scored,
    States,
    runs,
    sum_by_key,
    sums_by_cell,
    with_left_out,
)
from engine.states.subtract import Sparse


@dataclass(frozen=True, slots=True, eq=False)
class Tally(States):
    """Weights by (group, cell), `width` cells in a group; keys ascending and distinct.

    Of one that is `squared`, the second half of the cells is a plane as of `squares_cells`.
    """

    kind = "tally"
    squared: ClassVar[bool] = True

    width: int
    groups: int
    keys: Ints
    weights: Floats

    @property
    def n_groups(self) -> int:
        return self.groups

    @property
    def parameters(self) -> tuple[int, ...]:
        return (self.width,)

    def merge(self, *others: Self) -> Self:
        self.refuse_unlike(*others)
        all_ = (self, *others)
        keys, weights = sum_by_key(
            np.concatenate([tally.keys for tally in all_]),
            np.concatenate([tally.weights for tally in all_]),
        )
        return type(self)(self.width, max(tally.groups for tally in all_), keys, weights)

    def minus(self, other: Self) -> Self:
        self.refuse_unlike(other)
        groups = max(self.groups, other.groups)
        return type(self)(self.width, groups, *self._sparse().less(other._sparse()))

    def _sparse(self) -> Sparse:
        if not self.squared:
            return Sparse(self.keys, self.weights)
        half = self.width // 2
        return Sparse(self.keys, self.weights, self.keys % self.width >= half, half)

    def take(self, group: int) -> Self:
        low, high = self.keys.searchsorted((group * self.width, (group + 1) * self.width))
        keys = self.keys[low:high] - group * self.width
        return type(self)(self.width, 1, keys, self.weights[low:high])

    def select(self, groups: Ints) -> Self:
        low, high = (
            np.searchsorted(self.keys, edges * self.width) for edges in (groups, groups + 1)
        )
        at = runs(low, high)
        moved = np.repeat((np.arange(len(groups)) - groups) * self.width, high - low)
        return type(self)(self.width, len(groups), self.keys[at] + moved, self.weights[at])

    def encode(self) -> bytes:
        arrays = {"steps": codec.steps(self.keys), "weights": codec.small(self.weights)}
        return codec.encode(self.kind, {"width": self.width, "groups": self.groups}, arrays)

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        width, groups = codec.count_of(params, "width"), codec.count_of(params, "groups")
        keys = codec.keys_of(arrays, "steps", width * groups)
        weights = codec.weights_of(arrays, "weights")
        codec.refuse_unless(len(keys) == len(weights), "cells and weights differ in length")
        return cls(width, groups, keys, weights)


def squares_cells(cells: Ints, weight: Floats, span: int) -> tuple[Ints, Floats]:
    """The cells of rows with a second plane of `span` cells, in which their squared weights lie.

    What lies there is w² - w, which is nothing for rows of weight 1: they take no room. Intervals
    of weighted shares need the squares.
    """
    return np.concatenate([cells, cells + span]), np.concatenate([weight, weight * (weight - 1)])


@dataclass(frozen=True, slots=True)
class Confusion(Family):
    """Weights by true and predicted class; in a second plane their squares, see `squares_cells`."""

    n_classes: int

    @property
    def key(self) -> str:
        return f"confusion({self.n_classes})"

    def zero(self, n_groups: int = 0) -> Tally:
        return Tally(2 * self._span, n_groups, np.zeros(0, np.int64), np.zeros(0))

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> Tally:
        cell = batch.once(self.key, lambda: self._cells(batch))
        cells = groups * (2 * self._span) + cell
        if batch.unweighted:
            return Tally(2 * self._span, n_groups, *sum_by_key(cells, None))
        return Tally(
            2 * self._span,
            n_groups,
            *sum_by_key(*squares_cells(cells, batch.weight, self._span)),
        )

    @property
    def _span(self) -> int:
        return BUCKETS * self.n_classes**2

    def _cells(self, batch: Scored) -> Ints:
        assert batch.predicted is not None, "a confusion needs predicted classes"
        cells: Ints = (batch.bucket * self.n_classes + batch.truth) * self.n_classes
        return cells + batch.predicted


@dataclass(frozen=True, slots=True)
class ConfusionView:
    """Margins of a confusion, over all buckets and with each left out: [replicate, class].

    `hits` is the weight of rows of a class that were predicted so; `actual` and `predicted` the
    weight of its rows and of the rows predicted so. `squares` has the sums of squared weights by
    true and predicted class, over all buckets: [class, class].
    """

    n_classes: int
    hits: Floats
    actual: Floats
    predicted: Floats
    total: Floats
    squares: Floats
    state: Tally

    @classmethod
    def of(cls, states: Tally) -> ConfusionView:
        k = round((states.width // (2 * BUCKETS)) ** 0.5)
        first, extra = planes(states)
        rest, predicted = np.divmod(first.keys, k)
        bucket, actual = np.divmod(rest, k)

        def margin(classes: Ints, weights: Floats, buckets: Ints) -> Floats:
            sums = sums_by_cell(buckets * k + classes, weights, BUCKETS * k)
            return with_left_out(sums.reshape(BUCKETS, k))

        hit = actual == predicted
        hits = margin(actual[hit], first.weights[hit], bucket[hit])
        actuals = margin(actual, first.weights, bucket)
        excess = sums_by_cell(extra.keys % (k * k), extra.weights, k * k)
        squares = excess + sums_by_cell(first.keys % (k * k), first.weights, k * k)
        return cls(
            k,
            hits,
            actuals,
            margin(predicted, first.weights, bucket),
            actuals.sum(-1),
            squares.reshape(k, k),
            first,
        )

    def matrix(self) -> Floats:
        """The whole confusion [true class, predicted class], all buckets together."""
        k = self.n_classes
        return sums_by_cell(self.state.keys % (k * k), self.state.weights, k * k).reshape(k, k)

    def by_replicate(self) -> Floats:
        """The confusion with all rows, then without each bucket: [replicate, true, predicted]."""
        k = self.n_classes
        sums = sums_by_cell(self.state.keys, self.state.weights, BUCKETS * k * k)
        return with_left_out(sums.reshape(BUCKETS, k, k))


def planes(states: Tally) -> tuple[Tally, Tally]:
    """The weights of a tally with one group, and what their squares are more than they."""
    half = states.width // 2
    cut = int(np.searchsorted(states.keys, half))
    return (
        Tally(half, 1, states.keys[:cut], states.weights[:cut]),
        Tally(half, 1, states.keys[cut:] - half, states.weights[cut:]),
    )
