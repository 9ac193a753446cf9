"""Taking away what was added: differences of sums, and what is left of rounding in them.

A difference of sums of whole numbers is exact. Other sums are rounded, and what was added and
taken away again leaves some 1e-16 of what was there. Such a residue must vanish: whether a cell
holds anything decides whether a metric is defined, and a share of nothing is no share. What is
left of it at most `RESIDUE` of what was there is taken for one; no sum of rounded numbers is so
far off, and a true remainder so small would have lost its digits anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.states.base import Bools, Floats, Ints, NotInvertible

RESIDUE = 1e-9

FOREIGN = "states hold rows to be taken away that were never added"


@dataclass(frozen=True, slots=True)
class Sparse:
    """Numbers by key, ascending and distinct; a key that is not there has 0.

    Beside the cells whose weights they are, `squares` marks those that hold what squared weights
    are more: `offset` above the cell of the weights, and of either sign.
    """

    keys: Ints
    numbers: Floats
    squares: Bools | None = None
    offset: int = 0

    def less(self, other: Sparse) -> tuple[Ints, Floats]:
        """The keys and numbers that are left without those of `other`.

        Raises:
            NotInvertible: when `other` has what is not here.
        """
        ours = self._with_squares_of(other)
        at = np.searchsorted(ours.keys, other.keys)
        if not np.array_equal(np.append(ours.keys, -1)[at], other.keys):
            raise NotInvertible(FOREIGN)
        left = ours.numbers.copy()
        left[at] = remainder(left[at], other.numbers)
        if ours.squares is None:
            ours._refuse_negative(left)
            kept = left != 0
        else:
            ours._refuse_negative(left[~ours.squares])
            kept = left != 0
            weights = ours.keys[kept & ~ours.squares]
            kept[ours.squares] &= np.isin(ours.keys[ours.squares] - self.offset, weights)
        return ours.keys[kept], left[kept]

    def _with_squares_of(self, other: Sparse) -> Sparse:
        """With a 0 where only `other` has squares: ours may have added up to nothing."""
        if self.squares is None or other.squares is None:
            return self
        theirs = other.keys[other.squares]
        new = theirs[~np.isin(theirs, self.keys[self.squares])]
        at = np.searchsorted(self.keys, new)
        return Sparse(
            np.insert(self.keys, at, new),
            np.insert(self.numbers, at, 0.0),
            np.insert(self.squares, at, True),
            self.offset,
        )

    @staticmethod
    def _refuse_negative(left: Floats) -> None:
        if left.min(initial=0.0) < 0:
            raise NotInvertible(FOREIGN)


def remainder(was: Floats, taken: Floats) -> Floats:
    """What is left of sums; 0 where that is a residue (`RESIDUE`)."""
    left = was - taken
    whole = (np.rint(was) == was) & (np.rint(taken) == taken)
    small = np.abs(left) <= RESIDUE * np.maximum(np.abs(was), np.abs(taken))
    return np.where(small & ~whole, 0.0, left)


_EPS = np.finfo(np.float64).eps
# Units in the last place that sums may be off: of whole weights, whose means are rounded only, and
# of others, where each row rounds the weight as well.
_WHOLE, _FRACTIONAL = 16 * _EPS, 512 * _EPS
# A spread so small beside what was there is none: the rows that are left are alike.
_ALIKE = 1e-13
# What a spread may be off, at a guess that is some ten times too high.
_EXACT = 1e-8


def moments_less(left: Floats, right: Floats) -> Floats:
    """Moments, [group, bucket, column], without others: the formula of Chan et al. turned round.

    Raises:
        NotInvertible: when others were never added, or a group is left with a spread so small
            beside what was there that its digits are lost.
    """
    rest = np.stack([remainder(left[..., 0], right[..., 0]), *left.transpose(2, 0, 1)[1:]], axis=-1)
    weight, were, gone = rest[..., 0], left[..., 0], right[..., 0]
    if weight.min(initial=0.0) < 0:
        raise NotInvertible(FOREIGN)
    rest[..., 1] = remainder(left[..., 1], right[..., 1])
    touched = gone > 0
    share = np.divide(gone, weight, out=np.zeros_like(weight), where=weight > 0)
    sizes = np.abs(left[..., 2]) + np.where(touched, np.abs(right[..., 2]), 0.0)
    gap = np.where(touched, left[..., 2] - right[..., 2], 0.0)
    between = were * share
    # How far rounding may have moved a mean, and the squares around it.
    whole = (np.rint(were) == were) & (np.rint(gone) == gone)
    ulps = np.where(whole, _WHOLE, _FRACTIONAL) * sizes
    off = ulps * (1 + share)
    blur = between * ulps * (2 * np.abs(gap) + ulps)
    squares = left[..., 3] - right[..., 3] - gap * gap * between
    squares[squares <= _ALIKE * left[..., 3] + blur] = 0.0
    rest[..., 2] = np.where(touched, _whole(left[..., 2] + gap * share, weight, off), left[..., 2])
    rest[..., 3] = np.where(touched, squares, left[..., 3])
    rest[weight == 0] = 0.0
    _level(rest, np.where(touched, off, 0.0))
    lost = _EPS * (left[..., 3] + 2 * between * sizes * np.abs(gap))
    _refuse_lost(rest, np.where(touched & (rest[..., 3] > 0), lost, 0.0))
    return rest


def _whole(mean: Floats, weight: Floats, off: Floats) -> Floats:
    """Means whose sum, or which themselves, are whole numbers but for rounding, made such.

    Shares are means of zeros and ones, and one of exactly 1 must not be a little less.
    """
    total = mean * weight
    near = np.rint(total)
    some = np.where(weight > 0, weight, 1.0)
    mean = np.where(np.abs(total - near) <= off * weight, near / some, mean)
    return np.where(np.abs(mean - np.rint(mean)) <= off, np.rint(mean), mean)


def _level(rest: Floats, off: Floats) -> None:
    """Gives all buckets of a group one mean, where they are alike but for rounding."""
    some = rest[..., 0] > 0
    # The mean that is known best.
    best = (
        np.where(some, off, np.inf).argmin(axis=1)[:, None] if rest.size else np.zeros((0, 1), int)
    )
    common = np.take_along_axis(rest[..., 2], best, axis=1)
    slack = off + np.take_along_axis(off, best, axis=1)
    alike = (rest[..., 3] == 0) & (np.abs(rest[..., 2] - common) <= slack)
    group = (alike | ~some).all(axis=1, keepdims=True)
    rest[..., 2] = np.where(group & some, common, rest[..., 2])


def _refuse_lost(rest: Floats, lost: Floats) -> None:
    """Raises when the squares of a group are further off than they may be."""
    weight, mean = rest[..., 0], rest[..., 2]
    total = weight.sum(axis=1, keepdims=True)
    centre = (weight * mean).sum(axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    spread = rest[..., 3].sum(axis=1) + (weight * (mean - centre) ** 2).sum(axis=1)
    if (lost.sum(axis=1) > _EXACT * spread).any():
        raise NotInvertible("moments: of a group too little spread is left to have its digits")
