"""States of a fixed width: sums, moments and maxima, an array [group, bucket, column] each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, ClassVar, Self

import numpy as np

from engine.states import codec
from engine.states.base import (
    BUCKETS,
    KEPT,
    Bools,
    Family,
    Floats,
    Ints,
    NotInvertible,
    Scored,
    States,
    replicate_sums,
    sums_by_cell,
)
from engine.states.row_columns import key_part
from engine.states.subtract import FOREIGN, moments_less, remainder

Loss = Callable[[Scored], Floats]

_KEPT: Bools = KEPT > 0


@dataclass(frozen=True, slots=True, eq=False)
class Dense(States):
    """States whose sum is an operation on arrays of one shape."""

    values: Floats
    empty: ClassVar[float] = 0.0

    @property
    def n_groups(self) -> int:
        return int(self.values.shape[0])

    @property
    def parameters(self) -> tuple[int, ...]:
        return self.values.shape[1:]

    @abstractmethod
    def _add(self, left: Floats, right: Floats) -> Floats:
        """The sum of two arrays of one shape."""

    def merge(self, *others: Self) -> Self:
        self.refuse_unlike(*others)
        groups = max(states.n_groups for states in (self, *others))
        return type(self)(
            reduce(self._add, (states._pad(groups) for states in others), self._pad(groups))
        )

    @abstractmethod
    def _less(self, left: Floats, right: Floats) -> Floats:
        """What is left of an array without another of its shape."""

    def minus(self, other: Self) -> Self:
        self.refuse_unlike(other)
        groups = max(self.n_groups, other.n_groups)
        return type(self)(self._less(self._pad(groups), other._pad(groups)))

    def take(self, group: int) -> Self:
        return type(self)(self._pad(group + 1)[group : group + 1])

    def select(self, groups: Ints) -> Self:
        return type(self)(self._pad(int(groups.max(initial=-1)) + 1)[groups])

    def encode(self) -> bytes:
        return codec.encode(self.kind, {}, {"values": self.values})

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        return cls(codec.array_of(arrays, "values", np.float64, ndim=3))

    def _pad(self, groups: int) -> Floats:
        missing = groups - self.n_groups
        if missing <= 0:
            return self.values
        return np.pad(self.values, ((0, missing), (0, 0), (0, 0)), constant_values=self.empty)


class Sums(Dense):
    """Plain sums of columns."""

    kind = "sums"

    def _add(self, left: Floats, right: Floats) -> Floats:
        total: Floats = left + right
        return total

    def _less(self, left: Floats, right: Floats) -> Floats:
        rest = remainder(left, right)
        if ((rest < 0) & (left >= 0) & (right >= 0)).any():
            raise NotInvertible(FOREIGN)
        return rest


class Maxima(Dense):
    """Maxima of columns; minus infinity where there is no row. Has no inverse."""

    kind = "maxima"
    empty = -np.inf

    def _add(self, left: Floats, right: Floats) -> Floats:
        return np.maximum(left, right)

    def _less(self, left: Floats, right: Floats) -> Floats:
        if (right > self.empty).any():
            raise NotInvertible("maxima: the largest number without some rows is not known")
        return left


class Moments(Dense):
    """Weight, sum of squared weights, weighted mean and M2 (squares around the mean) of a loss.

    Added by the formula of Chan, Golub and LeVeque (1979), which does not cancel as the
    difference of sums of squares does.
    """

    kind = "moments"

    def _add(self, left: Floats, right: Floats) -> Floats:
        total = left + right
        wa, wb, ma = left[..., 0], right[..., 0], left[..., 2]
        weight = total[..., 0]
        share = np.divide(wb, weight, out=np.zeros_like(weight), where=weight > 0)
        gap = right[..., 2] - ma
        total[..., 2] = ma + gap * share
        total[..., 3] += gap * gap * wa * share
        return total

    def _less(self, left: Floats, right: Floats) -> Floats:
        return moments_less(left, right)


@dataclass(frozen=True, slots=True)
class MomentsView:
    """Moments over all buckets, then with each bucket left out: arrays of [replicate].

    Of many groups they have an axis of groups before: [group, replicate].
    """

    weight: Floats
    weight_squares: Floats
    mean: Floats
    m2: Floats

    @classmethod
    def of(cls, states: Moments) -> MomentsView:
        """That of the first group alone."""
        return cls.of_groups(states, 0, 1).at(0)

    @classmethod
    def of_groups(cls, states: Moments, first: int, last: int) -> MomentsView:
        """That of the groups from `first` to before `last`."""
        weight, squares, mean, m2 = np.moveaxis(states._pad(last)[first:last], -1, 0)
        sums = replicate_sums(np.stack([weight, squares, weight * mean, m2], axis=-1))
        weights = sums[..., 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            means = sums[..., 2] / weights
            # The squares of each bucket around its own mean, and those of its mean around theirs.
            between = weight[:, None] * (mean[:, None] - means[..., None]) ** 2
        m2s = sums[..., 3] + between.sum(axis=-1, where=_KEPT)
        return cls(weights, sums[..., 1], means, m2s)

    def at(self, place: int) -> MomentsView:
        """That of one of many groups."""
        columns = (self.weight, self.weight_squares, self.mean, self.m2)
        return MomentsView(*(column[place] for column in columns))


@dataclass(frozen=True, slots=True)
class MaximaView:
    """The maximum over all buckets, then with each bucket left out: [replicate]."""

    value: Floats

    @classmethod
    def of(cls, states: Maxima) -> MaximaView:
        column = np.broadcast_to(states.values[0, :, 0], _KEPT.shape)
        return cls(column.max(axis=1, where=_KEPT, initial=-np.inf))


ROW_COLUMNS = ("n", "weight", "weight_squares", "null_labels", "bad_scores", "unknown_labels")


@dataclass(frozen=True, slots=True)
class RowFlags:
    """Masks over the rows of a batch before the unusable ones are left out."""

    null_label: Bools
    bad_score: Bools
    unknown_label: Bools


def rows_of(weight: Floats, flags: RowFlags, cells: Ints, n_groups: int) -> Sums:
    """Counts of rows, `ROW_COLUMNS` in order; `cells` is group * BUCKETS + bucket of each row."""
    size = n_groups * BUCKETS
    labelled = ~flags.null_label
    kept = cells[labelled]
    columns = [
        sums_by_cell(kept, None, size),
        sums_by_cell(kept, weight[labelled], size),
        sums_by_cell(kept, weight[labelled] ** 2, size),
        *(
            sums_by_cell(cells[mask], None, size)
            for mask in (flags.null_label, flags.bad_score, flags.unknown_label)
        ),
    ]
    return Sums(np.stack(columns, axis=-1).reshape(n_groups, BUCKETS, len(ROW_COLUMNS)))


@dataclass(frozen=True, slots=True)
class Mean(Family):
    """The moments of a loss of each row: accuracy, log loss, squared error, the target itself."""

    loss: str
    function: Loss = field(compare=False, repr=False)
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"mean({self.loss}{key_part(self.columns)})"

    def zero(self, n_groups: int = 0) -> Moments:
        return Moments(np.zeros((n_groups, BUCKETS, 4)))

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> Moments:
        if len(batch) == 0:
            return self.zero(n_groups)
        losses = losses_of(self.loss, self.function, batch, self.columns)
        return moments_of(losses, batch, groups, n_groups)


def losses_of(name: str, loss: Loss, batch: Scored, columns: tuple[str, ...] = ()) -> Floats:
    """The losses of a batch, one for each row, computed once whatever the number of slice sets.

    The loss gets `columns` of the rows and no others.

    Raises:
        ValueError: when the loss gives anything but one number for each row.
    """

    def of_each_row() -> Floats:
        losses = np.asarray(loss(batch.only(columns)), np.float64)
        if losses.shape != (len(batch),):
            raise ValueError(
                f"a loss gave an array of shape {losses.shape}, expected one number for each of "
                f"{len(batch)} rows"
            )
        return losses

    return batch.once(("loss", name, columns), of_each_row)


def moments_of(loss: Floats, batch: Scored, groups: Ints, n_groups: int) -> Moments:
    """The moments of a number of each row, by group and bucket."""
    size = n_groups * BUCKETS
    cells = groups * BUCKETS + batch.bucket

    def total(of_row: Floats) -> Floats:
        return sums_by_cell(cells, of_row if batch.unweighted else batch.weight * of_row, size)

    weight = sums_by_cell(cells, None if batch.unweighted else batch.weight, size)
    squares = weight if batch.unweighted else total(batch.weight)
    some = np.where(weight > 0, weight, 1.0)
    mean = total(loss) / some
    # A long sum drifts; the mean of the residuals is what is missing to the true mean.
    residual = loss - mean[cells]
    drift = total(residual) / some
    m2 = np.maximum(total(residual * residual) - weight * drift * drift, 0.0)
    return Moments(np.stack([weight, squares, mean + drift, m2], axis=-1).reshape(-1, BUCKETS, 4))


@dataclass(frozen=True, slots=True)
class Maximum(Family):
    """The largest loss of a row that has any weight; how much does not matter to it."""

    loss: str
    function: Loss = field(compare=False, repr=False)
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"maximum({self.loss}{key_part(self.columns)})"

    def zero(self, n_groups: int = 0) -> Maxima:
        return Maxima(np.full((n_groups, BUCKETS, 1), -np.inf))

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> Maxima:
        if len(batch) == 0:
            return self.zero(n_groups)
        values = np.full(n_groups * BUCKETS, -np.inf)
        loss = losses_of(self.loss, self.function, batch, self.columns)
        cells = groups * BUCKETS + batch.bucket
        if not batch.unweighted:
            loss = np.where(batch.weight > 0, loss, -np.inf)
        np.maximum.at(values, cells, loss)
        return Maxima(values.reshape(n_groups, BUCKETS, 1))


# Odds of scores between which a step of 5 % is counted; beyond are the first bin and the last.
_LOG_ODDS = np.arange(-12.0, 12.01, 0.05)
SCORE_EDGES: Floats = 1 / (1 + np.exp(-_LOG_ODDS))


@dataclass(frozen=True, slots=True)
class PredictionCounts(Family):
    """How many rows have which prediction, whatever they weigh.

    Of `label`, the class whose scores they are, the columns of the sums are the bins between
    `SCORE_EDGES`: below the first, from one to before the next, from the last on. Without one they
    are the predicted classes; so they are of a model without scores, in the first two.
    """

    n_classes: int
    label: int | None = None
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        of_what = "classes" if self.label is None else f"scores of {self.label}"
        return f"prediction counts({of_what}, {self.n_classes})"

    @property
    def width(self) -> int:
        """How many numbers the sums have for each group and bucket."""
        return self.n_classes if self.label is None else len(SCORE_EDGES) + 1

    def zero(self, n_groups: int = 0) -> Sums:
        return Sums(np.zeros((n_groups, BUCKETS, self.width)))

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> Sums:
        if self.label is not None and batch.scores is not None:
            scores = batch.scores[:, self.label]
            place = np.searchsorted(SCORE_EDGES, scores, side="right")
        else:
            assert batch.predicted is not None, "it predicts classes"
            place = batch.predicted
        cells = (groups * BUCKETS + batch.bucket) * self.width + place
        counts = sums_by_cell(cells, None, n_groups * BUCKETS * self.width)
        return Sums(counts.reshape(n_groups, BUCKETS, self.width))
