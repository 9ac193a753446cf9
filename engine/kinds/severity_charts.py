"""A metric by severity as a report draws it: a chart for each test, a line for each model."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.vocabulary import Cell
from engine.kinds.base import CLEAN
from engine.kinds.pictures import Line, LineChart, Point, value_limits


def severity_charts(cells: Sequence[Cell], *, of_change: bool = False) -> list[LineChart]:
    """Charts of cells on all rows; `of_change` where they have what a perturbation changes."""
    by_test: dict[str, list[Cell]] = {}
    for cell in cells:
        by_test.setdefault(cell.test.name, []).append(cell)
    return [_chart(of_test, of_change=of_change) for of_test in by_test.values()]


def _chart(cells: Sequence[Cell], *, of_change: bool) -> LineChart:
    severities = sorted({severity_text(cell) for cell in cells})
    models: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        models.setdefault(cell.model.name, {})[severity_text(cell)] = cell
    # Each is compared with its own clean predictions, whose value it brings along.
    clean = not of_change and any(cell.baseline_value is not None for cell in cells)
    lines = [
        Line(
            model,
            [
                *([Point(next(iter(line.values())).baseline_value)] if clean else []),
                *(Point.of(line.get(severity)) for severity in severities),
            ],
        )
        for model, line in models.items()
    ]
    test = cells[0].test
    up = (
        f"what the perturbation changes of {test.metric.removesuffix('_change')}"
        if of_change
        else test.metric
    )
    places = [*([CLEAN] if clean else []), *severities]
    return LineChart(test.name, "severity", up, places, lines, value_limits(test))


def severity_text(cell: Cell) -> str:
    """The severity of a cell's variant, `2` of `noise(f0)@2`."""
    return cell.variant.rpartition("@")[2]
