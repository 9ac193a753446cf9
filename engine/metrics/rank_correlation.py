"""How far predictions are in the order of the targets: Spearman's rho and Kendall's tau-b.

References: SciPy's `spearmanr` and `kendalltau(variant="b")`. Exact while a slice has few distinct
pairs. Beyond, they lie on a grid (`engine.states.rank_pairs`), and the order of the targets within
a row of it is not known, nor that of the predictions within a column. Spearman's rho takes them as
tied there; Kendall's tau-b is the middle of all that is possible. `error_bound` is how far from
that the true value can be, whatever the rows are.

All weights are shares of their sum here. With weights a mid-rank is the weight of what is below,
and half of what is tied; a pair of rows has the product of their weights. So weight 2 is the row
twice: what a row is to itself, and to its double, is a tie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.metrics.base import REGRESSION, Problem, metric
from engine.metrics.values import Value
from engine.states import Bools, Floats, Ints, RankPairsView, Ranks, sums_by_cell
from engine.states.rank_pairs import Margin

UNIT = (-1.0, 1.0)

# What sums of shares are off, at most.
ROUNDING = 1e-15


def _ranks(problem: Problem) -> tuple[Ranks]:
    return (Ranks(),)


@dataclass(frozen=True, slots=True)
class Sides:
    """The weights of a view in shares: by cell, by row and by column, [replicate, ...]."""

    cell: Floats
    row: Floats
    column: Floats
    constant: Bools

    @classmethod
    def of(cls, view: RankPairsView) -> Sides:
        """Those of a view; of a replicate without weight all are NaN."""
        total = view.weight.sum(-1, keepdims=True)
        cell = view.weight / np.where(total > 0, total, np.nan)
        row, column = (_sums(cell, places) for places in (view.row, view.column))
        few = [(side > 0).sum(-1) < 2 for side in (row, column)]
        return cls(cell, row, column, few[0] | few[1])


def _sums(weight: Floats, places: Ints) -> Floats:
    """The sums of [replicate, cell] by the place of each cell: [replicate, place]."""
    count = int(places.max(initial=-1)) + 1
    keys = np.arange(len(weight))[:, None] * count + places
    return sums_by_cell(keys.ravel(), weight.ravel(), len(weight) * count).reshape(
        len(weight), count
    )


def _mid_ranks(side: Floats) -> Floats:
    """The rank of each place less the mean rank: [replicate, place]."""
    return (_below(side) - _below(side[:, ::-1])[:, ::-1]) / 2


def _below(side: Floats) -> Floats:
    """The weight of the places before each, of which none is taken away again: it would cancel."""
    sums = np.cumsum(side[:, :-1], axis=-1)
    return np.concatenate([np.zeros((len(side), min(side.shape[1], 1))), sums], axis=-1)


def _correlation(
    view: RankPairsView, sides: Sides, values: Floats, ends: tuple[float, float]
) -> Value:
    """The values, cut at -1 and 1, of which the first is certain to lie between the ends."""
    values = np.clip(values, *UNIT)
    low, high = ends
    bound = 0.0 if view.exact else max(high - float(values[0]), float(values[0]) - low)
    # On the grid, numbers of one row need not be one number.
    alike = "constant" if view.exact or _is_constant(view) else "too_close"
    undefined = (("zero_weight", view.weight.sum(-1) == 0), (alike, sides.constant))
    return Value(values, undefined, bound if math.isfinite(bound) else 0.0)


def _is_constant(view: RankPairsView) -> bool:
    """Whether all targets are known to be one number, or all predictions are."""
    return any(len(margin.cells) == len(margin.values) == 1 for margin in view.margins)


@metric(
    "spearman",
    tasks=REGRESSION,
    needs=_ranks,
    aliases=["spearmanr"],
    bounds=UNIT,
)
def spearman(problem: Problem, view: RankPairsView) -> Value:
    """The linear correlation of the ranks of targets and predictions (Spearman's rho)."""
    sides = Sides.of(view)
    target, prediction = _mid_ranks(sides.row), _mid_ranks(sides.column)
    covariance = (sides.cell * target[:, view.row] * prediction[:, view.column]).sum(-1)
    variances = (
        (side * rank**2).sum(-1) for side, rank in ((sides.row, target), (sides.column, prediction))
    )
    scale = np.sqrt(np.prod(list(variances), axis=0))
    values = covariance / np.where(sides.constant, np.nan, scale)
    alone = not view.exact and len(values) == 1
    ends = _spearman_ends(view, sides, float(covariance[0])) if alone else UNIT
    return _correlation(view, sides, values, ends)


def _spearman_ends(view: RankPairsView, sides: Sides, covariance: float) -> tuple[float, float]:
    """Between which numbers rho is, whatever the order within the cells of the grid.

    Let a row i have the weight w, the ranks r and s of its target and its prediction, both less
    their mean, and R and S on the grid; r = R + e, s = S + f. In a row of the grid

        e_i = sum over its rows j of w_j sign(y_i - y_j) / 2,

    so that the sum of w e is 0, and so is that of w R e; that of w e^2 is
    V = (W^3 - sum of v^3) / 12 with W the weight of the row of the grid and v those of its distinct
    targets. Hence

        cov(r, s) = sum w R S + sum w e S + sum w R f + sum w e f,   var(r) = var(R) + sum w e^2.

    Pair by pair, the second sum is that of w_i w_j sign(y_i - y_j) (S_i - S_j) / 2 over the pairs
    of one row of the grid, which is no further from 0 than with each sign the other's (and a pair
    of one target adds nothing): see `_within`. The third is alike; the fourth is at most
    sqrt(sum w e^2 sum w f^2), by Cauchy and Schwarz. What is known of ties makes V smaller, and the
    finest cells that are known of the targets alone leave little of var(r) open.
    """
    row, column = _sides_of_grid(view, sides)
    ranks = [_mid_ranks(side)[0] for side in (sides.row, sides.column)]
    off = _within(view.row, ranks[1][view.column], sides.cell[0], row)
    order = np.lexsort((view.row, view.column))
    off += _within(view.column[order], ranks[0][view.row[order]], sides.cell[0][order], column)
    off += math.sqrt(row.cubes.sum() * column.cubes.sum()) / 12
    least, most = (
        math.sqrt(max(a, 0.0) * max(b, 0.0))
        for a, b in zip(row.variance_ends(), column.variance_ends(), strict=True)
    )
    return _quotient_ends(covariance - off, covariance + off, least, most)


@dataclass(frozen=True, slots=True)
class _Side:
    """The rows of a grid, or its columns: what of their weights is not known to be tied.

    `squares` and `cubes` are the square and the cube of the weight of each, less those of the
    numbers that are known; `cells` are the weights of the finest cells, `values` those of numbers.
    """

    weight: Floats
    squares: Floats
    cubes: Floats
    cells: Floats
    values: Floats

    @classmethod
    def of(cls, weight: Floats, margin: Margin) -> _Side:
        total = margin.cells.sum()
        values = margin.values / total
        squares, cubes = (
            np.maximum(weight**power - np.bincount(margin.row, values**power, len(weight)), 0.0)
            for power in (2, 3)
        )
        return cls(weight, squares, cubes, margin.cells / total, values)

    def variance_ends(self) -> tuple[float, float]:
        """Between which numbers the variance of the true ranks is."""
        return self._ends(3, 12)

    def pairs_ends(self) -> tuple[float, float]:
        """Between which numbers the weight of the pairs is that are not tied."""
        return self._ends(2, 2)

    def _ends(self, power: int, parts: int) -> tuple[float, float]:
        coarse, fine, values = (
            1 - float((side**power).sum()) for side in (self.weight, self.cells, self.values)
        )
        return max(coarse, fine) / parts - ROUNDING, values / parts + ROUNDING


def _sides_of_grid(view: RankPairsView, sides: Sides) -> tuple[_Side, _Side]:
    """The rows and the columns of a view's grid."""
    row, column = view.margins
    return _Side.of(sides.row[0], row), _Side.of(sides.column[0], column)


def _within(place: Ints, other: Floats, weight: Floats, side: _Side) -> float:
    """The most that the order within the rows of a grid can add to the covariance of ranks.

    The sum over the pairs of cells of one row of w w' |S - S'| / 2, where S are the `other` ranks:
    cells come by row and, within it, by ascending S. Of pairs that are not tied it is no more than
    with the largest distance for each.
    """
    up_to = np.cumsum(weight)
    whole = np.bincount(place, weight, len(side.weight))
    start = np.cumsum(whole) - whole
    below = up_to - weight - start[place]
    above = whole[place] - below - weight
    terms = np.maximum(np.bincount(place, weight * other * (below - above), len(whole)) / 2, 0.0)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    reach = np.zeros(len(whole))
    reach[place[first]] = np.maximum.reduceat(other, first) - np.minimum.reduceat(other, first)
    return float(np.minimum(terms, side.squares / 4 * reach).sum())


def _quotient_ends(low: float, high: float, least: float, most: float) -> tuple[float, float]:
    """Between which numbers a quotient is whose parts are between these, itself in [-1, 1]."""
    if least <= 0:
        return UNIT
    low, high = low / (most if low > 0 else least), high / (least if high > 0 else most)
    return max(low, -1.0), min(high, 1.0)


@metric(
    "kendall",
    tasks=REGRESSION,
    needs=_ranks,
    aliases=["kendalltau"],
    bounds=UNIT,
)
def kendall(problem: Problem, view: RankPairsView) -> Value:
    """The pairs of rows in the right order less those in the wrong one, in shares (tau-b)."""
    sides = Sides.of(view)
    target, prediction, either = (
        (side * _below(side)).sum(-1) for side in (sides.row, sides.column, sides.cell)
    )
    # The pairs that differ in both, of which those that are not concordant are discordant.
    both = target + prediction - either
    excess = 2 * concordant(view.row, view.column, sides.cell) - both
    values = excess / np.where(sides.constant, np.nan, np.sqrt(target * prediction))
    if view.exact or len(values) > 1:
        return _correlation(view, sides, values, UNIT)
    ends = _kendall_ends(view, sides, float(excess[0]), float(both[0]))
    # Rows of one row of the grid are as little tied as they are in the order of all others.
    return _correlation(view, sides, np.array([sum(ends) / 2]), ends)


def _kendall_ends(
    view: RankPairsView, sides: Sides, excess: float, both: float
) -> tuple[float, float]:
    """Between which numbers tau-b is, whatever the order within the cells of the grid.

    A pair of rows that lie in different rows and different columns of the grid is as it seems; the
    others, 1/2 - `both` in all with each row beside itself, may be concordant, discordant or tied.
    Of those in one row of the grid no more count than differ in their target, which is half of the
    square of its weight less those of the targets that are known; likewise for columns. The pairs
    that are not tied at all in their targets, and in their predictions, are what the finest cells
    leave open.
    """
    row, column = _sides_of_grid(view, sides)
    off = min(0.5 - both, float(row.squares.sum() + column.squares.sum()) / 2)
    least, most = (
        math.sqrt(max(a, 0.0) * max(b, 0.0))
        for a, b in zip(row.pairs_ends(), column.pairs_ends(), strict=True)
    )
    return _quotient_ends(excess - off, excess + off, least, most)


def concordant(row: Ints, column: Ints, weight: Floats) -> Floats:
    """The weight of the pairs of cells of which one is higher in both: [replicate].

    The cells are cut into blocks, in the order of their rows. Of the blocks before its own a cell
    reads what is in lower columns from a table of sums; within its own it is held against all.
    That is m^(3/2) steps for m cells, all of them of arrays.
    """
    count = len(row)
    if not count:
        return np.zeros(len(weight))
    # Within a row from the highest column down: what comes before, and in a lower column, is of a
    # lower row.
    order = np.lexsort((-column, row))
    size = max(math.isqrt(count), 1)
    blocks = -(-count // size)
    rest = blocks * size - count
    columns = np.append(column[order], np.full(rest, -1)).reshape(blocks, size)
    weights = np.pad(weight[:, order], ((0, 0), (0, rest))).reshape(-1, blocks, size)
    width = int(column.max()) + 1
    sums = np.zeros((len(weight), blocks + 1, width + 1))
    at = np.arange(blocks)[:, None] + 1
    for replicate, of_replicate in zip(sums, weights, strict=True):
        np.add.at(replicate, (at, columns + 1), of_replicate)
    sums = sums.cumsum(axis=1).cumsum(axis=2)
    before = sums[:, at - 1, columns]
    earlier = np.tri(size, k=-1) * (columns[:, None, :] < columns[:, :, None])
    own = np.matmul(earlier, weights[..., None])[..., 0]
    total: Floats = (weights * (before + own)).reshape(len(weight), -1).sum(-1)
    return total
