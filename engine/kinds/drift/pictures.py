"""The pictures of drift: all columns at a glance, distributions side by side, night by night."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from engine.conditions import Limit
from engine.core.vocabulary import Cell, Night, Verdict
from engine.kinds.drift.bin_rows import BinRows
from engine.kinds.drift.distances import DISTANCES
from engine.kinds.drift.domain import metric_title
from engine.kinds.pictures import BinShares, Intervals, NightLines, Point, Sample, value_limits

# Columns whose distributions stand side by side, and that have a line night by night.
MOST_SHARES, MOST_LINES = 12, 12
# How many times its limit the line of a glance reaches at most.
REACH = 4.0


def glances(cells: Sequence[Cell]) -> list[Intervals]:
    """For each distance and limit all columns in one picture, the farthest first."""
    return [
        Intervals(
            _title(group), "distance from the reference", _names(group),
            [Point.of(cell) for cell in group], _limits(group), start=0.0, end=_end(group),
            is_wide=True,
        )
        for group in _groups([cell for cell in cells if cell.test.metric in DISTANCES])
    ]  # fmt: skip


def distributions(cells: Sequence[Cell]) -> list[BinShares]:
    """Both samples by bin: what did not pass, then what is nearest to its limit."""
    pictures: dict[str, BinShares] = {}
    of_bins = [cell for cell in _measured_cells(cells) if cell.test.metric in DISTANCES]
    for cell in sorted(of_bins, key=_gravity):
        rows, name = BinRows.of(cell.measured.numbers), _subject(cell)
        if rows is None or name in pictures:
            continue
        samples = [Sample("reference", rows.reference), Sample("this version", rows.current)]
        pictures[name] = BinShares(name, rows.names, samples, rows.edges, cell)
        if len(pictures) == MOST_SHARES:
            break
    return list(pictures.values())


def night_lines(cells: Sequence[Cell], nights: Sequence[Night]) -> list[NightLines]:
    """For each distance and limit the farthest columns of today, night by night.

    Those of one night alone have no history, and no picture.
    """
    pictures = []
    for group in _groups(cells):
        keys = [(cell.model.name, cell.test.name) for cell in group]
        seen = [sum(key in night.cells for night in nights) > 1 for key in keys]
        old = [cell for cell, known in zip(group, seen, strict=True) if known]
        if old:
            title = f"{_title(group)}, night by night"
            up = metric_title(group[0].test.metric)
            pictures.append(NightLines(title, up, nights, _names(old), old, _limits(group)))
    return pictures


def _measured_cells(cells: Iterable[Cell]) -> list[Cell]:
    return [c for c in cells if c.slice.kind == "overall" and c.measured.value is not None]


def _groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells on all rows by distance and demand, those of each from the greatest value down."""
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in _measured_cells(cells):
        groups.setdefault((cell.test.metric, cell.test.conditions), []).append(cell)
    return [sorted(group, key=lambda cell: -_value(cell)) for group in groups.values()]


def _gravity(cell: Cell) -> tuple[bool, float]:
    """What did not pass comes first, and what is farther beyond its limit."""
    limits = [limit.at for limit in value_limits(cell.test)]
    far = _value(cell) / limits[0] if limits and limits[0] > 0 else _value(cell)
    return cell.verdict in (Verdict.PASS, Verdict.RECORDED), -far


def _value(cell: Cell) -> float:
    return float(cell.measured.value or 0.0)


def _title(group: Sequence[Cell]) -> str:
    title = metric_title(group[0].test.metric)
    return title[0].upper() + title[1:]


def _limits(group: Sequence[Cell]) -> list[Limit]:
    return value_limits(group[0].test)


def _end(group: Sequence[Cell]) -> float | None:
    """Where the line of a glance ends: one column far off is not to hide what the others are."""
    limits = [limit.at for limit in _limits(group) if limit.at > 0]
    return REACH * max(limits) if limits else None


def _names(group: Sequence[Cell]) -> list[str]:
    """What each is of; where two are of the same, their tests' names."""
    subjects = Counter(map(_subject, group))
    return [
        subject if subjects[subject] == 1 else cell.test.name
        for cell in group
        for subject in [_subject(cell)]
    ]


def _subject(cell: Cell) -> str:
    """The model whose predictions a cell is of, else its column."""
    columns: list[str] = json.loads(cell.test.parameters).get("columns") or [cell.test.name]
    return cell.model.name or columns[0]
