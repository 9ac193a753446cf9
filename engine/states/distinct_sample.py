"""How many distinct scores a group has at least: a sum, though it counts what is distinct.

A histogram on the grid no longer knows its scores. When rows are taken away, it must tell whether
a group would still be on the grid, so it keeps weights by a hash of the score. Of many scores it
keeps a sample, in the manner of the adaptive sampling of Wegman (Flajolet, 1990): at level l the
scores whose hash begins with l zeros, at the first level that leaves at most twice as many as the
cap. As long as a sample holds all its scores' weights, it can be added to and taken from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.states import codec
from engine.states.base import Bools, Floats, Ints, sum_by_key
from engine.states.subtract import remainder
from engine.states.tally import Tally

HASH_BITS = 24
HASHES = 2**HASH_BITS


def hashes_of(scores: Floats) -> Ints:
    """A number below `HASHES` for each score, by the finalizer of splitmix64."""
    bits = np.ascontiguousarray(scores, np.float64).view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(64 - HASH_BITS)).astype(np.int64)


def depths_of(hashes: Ints) -> Ints:
    """With how many zeros each hash begins: the last level at which it is in the sample."""
    return HASH_BITS - np.frexp(hashes.astype(np.float64))[1].astype(np.int64)


def levels_of(groups: Ints, depths: Ints, n_groups: int, most: int) -> Ints:
    """For each group the first level that leaves at most `most` of its hashes."""
    cells = np.bincount(groups * (HASH_BITS + 1) + depths, minlength=n_groups * (HASH_BITS + 1))
    left = cells.reshape(n_groups, HASH_BITS + 1)[:, ::-1].cumsum(axis=1)[:, ::-1]
    levels: Ints = np.argmax(left <= most, axis=1)
    return levels


class HashTally(Tally):
    """Weights by hash; no state of its own."""

    squared = False


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Weights by the hash of the score of the groups on a grid, at the level of each group.

    `doubts` are hashes that may be here though no score has them any more, [group].
    """

    weights: HashTally
    levels: Ints
    doubts: Ints

    @classmethod
    def none(cls, n_groups: int) -> Seen:
        """Of groups without rows, or such as are not on the grid."""
        empty = HashTally(HASHES, n_groups, np.zeros(0, np.int64), np.zeros(0))
        return cls(empty, *np.zeros((2, n_groups), np.int64))

    @classmethod
    def of(cls, groups: Ints, scores: tuple[Ints, Floats], levels: Ints, cap: int) -> Seen:
        """Of the hashes and weights of scores, of which those below `levels` may be missing."""
        hashes, weights = scores
        keys, sums = sum_by_key(groups * HASHES + hashes, weights)
        tally = HashTally(HASHES, len(levels), keys, sums)
        return cls(tally, levels, np.zeros_like(levels)).subsample(cap)

    @property
    def n_groups(self) -> int:
        return self.weights.groups

    def subsample(self, cap: int) -> Seen:
        """The same at the levels that the cap demands."""
        keys = self.weights.keys
        groups, depths = keys // HASHES, depths_of(keys % HASHES)
        kept = depths >= self.levels[groups]
        needed = levels_of(groups[kept], depths[kept], self.n_groups, 2 * cap)
        levels = np.maximum(self.levels, needed)
        kept = depths >= levels[groups]
        if kept.all():
            return Seen(self.weights, levels, self.doubts)
        tally = HashTally(HASHES, self.n_groups, keys[kept], self.weights.weights[kept])
        return Seen(tally, levels, self.doubts)

    def merge(self, *others: Seen, cap: int) -> Seen:
        """The sum, group by group."""
        all_ = (self, *others)
        levels, doubts = np.zeros((2, max(sample.n_groups for sample in all_)), np.int64)
        for sample in all_:
            np.maximum(levels[: sample.n_groups], sample.levels, out=levels[: sample.n_groups])
            doubts[: sample.n_groups] += sample.doubts
        keys = np.concatenate([sample.weights.keys for sample in all_])
        weights = np.concatenate([sample.weights.weights for sample in all_])
        groups, depths = keys // HASHES, depths_of(keys % HASHES)
        kept = depths >= levels[groups]
        # What is here more than once counts as more, so these levels are too high, if anything.
        high = levels_of(groups[kept], depths[kept], len(levels), 2 * cap)
        tried = np.maximum(high - 1, levels)
        while True:
            kept = depths >= tried[groups]
            tally = HashTally(HASHES, len(levels), *sum_by_key(keys[kept], weights[kept]))
            counts = np.bincount(tally.keys // HASHES, minlength=len(levels))
            # More might have been kept: no level is tried that is too low by much.
            lower = np.log2(2 * cap / np.maximum(counts, 1)).astype(np.int64) + 1
            low = (counts <= 2 * cap) & (tried > levels)
            if not low.any():
                return Seen(tally, tried, doubts).subsample(cap)
            tried = np.where(low, np.maximum(tried - lower, levels), tried)

    def minus(self, other: Seen) -> Seen:
        """What is left without `other`, at our levels.

        A hash that is not here is of a score that was another in its last digits. The one that it
        was stays, so it is counted as a doubt.
        """
        tally = other.weights
        sampled = depths_of(tally.keys % HASHES) >= self.levels[tally.keys // HASHES]
        keys, taken = tally.keys[sampled], tally.weights[sampled]
        at = self.weights.keys.searchsorted(keys)
        present = np.append(self.weights.keys, -1)[at] == keys
        at = at[present]
        weights = self.weights.weights.copy()
        weights[at] = remainder(weights[at], taken[present])
        wrong = np.concatenate([keys[~present], self.weights.keys[weights < 0]]) // HASHES
        kept = weights > 0
        rest = HashTally(HASHES, self.n_groups, self.weights.keys[kept], weights[kept])
        doubts = self.doubts + np.bincount(wrong, minlength=self.n_groups)
        return Seen(rest, self.levels, doubts)

    def only(self, groups: Bools) -> Seen:
        """The same of some groups; of the others nothing."""
        kept = groups[self.weights.keys // HASHES]
        tally = self.weights
        tally = HashTally(HASHES, self.n_groups, tally.keys[kept], tally.weights[kept])
        return Seen(tally, self.levels * groups, self.doubts * groups)

    def surely_beyond(self, cap: int) -> Bools:
        """Which groups have more than `cap` distinct scores, as far as can be told.

        So many hashes have at least as many scores. Of `cap` scores, a sample at level l has
        Binomial(cap, 2^-l); what is eight standard deviations beyond its mean does not happen.
        """
        counts = np.bincount(self.weights.keys // HASHES, minlength=self.n_groups) - self.doubts
        mean = cap * 0.5**self.levels
        bound: Bools = counts > np.minimum(cap, mean + 8 * np.sqrt(mean) + 8)
        return bound

    def move(self, numbers: Ints, n_groups: int) -> Seen:
        """The same under the numbers of other groups, several under one: to be added by `merge`."""
        levels, doubts = np.zeros((2, n_groups), np.int64)
        np.maximum.at(levels, numbers, self.levels)
        np.add.at(doubts, numbers, self.doubts)
        group, hashes = np.divmod(self.weights.keys, HASHES)
        keys = numbers[group] * HASHES + hashes
        return Seen(HashTally(HASHES, n_groups, keys, self.weights.weights), levels, doubts)

    def select(self, groups: Ints) -> Seen:
        at = np.minimum(groups, self.n_groups)
        levels, doubts = (np.append(values, 0)[at] for values in (self.levels, self.doubts))
        return Seen(self.weights.select(groups), levels, doubts)

    def take(self, group: int) -> Seen:
        if group >= self.n_groups:
            return Seen.none(1)
        span = slice(group, group + 1)
        return Seen(self.weights.take(group), self.levels[span], self.doubts[span])

    def arrays(self) -> dict[str, Any]:
        """The arrays of a payload."""
        return {
            "seen_levels": self.levels.astype(np.uint8),
            "seen_doubts": self.doubts.astype(np.uint32),
            "seen_steps": codec.steps(self.weights.keys),
            "seen_weights": codec.small(self.weights.weights),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], n_groups: int) -> Seen:
        """What `arrays` gave.

        Raises:
            CodecError: when it is anything else.
        """
        levels = codec.array_of(arrays, "seen_levels", np.uint8).astype(np.int64)
        keys = codec.keys_of(arrays, "seen_steps", n_groups * HASHES)
        weights = codec.weights_of(arrays, "seen_weights")
        doubts = codec.array_of(arrays, "seen_doubts", np.uint32).astype(np.int64)
        one_each = len(levels) == len(doubts) == n_groups
        codec.refuse_unless(one_each, "levels and doubts are not one for each group")
        codec.refuse_unless(int(levels.max(initial=0)) <= HASH_BITS, "levels are out of range")
        codec.refuse_unless(len(keys) == len(weights), "hashes and weights differ in length")
        return cls(HashTally(HASHES, n_groups, keys, weights), levels, doubts)
