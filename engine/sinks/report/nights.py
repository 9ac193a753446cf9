"""Lines night by night, one below the other: places in percent across, in pixels upwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.core.vocabulary import Cell, Night, NightCell, Severity, Verdict
from engine.kinds import NightLines
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.report.axis import Scale, interval_text
from engine.sinks.report.forest import SAID, demand, tally
from engine.sinks.report.lines import PlaceText, Rank, Tally, place_texts, rank_cells
from engine.sinks.subjects import model_label

HEIGHT, EDGE = 46, 7
MOST_ROWS = 12
# How much above its limit or its greatest value a line has room.
_ROOM = 1.15
# What is at the left and the right of the first and the last night, in percent.
_SIDE = 2.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A night of a line: in percent from the left, in pixels from the top."""

    x: float
    y: float
    low: float | None
    high: float | None
    word: str
    tip: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line with its pieces between nights that follow each other; `limits` are pixels."""

    name: str
    word: str
    said: str
    text: str
    limits: tuple[float, ...]
    dots: tuple[Dot, ...]
    pieces: tuple[tuple[float, float, float, float], ...]
    told: str


@dataclass(frozen=True, slots=True)
class NightsPicture:
    """Lines that share their nights."""

    form = "nights"
    is_whole = True
    rank: Rank
    title: str
    demand: str
    tally: Tally
    up: str
    rows: tuple[Row, ...]
    places: tuple[PlaceText, ...]
    height: int
    more: int


def draw_nights(picture: NightLines) -> NightsPicture:
    """Lays lines out, the first of them; the rest is counted."""
    across = _across(len(picture.nights))
    cells = list(picture.cells)
    places = place_texts(_dates(picture.nights), across)
    return NightsPicture(
        rank=rank_cells(cells),
        title=fmt.one_line(picture.title),
        demand=demand(cells[0]) if cells else "",
        tally=tally(cells),
        up=fmt.one_line(picture.up),
        rows=tuple(
            _row(name, cell, picture, across)
            for name, cell in zip(picture.names[:MOST_ROWS], cells, strict=False)
        ),
        places=places,
        height=6 + 14 * (1 + max((text.row for text in places), default=0)),
        more=max(0, len(cells) - MOST_ROWS),
    )


def _dates(nights: Sequence[Night]) -> list[str]:
    """When runs began: the days, and the times too where some began on the same day."""
    days = [f"{night.started_at:%Y-%m-%d}" for night in nights]
    if len(set(days)) == len(days):
        return days
    return [f"{night.started_at:%m-%d %H:%M}" for night in nights]


def _across(count: int) -> list[float]:
    step = (100 - 2 * _SIDE) / max(count - 1, 1)
    return [round(_SIDE + step * place, 2) for place in range(count)]


def _row(name: str, cell: Cell, picture: NightLines, across: Sequence[float]) -> Row:
    key = (cell.model.name, cell.test.name)
    own = [night.cells.get(key) for night in picture.nights]
    limits = [limit.at for limit in picture.limits]
    ends = [
        end
        for one in own
        if one is not None and one.value is not None
        for end in (one.value, one.ci_high)
        if end is not None and math.isfinite(end)
    ]
    scale = Scale(0.0, _ROOM * max([*ends, *limits], default=0.0) or 1.0)
    dots = [
        _dot(x, night, one, scale)
        for x, night, one in zip(across, picture.nights, own, strict=True)
    ]
    word = highlights.word(cell)
    measured = cell.measured
    label = fmt.one_line(model_label(name))
    return Row(
        name=label,
        word=word,
        said=SAID[word],
        text=interval_text(measured.value, measured.ci_low, measured.ci_high),
        limits=tuple(_y(limit, scale) for limit in limits),
        dots=tuple(dot for dot in dots if dot is not None),
        pieces=tuple(
            (a.x, a.y, b.x, b.y) for a, b in pairwise(dots) if a is not None and b is not None
        ),
        told=_row_text(label, picture, own, limits),
    )


def _dot(x: float, night: Night, cell: NightCell | None, scale: Scale) -> Dot | None:
    if cell is None or cell.value is None or not math.isfinite(cell.value):
        return None
    word = _word(cell)
    ends = (cell.ci_low, cell.ci_high)
    low, high = (None, None) if None in ends else (_y(end or 0.0, scale) for end in ends)
    figures = interval_text(cell.value, *ends)
    tip = (
        f"{fmt.moment(night.started_at)}, version {night.dataset_version}: {SAID[word]}, {figures}"
    )
    return Dot(x, _y(cell.value, scale), low, high, word, tip)


def _word(cell: NightCell) -> str:
    if cell.verdict is Verdict.FAIL and cell.severity is Severity.WARN:
        return highlights.WARN
    return cell.verdict.value


def _y(value: float, scale: Scale) -> float:
    return round(HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * scale.at(value) / 100, 1)


def _row_text(
    name: str, picture: NightLines, own: Sequence[NightCell | None], limits: Sequence[float]
) -> str:
    known = [
        (night, cell, cell.value)
        for night, cell in zip(picture.nights, own, strict=True)
        if cell is not None and cell.value is not None
    ]
    if not known:
        return f"{name} has no value"
    ends = [f"{fmt.number(value)} on {night.started_at:%Y-%m-%d}" for night, _, value in known]
    failed = sum(cell.verdict is Verdict.FAIL for _, cell, _ in known)
    told = f"{name} in {fmt.plural(len(known), 'night')}: from {ends[0]} to {ends[-1]}"
    told += f", beyond the limit in {failed}" if limits else ""
    return "; ".join([told, *(f"the limit is {fmt.number(limit)}" for limit in limits)])
