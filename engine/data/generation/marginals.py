"""The distribution of one column, from which values are drawn by their place in it.

Both kinds are monotone functions of a uniform variable, so a copula can drive them. What few rows
have is not made: values beyond those that `least` rows reach, and categories that fewer rows have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.generation.copula import Floats, continuous, hermite, level_scores

# Numbers of so few values are levels, where as many rows stand behind each.
MOST_NUMBER_LEVELS, LEAST_PER_LEVEL = 100, 5
# Knots of a quantile table, and the rows behind each.
MOST_KNOTS, ROWS_PER_KNOT = 1024, 5
# A value that so large a part of the rows has ties enough to weaken correlations.
_LARGE_TIE = 0.01
_MOST_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Levels:
    """A column of few values, in an order: `shares` are [level] and add up to 1."""

    values: pa.Array
    shares: Floats

    def draw(self, uniforms: Floats) -> pa.Array:
        """[row]: the values at places in (0, 1) of the distribution."""
        ends = np.cumsum(self.shares)[:-1]
        return self.values.take(pa.array(np.searchsorted(ends, uniforms, side="right")))

    def scores(self) -> Floats:
        """[level]: normal scores."""
        return level_scores(self.shares)

    def hermite(self) -> Floats:
        """The Hermite coefficients; those of a constant are of no use."""
        return hermite(self.shares, self.scores()) if len(self.shares) > 1 else continuous()


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A column of many numbers, dates or times: the values at some places of (0, 1).

    `numbers` are [knot] and rise; between two knots it is linear. A value is a whole number of
    `step` from `origin` where there is a step.
    """

    kind: pa.DataType
    places: Floats
    numbers: Floats
    step: float
    origin: float
    coefficients: Floats

    def draw(self, uniforms: Floats) -> pa.Array:
        """[row]: the values at places in (0, 1) of the distribution."""
        return from_numbers(
            self.round_off(np.interp(uniforms, self.places, self.numbers)), self.kind
        )

    def round_off(self, numbers: Floats) -> Floats:
        """Numbers as the column writes them."""
        if not self.step:
            return numbers
        steps = np.rint((numbers - self.origin) / self.step)
        if self.step >= 1:
            rounded: Floats = self.origin + steps * self.step
            return rounded
        return np.asarray(np.round(self.origin + steps * self.step, _MOST_DECIMALS + 1))

    def hermite(self) -> Floats:
        """The Hermite coefficients."""
        return self.coefficients


Marginal = Levels | Quantiles


def is_number(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type have places on a line: numbers, dates and times."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
    )


def to_numbers(column: pa.Array) -> Floats:
    """[row]: numbers, days or microseconds; NaN where there is none."""
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.date32()).cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, np.float64)


def from_numbers(numbers: Floats, kind: pa.DataType) -> pa.Array:
    """The values of a type that numbers stand for."""
    if pa.types.is_date(kind):
        return pa.array(np.rint(numbers).astype(np.int32)).cast(pa.date32()).cast(kind)
    if pa.types.is_timestamp(kind):
        instants = pa.array(np.rint(numbers).astype(np.int64))
        return instants.cast(pa.timestamp("us", kind.tz)).cast(kind, safe=False)
    if pa.types.is_integer(kind):
        return pa.array(np.rint(numbers).astype(np.int64)).cast(kind)
    if pa.types.is_decimal(kind):
        return pc.round(pa.array(numbers), kind.scale).cast(kind, safe=False)
    return pa.array(numbers).cast(kind, safe=False)


def has_room(kind: pa.DataType, numbers: Floats) -> bool:
    """Whether a type can hold numbers of this size."""
    most = float(np.abs(numbers).max(initial=0.0))
    if pa.types.is_decimal(kind):
        return bool(most < 10.0 ** (kind.precision - kind.scale))
    if pa.types.is_integer(kind):
        return bool(most <= float(np.iinfo(kind.to_pandas_dtype()).max))
    if pa.types.is_date(kind):
        # Years 1 to 9999, as Spark has them.
        return most < 2_932_897
    return not pa.types.is_float32(kind) or most <= float(np.finfo(np.float32).max)


def quantiles_of(numbers: Floats, kind: pa.DataType, least: int) -> Quantiles:
    """The quantile table of numbers, without the values that fewer than `least` rows reach.

    What lies beyond is left out, not moved to the ends: there no value of the source stands out.

    Args:
        numbers: [row], finite.
        kind: the type of the column.
        least: so many rows lie at or beyond the first and the last knot.
    """
    ordered, rows = np.sort(numbers), len(numbers)
    edge = min(least, (rows + 1) // 2) - 1
    knots = int(np.clip(rows // ROWS_PER_KNOT, 2, MOST_KNOTS))
    ranks = np.unique(np.rint(np.linspace(edge, rows - 1 - edge, knots)).astype(np.int64))
    step, origin = _step(ordered, kind)
    places = (ranks - ranks[0]) / max(ranks[-1] - ranks[0], 1)
    return Quantiles(kind, places, ordered[ranks], step, origin, _coefficients(ordered))


def _coefficients(ordered: Floats) -> Floats:
    _, counts = np.unique(ordered, return_counts=True)
    shares = counts / counts.sum()
    if len(shares) < 2 or shares.max() < _LARGE_TIE:
        return continuous()
    return hermite(shares, level_scores(shares))


def _step(ordered: Floats, kind: pa.DataType) -> tuple[float, float]:
    """What values are whole numbers of, and from where; 0 where nothing is that."""
    if pa.types.is_decimal(kind):
        return 10.0**-kind.scale, 0.0
    if not pa.types.is_floating(kind):
        whole = ordered.astype(np.int64)
        return float(max(int(np.gcd.reduce(whole - whole[0])), 1)), float(whole[0])
    for digits in range(_MOST_DECIMALS + 1):
        tolerance = 1e-6 if pa.types.is_float32(kind) else 1e-9
        if np.allclose(np.round(ordered, digits), ordered, rtol=tolerance, atol=0.0):
            return 10.0**-digits, 0.0
    return 0.0, 0.0


def number_levels(numbers: Floats, kind: pa.DataType, least: int) -> Levels | None:
    """Numbers as levels, where they are few; the rarest ends are moved inwards."""
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) > min(MOST_NUMBER_LEVELS, max(2, len(numbers) // LEAST_PER_LEVEL)):
        return None
    first = min(int(np.searchsorted(np.cumsum(counts), least)), len(values) - 1)
    last = len(values) - 1
    last -= min(int(np.searchsorted(np.cumsum(counts[::-1]), least)), len(values) - 1)
    if first > last:
        first = last = int(np.argmax(counts))
    kept = counts[first : last + 1].astype(np.float64)
    kept[0] += counts[:first].sum()
    kept[-1] += counts[last + 1 :].sum()
    return Levels(from_numbers(values[first : last + 1], kind), kept / kept.sum())
