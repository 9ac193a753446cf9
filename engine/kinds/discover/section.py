"""The finds of a search as cards, and what searches without one have shown."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.vocabulary import Cell
from engine.kinds.finds import DISCOVERED
from engine.kinds.setting import Card, Section

LEAD = (
    "Slices that no one listed, found on one half of the rows and confirmed on the other. Pin one, "
    "and every run tests it."
)


def discover_section(cells: Sequence[Cell]) -> Section | None:
    """A card for each find, and a row for each search."""
    finds = [cell for cell in cells if cell.slice.kind == DISCOVERED]
    searches = [cell for cell in cells if cell.slice.kind != DISCOVERED]
    if not searches:
        return None
    rows = [
        [cell.test.name, cell.model.name, _count(cell), cell.reason, cell.verdict.value]
        for cell in searches
    ]
    cards = [_card(number, cell) for number, cell in enumerate(finds, 1)]
    columns = ["test", "model", "weak slices", "what it shows", "verdict"]
    return Section("Discovered slices", LEAD, columns, rows, cards=cards)


def _count(cell: Cell) -> str:
    return "–" if cell.measured.value is None else f"{cell.measured.value:,.0f}"


def _card(number: int, cell: Cell) -> Card:
    numbers = cell.measured.numbers or {}
    metric, value = cell.test.metric, cell.measured.value or 0.0
    share, rows = numbers.get("share") or 0.0, cell.counts.n
    sentences = [f"{share:.1%} of the rows ({rows:,})"]
    if cell.delta is None:
        elsewhere = numbers.get("elsewhere") or 0.0
        headline = f"{metric} {value:.3g}, elsewhere {elsewhere:.3g}"
        if elsewhere > 0:
            headline += f": {value / elsewhere:.1f} times as much"
        sentences.append(f"{numbers.get('of_all') or 0.0:.1%} of all that the model loses")
        marks = (cell.measured.ci_low, value, cell.measured.ci_high, elsewhere)
    else:
        base = cell.baseline_value or 0.0
        headline = f"{metric} {value:.3g}, the baseline's {base:.3g}: {cell.delta:+.3g}"
        sentences.append(f"the difference elsewhere is {numbers.get('elsewhere') or 0.0:+.3g}")
        marks = (cell.delta_ci_low, cell.delta, cell.delta_ci_high, 0.0)
    sentences.append(
        f"confirmed on rows that had no part in finding it, q {cell.violation_q_value:.1g}"
    )
    return Card(
        f"{number}. {cell.slice.name}", f"{cell.model.name} · {cell.test.name}", headline,
        tuple(sentences), marks,
    )  # fmt: skip
