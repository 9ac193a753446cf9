"""Views of many slices at once: as those of one, with an axis of slices before the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from engine.states import (
    BUCKETS,
    ConfusionView,
    Floats,
    Ints,
    Moments,
    MomentsView,
    PairedView,
    PairTally,
    ScoreHistogram,
    ScoresView,
    States,
    Tally,
    sums_by_cell,
)
from engine.states.base import KEPT
from engine.states.histogram_entries import CELLS, EVERYBODY, Entries, round_scores
from engine.states.pairs import OUTCOMES
from engine.states.score_histogram import COARSE_BITS, MANY_SCORES, on_grid

# Arrays of so many numbers stay in the processor's cache.
BLOCK = 1 << 17
_KEPT = KEPT > 0


def view_of_many(states: States, first: int, last: int) -> Any:
    """The view of the groups from `first` to before `last`.

    Raises:
        TypeError: for states that are read one by one only.
    """
    if isinstance(states, PairTally):
        return _pairs(states, first, last)
    if isinstance(states, Tally):
        return ManyConfusions.of_groups(states, first, last)
    if isinstance(states, Moments):
        return _moments(states, first, last)
    raise TypeError(f"states of the kind {states.kind!r} have no view of many slices")


def _replicate_sums(buckets: Floats) -> Floats:
    """Sums over the buckets, [slice, bucket, column], all and with each left out.

    What is left out is never subtracted, and the products are too small for threads.
    """
    sums: Floats = np.matmul(KEPT, buckets)
    return sums


def _moments(states: Moments, first: int, last: int) -> MomentsView:
    values = np.zeros((last - first, *states.values.shape[1:]))
    groups = states.values[first:last]
    values[: len(groups)] = groups
    weight, squares, mean, m2 = (values[..., at] for at in range(4))
    sums = _replicate_sums(np.stack([weight, squares, weight * mean, m2], axis=-1))
    weights = sums[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums[..., 2] / weights
        # The squares of each bucket around its own mean, and those of its mean around theirs.
        between = weight[:, None] * (mean[:, None] - means[..., None]) ** 2
    m2s = sums[..., 3] + between.sum(axis=-1, where=_KEPT)
    return MomentsView(weights, sums[..., 1], means, m2s)


class _Cells(NamedTuple):
    """Weights of a tally by slice and cell: the first plane, and what their squares are more."""

    keys: Ints
    weights: Floats
    excess_keys: Ints
    excess: Floats


def _cells(states: Tally, first: int, last: int) -> _Cells:
    low, high = np.searchsorted(states.keys, [first * states.width, last * states.width])
    keys, weights = states.keys[low:high] - first * states.width, states.weights[low:high]
    half = states.width // 2
    group, cell = np.divmod(keys, states.width)
    own = cell < half
    if own.all():
        return _Cells(group * half + cell, weights, keys[:0], weights[:0])
    squares = ~own
    return _Cells(
        (group * half + cell)[own],
        weights[own],
        (group * half + cell - half)[squares],
        weights[squares],
    )


def _pairs(states: PairTally, first: int, last: int) -> PairedView:
    cells, half, count = _cells(states, first, last), states.width // 2, last - first
    shape = (count, BUCKETS, half // (BUCKETS * len(OUTCOMES)), len(OUTCOMES))
    by_bucket = sums_by_cell(cells.keys, cells.weights, count * half).reshape(shape)
    total = by_bucket.sum(1)
    squares = total
    if len(cells.excess):
        squares = squares + sums_by_cell(cells.excess_keys, cells.excess, count * half).reshape(
            shape
        ).sum(1)
    return PairedView(by_bucket, total, squares)


@dataclass(frozen=True, slots=True)
class ManyConfusions(ConfusionView):
    """The confusions of many slices: [slice, replicate, class], `squares` [slice, class, class]."""

    made: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def of_groups(cls, states: Tally, first: int, last: int) -> ManyConfusions:
        """Those of the groups from `first` to before `last`."""
        count, half = last - first, states.width // 2
        k = round((half // BUCKETS) ** 0.5)
        cells = _cells(states, first, last)
        rest, predicted = np.divmod(cells.keys, k)
        # Slice and bucket together, as they lie one after the other.
        place, actual = np.divmod(rest, k)

        def margin(classes: Ints, weights: Floats, places: Ints) -> Floats:
            sums = sums_by_cell(places * k + classes, weights, count * BUCKETS * k)
            return _replicate_sums(sums.reshape(count, BUCKETS, k))

        hit = actual == predicted
        actuals = margin(actual, cells.weights, place)

        def by_slice(keys: Ints, weights: Floats) -> Floats:
            return sums_by_cell(keys // half * (k * k) + keys % (k * k), weights, count * k * k)

        squares = by_slice(cells.keys, cells.weights)
        if len(cells.excess):
            squares = squares + by_slice(cells.excess_keys, cells.excess)
        return cls(
            k,
            margin(actual[hit], cells.weights[hit], place[hit]),
            actuals,
            margin(predicted, cells.weights, place),
            actuals.sum(-1),
            squares.reshape(count, k, k),
            Tally(half, count, cells.keys, cells.weights),
        )

    def matrix(self) -> Floats:
        """The confusions [slice, true class, predicted class], all buckets together."""
        return self.by_replicate()[:, 0]

    def by_replicate(self) -> Floats:
        """The confusions [slice, replicate, true, predicted]."""
        if "by_replicate" not in self.made:
            k, state = self.n_classes, self.state
            sums = sums_by_cell(state.keys, state.weights, state.groups * state.width)
            sums = _replicate_sums(sums.reshape(state.groups, BUCKETS, k * k))
            self.made["by_replicate"] = sums.reshape(state.groups, 1 + BUCKETS, k, k)
        return self.made["by_replicate"]


@dataclass(frozen=True, slots=True)
class ManyScores(ScoresView):
    """The scores of many slices: weights [slice, replicate, score]. `made` is what they share."""

    made: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoreBlock:
    """A view of the scores of the slices `at`: weights [slice, replicate, score], zeros at the end.

    `has_values` says that the first replicate is the slices' own; else the replicates are too
    coarse for it, and it has a view of its own, with no other replicate.
    """

    at: Ints
    view: ScoresView
    has_values: bool


class _Table(NamedTuple):
    """The scores of one slice, and its weights by label and score, in rows of buckets or of one."""

    at: int
    scores: Floats
    weights: Floats
    exact: bool
    has_values: bool


def score_blocks(states: ScoreHistogram, first: int, last: int) -> Iterator[ScoreBlock]:
    """The views of the scores of some groups, those of about as many scores together."""
    tables: dict[tuple[int, bool, bool], list[_Table]] = {}
    for at in range(first, last):
        for table in _tables(states, at, at - first):
            kind = (table.weights.shape[0], table.exact, table.has_values)
            tables.setdefault(kind, []).append(table)
    for of_kind in tables.values():
        of_kind.sort(key=lambda table: len(table.scores))
        while of_kind:
            width = max(len(of_kind[-1].scores), 1)
            rows = len(of_kind[-1].weights) + 1
            taken = max(BLOCK // (rows * width), 1)
            yield _block(of_kind[-taken:], width, states)
            del of_kind[-taken:]


def _tables(states: ScoreHistogram, group: int, at: int) -> Iterator[_Table]:
    """The fine table of a slice and the one of its buckets, or a single one that serves as both."""
    own = states.entries.between(group * CELLS, (group + 1) * CELLS)
    gridded = group < len(states.gridded) and bool(states.gridded[group])
    fine = (own.between(EVERYBODY, CELLS) if gridded else own).drop_unused()
    many = len(fine.scores) > MANY_SCORES
    if not gridded and not many:
        table = _weight_table(fine, fine.scores, fine.rank, BUCKETS)
        yield _Table(at, fine.scores, table, True, True)
        return
    yield _Table(at, fine.scores, _weight_table(fine, fine.scores, fine.rank, 1), not gridded, True)
    own = own.between(0, EVERYBODY).drop_unused()
    scores, rank = own.scores, own.rank
    if many:
        scores, coarse = round_scores(scores, on_grid, COARSE_BITS)
        rank = coarse[rank]
    yield _Table(at, scores, _weight_table(own, scores, rank, BUCKETS), not gridded, False)


def _weight_table(entries: Entries, scores: Floats, rank: Ints, buckets: int) -> Floats:
    """The weights [bucket, label, score], of all rows together where there is one bucket."""
    cell = entries.place if buckets > 1 else entries.place & 1
    sums = sums_by_cell(cell * len(scores) + rank, entries.weight, buckets * 2 * len(scores))
    return sums.reshape(buckets, 2, len(scores))


def _block(tables: list[_Table], width: int, states: ScoreHistogram) -> ScoreBlock:
    buckets, one = len(tables[0].weights), tables[0]
    weights = np.zeros((len(tables), buckets, 2, width))
    scores = np.zeros((len(tables), width))
    for place, table in enumerate(tables):
        count = len(table.scores)
        weights[place, :, :, :count] = table.weights
        scores[place, :count] = table.scores
    if buckets > 1:
        sums = _replicate_sums(weights.reshape(len(tables), buckets, 2 * width))
        weights = sums.reshape(len(tables), 1 + buckets, 2, width)
    view = ManyScores(scores, weights[:, :, 1], weights[:, :, 0], one.exact, states)
    return ScoreBlock(np.array([table.at for table in tables]), view, one.has_values)
