"""A metric on many slices: what `Value` has of one, in arrays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.metrics.base import Value
from engine.metrics.basis import Averaged, Basis, Counted, Known, Map, Ordered
from engine.states import BUCKETS, Bools, Floats, Ints, MomentsView

REPLICATES = 1 + BUCKETS

# What some slices rest on: their places, the basis in arrays (but for one quantile), the map.
Rested = tuple[Ints, Basis | None, Map | None]


@dataclass(frozen=True, slots=True)
class Figured:
    """A metric on many slices: what `Value` has of one, in arrays [slice].

    `reasons` is why a slice has no value, None where it has; `replicates` [slice, replicate] are
    numbers that spread, NaN where undefined, and `centres` what an interval lies around. A first
    replicate can be coarser than the centre.
    """

    values: Floats
    centres: Floats
    reasons: list[str | None]
    bounds: Floats
    support: Floats
    replicates: Floats
    rested: tuple[Rested, ...]
    details: list[str | None] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_defined(self) -> Bools:
        """Where there is a value."""
        return np.array([reason is None for reason in self.reasons], bool)

    @classmethod
    def of(cls, value: Value) -> Figured:
        """What a function gave for all slices, [slice, replicate]."""
        values = np.asarray(value.values, np.float64)
        count, first = len(values), values[:, 0]
        reasons = np.full(count, None, object)
        reasons[~np.isfinite(first)] = "undefined"
        spreading = np.array(values if value.centre is None else value.centre, np.float64)
        # The first reason that holds counts.
        for code, mask in reversed(value.undefined):
            reasons[mask[:, 0]] = code
            spreading[mask] = np.nan
        return cls(
            first,
            spreading[:, 0].copy(),
            reasons.tolist(),
            _broadcast(value.bound, count),
            _broadcast(np.nan if value.support is None else value.support, count),
            spreading,
            ((np.arange(count), value.basis, value.map),),
            None if value.detail is None else [value.detail] * count,
        )

    @classmethod
    def join(cls, count: int, parts: Sequence[tuple[Ints, Figured]]) -> Figured:
        """The figures of slices at their places among `count`."""
        figured = cls.blank(count)
        rested: list[Rested] = []
        details: list[str | None] = [None] * count
        for at, part in parts:
            for into, figures in (
                (figured.values, part.values),
                (figured.centres, part.centres),
                (figured.bounds, part.bounds),
                (figured.support, part.support),
                (figured.replicates, part.replicates),
            ):
                into[at] = figures
            for place, reason, detail in zip(
                at.tolist(), part.reasons, part.details or [None] * len(part), strict=True
            ):
                figured.reasons[place] = reason
                details[place] = detail
            rested += [(at[places], basis, by) for places, basis, by in part.rested]
        some = details if any(detail is not None for detail in details) else None
        return cls(
            figured.values, figured.centres, figured.reasons, figured.bounds, figured.support,
            figured.replicates, tuple(rested), some,
        )  # fmt: skip

    @classmethod
    def blank(cls, count: int) -> Figured:
        """Slices of which nothing is known."""
        values, centres, support = np.full((3, count), np.nan)
        replicates = np.full((count, REPLICATES), np.nan)
        undefined: list[str | None] = ["undefined"] * count
        return cls(values, centres, undefined, np.zeros(count), support, replicates, ())


def _broadcast(figure: Any, count: int) -> Floats:
    return np.array(np.broadcast_to(figure, count), np.float64)


def add_slice_axis(value: Value) -> Value:
    """The value of one slice with an axis of slices; its basis stays that of one."""
    return Value(
        np.asarray(value.values, np.float64)[None],
        tuple((code, np.asarray(mask)[None]) for code, mask in value.undefined),
        value.bound,
        value.basis,
        value.map,
        value.support,
        value.detail,
        None if value.centre is None else np.asarray(value.centre)[None],
    )


def gather_bases(figured: Figured) -> Figured:
    """The bases of one kind and map together in arrays."""
    kinds: dict[Hashable, list[Rested]] = {}
    for number, item in enumerate(figured.rested):
        _, basis, by = item
        rows_only = isinstance(basis, Counted) and basis.unweighted_only
        alone = number if isinstance(basis, Ordered) else None
        kinds.setdefault((type(basis), rows_only, id(by), alone), []).append(item)
    rested = tuple(
        (np.concatenate([places for places, _, _ in group]), _together(group), group[0][2])
        for group in kinds.values()
    )
    return replace(figured, rested=rested)


def _together(parts: Sequence[Rested]) -> Basis | None:
    """The bases of slices, of one kind, as one."""
    bases = [basis for _, basis, _ in parts]
    first = bases[0]
    sizes = [len(places) for places, _, _ in parts]

    def column(name: str) -> Floats:
        figures = [getattr(basis, name) for basis in bases]
        return np.concatenate([_broadcast(x, size) for x, size in zip(figures, sizes, strict=True)])

    if isinstance(first, Counted):
        return Counted(
            column("hits"),
            column("trials"),
            column("hit_squares"),
            column("miss_squares"),
            first.unweighted_only,
        )
    if isinstance(first, Known):
        return Known(column("se"), column("df"))
    if isinstance(first, Averaged):
        moments = [basis.moments for basis in bases if isinstance(basis, Averaged)]
        return Averaged(
            MomentsView(
                *(
                    np.concatenate([np.atleast_2d(getattr(view, name)) for view in moments])
                    for name in MomentsView.__slots__
                )
            )
        )
    return first
