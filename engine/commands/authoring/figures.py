"""Figures of the trial as numbers of a suite, and as words of its comments."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.core.vocabulary import Cell

# How many half widths of the interval lie between a value and its limit. The same model on as many
# fresh rows then passes in 91 %, and is refused in none (docs/init.md).
HALF_WIDTHS = 2.0
_DIGITS = 2
# Of zero rows among n this times 1/n is the 95 % bound.
_RULE_OF_THREE = 3.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with how far its interval reaches to either side, on so many rows."""

    value: float
    below: float
    above: float
    rows: int

    @property
    def width(self) -> float:
        """The larger half of the interval."""
        return max(self.below, self.above)

    def __str__(self) -> str:
        return f"{number(self.value)} +- {number(self.width, 2)} on {self.rows:,} rows"


def figure_of(cell: Cell) -> Figure | None:
    """A cell's value with its interval; None where there is no one or the other."""
    measured = cell.measured
    return _figure(measured.value, measured.ci_low, measured.ci_high, cell.counts.n)


def difference_of(cell: Cell) -> Figure | None:
    """A cell's difference to what it is compared with."""
    return _figure(cell.delta, cell.delta_ci_low, cell.delta_ci_high, cell.counts.n)


def _figure(value: float | None, low: float | None, high: float | None, rows: int) -> Figure | None:
    if value is None or low is None or high is None:
        return None
    if not all(map(math.isfinite, (value, low, high))):
        return None
    return Figure(value, max(value - low, 0.0), max(high - value, 0.0), rows)


def round_up(value: float, digits: int = _DIGITS) -> float:
    """The next number of so many digits that is not less."""
    return _round(value, digits, math.ceil)


def round_down(value: float, digits: int = _DIGITS) -> float:
    """The next number of so many digits that is not more."""
    return _round(value, digits, math.floor)


def _round(value: float, digits: int, to_whole: object) -> float:
    if value == 0:
        return 0.0
    assert callable(to_whole)
    power = digits - 1 - math.floor(math.log10(abs(value)))
    # Decimal powers below 0 are divided by, so that 1200 is not 1200.0000000000001.
    scale = 10.0 ** abs(power)
    scaled = value * scale if power >= 0 else value / scale
    whole = to_whole(round(scaled, 9))
    return float(whole / scale if power >= 0 else whole * scale)


def step_below(value: float, step: float) -> float:
    """A limit below a value: a number of as many digits as a tenth of a step has meaning."""
    return _on_grid(value, step, math.floor)


def step_above(value: float, step: float) -> float:
    """A limit above a value, likewise."""
    return _on_grid(value, step, math.ceil)


def _on_grid(value: float, step: float, to_whole: object) -> float:
    assert callable(to_whole)
    if step <= 0 or not math.isfinite(step):
        return value
    places = 1 - math.floor(math.log10(step))
    scale = 10.0**places
    return float(f"{to_whole(round(value * scale, 6)) / scale:.12g}")


def number(value: float, digits: int = 3) -> str:
    """A number for a comment."""
    # No -0.
    value += 0.0
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def zero_bound(rows: int) -> float:
    """The greatest share that zero among so many rows leaves possible, at 95 %."""
    return min(round_up(_RULE_OF_THREE / max(rows, 1)), 1.0)
