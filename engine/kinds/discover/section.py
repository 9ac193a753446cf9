"""The finds of a search as cards, and what searches without one have shown."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.vocabulary import Cell, Night
from engine.kinds.finds import DISCOVERED
from engine.kinds.pictures import NightLines, value_limits
from engine.kinds.setting import Bar, Card, Section

LEAD = (
    "Slices that nobody listed, found on one half of the rows and confirmed on the other. "
    "evalmatrix pin RUN NUMBER takes one into the suite, so that every run tests it. The last "
    "column says how often a slice of the least share that loses twice as much would be found."
)


def discover_section(cells: Sequence[Cell]) -> Section | None:
    """A card for each find, and a row for each search."""
    finds = [cell for cell in cells if cell.slice.kind == DISCOVERED]
    searches = [cell for cell in cells if cell.slice.kind != DISCOVERED]
    if not searches:
        return None
    rows = [[cell.test.name, cell.model.name, *_figures(cell)] for cell in searches]
    cards = [_card(number, cell) for number, cell in enumerate(finds, 1)]
    figures = ["weak slices", "slices looked at", "would be found"]
    return Section(
        "Discovered slices", LEAD, ["test", "model", *figures], rows,
        cards=cards, cells=searches, figures=figures,
    )  # fmt: skip


def finds_by_night(cells: Sequence[Cell], nights: Sequence[Night]) -> list[NightLines]:
    """How many weak slices each search found, night by night; nothing of one of one night."""
    old = [
        cell
        for cell in cells
        if cell.slice.kind != DISCOVERED and cell.measured.value is not None
        if sum((cell.model.name, cell.test.name) in night.cells for night in nights) > 1
    ]
    if not old:
        return []
    names = [f"{cell.model.name}, {cell.test.name}" for cell in old]
    limits = {tuple(value_limits(cell.test)) for cell in old}
    shared = limits.pop() if len(limits) == 1 else ()
    return [NightLines("Weak slices, night by night", "weak slices", nights, names, old, shared)]


def _figures(cell: Cell) -> list[str]:
    """How many slices are weak, among how many, and how often one would be found."""
    numbers = cell.measured.numbers or {}
    if cell.measured.value is None:
        return ["–", "–", "–"]
    slices, power = numbers.get("slices") or 0.0, numbers.get("power") or 0.0
    return [f"{cell.measured.value:,.0f}", f"{slices:,.0f}", f"{power:.0%}"]


def _card(number: int, cell: Cell) -> Card:
    numbers, measured = cell.measured.numbers or {}, cell.measured
    metric, value = cell.test.metric, measured.value or 0.0
    sentences = [f"{numbers.get('share') or 0.0:.1%} of the rows ({cell.counts.n:,})"]
    elsewhere = numbers.get("elsewhere") or 0.0
    bars = [Bar("these rows", value, measured.ci_low, measured.ci_high)]
    if cell.delta is None:
        headline = f"{metric} {value:.3g} here, {elsewhere:.3g} elsewhere"
        if elsewhere > 0:
            headline = f"{value / elsewhere:.1f} times the {metric} of all other rows"
        bars.append(Bar("all other rows", elsewhere))
        sentences.append(f"{numbers.get('of_all') or 0.0:.1%} of all that the model loses")
    else:
        base = cell.baseline_value or 0.0
        headline = f"{metric} {cell.delta:+.3g} against {cell.baseline_model}"
        bars = [Bar(cell.model.name, value), Bar(f"{cell.baseline_model}, the baseline", base)]
        low, high = cell.delta_ci_low or 0.0, cell.delta_ci_high or 0.0
        sentences.append(f"the difference lies in [{low:+.3g}, {high:+.3g}]")
        sentences.append(f"it is {elsewhere:+.3g} on all other rows")
    q = f"q {cell.violation_q_value:.1g}"
    rows = numbers.get("rows") or 0.0
    sentences.append(f"measured on {rows:,.0f} rows that had no part in finding it, {q}")
    about = f"{cell.model.name}, {cell.test.name}"
    return Card(f"{number}. {cell.slice.name}", about, headline, tuple(sentences), tuple(bars))
