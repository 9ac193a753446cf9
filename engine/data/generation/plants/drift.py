"""A column that has moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator
from scipy.special import ndtr, ndtri

from engine.data.generation.copula import Floats
from engine.data.generation.given import Value, typed_scalar
from engine.data.generation.marginals import to_numbers
from engine.data.generation.plants.plant import (
    VALUES,
    Answer,
    Draw,
    Ints,
    PlantBody,
    changed_numbers,
    replace_column,
)
from engine.data.generation.strict import Name, Share
from engine.errors import DataError

# The parts of equal share that the population stability index is of.
_PARTS = 10


class Drift(PlantBody):
    """`shift`: all numbers by so many standard deviations; or a `share` of the rows gets `to`."""

    column: Name
    shift: float | None = None
    share: Share | None = None
    to: Value | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Drift:
        if (self.shift is None) == (self.share is None):
            raise ValueError("expected `shift` (in standard deviations), or `share` and `to`")
        if (self.share is None) != (self.to is None):
            raise ValueError("`share` and `to` go together")
        return self

    @property
    def rank(self) -> int:
        """When it is planted."""
        return VALUES

    def apply(self, rows: pa.Table, numbers: Ints, draw: Draw) -> pa.Table:
        """Moves the column."""
        column = rows.column(self.column).combine_chunks()
        if self.shift is not None:
            values = changed_numbers(column, to_numbers(column) + self._distance(draw))
            return replace_column(rows, self.column, values)
        changed = pa.array(draw.chances(numbers) < (self.share or 0.0))
        values = pc.if_else(changed, typed_scalar(self.to, column.type), column)
        return replace_column(rows, self.column, values)

    def _distance(self, draw: Draw) -> float:
        return (self.shift or 0.0) * draw.spread(self.column)

    def answer(self, draw: Draw) -> Answer:
        """The distances of the distribution from itself as it was."""
        if self.shift is not None:
            numbers = np.sort(draw.numbers(self.column))
            if not len(numbers) or numbers[0] == numbers[-1]:
                raise DataError(
                    f"plant: the column {self.column!r} does not vary, and cannot drift"
                )
            draw.check_room(self.column, numbers + self._distance(draw))
            finds = shift_distances(numbers, self._distance(draw), draw.rows)
            if self.column in draw.normal:
                finds = normal_distances(self.shift)
            metric = "ks"
            rows = float(draw.rows)
        else:
            finds, metric = self._moved_share(draw), "total_variation"
            rows = draw.rows * (self.share or 0.0)
        limit = round(finds[metric] / 2, 3)
        test = {"drift": metric, "columns": [self.column], "max": limit}
        return Answer(rows, finds, test, says="beside rows without the plant")

    def _moved_share(self, draw: Draw) -> dict[str, float]:
        column = draw.column(self.column)
        try:
            to = typed_scalar(self.to, column.type).as_py()
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(
                f"plant: the column {self.column!r} is {column.type}, found `to: {self.to!r}`"
            ) from error
        nulls = column.null_count / max(len(column), 1)
        before = {value: share * (1 - nulls) for value, share in draw.shares(self.column).items()}
        before[None] = nulls
        return share_distances(before, to, self.share or 0.0)


def shift_distances(ordered: Floats, distance: float, size: int) -> dict[str, float]:
    """KS, Wasserstein (in standard deviations) and PSI between numbers and these moved.

    For N(0, 1) they are `2 Phi(d/2) - 1`, `d` and about `d^2`. A part that nobody is left in makes
    the PSI depend on how many rows there are: each has half a row more.

    Args:
        ordered: [row], sorted.
        distance: by which they are moved.
        size: the rows of either table.
    """
    rows = len(ordered)
    places = np.concatenate([ordered, ordered + distance])
    own = np.searchsorted(ordered, places, side="right") / rows
    other = np.searchsorted(ordered, places - distance, side="right") / rows
    cuts = np.unique(np.quantile(ordered, np.arange(1, _PARTS) / _PARTS))
    shares = _parts(ordered, cuts, size), _parts(ordered + distance, cuts, size)
    return {
        "ks": float(np.abs(own - other).max()),
        "wasserstein": abs(distance) / float(np.std(ordered)),
        "psi": _psi(*shares),
    }


def normal_distances(shift: float) -> dict[str, float]:
    """The same of a normal distribution that has moved by so many standard deviations."""
    cuts = ndtri(np.arange(1, _PARTS) / _PARTS)
    after = np.diff(ndtr(cuts - shift), prepend=0.0, append=1.0)
    before = np.full(_PARTS, 1 / _PARTS)
    return {
        "ks": float(2 * ndtr(abs(shift) / 2) - 1),
        "wasserstein": abs(shift),
        "psi": _psi(before, after),
    }


def _parts(ordered: Floats, cuts: Floats, size: int) -> Floats:
    counts = np.diff(np.searchsorted(ordered, cuts, side="left"), prepend=0, append=len(ordered))
    rows = counts * (size / len(ordered)) + 0.5
    shares: Floats = rows / rows.sum()
    return shares


def _psi(before: Floats, after: Floats) -> float:
    return float(np.sum((after - before) * np.log(after / before)))


def share_distances(before: dict[Any, float], to: Any, share: float) -> dict[str, float]:
    """The distances of shares from those after a part of the rows has got one value."""
    known = [*before] if to in before else [*before, to]
    was = np.array([before.get(value, 0.0) for value in known])
    now = was * (1 - share) + np.array([share * (value == to) for value in known])
    middle = (was + now) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = [
            np.where(part > 0, part * np.log2(part / middle), 0.0).sum() for part in (was, now)
        ]
    return {
        "total_variation": float(np.abs(was - now).sum() / 2),
        "hellinger": float(np.sqrt(np.sum((np.sqrt(was) - np.sqrt(now)) ** 2) / 2)),
        "js_distance": float(np.sqrt(max(sum(entropy) / 2, 0.0))),
    }
