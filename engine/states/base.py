"""What a state is: sums of a batch that add up to the sums of the whole.

`States` holds the states of many groups of rows (the slices of one slice set) in arrays, so that a
worker makes and adds thousands of slices at once; the state of a single slice is one with a single
group. Within a group the rows are kept in `BUCKETS` buckets (by a hash of the row's cluster key),
from which intervals come without a second pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import EvalMatrixError
from engine.states.row_columns import NO_COLUMNS, RowColumns

BUCKETS = 20

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

V = TypeVar("V")

# Which buckets are in which replicate: all of them, then all but one.
KEPT: Floats = np.concatenate([np.ones((1, BUCKETS)), 1 - np.eye(BUCKETS)])

# So many columns at once: no library of matrices starts threads for a product so small, which
# would wait for each other and take many times as long.
SMALL = 512


class NotInvertible(EvalMatrixError):
    """States from which others cannot be taken away: what is left must be computed anew."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A batch of rows after prediction; the food of all states.

    Attributes:
        truth: int64 [n] class index, or float64 [n] target or relevance.
        weight: float64 [n], finite and >= 0.
        bucket: int64 [n] in [0, BUCKETS).
        scores: float64 [n, K] class probabilities or [n] predicted values; None for label outputs.
        predicted: int64 [n] predicted class index; None for regression.
        unweighted: whether every weight is 1, which makes counting cheaper.
        query: int64 [n] >= 0, of a ranking: which query a row belongs to. All rows of a query are
            in one batch and in one bucket; the numbers mean nothing beyond the batch.
        columns: other columns of the rows, those that losses need. Behind a variant they are those
            of the rows as they are.

    Of a multilabel task `truth`, `scores` and `predicted` are [n, K], zeros and ones but for the
    scores, which are the probabilities of each label by itself.
    """

    truth: NDArray[Any]
    weight: Floats
    bucket: Ints
    scores: Floats | None = None
    predicted: Ints | None = None
    unweighted: bool = False
    query: Ints | None = None
    columns: RowColumns = NO_COLUMNS
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.truth)

    def once(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of `make`, computed once for this batch whatever the number of slice sets."""
        if key not in self._cache:
            self._cache[key] = make()
        value: V = self._cache[key]
        return value

    def has_class(self, k: int) -> Bools:
        """Which rows are of class k; of a multilabel task, which have label k."""
        return _of_class(self.truth, k)

    def says_class(self, k: int) -> Bools:
        """Which rows are predicted to be of class k, or to have label k."""
        assert self.predicted is not None, "needs predicted classes"
        return _of_class(self.predicted, k)

    def at(self, rows: Ints) -> Scored:
        """The batch of these rows."""
        return Scored(
            self.truth[rows],
            self.weight[rows],
            self.bucket[rows],
            None if self.scores is None else self.scores[rows],
            None if self.predicted is None else self.predicted[rows],
            self.unweighted,
            None if self.query is None else self.query[rows],
            self.columns.at(rows),
        )

    def only(self, names: tuple[str, ...]) -> Scored:
        """The same batch with no other columns than these."""
        if names == self.columns.names:
            return self
        return replace(self, columns=self.columns.only(names))


def _of_class(classes: NDArray[Any], k: int) -> Bools:
    return np.asarray(classes[:, k] != 0 if classes.ndim > 1 else classes == k)


class States(ABC):
    """The states of `n_groups` groups; a merge is their sum, group by group.

    Laws, which the tests hold every registered family to: a zero is neutral; merge is associative
    and commutative; the states of any split of the rows merge to those of the whole; what was
    added can be taken away, or is refused; decoding what was encoded gives the same; states of
    unlike parameters refuse to merge.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def n_groups(self) -> int:
        """The number of groups."""

    @property
    def parameters(self) -> tuple[int, ...]:
        """What states must have in common, beside their kind, to be added."""
        return ()

    def refuse_unlike(self, *others: States) -> None:
        """Raises ValueError for states that cannot be added to these."""
        for other in others:
            if other.kind != self.kind or other.parameters != self.parameters:
                ours, theirs = (
                    f"{states.kind}{list(states.parameters)}" for states in (self, other)
                )
                raise ValueError(
                    f"states of unlike parameters cannot be added: {ours} and {theirs}"
                )

    @abstractmethod
    def merge(self, *others: Self) -> Self:
        """The sum, group by group; one with fewer groups is taken as zero beyond them.

        Many at once cost less than one after the other.

        Raises:
            ValueError: when they differ in their kind or parameters.
        """

    @abstractmethod
    def minus(self, other: Self) -> Self:
        """What is left when the rows of `other` are taken away, which are all among ours.

        The inverse of `merge`, but for rounding: of whole weights exact, of others to some 1e-9 of
        what was there; a cell, a bucket or a score that no row is left of is not there any more.

        Raises:
            NotInvertible: when that cannot be known, or `other` has rows that were never added.
            ValueError: when they differ in their kind or parameters.
        """

    @abstractmethod
    def take(self, group: int) -> Self:
        """The state of one group, as states with a single group; zero beyond the last."""

    @abstractmethod
    def select(self, groups: Ints) -> Self:
        """The states of these groups, in this order; zero beyond the last."""

    def renumber(self, numbers: Ints, n_groups: int) -> Self:
        """The same states in another numbering: group g becomes group `numbers[g]` of `n_groups`.

        The numbers are distinct; groups that none of them names are zero.

        Raises:
            ValueError: when there is not one number for each group, all of them distinct.
        """
        if len(numbers) != self.n_groups or len(np.unique(numbers)) != self.n_groups:
            raise ValueError(f"{self.n_groups} groups need as many distinct numbers: {numbers}")
        source = np.full(n_groups, self.n_groups, np.int64)
        source[numbers] = np.arange(self.n_groups)
        return self.select(source)

    def regroup(self, numbers: Ints, n_groups: int) -> Self:
        """The sums of groups: those of group g go into group `numbers[g]` of `n_groups`.

        Groups that no number names are zero.
        """
        order = np.argsort(numbers, kind="stable")
        states, targets = self.select(order), numbers[order]
        # Neighbours are added two by two: no sum of many has more than a few steps.
        while (again := targets[1:] == targets[:-1]).any():
            starts = np.flatnonzero(np.r_[True, ~again])
            place = np.arange(len(targets)) - np.repeat(
                starts, np.diff(starts, append=len(targets))
            )
            left = np.flatnonzero(place % 2 == 0)
            paired = np.append(place, 0)[left + 1] % 2 == 1
            right = np.where(paired, left + 1, len(targets))
            states, targets = states.select(left).merge(states.select(right)), targets[left]
        return states.renumber(targets, n_groups)

    @abstractmethod
    def encode(self) -> bytes:
        """The bytes of the states; `engine.states.decode` is the inverse."""


class Family(ABC):
    """A kind of state with its parameters; knows how to make states of a batch.

    `key` is its name in the states table, e.g. `confusion(10)`; two families with the same key
    are the same. `columns` are those that it reads of the rows besides.
    """

    columns: tuple[str, ...] = ()

    @property
    @abstractmethod
    def key(self) -> str:
        """The family's name with its parameters."""

    @abstractmethod
    def of(self, batch: Scored, groups: Ints, n_groups: int) -> States:
        """The states of a batch whose row i belongs to group `groups[i]`."""

    @abstractmethod
    def zero(self, n_groups: int = 0) -> States:
        """The state of groups without rows."""


def with_left_out(buckets: NDArray[Any], axis: int = 0) -> NDArray[Any]:
    """Sums over the bucket axis: first all of them, then each time all but one.

    The result has one entry more in the place of the bucket axis. What is left out is never
    subtracted, which would cancel where one bucket has nearly all: a product of matrices adds up
    what is kept.
    """
    values = buckets if axis == 0 else np.moveaxis(buckets, axis, 0)
    flat = values.reshape(BUCKETS, -1)
    parts = [KEPT @ flat[:, at : at + SMALL] for at in range(0, max(flat.shape[1], 1), SMALL)]
    sums = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    sums = sums.reshape(1 + BUCKETS, *values.shape[1:])
    return sums if axis == 0 else np.moveaxis(sums, 0, axis)


def replicate_sums(buckets: Floats) -> Floats:
    """Sums over the buckets of [group, bucket, column]: [group, replicate, column].

    As `with_left_out`, group by group; of many groups each has few columns.
    """
    if len(buckets) == 1:
        return with_left_out(buckets[0])[None]
    sums: Floats = np.matmul(KEPT, buckets)
    return sums


def runs(starts: Ints, ends: Ints) -> Ints:
    """The places of several stretches of an array, one stretch after the other."""
    lengths = ends - starts
    shift = starts - np.cumsum(lengths) + lengths
    return np.repeat(shift, lengths) + np.arange(lengths.sum())


def stable_order(values: Ints) -> Ints:
    """The order that sorts whole numbers that are not negative, and keeps what is alike as it is.

    Numbers of 16 bits are sorted by their digits, in a tenth of the time; larger ones half by half.
    """
    most = int(values.max(initial=0))
    if most < 2**16:
        kind = np.uint8 if most < 2**8 else np.uint16
        return np.argsort(values.astype(kind), kind="stable")
    if most >= 2**32:
        return np.argsort(values, kind="stable")
    order = np.argsort(values.astype(np.uint16), kind="stable")
    high = (values >> 16).astype(np.uint16)
    return order[np.argsort(high[order], kind="stable")]


def sums_by_cell(cells: Ints, of_row: Floats | None, size: int) -> Floats:
    """The sum of a number of each row in each of `size` cells; without numbers, how many rows."""
    return np.bincount(cells, of_row, size).astype(np.float64, copy=False)


def is_dense(span: int, rows: int) -> bool:
    """Whether so many cells are counted for less than so many rows are sorted."""
    return span <= 8 * rows + 65536


def sum_by_key(keys: Ints, weights: Floats | None) -> tuple[Ints, Floats]:
    """The distinct keys in ascending order, and the sum of the weights (or the count) of each.

    Keys are not negative; those whose weights are all 0 are left out. Counts densely where the
    keys span little more than there are rows.
    """
    if len(keys) == 0:
        return keys, np.zeros(0)
    span = int(keys.max()) + 1
    if is_dense(span, len(keys)):
        sums = np.bincount(keys, weights, span)
        # Marks are searched many times faster than numbers.
        nonzero = np.flatnonzero(sums != 0)
        return nonzero, sums[nonzero].astype(np.float64, copy=False)
    if weights is None:
        unique, counts = np.unique(keys, return_counts=True)
        return unique, counts.astype(np.float64)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sums = np.add.reduceat(weights[order], starts)
    kept = sums != 0
    return ordered[starts][kept], sums[kept]
