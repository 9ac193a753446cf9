"""A page about made rows: each column and each pair beside two halves of the source.

One HTML file without network, in the dress of a run's report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from engine.sinks import format as fmt
from engine.sinks.generated_rows.console import copies_text

# Columns in the picture of pairs: more are not told apart by eye. Those that are worst stay.
MOST_COLUMNS = 60
# What is as different as this is the darkest.
_DARKEST = 0.2
_CELL = 14
_FOLDER = Path(__file__).parent
_STYLE = _FOLDER.parent / "report" / "style.css"


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column's similarity and its floor, and where both lie on a line from `low` to 1, in %."""

    name: str
    value: float
    floor: float
    place: float
    floor_place: float


@dataclass(frozen=True, slots=True)
class PairCell:
    """A square of the picture: its place, how dark it is, and what it says."""

    x: int
    y: int
    shade: float
    text: str


def write_page(result: Any, path: Path) -> None:
    """Writes the page of a table that was made from a dataset.

    Args:
        result: what `generate` knows of it, with its closeness.
        path: the file.
    """
    loader = jinja2.FileSystemLoader(_FOLDER)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    names = shown_columns(result)
    low = lowest(result)
    text = environment.get_template("page.html.j2").render(
        style=_STYLE.read_text(encoding="utf-8"),
        result=result,
        table=fmt.log_text(result.table),
        headline=headline(result),
        tone="good" if is_close(result) else "caution",
        lines=list(column_lines(result, low)),
        low=low,
        cells=list(pair_cells(result, names)),
        size=len(names) * _CELL,
        cell=_CELL,
        copies=None if result.copies is None else copies_text(result),
        left_out=len(result.closeness.columns) - len(names),
        own=result.closeness.summary(),
        floor=result.floor.summary(),
    )
    path.write_text(text, encoding="utf-8")


def is_close(result: Any) -> bool:
    """Whether a classifier finds no more to tell made rows by than chance, or than the halves."""
    area, error = result.closeness.area, result.closeness.area_se
    if area is None:
        return True
    floor = result.floor.area or 0.5
    return bool(abs(area - 0.5) <= abs(floor - 0.5) + 2 * (error or 0.0) + 0.02)


def headline(result: Any) -> str:
    """What the classifier makes of the rows, in a sentence."""
    area = result.closeness.area
    if area is None:
        return "Too few rows to tell how close they are"
    if is_close(result):
        return "A classifier cannot tell the made rows from real ones"
    if area < 0.5:
        return "The made rows are closer to the real ones than real ones are to each other"
    return f"A classifier tells made rows from real ones with an AUC of {area:.2f}"


def lowest(result: Any) -> float:
    """Where the lines begin: a tenth at or below the least, at least 0."""
    values = [*result.closeness.columns.values(), *result.floor.columns.values()]
    return max(0.0, round(min(values, default=0.0) - 0.05, 1))


def column_lines(result: Any, low: float) -> Iterator[ColumnLine]:
    """The columns, the least similar first."""
    own, floor = result.closeness.columns, result.floor.columns
    pairs = [(name, own[name], floor.get(name, 1.0)) for name in own]
    for name, value, other in sorted(pairs, key=lambda item: item[1]):
        places = ((x - low) / max(1 - low, 1e-9) * 100 for x in (value, other))
        yield ColumnLine(fmt.log_text(name), value, other, *places)


def shown_columns(result: Any) -> list[str]:
    """The columns in the picture of pairs, in the table's order: those of the worst pairs."""
    names = list(result.closeness.columns)
    if len(names) <= MOST_COLUMNS:
        return names
    worst: dict[str, float] = {}
    for (first, second), value in result.closeness.pairs.items():
        for name in (first, second):
            worst[name] = min(worst.get(name, 1.0), value)
    kept = set(sorted(names, key=lambda name: worst.get(name, 1.0))[:MOST_COLUMNS])
    return [name for name in names if name in kept]


def pair_cells(result: Any, names: Sequence[str]) -> Iterator[PairCell]:
    """Below the diagonal the made rows, above it two halves of the source."""
    place = {name: number for number, name in enumerate(names)}
    for table, is_floor in ((result.closeness, False), (result.floor, True)):
        for (first, second), value in table.pairs.items():
            if first not in place or second not in place:
                continue
            low, high = sorted((place[first], place[second]))
            row, column = (low, high) if is_floor else (high, low)
            shade = min(1.0, (1 - value) / _DARKEST)
            whose = "two halves of the source" if is_floor else "made rows"
            text = fmt.log_text(f"{first} and {second}, {whose}: {value:.3f}")
            yield PairCell(column * _CELL, row * _CELL, round(shade, 3), text)
