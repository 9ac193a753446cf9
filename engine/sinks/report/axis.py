"""From values to places on a line: an axis with round numbers, and bars upon it.

Places are percentages of the width, so that a picture stretches with the page and its marks do not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.conditions import Limit
from engine.sinks import format as fmt

_TAIL = 0.05
_MARGIN = 0.04


@dataclass(frozen=True, slots=True)
class Scale:
    """The values at the left and the right end of a line."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of a value in percent, at the end where it lies beyond; never NaN."""
        if math.isnan(value):
            return 0.0
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 1)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self, most: int = 4) -> list[tuple[float, str]]:
        """Places and texts of at most `most` round values."""
        width = self.high - self.low
        step = 10.0 ** math.floor(math.log10(width / most))
        step *= next(factor for factor in (1, 2, 5, 10) if width / (factor * step) <= most)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [
            (self.at(place * step), _tick(place * step, decimals))
            for place in range(first, last + 1)
        ]


def _tick(value: float, decimals: int) -> str:
    text = f"{value:z.{decimals}f}" if decimals <= 6 and abs(value) < 1e7 else f"{value:.3g}"
    return text.replace("-", "−")


@dataclass(frozen=True, slots=True)
class LogScale(Scale):
    """A line on which equal distances are equal ratios; all its values are above 0."""

    def at(self, value: float) -> float:
        """The place of a value in percent, at the end where it lies beyond."""
        if not value > 0:
            return 0.0
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(100 * min(max(share, 0.0), 1.0), 1)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Places and texts of round values: 1, 2 and 5 of each power of ten, or fewer."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for factors in ((1, 2, 5), (1, 3), (1,)):
            values = [
                factor * 10.0**power for power in range(first, last + 1) for factor in factors
            ]
            inside = [value for value in values if self.holds(value)]
            if len(inside) <= most:
                break
        step = -(-len(inside) // most) or 1
        return [(self.at(value), f"{value:,.6g}") for value in inside[::step]]


@dataclass(frozen=True, slots=True)
class Zone:
    """Where a condition is broken: from a limit to one end of the line."""

    start: float
    width: float
    limit: float


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval with its point, as places on a line; `start` is None without an interval.

    `beyond` tells on which side the point itself lies outside of the line: left, right or nothing.
    """

    point: float
    start: float | None
    width: float
    beyond: str


def fit_scale(spans: Iterable[tuple[float, float]], keep: Sequence[float]) -> Scale | None:
    """A line that holds the bulk of some spans and all of `keep`; None where there is nothing.

    A few tiny slices have intervals as wide as the metric's range: the outer twentieth on each
    side does not stretch the line, and is drawn as leaving it.
    """
    finite = [(low, high) for low, high in spans if math.isfinite(low) and math.isfinite(high)]
    known = [value for value in keep if math.isfinite(value)]
    lows, highs = sorted(low for low, _ in finite), sorted(high for _, high in finite)
    cut = int(_TAIL * len(finite))
    ends = [*known, *(lows[cut : cut + 1]), *(highs[len(highs) - 1 - cut :][:1])]
    if not ends:
        return None
    low, high = min(ends), max(ends)
    room = (high - low) * _MARGIN or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room)


def fit_whole(values: Iterable[float | None]) -> Scale | None:
    """A line that holds all of some values that are finite; None where none is."""
    return fit_scale((), [value for value in values if value is not None])


def fit_ratios(values: Iterable[float]) -> LogScale | None:
    """A logarithmic line that holds all of some values; None where none is finite and above 0."""
    known = [value for value in values if math.isfinite(value) and value > 0]
    if not known:
        return None
    room = (max(known) / min(known)) ** _MARGIN * 1.1
    return LogScale(min(known) / room, max(known) * room)


def around_zero(spans: Iterable[tuple[float, float]], keep: Sequence[float]) -> Scale | None:
    """A line like `fitted` with 0 in its middle."""
    scale = fit_scale(spans, [*keep, 0.0])
    if scale is None:
        return None
    reach = max(abs(scale.low), abs(scale.high))
    return Scale(-reach, reach)


def bar(scale: Scale, value: float, low: float | None, high: float | None) -> Bar:
    """Lays a value and its interval on a line."""
    beyond = "" if scale.holds(value) else "left" if value < scale.low else "right"
    if low is None or high is None:
        return Bar(scale.at(value), None, 0.0, beyond)
    start = scale.at(low)
    return Bar(scale.at(value), start, round(max(scale.at(high) - start, 0.3), 1), beyond)


def zone(scale: Scale, limit: Limit) -> Zone:
    """Where on a line a limit is broken; no width where no side is the worse one."""
    place = scale.at(limit.at)
    if limit.below is None:
        return Zone(place, 0.0, place)
    return Zone(0.0, place, place) if limit.below else Zone(place, round(100 - place, 1), place)


def minus(text: str) -> str:
    """Writes signs as a page does: a minus instead of a hyphen."""
    return text.replace("-", "−")


def interval_text(value: float | None, low: float | None, high: float | None) -> str:
    """A value with its interval for a page."""
    return minus(fmt.estimate(value, low, high, "–"))


def change_text(delta: float | None, low: float | None, high: float | None) -> str:
    """A difference with its interval for a page."""
    return minus(fmt.change(delta, low, high, "–"))
