"""The parts of an evaluation's report that are a kind's own: pictures, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.core.redaction import redacted_message
from engine.core.vocabulary import Cell, EvaluationResult, Night
from engine.kinds import (
    KINDS,
    BinShares,
    Card,
    Distributions,
    Intervals,
    KindPicture,
    LineChart,
    NightLines,
    Section,
    SignTable,
)
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.report.figures import colours
from engine.sinks.report.forest import SAID
from engine.sinks.report.kind_pictures import (
    DistributionsPicture,
    IntervalsPicture,
    SignsPicture,
    draw_distributions,
    draw_intervals,
    draw_signs,
)
from engine.sinks.report.lines import LinesPicture, Style, Styles, draw_lines
from engine.sinks.report.nights import NightsPicture, draw_nights
from engine.sinks.report.samples import SharesPicture, draw_shares

WIDTH, HEIGHT, EDGE = 120, 28, 4
# Pictures of a kind that are seen at once, and that are folded away; the rest is in its table.
SHOWN, FOLDED = 6, 60
# Rows of a table that are seen at once where there are pictures too.
FEW_ROWS = 12
# Rows that are seen at once where each has a verdict, and so the gravest stand first.
JUDGED_ROWS = 20

Drawn = (
    LinesPicture
    | IntervalsPicture
    | DistributionsPicture
    | SignsPicture
    | SharesPicture
    | NightsPicture
)


@dataclass(frozen=True, slots=True)
class KindText:
    """A text of a row, whether it is a number, and how wide a bar behind it is, in percent."""

    text: str
    is_number: bool
    bar: float | None


@dataclass(frozen=True, slots=True)
class KindRow:
    """A row: its texts, and the line through its numbers in the units of the picture.

    `word`, `said` and `tip` are the verdict where the row is a cell's, `told` says in words what
    the line shows.
    """

    texts: tuple[KindText, ...]
    word: str
    said: str
    tip: str
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
    """A kind's part; `numbers` are the columns of numbers, `is_judged` rows have a verdict each.

    `shown` pictures and `folded` ones are those with the gravest verdicts first, `more` is how many
    are left out; `key` says how the lines of all charts look, `samples` which samples stand side
    by side and how many rows they have, where these are the same in all pictures.
    """

    title: str
    lead: str
    columns: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()
    rows: tuple[KindRow, ...] = ()
    is_judged: bool = False
    is_drawn: bool = False
    signs: tuple[SignsPicture, ...] = ()
    shown: tuple[Drawn, ...] = ()
    folded: tuple[Drawn, ...] = ()
    more: int = 0
    key: tuple[Style, ...] = ()
    samples: tuple[tuple[str, str], ...] = ()
    is_folded: bool = False
    cards: tuple[KindCard, ...] = ()

    @property
    def rows_seen(self) -> int:
        """How many rows are seen at once where the table is."""
        return JUDGED_ROWS if self.is_judged else len(self.rows)


def kind_sections(evaluation: EvaluationResult) -> tuple[KindSection, ...]:
    """The parts of all kinds that have one, in the order of their tests."""
    by_kind: dict[str, list[Cell]] = {}
    for cell in evaluation.cells:
        by_kind.setdefault(cell.test.kind, []).append(cell)
    palette = colours(evaluation)
    sections = (_section(key, cells, palette, evaluation.nights) for key, cells in by_kind.items())
    return tuple(section for section in sections if section is not None)


def _section(
    key: str, cells: Sequence[Cell], palette: Mapping[str, str], nights: Sequence[Night]
) -> KindSection | None:
    """A kind's part; one that fails costs itself, and not the report."""
    try:
        kind = KINDS.get(key)
        section = kind.section(cells)
        if section is None:
            return None
        if len(nights) > 1:
            history = kind.history(cells, nights)
            section = replace(section, pictures=[*section.pictures, *history])
        return _lay_out(section, palette)
    except Exception as error:
        lead = f"This part could not be made: {redacted_message(error)}"
        return KindSection(fmt.one_line(key), fmt.one_line(lead))


def _lay_out(section: Section, palette: Mapping[str, str]) -> KindSection:
    series = max(map(len, section.series), default=0)
    numbers = frozenset([*section.figures, *section.columns[len(section.columns) - series :]])
    rows = tuple(_row(section, place, numbers) for place in range(len(section.rows)))
    styles = Styles(palette)
    pictures = [_draw(picture, styles) for picture in section.pictures]
    ranked = sorted((p for p in pictures if p.form != SignsPicture.form), key=lambda p: p.rank)
    drawn = ranked[: SHOWN + FOLDED]
    seen = _open_count(drawn)
    samples = {picture.samples for picture in drawn if isinstance(picture, SharesPicture)}
    looks = [style for p in drawn if isinstance(p, LinesPicture) for style in p.styles]
    return KindSection(
        title=fmt.one_line(section.title),
        lead=section.lead,
        columns=tuple(map(fmt.one_line, section.columns)),
        numbers=frozenset(map(fmt.one_line, numbers)),
        rows=rows,
        is_judged=bool(section.cells),
        is_drawn=bool(section.series),
        signs=tuple(picture for picture in pictures if isinstance(picture, SignsPicture)),
        shown=tuple(drawn[:seen]),
        folded=tuple(drawn[seen:]),
        samples=samples.pop() if len(samples) == 1 else (),
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


def _open_count(pictures: Sequence[Drawn]) -> int:
    """How many pictures are seen at once; those as wide as the page do not count."""
    narrow = [place for place, picture in enumerate(pictures) if not picture.is_whole]
    return narrow[SHOWN] if len(narrow) > SHOWN else len(pictures)


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
    if isinstance(picture, BinShares):
        return draw_shares(picture)
    if isinstance(picture, NightLines):
        return draw_nights(picture)
    raise TypeError(
        f"found a picture of type {type(picture).__name__}, expected LineChart, Intervals, "
        "Distributions, SignTable, BinShares or NightLines"
    )


def _row(section: Section, place: int, numbers: frozenset[str]) -> KindRow:
    # A row without a line has no picture.
    line = section.series[place] if place < len(section.series) else ()
    texts = tuple(
        KindText(fmt.one_line(text), column in numbers, _bar(section, column, place))
        for column, text in zip(section.columns, section.rows[place], strict=True)
    )
    points, dots, told = _line(line)
    if not section.cells:
        return KindRow(texts, "", "", "", points, dots, told)
    word = highlights.word(section.cells[place])
    tip = fmt.one_line(section.cells[place].reason, 300)
    return KindRow(texts, word, SAID[word], tip, points, dots, told)


def _bar(section: Section, column: str, place: int) -> float | None:
    share = section.bars[column][place] if column in section.bars else None
    return None if share is None else round(100 * share, 2)


def _line(line: Sequence[float | None]) -> tuple[str, tuple[tuple[float, float], ...], str]:
    """The line through the numbers of a row, its dots, and what it shows in words."""
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
    return " ".join(f"{x},{y}" for x, y in dots), dots, told
