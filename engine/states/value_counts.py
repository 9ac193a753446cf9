"""How often each value of a column occurs, exact as long as a group has few of them.

Which group has more than the cap depends on the values alone, not on the order in which batches
came: of such a group nothing is known but that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from engine.states import codec
from engine.states.base import (
    BUCKETS,
    Bools,
    Floats,
    Ints,
    NotInvertible,
    States,
    runs,
    sum_by_key,
)
from engine.states.columns import ColumnBatch, ColumnFamily
from engine.states.subtract import FOREIGN, Sparse

CAP = 1000
"""The most values of a group that are counted."""

MANY = "a group had more values than are counted: which are left is not known"


@dataclass(frozen=True, slots=True, eq=False)
class ValueCounts(States):
    """Rows by group, bucket and value.

    Attributes:
        cap: the most values of a group.
        values: the texts of the values, ascending and distinct; None stands for null.
        over: bool [group], which groups have more values than the cap.
        keys: int64 (group * BUCKETS + bucket) * len(values) + place of the value, ascending.
        counts: float64, the rows of each key.
    """

    kind: ClassVar[str] = "value_counts"

    cap: int
    values: tuple[str | None, ...]
    over: Bools
    keys: Ints
    counts: Floats

    @property
    def n_groups(self) -> int:
        return len(self.over)

    @property
    def parameters(self) -> tuple[int, ...]:
        return (self.cap,)

    def merge(self, *others: Self) -> Self:
        self.refuse_unlike(*others)
        parts = (self, *others)
        values = _union(parts)
        over = np.zeros(max(part.n_groups for part in parts), bool)
        for part in parts:
            over[: part.n_groups] |= part.over
        keys, counts = sum_by_key(
            np.concatenate([part._keys_among(values) for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )
        return self._limit(values, over, keys, counts)

    def minus(self, other: Self) -> Self:
        self.refuse_unlike(other)
        if self.over.any():
            raise NotInvertible(MANY)
        if other.over.any():
            raise NotInvertible(FOREIGN)
        values = _union((self, other))
        ours, theirs = (Sparse(part._keys_among(values), part.counts) for part in (self, other))
        over = np.zeros(max(self.n_groups, other.n_groups), bool)
        return self._limit(values, over, *ours.less(theirs))

    def take(self, group: int) -> Self:
        return self.select(np.array([group], np.int64))

    def select(self, groups: Ints) -> Self:
        width = max(self._width, 1)
        low, high = (np.searchsorted(self.keys, edges * width) for edges in (groups, groups + 1))
        at = runs(low, high)
        moved = np.repeat((np.arange(len(groups)) - groups) * width, high - low)
        beyond = np.append(self.over, False)
        over = beyond[np.minimum(groups, self.n_groups)]
        return self._limit(self.values, over, self.keys[at] + moved, self.counts[at])

    def encode(self) -> bytes:
        arrays = {
            "over": self.over,
            "steps": codec.steps(self.keys),
            "weights": codec.small(self.counts),
        }
        params = {"cap": self.cap, "values": list(self.values)}
        return codec.encode(self.kind, params, arrays)

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        cap, values = codec.count_of(params, "cap"), params.get("values")
        known = isinstance(values, list) and all(v is None or isinstance(v, str) for v in values)
        codec.refuse_unless(known, "the values are no texts")
        assert isinstance(values, list), "it was looked at"
        codec.refuse_unless(values == _sort_values(values), "the values do not ascend")
        over = codec.array_of(arrays, "over", np.bool_, ndim=1)
        keys = codec.keys_of(arrays, "steps", len(over) * BUCKETS * len(values))
        counts = codec.weights_of(arrays, "weights")
        codec.refuse_unless(len(keys) == len(counts), "values and counts differ in length")
        return cls(cap, tuple(values), over, keys, counts)

    @property
    def totals(self) -> list[dict[str | None, float] | None]:
        """The rows of each value, for each group; None where there are more than the cap."""
        totals: list[dict[str | None, float] | None] = [
            None if over else {} for over in self.over.tolist()
        ]
        group, rest = np.divmod(self.keys, max(self._width, 1))
        for at, place, count in zip(
            group.tolist(), (rest % max(len(self.values), 1)).tolist(), self.counts.tolist(),
            strict=True,
        ):  # fmt: skip
            held, value = totals[at], self.values[place]
            assert held is not None, "a group over the cap has no counts"
            held[value] = held.get(value, 0.0) + count
        return totals

    @property
    def _width(self) -> int:
        """The keys of a group."""
        return BUCKETS * len(self.values)

    def _keys_among(self, values: Sequence[str | None]) -> Ints:
        """The keys where these are the values, all of ours among them."""
        places = {value: place for place, value in enumerate(values)}
        moved = np.array([places[value] for value in self.values], np.int64)
        cell, place = np.divmod(self.keys, max(len(self.values), 1))
        if not len(self.keys):
            return self.keys
        return np.asarray(cell * len(values) + moved[place], np.int64)

    def _limit(
        self, values: tuple[str | None, ...], over: Bools, keys: Ints, counts: Floats
    ) -> Self:
        """Counts without those of groups over the cap, and without values that none has."""
        if len(keys):
            cell, place = np.divmod(keys, len(values))
            group = cell // BUCKETS
            distinct = np.unique(group * len(values) + place) // len(values)
            over = over | (np.bincount(distinct, minlength=len(over)) > self.cap)
            kept = ~over[group]
            cell, place, counts = cell[kept], place[kept], counts[kept]
            present, place = np.unique(place, return_inverse=True)
            values = tuple(values[at] for at in present.tolist())
            keys = np.asarray(cell * len(values) + place, np.int64)
        else:
            values = ()
        return type(self)(self.cap, values, over, keys, counts)


@dataclass(frozen=True, slots=True)
class ColumnValues(ColumnFamily):
    """How often each value of a column occurs, as text; exact up to `cap` values of a slice."""

    column: str
    cap: int = CAP

    @property
    def key(self) -> str:
        return f"column values({self.cap}:{self.column})"

    def zero(self, n_groups: int = 0) -> ValueCounts:
        none = np.zeros(0, np.int64)
        return ValueCounts(self.cap, (), np.zeros(n_groups, bool), none, np.zeros(0))

    def of(self, batch: ColumnBatch, groups: Ints, n_groups: int) -> ValueCounts:
        texts = batch.rows.column(self.column).cast(pa.string())
        encoded = texts.dictionary_encode(null_encoding="encode")
        texts_met: list[str | None] = encoded.dictionary.to_pylist()
        values = tuple(_sort_values(texts_met))
        places = {value: place for place, value in enumerate(values)}
        moved = np.array([places[value] for value in texts_met], np.int64)
        codes = np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)
        zero = self.zero(n_groups)
        if not len(codes):
            return zero
        cells = groups * BUCKETS + batch.bucket
        keys, counts = sum_by_key(cells * len(values) + moved[codes], None)
        return zero._limit(values, zero.over, keys, counts)


def _sort_values(values: Sequence[str | None]) -> list[str | None]:
    """Distinct values in their order, null last."""
    return sorted(set(values), key=lambda value: (value is None, value or ""))


def _union(parts: Sequence[ValueCounts]) -> tuple[str | None, ...]:
    return tuple(_sort_values([value for part in parts for value in part.values]))
