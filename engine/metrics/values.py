"""What a metric's function gives, and what becomes of it: its figures, with an axis of slices."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from engine.core.vocabulary import MetricValue
from engine.metrics.basis import Averaged, Basis, Counted, Known, Map, Ordered
from engine.states import BUCKETS, Bools, Floats, Ints, MomentsView
from engine.statistics import Figures

REPLICATES = 1 + BUCKETS

# Ends of intervals of slices, None where unknown.
Ends = Sequence[float | None]

# An undefined value of one reason is one object, however many cells have it.
_UNDEFINED: dict[str, MetricValue] = {}

# What some slices rest on: their places, the basis in arrays (but for one quantile), the map.
Rested = tuple[Ints, Basis | None, Map | None]


@dataclass(frozen=True, slots=True)
class Value:
    """A metric's numbers: [replicate], NaN where undefined.

    `undefined` names the reasons with the replicates they hold for, the first that holds counts;
    `bound` is what approximation can have cost the first replicate. `basis` is what an interval
    can rest on better than on the replicates, after `map` where the value is a function of it.
    `support` is the number of rows that the value rests on in the scarcest class, from which
    an interval comes where the value is at its bound and nothing spreads. `detail` adds to
    the reason. `centre` is, where chance alone pushes the values one way, what is left of them
    without that: an interval lies around it, and its replicates are those of the metric.

    Of many slices at once all arrays have one axis more, that of the slices, before the others.
    """

    values: Floats
    undefined: tuple[tuple[str, Bools], ...] = ()
    bound: Figures = 0.0
    basis: Basis | None = None
    map: Map | None = None
    support: Figures | None = None
    detail: str | None = None
    centre: Floats | None = None


def ratio(
    numerator: Floats,
    denominator: Floats,
    reason: str,
    *,
    squares: tuple[Figures, Figures] | None = None,
) -> Value:
    """The quotient, undefined with `reason` where the denominator is 0.

    With `squares`, the sums of squared weights of the numerator's rows and of the denominator's
    other rows, it is a share of rows, and has the interval of one.
    """
    zero = denominator == 0
    values = np.divide(numerator, denominator, out=np.full(zero.shape, np.nan), where=~zero)
    basis = None
    if squares is not None:
        basis = Counted(numerator[..., 0], denominator[..., 0], *squares)
    return Value(values, ((reason, zero),), basis=basis)


class Undefined(NamedTuple):
    """Why a slice has no value: the code, and what it says more."""

    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Figured:
    """A metric on slices: what `Value` has of one, in arrays [slice].

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
    details: list[str | None]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_defined(self) -> Bools:
        """Where there is a value."""
        return np.array([reason is None for reason in self.reasons], bool)

    @classmethod
    def of(cls, value: Value) -> Figured:
        """What a function gave for all slices, [slice, replicate].

        Raises:
            TypeError: for what is no number.
        """
        values = np.asarray(value.values)
        if values.dtype == object:
            raise TypeError(f"a metric gives numbers, not {type(values.flat[0]).__name__}")
        values = values.astype(np.float64, copy=False)
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
            [value.detail] * count,
        )

    def less(self, other: Figured) -> Figured:
        """These figures less others of the same slices; a slice has both or none."""
        reasons = [
            own if own is not None else theirs
            for own, theirs in zip(self.reasons, other.reasons, strict=True)
        ]
        return replace(
            self,
            values=self.values - other.values,
            centres=self.centres - other.centres,
            reasons=reasons,
            bounds=self.bounds + other.bounds,
            support=np.fmin(self.support, other.support),
            replicates=self.replicates - other.replicates,
            rested=((np.arange(len(self)), None, None),),
            details=[
                own or theirs for own, theirs in zip(self.details, other.details, strict=True)
            ],
        )

    @classmethod
    def join(cls, count: int, parts: Sequence[tuple[Ints, Figured]]) -> Figured:
        """The figures of slices at their places among `count`."""
        figured = cls.blank(count)
        rested: list[Rested] = []
        for at, part in parts:
            for into, figures in (
                (figured.values, part.values),
                (figured.centres, part.centres),
                (figured.bounds, part.bounds),
                (figured.support, part.support),
                (figured.replicates, part.replicates),
            ):
                into[at] = figures
            for place, reason, detail in zip(at.tolist(), part.reasons, part.details, strict=True):
                figured.reasons[place] = reason
                figured.details[place] = detail
            rested += [(at[places], basis, by) for places, basis, by in part.rested]
        return replace(figured, rested=tuple(rested))

    @classmethod
    def blank(cls, count: int) -> Figured:
        """Slices of which nothing is known."""
        values, centres, support = np.full((3, count), np.nan)
        replicates = np.full((count, REPLICATES), np.nan)
        reasons: list[str | None] = ["undefined"] * count
        details: list[str | None] = [None] * count
        return cls(values, centres, reasons, np.zeros(count), support, replicates, (), details)

    def undefine(self, at: int, why: Undefined) -> None:
        """Takes the value of a slice away."""
        self.reasons[at], self.details[at] = why
        self.values[at] = np.nan

    def metric_values(
        self,
        lows: Sequence[float | None] | None = None,
        highs: Sequence[float | None] | None = None,
    ) -> Iterator[MetricValue]:
        """The value of each slice with the ends of its interval, [slice], None where unknown."""
        nothing = [None] * len(self)
        for value, reason, bound, low, high, detail in zip(
            self.values.tolist(),
            self.reasons,
            self.bounds.tolist(),
            nothing if lows is None else lows,
            nothing if highs is None else highs,
            self.details,
            strict=True,
        ):
            if reason is None:
                yield MetricValue(value, None, bound, low, high)
            elif detail is not None:
                yield MetricValue(None, reason, detail=detail)
            else:
                yield _UNDEFINED.setdefault(reason, MetricValue(None, reason))


def _broadcast(figure: Any, count: int) -> Floats:
    return np.array(np.broadcast_to(figure, count), np.float64)


def add_slice_axis(value: Value) -> Value:
    """The value of one slice with an axis of slices; its basis stays that of one."""
    return Value(
        np.asarray(value.values)[None],
        tuple((code, np.asarray(mask)[None]) for code, mask in value.undefined),
        value.bound,
        value.basis,
        value.map,
        value.support,
        value.detail,
        None if value.centre is None else np.asarray(value.centre)[None],
    )


def first_replicate(value: Value) -> Value:
    """The value with all rows alone, of arrays [slice, replicate]."""
    return replace(
        value,
        values=value.values[:, :1],
        undefined=tuple((code, mask[:, :1]) for code, mask in value.undefined),
        centre=None if value.centre is None else value.centre[:, :1],
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
