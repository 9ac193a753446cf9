"""Which slices of a lattice stand out: ranked by z on one half of the rows, tested on the other.

What is best of thousands looks worse than it is, so no row has a part in both. z is how far the
losses of a slice lie above what as many rows lose on average, in standard errors: it finds a weak
slice of few rows, which a score that weighs size against error passes over.

What is already told by a slice that was chosen is told once: of every other its share of that
slice's excess is taken away, and what is left must stand out by itself, on both halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import prod
from typing import NamedTuple

import numpy as np

from engine.kinds.discover.lattice import (
    LOSS,
    ROWS,
    SQUARES,
    SQUARES_LOSS,
    SQUARES_LOSS2,
    WEIGHT,
    Conditions,
    LatticeView,
    Place,
)
from engine.states import Floats
from engine.statistics import adjust_p_values, two_groups
from engine.statistics.two_groups import GroupMean

# So many slices are looked at one by one; a slice must stand out by so many standard errors to be
# tested at all, and have so many rows in each half.
MOST_CANDIDATES, LEAST_Z, LEAST_ROWS = 1000, 2.0, 15


@dataclass(frozen=True, slots=True)
class Asked:
    """What is searched for: the least share of rows, how many slices, and by how much they lose.

    `gap` is by how much a slice may lose more than all rows. Of `paired` losses, which are
    differences of two versions, it may be no more than that beside the other version either. With
    `exact` losses are 0 or 1 of rows that count 1 each (their differences -1, 0 or 1), so that
    counts decide.
    """

    min_share: float
    top: int
    gap: float
    level: float
    paired: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A slice and its sums on the half that finds, [term], with how far it stands out."""

    conditions: Conditions
    sums: Floats
    z: float


@dataclass(frozen=True, slots=True)
class Tested:
    """A slice that was tested on the other half: its p-value, and that corrected for all tested."""

    conditions: Conditions
    z: float
    p: float
    q: float


@dataclass(frozen=True)
class Halves:
    """A lattice by its two halves; each has the same parts of the rows' buckets."""

    view: LatticeView
    _weights: dict[Conditions, float | None] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> int:
        """How many parts a half has; with one, each row stands for itself."""
        return len(self.view.sums) // 2

    def first_sums(self, sums: Floats) -> Floats:
        """The sums on the half that finds."""
        total: Floats = sums[: self.parts].sum(axis=0)
        return total

    def weight(self, conditions: Conditions) -> float | None:
        """The weight of the rows at some places on the half that finds; None beyond the depth."""
        if conditions not in self._weights:
            sums = self.view.at(tuple(sorted(set(conditions))))
            self._weights[conditions] = (
                None if sums is None else float(self.first_sums(sums)[WEIGHT])
            )
        return self._weights[conditions]

    def second_half(self, sums: Floats) -> Floats:
        """The sums on the half that confirms, by its parts."""
        return sums[self.parts :]


def mean_of(sums: Floats) -> Floats:
    """The mean loss of sums, [..., term]."""
    with np.errstate(all="ignore"):
        mean: Floats = sums[..., LOSS] / sums[..., WEIGHT]
    return mean


def deviation_of(sums: Floats) -> float:
    """The standard deviation of the losses of rows."""
    mean = float(mean_of(sums))
    squares = sums[SQUARES_LOSS2] - 2 * mean * sums[SQUARES_LOSS] + mean * mean * sums[SQUARES]
    return float(np.sqrt(max(squares, 0.0) / sums[SQUARES])) if sums[SQUARES] > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Against:
    """What the losses of slices are held against on the half that finds."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, whole: Floats, asked: Asked) -> Against:
        mean = float(mean_of(whole))
        # A version that is better on the whole is held against none.
        return cls((max(mean, 0.0) if asked.paired else mean) + asked.gap, deviation_of(whole))

    def excess(self, sums: Floats) -> Floats:
        """By how much the losses are above what is held against them, in sum."""
        excess: Floats = sums[..., LOSS] - sums[..., WEIGHT] * self.mean
        return excess

    def scores(self, excess: Floats | float, sums: Floats) -> Floats:
        """The same in standard errors of as many rows."""
        with np.errstate(all="ignore"):
            return np.asarray(excess / (self.deviation * np.sqrt(sums[..., SQUARES])))


class Searched(NamedTuple):
    """The slices that stand out on one half and what the other half says, among how many."""

    tested: list[Tested]
    slices: int


def search(view: LatticeView, asked: Asked) -> Searched:
    """The slices that stand out on one half, with what the other half says of them."""
    halves = Halves(view)
    against = Against.of(halves.first_sums(view.whole), asked)
    ranked, slices = candidates(halves, against, asked)
    chosen = choose(halves, ranked, against, asked.top) if against.deviation > 0 else []
    p = [_p_value(halves, chosen[:place], one, asked) for place, one in enumerate(chosen)]
    q = adjust_p_values(p, "bh").tolist() if p else []
    tested = [
        Tested(one.conditions, one.z, own, corrected)
        for one, own, corrected in zip(chosen, p, q, strict=True)
    ]
    return Searched(tested, slices)


def candidates(halves: Halves, against: Against, asked: Asked) -> tuple[list[Candidate], int]:
    """The slices that stand out, the most first, and how many have rows enough.

    Of those that stand out alike the shorter comes first.
    """
    view, lattice = halves.view, halves.view.lattice
    least = asked.min_share * view.whole[:, ROWS].sum()
    listed: list[tuple[float, Conditions, Floats]] = []
    slices = 0
    for size in range(1, min(lattice.depth, len(lattice.axes)) + 1):
        for axes in combinations(range(len(lattice.axes)), size):
            out, count = _of_table(halves, axes, against, least)
            listed += out
            slices += count
            if len(listed) > 4 * MOST_CANDIDATES:
                listed = _best(listed)
    return [Candidate(conditions, sums, z) for z, conditions, sums in _best(listed)], slices


def _of_table(
    halves: Halves, axes: Sequence[int], against: Against, least: float
) -> tuple[list[tuple[float, Conditions, Floats]], int]:
    """The slices of a table that stand out, and how many have enough rows."""
    table = halves.view.table(axes)
    sums, other = halves.first_sums(table), halves.second_half(table).sum(axis=0)
    enough = sums[..., ROWS] + other[..., ROWS] >= least
    enough &= np.minimum(sums[..., ROWS], other[..., ROWS]) >= LEAST_ROWS
    for at, axis in enumerate(axes):
        named = halves.view.lattice.axes[axis].is_named
        enough &= named.reshape([-1 if place == at else 1 for place in range(len(axes))])
    z = against.scores(against.excess(sums), sums)
    places = np.argwhere(enough & (z >= LEAST_Z))
    standing_out = [
        (float(z[tuple(place)]), tuple(zip(axes, place.tolist(), strict=True)), sums[tuple(place)])
        for place in places
    ]
    return standing_out, int(enough.sum())


def _best(
    listed: list[tuple[float, Conditions, Floats]],
) -> list[tuple[float, Conditions, Floats]]:
    ranked = sorted(listed, key=lambda one: (-round(one[0], 9), len(one[1]), one[1]))
    return ranked[:MOST_CANDIDATES]


def choose(
    halves: Halves, ranked: Sequence[Candidate], against: Against, top: int
) -> list[Candidate]:
    """The slices that say something of their own, one after the other, at most `top`."""
    chosen: list[Candidate] = []
    left = [float(against.excess(one.sums)) for one in ranked]
    z = [one.z for one in ranked]
    while len(chosen) < top and ranked:
        place = max(range(len(ranked)), key=lambda at: (round(z[at], 9), -at))
        if not z[place] >= LEAST_Z:
            break
        best = ranked[place]
        chosen.append(best)
        share = float(against.excess(best.sums) / best.sums[WEIGHT])
        for at, one in enumerate(ranked):
            left[at] -= share * _overlap(halves, one, best)
            z[at] = float(against.scores(left[at], one.sums))
        z[place] = -np.inf
    return chosen


def _overlap(halves: Halves, one: Candidate, other: Candidate) -> float:
    """The weight of the rows that two slices share; beyond the lattice's depth it is estimated."""
    ours, theirs = dict(one.conditions), dict(other.conditions)
    if any(ours[axis] != theirs[axis] for axis in ours.keys() & theirs.keys()):
        return 0.0
    known = halves.weight(one.conditions + other.conditions)
    if known is not None:
        return known
    beyond = [place for place in other.conditions if place not in one.conditions]
    chances = [_chance(halves, place, one.conditions) for place in beyond]
    # Two conditions hold together as often here as they do elsewhere.
    whole = halves.weight(()) or 1.0
    apart = prod((halves.weight((place,)) or 0.0) / whole for place in beyond)
    lift = (halves.weight(tuple(beyond)) or 0.0) / whole / apart if apart else 1.0
    return float(one.sums[WEIGHT]) * min(prod(chances) * lift, *chances, 1.0)


def _chance(halves: Halves, place: Place, given: Conditions) -> float:
    """About how often rows of a slice are at a place on another axis.

    From what each of the slice's conditions says of that by itself, as naive Bayes has it: exact
    where one of them settles it, as in a column that says the same as another.
    """
    whole, own = halves.weight(()) or 0.0, halves.weight((place,)) or 0.0
    inside, outside = own, whole - own
    for condition in given:
        both = halves.weight((condition, place))
        if both is None or not own or own == whole:
            continue
        inside *= both / own
        outside *= ((halves.weight((condition,)) or 0.0) - both) / (whole - own)
    return inside / (inside + outside) if inside + outside > 0 else 0.0


def _p_value(halves: Halves, earlier: Sequence[Candidate], one: Candidate, asked: Asked) -> float:
    """How likely the confirming half is if the slice loses no more than it may.

    It must lose more than all other rows, and as far as earlier slices share rows with it, more by
    itself than these explain: the rows outside of them, or within a larger one than its rest.
    """
    other_half = halves.second_half
    whole, own = other_half(halves.view.whole), halves.view.at(one.conditions)
    assert own is not None, "a slice of the lattice"
    inside = other_half(own)
    p = [compare_p(inside, whole - inside, asked)]
    for before in earlier:
        ours, theirs = dict(one.conditions), dict(before.conditions)
        if any(ours[axis] != theirs[axis] for axis in ours.keys() & theirs.keys()):
            continue
        both = halves.view.at(tuple(sorted({**ours, **theirs}.items())))
        if both is None:
            continue
        shared, wider = other_half(both), halves.view.at(before.conditions)
        assert wider is not None, "a slice of the lattice"
        if ours.items() >= theirs.items():
            p.append(compare_p(inside, other_half(wider) - shared, asked))
        else:
            rest = whole - inside - other_half(wider) + shared
            p.append(compare_p(inside - shared, rest, asked))
    return max(p)


def compare_p(inside: Floats, outside: Floats, asked: Asked) -> float:
    """The p-value of rows that lose no more than others, [part, term] each.

    Of differences of two versions it is also that of rows that lose no more with one version than
    with the other: the greater of the two, as both must be refuted.
    """
    one, other = inside.sum(axis=0), outside.sum(axis=0)
    if min(one[ROWS], other[ROWS]) < 2 or not min(one[WEIGHT], other[WEIGHT]) > 0:
        return 1.0
    if len(inside) > 1:
        return _clustered_p(inside, outside, asked)
    p = []
    if asked.exact and not asked.paired and asked.gap == 0:
        return two_groups.fisher_p(*(float(s[at]) for s in (one, other) for at in (LOSS, ROWS)))
    if asked.paired:
        if asked.exact and asked.gap == 0:
            more, less = ((one[SQUARES_LOSS2] + sign * one[LOSS]) / 2 for sign in (1, -1))
            p.append(two_groups.sign_p(float(more), float(less)))
        own = group_mean(one)
        value = own.mean - asked.gap
        p.append(two_groups.student_p(value, own.error2**0.5, own.rows - 1))
    p.append(two_groups.welch_p(group_mean(one), group_mean(other), asked.gap))
    return max(p)


def group_mean(sums: Floats) -> GroupMean:
    """The mean loss of rows that stand for themselves each."""
    mean, rows = float(mean_of(sums)), float(sums[WEIGHT] ** 2 / sums[SQUARES])
    squares = sums[SQUARES_LOSS2] - 2 * mean * sums[SQUARES_LOSS] + mean * mean * sums[SQUARES]
    error2 = max(float(squares), 0.0) / float(sums[WEIGHT]) ** 2
    return GroupMean(mean, error2 * rows / (rows - 1) if rows > 1 else np.inf, rows)


def cluster_error(inside: Floats, outside: Floats | None = None) -> float:
    """The standard error of a mean of clusters, or of the difference of two, from their parts."""
    influence = np.zeros(len(inside))
    for sign, sums in ((1, inside), (-1, outside)):
        if sums is not None:
            total = sums.sum(axis=0)
            own = sums[:, LOSS] - float(mean_of(total)) * sums[:, WEIGHT]
            influence += sign * own / total[WEIGHT]
    parts = len(influence)
    return float(np.sqrt(parts / (parts - 1) * (influence**2).sum()))


def _clustered_p(inside: Floats, outside: Floats, asked: Asked) -> float:
    mean, rest = (float(mean_of(sums.sum(axis=0))) for sums in (inside, outside))
    df = len(inside) - 1
    p = [two_groups.student_p(mean - rest - asked.gap, cluster_error(inside, outside), df)]
    if asked.paired:
        p.append(two_groups.student_p(mean - asked.gap, cluster_error(inside), df))
    return max(p)
