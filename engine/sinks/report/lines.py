"""Line charts of a kind of test: places in percent across, in pixels upwards.

So a chart stretches with the page while its texts and marks do not, and it needs no script. Lines
stand a few pixels beside each other, so that the whiskers of all can be seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from engine.conditions import Limit
from engine.core.vocabulary import Cell
from engine.kinds import Line, LineChart, Point
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.report.axis import Scale, fit_whole, interval_text
from engine.sinks.report.figures import COLOURS
from engine.sinks.report.forest import SAID, demand, tally
from engine.sinks.subjects import model_label

HEIGHT, EDGE = 180, 10
# Lines of one chart; more cannot be told apart.
MOST_LINES = 8
SHAPES, DASHES = 6, 4
# The narrowest place of a chart on a phone, and what a letter of its texts takes, in pixels.
_NARROW, _LETTER = 215, 6.4
MOST_TEXT_ROWS, _MOST_TICKS = 3, 6
_SHIFT = 5

Tally = tuple[tuple[str, int, str], ...]
Rank = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Style:
    """How a line looks: a colour, the shape of its points and its dashes, by their numbers."""

    name: str
    colour: str
    shape: int
    dash: int


@dataclass(frozen=True, slots=True)
class Dot:
    """A point: in percent from the left, in pixels from the top; no whisker where `low` is None."""

    x: float
    y: float
    low: float | None
    high: float | None
    tip: str
    is_broken: bool


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line with its pieces between points that follow each other: x, y, x, y."""

    style: Style
    shift: float
    dots: tuple[Dot, ...]
    pieces: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class PlaceText:
    """The text of a place: in percent, and in which row of texts it stands.

    `anchor` is what of the text is there: its middle, or an end where it would leave the chart.
    """

    x: float
    row: int
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class DrawnLimit:
    """A limit across a chart, and the height of its bad side, which begins at `top`."""

    y: float
    text: str
    top: float
    height: float


@dataclass(frozen=True, slots=True)
class LinesPicture:
    """A chart; `told` says in words what it shows."""

    form = "lines"
    is_whole = False
    rank: Rank
    title: str
    demand: str
    tally: Tally
    across: str
    up: str
    ticks: tuple[tuple[float, str], ...]
    gutter: int
    places: tuple[PlaceText, ...]
    height: int
    limits: tuple[DrawnLimit, ...]
    lines: tuple[DrawnLine, ...]
    more: int
    told: str

    @property
    def styles(self) -> tuple[Style, ...]:
        """How its lines look, for a key."""
        return tuple(line.style for line in self.lines)


class Styles:
    """One style for each name of a section, by the order in which they come."""

    def __init__(self, colours: Mapping[str, str]) -> None:
        self._colours = colours
        self._given: dict[str, Style] = {}

    def __call__(self, name: str) -> Style:
        if name not in self._given:
            place = len(self._given)
            colour = self._colours.get(name, COLOURS[place % len(COLOURS)])
            text = fmt.one_line(model_label(name))
            self._given[name] = Style(text, colour, place % SHAPES, place % DASHES)
        return self._given[name]


def draw_lines(chart: LineChart, styles: Styles) -> LinesPicture:
    """Lays a chart out; of more lines than can be told apart those with failures stay."""
    lines = sorted(chart.lines, key=_line_rank)[:MOST_LINES]
    lines = [line for line in chart.lines if line in lines]
    cells = [point.cell for line in chart.lines for point in line.points if point.cell is not None]
    points = [point for line in lines for point in line.points]
    ends = [end for point in points for end in (_finite(point.value), *_ends(point))]
    scale = fit_whole([*ends, *(limit.at for limit in chart.limits)])
    across = _across(chart.places)
    ticks = [] if scale is None else scale.ticks(_MOST_TICKS)
    texts = place_texts(chart.places, across)
    rows = 1 + max((text.row for text in texts), default=0)
    return LinesPicture(
        rank=rank_cells(cells),
        title=fmt.one_line(chart.title),
        demand=demand(cells[0]) if cells else "",
        tally=tally(cells),
        across=fmt.one_line(chart.across),
        up=fmt.one_line(chart.up),
        ticks=tuple((_up(100 - place), text) for place, text in ticks),
        gutter=14 + math.ceil(_LETTER * max((len(text) for _, text in ticks), default=0)),
        places=texts,
        height=HEIGHT + 6 + 14 * rows,
        limits=() if scale is None else tuple(_limit(limit, scale) for limit in chart.limits),
        lines=tuple(
            _line(line, styles(line.name), _SHIFT * (n - (len(lines) - 1) / 2), across, scale)
            for n, line in enumerate(lines)
        ),
        more=len(chart.lines) - len(lines),
        told=_chart_text(chart, lines),
    )


def rank_cells(cells: Sequence[Cell]) -> Rank:
    """How early a picture of cells is seen: by its gravest verdict, and how many have it."""
    ranks = [highlights.rank(cell) for cell in cells]
    gravest = min(ranks, default=len(SAID))
    return gravest, -ranks.count(gravest)


def _line_rank(line: Line) -> Rank:
    return rank_cells([point.cell for point in line.points if point.cell is not None])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _ends(point: Point) -> tuple[float | None, float | None]:
    """The ends of an interval; one that is endless ends with the chart."""
    if _finite(point.value) is None or point.low is None or point.high is None:
        return None, None
    return point.low, point.high


def _up(percent: float) -> float:
    """A place in percent from the top as pixels."""
    return round(EDGE + percent / 100 * (HEIGHT - 2 * EDGE), 1)


def _y(scale: Scale, value: float) -> float:
    return _up(100 - scale.at(value))


def _across(places: Sequence[str] | Sequence[float]) -> list[float]:
    """Places in percent: numbers where they lie, texts in the middle of equal parts."""
    numbers = [place for place in places if not isinstance(place, str)]
    if len(numbers) < len(places) or len(set(numbers)) < 2:
        return [round(100 * (n + 0.5) / len(places), 2) for n in range(len(places))]
    low, high = min(numbers), max(numbers)
    return [round(6 + 88 * (number - low) / (high - low), 2) for number in numbers]


def place_texts(
    places: Sequence[str] | Sequence[float], across: Sequence[float]
) -> tuple[PlaceText, ...]:
    """The texts of places in as many rows as keep them apart, every second or third where many."""
    texts = [fmt.one_line(p, 18) if isinstance(p, str) else f"{p:.4g}" for p in places]
    for step in range(1, len(texts) + 1):
        shown = range(0, len(texts), step)
        for rows in range(1, MOST_TEXT_ROWS + 1):
            drawn = [_within(PlaceText(across[n], n // step % rows, texts[n])) for n in shown]
            if all(map(is_apart, drawn, drawn[rows:])):
                return tuple(drawn)
    return ()


def _within(place: PlaceText) -> PlaceText:
    """The text, within the chart on a phone."""
    half = 50 * _wide(place) / _NARROW
    if place.x < half:
        return replace(place, x=0.0, anchor="start")
    return replace(place, x=100.0, anchor="end") if place.x > 100 - half else place


def _wide(place: PlaceText) -> float:
    return _LETTER * len(place.text)


def is_apart(left: PlaceText, right: PlaceText) -> bool:
    """Whether two texts of a row do not touch on a phone."""
    before = {"start": 1.0, "middle": 0.5, "end": 0.0}[left.anchor] * _wide(left)
    after = {"start": 0.0, "middle": 0.5, "end": 1.0}[right.anchor] * _wide(right)
    return left.x / 100 * _NARROW + before + 4 <= right.x / 100 * _NARROW - after


def _limit(limit: Limit, scale: Scale) -> DrawnLimit:
    y = _y(scale, limit.at)
    text = f"limit {limit.at:.6g}".replace("-", "−")
    if limit.below is None:
        return DrawnLimit(y, text, y, 0.0)
    return DrawnLimit(y, text, *((y, HEIGHT - y) if limit.below else (0.0, y)))


def _line(
    line: Line, style: Style, shift: float, across: Sequence[float], scale: Scale | None
) -> DrawnLine:
    dots: list[Dot | None] = []
    for x, point in zip(across, line.points, strict=True):
        value = _finite(point.value)
        if value is None or scale is None:
            dots.append(None)
            continue
        low, high = (end if end is None else _y(scale, end) for end in _ends(point))
        word = "" if point.cell is None else highlights.word(point.cell)
        said = f"{SAID[word]}, " if word else ""
        tip = f"{style.name}: {said}{interval_text(value, point.low, point.high)}"
        dots.append(Dot(x, _y(scale, value), low, high, tip, word in ("FAIL", highlights.WARN)))
    pieces = [(a.x, a.y, b.x, b.y) for a, b in pairwise(dots) if a is not None and b is not None]
    return DrawnLine(style, shift, tuple(dot for dot in dots if dot is not None), tuple(pieces))


def _chart_text(chart: LineChart, lines: Sequence[Line]) -> str:
    parts = [_line_text(line, chart.places) for line in lines]
    parts += [f"the limit is {fmt.number(limit.at)}" for limit in chart.limits]
    title, up, across = (fmt.one_line(text) for text in (chart.title, chart.up, chart.across))
    return f"{title}: {up} by {across}. {'; '.join(parts)}"


def _line_text(line: Line, places: Sequence[str] | Sequence[float]) -> str:
    known = [
        (fmt.number(value), fmt.one_line(str(place)))
        for point, place in zip(line.points, places, strict=True)
        if (value := _finite(point.value)) is not None
    ]
    name = fmt.one_line(model_label(line.name))
    if not known:
        return f"{name} has no value"
    (first, start), (last, end) = known[0], known[-1]
    return f"{name} from {first} at {start} to {last} at {end}"
