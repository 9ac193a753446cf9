"""Slices by metrics for each model, coloured by how far a value is from all the rows.

The worst rows come first: those with failures, then those whose values are on the whole furthest
on the worse side. A page holds `SHOWN` rows at once; the rest lie in the page unseen until the
reader asks or filters, up to a budget of cells, beyond which they are counted and left to the
results table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.core.vocabulary import EvaluationResult, Verdict
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.highlights import Spot
from engine.sinks.report.axis import interval_text, minus
from engine.sinks.subjects import columns_of, model_label

SHOWN = 200
CELL_BUDGET = 45_000
_CALM = 0.005
"""A distance under this share of the overall value is not coloured."""


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One place: what is written, how it is coloured, what its tooltip says."""

    text: str
    interval: str
    style: str
    word: str
    tip: str
    sort: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One slice."""

    name: str
    n: int
    rows: str
    cells: tuple[HeatCell | None, ...]
    is_overall: bool


@dataclass(frozen=True, slots=True)
class HeatTable:
    """One model's slices, worst first: those shown, and those kept for the reader who asks."""

    anchor: str
    model: str
    shown: tuple[HeatRow, ...]
    kept: tuple[HeatRow, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class HeatMap:
    """All models' tables over the same columns; `hints` say which way each metric is better."""

    columns: tuple[str, ...]
    hints: tuple[str, ...]
    tables: tuple[HeatTable, ...]
    slices: int


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a column's colours rest on."""

    overall: float | None
    reach: float
    better: bool | None

    def shade(self, value: float | None) -> tuple[str, float]:
        """A style such as `worse2`, and how far the value is, from 1 (worse) to -1 (better)."""
        if value is None or self.overall is None or self.reach == 0:
            return "", 0.0
        delta = value - self.overall
        share = min(abs(delta) / self.reach, 1.0)
        if abs(delta) <= _CALM * abs(self.overall) or share < 0.2:
            return "", 0.0
        step = 1 if share < 0.5 else 2 if share < 0.85 else 3
        meaning = highlights.trend(delta, self.better)
        return f"{meaning}{step}", -share if meaning == "better" else share


def heat_map(evaluation: EvaluationResult, anchor: str) -> HeatMap:
    """Lays out the slices of every model of an evaluation."""
    spots = highlights.spots(evaluation.cells)
    columns = tuple(dict.fromkeys(label for _, _, label in spots))
    metrics = {label: spot.cells[0].test.metric for (_, _, label), spot in spots.items()}
    better = {label: highlights.direction(evaluation, metrics[label]) for label in columns}
    by_model: dict[str, dict[str, dict[str, Spot]]] = {name: {} for name in columns_of(evaluation)}
    for (model, piece, label), spot in spots.items():
        by_model.setdefault(model, {}).setdefault(piece, {})[label] = spot
    room = CELL_BUDGET // max(1, len(columns) * len(by_model))
    words = {True: "higher is better", False: "lower is better", None: ""}
    return HeatMap(
        columns=tuple(map(fmt.one_line, columns)),
        hints=tuple(words[better[label]] for label in columns),
        tables=tuple(
            _table(f"{anchor}-m{place}", (model, slices), better, room)
            for place, (model, slices) in enumerate(by_model.items(), start=1)
        ),
        slices=max((len(slices) for slices in by_model.values()), default=0),
    )


def _table(
    anchor: str,
    model: tuple[str, Mapping[str, Mapping[str, Spot]]],
    better: Mapping[str, bool | None],
    room: int,
) -> HeatTable:
    name, slices = model
    scales = {label: _scale(slices.values(), label, sense) for label, sense in better.items()}
    ranked = sorted(slices, key=lambda piece: _rank(piece, slices[piece], scales))
    # What is dropped is not laid out.
    rows = [_row(piece, slices[piece], scales) for piece in ranked[: max(room, SHOWN)]]
    return HeatTable(
        anchor=anchor,
        model=fmt.one_line(model_label(name)),
        shown=tuple(rows[:SHOWN]),
        kept=tuple(rows[SHOWN:]),
        dropped=len(ranked) - len(rows),
    )


def _scale(slices: Iterable[Mapping[str, Spot]], label: str, better: bool | None) -> _Scale:
    column = [spots[label] for spots in slices if label in spots]
    overall = next((s.value for s in column if highlights.is_overall(s.cells[0].slice)), None)
    if overall is None:
        return _Scale(None, 0.0, better)
    # A few tiny slices must not wash the colours out: the ninth decile is full colour.
    away = sorted(abs(s.value - overall) for s in column if s.value is not None)
    return _Scale(overall, away[int(0.9 * (len(away) - 1))] if away else 0.0, better)


def _rank(
    piece: str, spots: Mapping[str, Spot], scales: Mapping[str, _Scale]
) -> tuple[object, ...]:
    """How early a slice is seen."""
    some = next(iter(spots.values())).cells[0]
    grave = [highlights.rank(spot.worst) for spot in spots.values()]
    return (
        not highlights.is_overall(some.slice),
        min(min(grave), 3),
        -sum(place < 3 for place in grave),
        -sum(scales[label].shade(spot.value)[1] for label, spot in spots.items()),
        -some.counts.n,
        piece,
    )


def _row(piece: str, spots: Mapping[str, Spot], scales: Mapping[str, _Scale]) -> HeatRow:
    cells = tuple(
        _cell(label, spots[label], scale) if label in spots else None
        for label, scale in scales.items()
    )
    some = next(iter(spots.values())).cells[0]
    n, whole = some.counts.n, highlights.is_overall(some.slice)
    return HeatRow(fmt.one_line(piece), n, fmt.count(n), cells, whole)


def _cell(label: str, spot: Spot, scale: _Scale) -> HeatCell:
    first = spot.cells[0]
    measured, value = first.measured, spot.value
    lines = [f"{label}: {fmt.exact(value, 'undefined')}"]
    if value is None and measured.reason:
        lines[0] += f" ({fmt.one_line(measured.reason)})"
    if measured.detail:
        lines.append(fmt.one_line(measured.detail, 300))
    if scale.overall is not None and not highlights.is_overall(first.slice):
        lines.append(f"all rows: {fmt.exact(scale.overall)}")
    lines.append(fmt.plural(first.counts.n, "row"))
    lines += [
        f"{highlights.word(cell)}: {fmt.one_line(cell.reason, 300)}"
        for cell in spot.cells
        if cell.verdict is not Verdict.RECORDED or cell.measured.value is None
    ]
    if (change := _change(spot)) is not None:
        lines.append(change)
    text, _, interval = interval_text(value, measured.ci_low, measured.ci_high).partition(" ")
    return HeatCell(
        text=text,
        interval=interval,
        style=scale.shade(value)[0],
        word=highlights.word(spot.worst),
        tip="\n".join(lines),
        sort="" if value is None else f"{value:.6g}",
    )


def _change(spot: Spot) -> str | None:
    """The difference to the baseline, where more is known of it than its number."""
    for cell in spot.cells:
        if cell.delta is not None and cell.delta_ci_low is not None:
            text = minus(fmt.change(cell.delta, cell.delta_ci_low, cell.delta_ci_high))
            return f"to the baseline: {text}{highlights.sureness(spot)}"
    return None
