"""A histogram of any numbers of rows, from which quantiles are read: errors, targets.

As the histogram of scores: exact while a group has few distinct values, beyond that on a fixed
grid, here one that is relative all over: between neighbouring powers of 2 it has 2^bits equal
steps, on both sides of 0. Beside the weights stand the sums of their squares, in the place that a
histogram of scores has for the second label, since a quantile's interval needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from engine.states import score_histogram
from engine.states.base import BUCKETS, Family, Floats, Ints, Scored, sums_by_cell, with_left_out
from engine.states.dense import losses_of
from engine.states.histogram_build import Ranked, histogram_of
from engine.states.histogram_entries import CELLS, EVERYBODY, Entries, Grid, Rule
from engine.states.row_columns import key_part
from engine.states.score_histogram import ScoreHistogram

_MANTISSA = 52
_LARGEST = np.finfo(np.float64).max


def relative_grid(values: Floats, bits: int) -> Floats:
    """Numbers rounded towards 0 to `bits` bits after the first: monotone, and idempotent."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(_MANTISSA - bits)
    rounded = (np.ascontiguousarray(values, np.float64).view(np.uint64) & mask).view(np.float64)
    # What was just below 0 is -0.0 now; there is one zero.
    return rounded + 0.0


def bins_of(rounded: Floats, bits: int) -> tuple[Floats, Floats]:
    """The ends between which the numbers lie that `relative_grid` makes one of.

    Of 0 both ends are 0: what else is in its bin has no digits left to lose.
    """
    step = np.uint64(1) << np.uint64(_MANTISSA - bits)
    size = np.abs(rounded)
    away = np.minimum((size.view(np.uint64) + step).view(np.float64), _LARGEST)
    away = np.where(np.isfinite(size) & (size > 0), away, size)
    low = np.where(rounded < 0, -away, rounded)
    return low, np.where(rounded > 0, away, rounded)


def relative_bins(values: Floats) -> tuple[Floats, Floats, Floats]:
    """The fine grid's number of each value, ascending as they do, and the ends of its bin."""
    rounded = relative_grid(values, score_histogram.FINE_BITS)
    return (rounded, *bins_of(rounded, score_histogram.FINE_BITS))


class ValueHistogram(ScoreHistogram):
    """Weights by value and bucket; a cell's label 1 holds what the squared weights are more."""

    kind = "values"
    grid: ClassVar[Grid] = staticmethod(relative_grid)
    squares = True


@dataclass(frozen=True, slots=True)
class Values(Family):
    """The histogram of a number of each row; as with `Mean`, the name tells functions apart."""

    name: str
    function: Callable[[Scored], Floats] = field(compare=False, repr=False)
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"values({self.name}{key_part(self.columns)})"

    def zero(self, n_groups: int = 0) -> ValueHistogram:
        return ValueHistogram.none(n_groups)

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> ValueHistogram:
        if len(batch) == 0:
            return self.zero(n_groups)
        ranked = batch.once(self.key, lambda: self._rank(batch))
        return ValueHistogram(*histogram_of(ranked, ValueHistogram.rule(), groups, n_groups))

    def _rank(self, batch: Scored) -> Ranked:
        return Ranked.of(
            losses_of(self.name, self.function, batch, self.columns),
            2 * batch.bucket,
            None if batch.unweighted else batch.weight,
        )


class PredictionHistogram(ScoreHistogram):
    """Rows by predicted value and bucket, whatever they weigh; by bucket on the fine grid too."""

    kind = "predictions"
    grid: ClassVar[Grid] = staticmethod(relative_grid)

    @classmethod
    def rule(cls) -> Rule:
        return Rule(
            cls.grid, score_histogram.EXACT_SCORES, score_histogram.FINE_BITS,
            score_histogram.FINE_BITS, cls.squares,
        )  # fmt: skip

    def by_value(self, group: int) -> tuple[Floats, Floats]:
        """The distinct values of a group, ascending, and the rows of each: [bucket, value].

        Of a gridded one they are those that `relative_grid` makes.
        """
        first = group * CELLS
        entries = self.entries.between(first, first + EVERYBODY).drop_unused()
        count = len(entries.scores)
        cells = entries.place // 2 * count + entries.rank
        rows = sums_by_cell(cells, entries.weight, BUCKETS * count)
        return entries.scores, rows.reshape(BUCKETS, count)


@dataclass(frozen=True, slots=True)
class PredictedValues(Family):
    """The histogram of a regression's predictions."""

    columns: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return "predicted values"

    def zero(self, n_groups: int = 0) -> PredictionHistogram:
        return PredictionHistogram.none(n_groups)

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> PredictionHistogram:
        if len(batch) == 0:
            return self.zero(n_groups)
        rule = PredictionHistogram.rule()
        return PredictionHistogram(
            *histogram_of(batch.once(self.key, lambda: self._rank(batch)), rule, groups, n_groups)
        )

    def _rank(self, batch: Scored) -> Ranked:
        assert batch.scores is not None, "a regression predicts values"
        return Ranked.of(batch.scores, 2 * batch.bucket, None)


@dataclass(frozen=True, slots=True)
class ValuesView:
    """Weights by ascending value: `weight` is [replicate, value].

    The values lie between `low` and `high`, which are the same while they are exact. `squares` are
    the sums of squared weights of all rows, [value]. There is a single replicate here, that of all
    rows; `left_out` gives the others.
    """

    low: Floats
    high: Floats
    weight: Floats
    squares: Floats
    exact: bool
    state: ValueHistogram

    @classmethod
    def of(cls, states: ValueHistogram) -> ValuesView:
        gridded = bool(states.gridded[0])
        entries = states.entries
        if gridded:
            entries = entries.between(EVERYBODY, CELLS)
        values, table = _table(entries, 2)
        weight = table[:1]
        return cls(
            *_ends(values, gridded, score_histogram.FINE_BITS),
            weight,
            table.sum(0),
            not gridded,
            states,
        )

    def with_replicates(self) -> ValuesView:
        """The same with a replicate for all rows, then one with each bucket left out.

        Beyond the cap it is on the coarse grid, the first replicate too, so that they compare.
        """
        values, table = _table(self.state.entries.between(0, EVERYBODY), 2 * BUCKETS)
        weight = with_left_out(table[0::2])
        ends = _ends(values, not self.exact, score_histogram.COARSE_BITS)
        return ValuesView(*ends, weight, table.sum(0), self.exact, self.state)


def _table(entries: Entries, rows: int) -> tuple[Floats, Floats]:
    """The distinct values of a single group, and the weights as [row, value].

    A row is a cell, or with two rows a label.
    """
    entries = entries.drop_unused()
    count = len(entries.scores)
    cells = entries.place % rows * count + entries.rank
    return entries.scores, sums_by_cell(cells, entries.weight, rows * count).reshape(rows, count)


def _ends(values: Floats, gridded: bool, bits: int) -> tuple[Floats, Floats]:
    return bins_of(values, bits) if gridded else (values, values)
