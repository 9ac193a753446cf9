"""The other pictures of a kind of test: intervals, distributions, and a table of signs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.core.vocabulary import Cell
from engine.kinds import Distribution, Distributions, Intervals, Point, Sign, SignTable
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.report.axis import (
    Bar,
    LogScale,
    Scale,
    Zone,
    bar,
    fit_ratios,
    fit_whole,
    interval_text,
    zone,
)
from engine.sinks.report.forest import SAID, demand, tally
from engine.sinks.report.lines import Rank, Tally, rank_cells
from engine.sinks.subjects import model_label

# Rows of one picture; the others are in the table.
MOST_ROWS = 40
# The most rows of a picture that stands beside others.
FEW_ROWS = 8
# How a state of a check is shaped and coloured, and what it is called.
SIGNS = {
    "ok": ("PASS", "✓"),
    "refused": ("PASS", "⊘"),
    "allowed": ("WARN", "▲"),
    "broken": ("FAIL", "✕"),
    "undecided": ("INCONCLUSIVE", "?"),
    "error": ("ERROR", "!"),
    "none": ("RECORDED", "–"),
}


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """A value as a bar, with the verdict's word where it is a cell's."""

    name: str
    word: str
    said: str
    bar: Bar | None
    text: str
    tip: str


@dataclass(frozen=True, slots=True)
class IntervalsPicture:
    """Values against limits on one line."""

    form = "intervals"
    rank: Rank
    title: str
    demand: str
    tally: Tally
    axis: str
    ticks: tuple[tuple[float, str], ...]
    zones: tuple[Zone, ...]
    zero: float | None
    rows: tuple[IntervalRow, ...]
    more: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A distribution: from `start` so wide; a mark for each quantile, and for each other number."""

    name: str
    word: str
    said: str
    tip: str
    start: float
    width: float
    marks: tuple[float, ...]
    others: tuple[float, ...]
    text: str


@dataclass(frozen=True, slots=True)
class DistributionsPicture:
    """Distributions on one line; `limits` have a place and a name."""

    form = "distributions"
    is_whole = False
    rank: Rank
    title: str
    demand: str
    tally: Tally
    axis: str
    ticks: tuple[tuple[float, str], ...]
    zones: tuple[tuple[Zone, str], ...]
    rows: tuple[GroupRow, ...]
    more: int
    quantiles: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignsPicture:
    """Signs by row and column: the verdict whose look they have, the shape, the text, more."""

    form = "signs"
    is_whole = True
    rank: Rank
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str, str, str] | None, ...]], ...]


def draw_intervals(picture: Intervals) -> IntervalsPicture:
    """Lays intervals out on a line that holds all of them, and the limits."""
    cells = [point.cell for point in picture.points if point.cell is not None]
    ends = [end for p in picture.points for end in (p.value, p.low, p.high)]
    if picture.end is not None:
        ends = [end if end is None else min(end, picture.end) for end in ends]
    scale = fit_whole([*ends, picture.start, *(limit.at for limit in picture.limits)])
    rows = zip(picture.names[:MOST_ROWS], picture.points, strict=False)
    return IntervalsPicture(
        rank=rank_cells(cells),
        title=fmt.one_line(picture.title),
        demand=demand(cells[0]) if cells else "",
        tally=tally(cells),
        axis=fmt.one_line(picture.axis),
        ticks=() if scale is None else tuple(scale.ticks()),
        zones=() if scale is None else tuple(zone(scale, limit) for limit in picture.limits),
        zero=scale.at(0.0) if scale is not None and scale.holds(0.0) else None,
        rows=tuple(_interval_row(name, point, scale) for name, point in rows),
        more=max(0, len(picture.names) - MOST_ROWS),
        is_whole=picture.is_wide or len(picture.names) > FEW_ROWS,
    )


def _interval_row(name: str, point: Point, scale: Scale | None) -> IntervalRow:
    word, said, tip = _verdict(point.cell)
    value, drawn = point.value, None
    if value is not None and scale is not None:
        drawn = bar(scale, value, point.low, point.high)
    return IntervalRow(
        name=fmt.one_line(model_label(name)),
        word=word,
        said=said,
        bar=drawn,
        text="undefined" if value is None else interval_text(value, point.low, point.high),
        tip=tip,
    )


def _verdict(cell: Cell | None) -> tuple[str, str, str]:
    """The word of a cell's verdict, what it is called, and why; of no cell it is recorded only."""
    if cell is None:
        return "RECORDED", "", ""
    word = highlights.word(cell)
    return word, SAID[word], f"{SAID[word]}: {fmt.one_line(cell.reason, 300)}"


def draw_distributions(picture: Distributions) -> DistributionsPicture:
    """Lays distributions out on a logarithmic line that holds all of them, and the limits."""
    groups = picture.groups[:MOST_ROWS]
    cells = [group.cell for group in picture.groups if group.cell is not None]
    numbers = [n for group in groups for n in (*group.quantiles.values(), *group.others.values())]
    scale = fit_ratios([*numbers, *(limit.at for limit in picture.limits.values())])
    return DistributionsPicture(
        rank=rank_cells(cells),
        title=fmt.one_line(picture.title),
        demand=demand(cells[0]) if cells else "",
        tally=tally(cells),
        axis=fmt.one_line(picture.axis),
        ticks=() if scale is None else tuple(scale.ticks()),
        zones=() if scale is None else tuple(
            (zone(scale, limit), fmt.one_line(name)) for name, limit in picture.limits.items()
        ),
        rows=tuple(_group_row(group, scale) for group in groups if scale is not None),
        more=len(picture.groups) - len(groups),
        quantiles=_names(group.quantiles for group in groups),
        others=_names(group.others for group in groups),
    )  # fmt: skip


def _names(parts: Iterable[Mapping[str, float]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fmt.one_line(name) for part in parts for name in part))


def _group_row(group: Distribution, scale: LogScale) -> GroupRow:
    marks = [scale.at(number) for number in group.quantiles.values()]
    start = min(marks, default=0.0)
    numbers = {**group.quantiles, **group.others}
    word, said, tip = _verdict(group.cell)
    return GroupRow(
        name=fmt.one_line(model_label(group.name)),
        word=word,
        said=said,
        tip=tip,
        start=start,
        width=round(max(marks, default=0.0) - start, 1),
        marks=tuple(marks),
        others=tuple(scale.at(number) for number in group.others.values()),
        text=" · ".join(f"{fmt.one_line(name)} {_short(n)}" for name, n in numbers.items()),
    )


def _short(number: float) -> str:
    return f"{number:,.3g}" if number < 1000 else f"{number:,.0f}"


def draw_signs(table: SignTable) -> SignsPicture:
    """A table of signs; it stands before other pictures, and is never folded away."""
    return SignsPicture(
        rank=rank_cells([]),
        title=fmt.one_line(table.title),
        columns=tuple(fmt.one_line(model_label(name)) for name in table.columns),
        rows=tuple(
            (fmt.one_line(name), tuple(_sign(sign) for sign in signs))
            for name, signs in table.rows.items()
        ),
    )


def _sign(sign: Sign | None) -> tuple[str, str, str, str] | None:
    if sign is None:
        return None
    word, shape = SIGNS[sign.state]
    return word, shape, fmt.one_line(sign.text), fmt.one_line(sign.tip, 300)
