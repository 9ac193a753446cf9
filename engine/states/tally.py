"""A sparse table of weights by cell: the confusion of classes, in buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from engine.states import codec
from engine.states.base import (
    BUCKETS,
    Family,
    Floats,
    Ints,
    Scored,
    States,
    replicate_sums,
    runs,
    sum_by_key,
    sums_by_cell,
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

    def regroup(self, numbers: Ints, n_groups: int) -> Self:
        group, cell = np.divmod(self.keys, self.width)
        keys, weights = sum_by_key(numbers[group] * self.width + cell, self.weights)
        return type(self)(self.width, n_groups, keys, weights)

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


class Cells(NamedTuple):
    """Weights of a tally by group and cell: the first plane, and what their squares are more."""

    keys: Ints
    weights: Floats
    excess_keys: Ints
    excess: Floats


def cells_of(states: Tally, first: int, last: int) -> Cells:
    """The cells of the groups from `first` to before `last`, of a tally that is `squared`."""
    low, high = np.searchsorted(states.keys, [first * states.width, last * states.width])
    keys, weights = states.keys[low:high] - first * states.width, states.weights[low:high]
    half = states.width // 2
    group, cell = np.divmod(keys, states.width)
    own = cell < half
    if own.all():
        return Cells(group * half + cell, weights, keys[:0], weights[:0])
    squares = ~own
    return Cells(
        (group * half + cell)[own],
        weights[own],
        (group * half + cell - half)[squares],
        weights[squares],
    )


@dataclass(frozen=True, slots=True)
class ConfusionView:
    """Margins of a confusion, over all buckets and with each left out: [replicate, class].

    `hits` is the weight of rows of a class that were predicted so; `actual` and `predicted` the
    weight of its rows and of the rows predicted so. `squares` has the sums of squared weights by
    true and predicted class, over all buckets: [class, class].

    Of many groups all have an axis of groups before the others. `state` has the first plane.
    """

    n_classes: int
    hits: Floats
    actual: Floats
    predicted: Floats
    total: Floats
    squares: Floats
    state: Tally
    made: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, states: Tally) -> ConfusionView:
        """That of the first group alone."""
        return cls.of_groups(states, 0, 1).at(0)

    @classmethod
    def of_groups(cls, states: Tally, first: int, last: int) -> ConfusionView:
        """That of the groups from `first` to before `last`."""
        count, half = last - first, states.width // 2
        k = round((half // BUCKETS) ** 0.5)
        cells = cells_of(states, first, last)
        rest, predicted = np.divmod(cells.keys, k)
        # Group and bucket together, as they lie one after the other.
        place, actual = np.divmod(rest, k)

        def margin(classes: Ints, weights: Floats, places: Ints) -> Floats:
            sums = sums_by_cell(places * k + classes, weights, count * BUCKETS * k)
            return replicate_sums(sums.reshape(count, BUCKETS, k))

        hit = actual == predicted
        actuals = margin(actual, cells.weights, place)
        squares = _by_classes(cells.keys, cells.weights, (count, half, k))
        if len(cells.excess):
            squares = squares + _by_classes(cells.excess_keys, cells.excess, (count, half, k))
        return cls(
            k,
            margin(actual[hit], cells.weights[hit], place[hit]),
            actuals,
            margin(predicted, cells.weights, place),
            actuals.sum(-1),
            squares,
            Tally(half, count, cells.keys, cells.weights),
        )

    def at(self, place: int) -> ConfusionView:
        """That of one of many groups."""
        return ConfusionView(
            self.n_classes,
            self.hits[place],
            self.actual[place],
            self.predicted[place],
            self.total[place],
            self.squares[place],
            self.state.take(place),
        )

    def matrix(self) -> Floats:
        """The whole confusion [true class, predicted class], all buckets together."""
        k, state = self.n_classes, self.state
        sums = _by_classes(state.keys, state.weights, (state.groups, state.width, k))
        return sums.reshape(*self.total.shape[:-1], k, k)

    def by_replicate(self) -> Floats:
        """The confusion with all rows, then without each bucket: [replicate, true, predicted]."""
        if "by_replicate" not in self.made:
            k, state = self.n_classes, self.state
            sums = sums_by_cell(state.keys, state.weights, state.groups * state.width)
            sums = replicate_sums(sums.reshape(state.groups, BUCKETS, k * k))
            self.made["by_replicate"] = sums.reshape(*self.total.shape, k, k)
        return self.made["by_replicate"]


def _by_classes(keys: Ints, weights: Floats, size: tuple[int, int, int]) -> Floats:
    """Weights by true and predicted class, [group, class, class], of `size` (groups, width, k)."""
    count, width, k = size
    cells = keys // width * (k * k) + keys % (k * k)
    return sums_by_cell(cells, weights, count * k * k).reshape(count, k, k)
