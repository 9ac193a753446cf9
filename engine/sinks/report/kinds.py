"""The parts of an evaluation's report that are a kind's own: a table with small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.core.vocabulary import Cell, EvaluationResult
from engine.kinds import KINDS, Section
from engine.sinks import format as fmt

WIDTH, HEIGHT, EDGE = 120, 28, 4


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
class KindSection:
    """A kind's part; the first `words` columns are texts, the others numbers."""

    title: str
    lead: str
    columns: tuple[str, ...]
    words: int
    rows: tuple[KindRow, ...]
    is_drawn: bool


def kind_sections(evaluation: EvaluationResult) -> tuple[KindSection, ...]:
    """The parts of all kinds that have one, in the order of their tests."""
    by_kind: dict[str, list[Cell]] = {}
    for cell in evaluation.cells:
        by_kind.setdefault(cell.test.kind, []).append(cell)
    sections = ((KINDS.get(key).section(cells)) for key, cells in by_kind.items())
    return tuple(_lay_out(section) for section in sections if section is not None)


def _lay_out(section: Section) -> KindSection:
    numbers = max(map(len, section.series), default=0)
    # A row without a line has no picture.
    lines = [*section.series, *([()] * len(section.rows))]
    rows = tuple(_row(texts, line) for texts, line in zip(section.rows, lines, strict=False))
    return KindSection(
        title=fmt.one_line(section.title),
        lead=section.lead,
        columns=tuple(map(fmt.one_line, section.columns)),
        words=len(section.columns) - numbers,
        rows=rows,
        is_drawn=bool(section.series),
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
