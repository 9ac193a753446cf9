"""The parts of an evaluation's report that are a kind's own: pictures, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.core.redaction import redacted_message
from engine.core.vocabulary import Cell, EvaluationResult
from engine.kinds import (
    KINDS,
    Card,
    Distributions,
    Intervals,
    KindPicture,
    LineChart,
    Section,
    SignTable,
)
from engine.sinks import format as fmt
from engine.sinks.report.figures import colours
from engine.sinks.report.kind_pictures import (
    DistributionsPicture,
    IntervalsPicture,
    SignsPicture,
    draw_distributions,
    draw_intervals,
    draw_signs,
)
from engine.sinks.report.lines import LinesPicture, Style, Styles, draw_lines

WIDTH, HEIGHT, EDGE = 120, 28, 4
# Pictures of a kind that are seen at once, and that are folded away; the rest is in its table.
SHOWN, FOLDED = 6, 60
# Rows of a table that are seen at once where there are pictures too.
FEW_ROWS = 12

Drawn = LinesPicture | IntervalsPicture | DistributionsPicture | SignsPicture


@dataclass(frozen=True, slots=True)
class KindRow:
    """A row: its texts, and the line through its numbers in the units of the picture.

    `told` says in words what the line shows.
    """

    texts: tuple[str, ...]
    points: str
    dots: tuple[tuple[float, float], ...]
    told: str


@dataclass(frozen=True, slots=True)
class CardBar:
    """A bar of a card in per cent of its width, with the ends of its whisker where it has one."""

    name: str
    text: str
    width: float
    whisker: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class KindCard:
    """A card as it is shown."""

    title: str
    about: str
    headline: str
    sentences: tuple[str, ...]
    bars: tuple[CardBar, ...]


@dataclass(frozen=True, slots=True)
class KindSection:
    """A kind's part; the first `words` columns are texts, the others numbers.

    `shown` pictures and `folded` ones are those with the gravest verdicts first, `more` is how many
    are left out; `key` says how the lines of all charts look.
    """

    title: str
    lead: str
    columns: tuple[str, ...] = ()
    words: int = 0
    rows: tuple[KindRow, ...] = ()
    is_drawn: bool = False
    signs: tuple[SignsPicture, ...] = ()
    shown: tuple[Drawn, ...] = ()
    folded: tuple[Drawn, ...] = ()
    more: int = 0
    key: tuple[Style, ...] = ()
    is_folded: bool = False
    cards: tuple[KindCard, ...] = ()


def kind_sections(evaluation: EvaluationResult) -> tuple[KindSection, ...]:
    """The parts of all kinds that have one, in the order of their tests."""
    by_kind: dict[str, list[Cell]] = {}
    for cell in evaluation.cells:
        by_kind.setdefault(cell.test.kind, []).append(cell)
    palette = colours(evaluation)
    sections = (_section(key, cells, palette) for key, cells in by_kind.items())
    return tuple(section for section in sections if section is not None)


def _section(key: str, cells: Sequence[Cell], palette: Mapping[str, str]) -> KindSection | None:
    """A kind's part; one that fails costs itself, and not the report."""
    try:
        section = KINDS.get(key).section(cells)
        return None if section is None else _lay_out(section, palette)
    except Exception as error:
        lead = f"This part could not be made: {redacted_message(error)}"
        return KindSection(fmt.one_line(key), fmt.one_line(lead))


def _lay_out(section: Section, palette: Mapping[str, str]) -> KindSection:
    numbers = max(map(len, section.series), default=0)
    # A row without a line has no picture.
    lines = [*section.series, *([()] * len(section.rows))]
    rows = tuple(_row(texts, line) for texts, line in zip(section.rows, lines, strict=False))
    styles = Styles(palette)
    pictures = [_draw(picture, styles) for picture in section.pictures]
    ranked = sorted((p for p in pictures if p.form != SignsPicture.form), key=lambda p: p.rank)
    drawn = ranked[: SHOWN + FOLDED]
    looks = [style for p in drawn if isinstance(p, LinesPicture) for style in p.styles]
    return KindSection(
        title=fmt.one_line(section.title),
        lead=section.lead,
        columns=tuple(map(fmt.one_line, section.columns)),
        words=len(section.columns) - numbers,
        rows=rows,
        is_drawn=bool(section.series),
        signs=tuple(picture for picture in pictures if isinstance(picture, SignsPicture)),
        shown=tuple(drawn[:SHOWN]),
        folded=tuple(drawn[SHOWN:]),
        more=len(ranked) - len(drawn),
        key=tuple(dict.fromkeys(looks)),
        is_folded=bool(pictures) and len(rows) > FEW_ROWS,
        cards=tuple(map(_card, section.cards)),
    )


def _card(card: Card) -> KindCard:
    most = max([0.0, *(bar.high or bar.value for bar in card.bars)]) or 1.0

    def place(value: float) -> float:
        return round(100 * min(max(value / most, 0.0), 1.0), 2)

    bars = tuple(
        CardBar(
            fmt.one_line(bar.name),
            fmt.number(bar.value),
            place(bar.value),
            None if bar.low is None or bar.high is None else (place(bar.low), place(bar.high)),
        )
        for bar in card.bars
    )
    title, about, headline = map(fmt.one_line, (card.title, card.about, card.headline))
    return KindCard(title, about, headline, tuple(map(fmt.one_line, card.sentences)), bars)


def _draw(picture: KindPicture, styles: Styles) -> Drawn:
    """Lays one picture out.

    Raises:
        TypeError: when it is none that a report draws.
    """
    if isinstance(picture, LineChart):
        return draw_lines(picture, styles)
    if isinstance(picture, Intervals):
        return draw_intervals(picture)
    if isinstance(picture, Distributions):
        return draw_distributions(picture)
    if isinstance(picture, SignTable):
        return draw_signs(picture)
    raise TypeError(
        f"found a picture of type {type(picture).__name__}, expected LineChart, Intervals, "
        "Distributions or SignTable"
    )


def _row(texts: Sequence[str], line: Sequence[float | None]) -> KindRow:
    known = [(place, value) for place, value in enumerate(line) if value is not None]
    values = [value for _, value in known]
    low, high = min(values, default=0.0), max(values, default=0.0)
    step = (WIDTH - 2 * EDGE) / max(len(line) - 1, 1)
    span = high - low or 1.0
    # What does not change is a line in the middle.
    middle = HEIGHT / 2 if high == low else None
    dots = tuple(
        (
            round(EDGE + place * step, 1),
            middle or round(HEIGHT - EDGE - (value - low) / span * (HEIGHT - 2 * EDGE), 1),
        )
        for place, value in known
    )
    told = f"from {fmt.number(values[0])} to {fmt.number(values[-1])}" if values else "no value"
    return KindRow(
        tuple(map(fmt.one_line, texts)), " ".join(f"{x},{y}" for x, y in dots), dots, told
    )
