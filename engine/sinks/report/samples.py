"""Samples side by side: the share of the rows of each in every bin, on one scale.

Bins in their order stand as columns between their edges, others as bars below each other. What a
column or a bar has is in words beside it, for those who do not see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from engine.kinds import BinShares
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.report.axis import Scale, interval_text
from engine.sinks.report.forest import SAID, demand
from engine.sinks.report.lines import (
    MOST_TEXT_ROWS,
    PlaceText,
    Rank,
    is_apart,
    place_texts,
    rank_cells,
)

HEIGHT = 130
# Bins without an order that have a bar; the others of them are one together.
MOST_BARS = 10
_GAP = 0.6
_WIDE, _BETWEEN = 0.4, 0.02


@dataclass(frozen=True, slots=True)
class Bar:
    """A sample's share of a bin as a column: its place in percent, its top in pixels."""

    sample: int
    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin: its name, and for each sample the share in words, and as a bar or a column."""

    name: str
    texts: tuple[str, ...]
    widths: tuple[float, ...]
    bars: tuple[Bar, ...]

    @property
    def tip(self) -> str:
        """Its name with all shares."""
        return f"{self.name}: {' → '.join(self.texts)}"


@dataclass(frozen=True, slots=True)
class SharesPicture:
    """Samples by bin; `places` are there where columns stand on a line."""

    form = "shares"
    is_whole = False
    rank: Rank
    title: str
    demand: str
    word: str
    said: str
    samples: tuple[tuple[str, str], ...]
    ticks: tuple[tuple[float, str], ...]
    bins: tuple[Bin, ...]
    places: tuple[PlaceText, ...]
    height: int
    told: str


def draw_shares(picture: BinShares) -> SharesPicture:
    """Lays samples out; bins behind those of an order that no row is in are left out."""
    shares = [_shares(sample.rows) for sample in picture.samples]
    ordered = len(picture.edges) + 1 if picture.edges else 0
    names, shares = _visible_bins(picture.bins, shares, ordered)
    most = max(max(one) for one in shares)
    scale = Scale(0.0, most)
    starts, width = _starts(len(names), ordered)
    bins = tuple(
        Bin(
            name=fmt.one_line(name),
            texts=tuple(_percent(one[place]) for one in shares),
            widths=tuple(scale.at(one[place]) for one in shares),
            bars=_bars([one[place] for one in shares], starts[place], width, scale) if ordered
            else (),
        )
        for place, name in enumerate(names)
    )  # fmt: skip
    places = _places(picture.edges, names[ordered:], starts, width) if ordered else ()
    rows = 1 + max((text.row for text in places), default=0)
    cell = picture.cell
    word = "RECORDED" if cell is None else highlights.word(cell)
    title = fmt.one_line(picture.title)
    counts = tuple(
        (fmt.one_line(sample.name), fmt.plural(round(sum(sample.rows)), "row"))
        for sample in picture.samples
    )
    sides = " and ".join(f"{name} ({count})" for name, count in counts)
    return SharesPicture(
        # Behind pictures of many cells that are as grave.
        rank=(rank_cells([] if cell is None else [cell])[0], 0),
        title=title,
        demand="" if cell is None else _cell_text(picture),
        word=word,
        said=SAID[word],
        samples=counts,
        ticks=tuple((_y(share, scale), text) for share, text in _ticks(most)),
        bins=bins,
        places=places,
        height=HEIGHT + 6 + 14 * rows,
        told=f"{title}: share of rows by bin, {sides}. {'; '.join(one.tip for one in bins)}",
    )


def _shares(rows: Sequence[float]) -> list[float]:
    total = sum(rows)
    return [count / total for count in rows]


def _visible_bins(
    names: Sequence[str], shares: Sequence[Sequence[float]], ordered: int
) -> tuple[list[str], list[list[float]]]:
    """The bins that are drawn, of those without an order the greatest."""
    greatest = [max(of_bin) for of_bin in zip(*shares, strict=True)]
    seen = [place for place in range(len(names)) if place < ordered or greatest[place] > 0]
    if ordered or len(seen) <= MOST_BARS:
        return [names[at] for at in seen], [[one[at] for at in seen] for one in shares]
    first = set(sorted(seen, key=lambda at: -greatest[at])[: MOST_BARS - 1])
    kept = [at for at in seen if at in first]
    others = [at for at in seen if at not in first]
    told = f"{len(others)} others together"
    return (
        [*(names[at] for at in kept), told],
        [[*(one[at] for at in kept), sum(one[at] for at in others)] for one in shares],
    )


def _starts(count: int, ordered: int) -> tuple[list[float], float]:
    """Where the place of each bin begins, and how wide it is; a gap is before the unordered."""
    gap = _GAP if 0 < ordered < count else 0.0
    width = 100 / (count + gap)
    before = accumulate([0.0, *[width] * (count - 1)])
    return [at + gap * width * (place >= ordered > 0) for place, at in enumerate(before)], width


def _bars(shares: Sequence[float], start: float, width: float, scale: Scale) -> tuple[Bar, ...]:
    own = width * (2 * _WIDE + _BETWEEN) / len(shares)
    bars = []
    for sample, share in enumerate(shares):
        y = _y(share, scale)
        left = start + width * (1 - 2 * _WIDE) / 2 + sample * own
        bars.append(Bar(sample, round(left, 2), round(own, 2), y, round(HEIGHT - y, 1)))
    return tuple(bars)


def _y(share: float, scale: Scale) -> float:
    return round(HEIGHT - (HEIGHT - 12) * scale.at(share) / 100, 1)


def _places(
    edges: Sequence[str], rest: Sequence[str], starts: Sequence[float], width: float
) -> tuple[PlaceText, ...]:
    """The texts of the edges where bins touch, and below each bin behind them its name."""
    texts = [*place_texts(edges, [round(start + width, 2) for start in starts[: len(edges)]])]
    for name, start in zip(rest, starts[len(edges) + 1 :], strict=True):
        text = PlaceText(round(start + width / 2, 2), 0, fmt.one_line(name, 18))
        rows = (replace(text, row=row) for row in range(len(rest) + MOST_TEXT_ROWS))
        texts.append(
            next(
                low
                for low in rows
                if all(is_apart(other, low) for other in texts if other.row == low.row)
            )
        )
    return tuple(texts)


def _ticks(most: float) -> list[tuple[float, str]]:
    """Round shares up to the greatest, with their texts."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if most / step <= 4.5)
    return [(place * step, f"{place * step:.0%}") for place in range(int(most / step) + 1)]


def _percent(share: float) -> str:
    """A share in percent, of which no part is rounded to none."""
    text = f"{share:.1%}"
    return "under 0.1%" if share > 0 and text == "0.0%" else text


def _cell_text(picture: BinShares) -> str:
    assert picture.cell is not None, "it says how far the samples are apart"
    measured = picture.cell.measured
    figures = interval_text(measured.value, measured.ci_low, measured.ci_high)
    return f"{fmt.one_line(picture.cell.test.metric)} {figures}, {demand(picture.cell)}"
