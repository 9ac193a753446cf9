"""Each test over slices and models: value and interval as a bar, against the limit.

What is drawn is what the test decides on: the value where a limit is set for it, the difference
to the baseline where every condition is a margin. The worst slices come first; a page draws `SHOWN`
of them, folds `FOLDED` away, and counts the rest, which stand in the table of all slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.conditions import Limit, demand_text, needs_baseline, rule
from engine.core.vocabulary import Cell, Condition, DecideBy, EvaluationResult, Verdict
from engine.kinds import DISCOVERED
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.report.axis import (
    Bar,
    Scale,
    Zone,
    around_zero,
    bar,
    change_text,
    fit_scale,
    interval_text,
    minus,
    zone,
)
from engine.sinks.subjects import columns_of, model_label, reference_label

SHOWN = 20
FOLDED = 60
_WORDS = ("FAIL", "ERROR", "WARN", "INCONCLUSIVE", "PASS", "RECORDED")
SAID = {
    "FAIL": "failed",
    "ERROR": "error",
    "WARN": "warning",
    "INCONCLUSIVE": "inconclusive",
    "PASS": "passed",
    "RECORDED": "recorded",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One model on one slice; `zones` are there where the limit is this slice's own."""

    word: str
    said: str
    bar: Bar | None
    text: str
    tip: str
    zones: tuple[Zone, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One slice with a mark for each model, None where it was not tested."""

    name: str
    n: str
    marks: tuple[Mark | None, ...]
    is_overall: bool


@dataclass(frozen=True, slots=True)
class Forest:
    """One test. `zones` and `ticks` hold for all its lines; without a scale there are no bars."""

    anchor: str
    test: str
    demand: str
    axis: str
    tally: tuple[tuple[str, int, str], ...]
    models: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    zones: tuple[Zone, ...]
    ends: str
    zero: float | None
    shown: tuple[Line, ...]
    folded: tuple[Line, ...]
    more: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class _Axis:
    """What is drawn of a test: its conditions, and whether of the value or of the difference."""

    conditions: tuple[Condition, ...]
    of_difference: bool
    better: bool | None

    def figures(self, cell: Cell) -> tuple[float | None, float | None, float | None]:
        """What is drawn of a cell: point and interval."""
        if self.of_difference:
            return cell.delta, cell.delta_ci_low, cell.delta_ci_high
        measured = cell.measured
        return measured.value, measured.ci_low, measured.ci_high

    def limits(self, cell: Cell) -> list[Limit]:
        return [
            limit
            for condition in self.conditions
            for limit in rule(condition).limits(condition, cell.baseline_value, self.better)
        ]

    @property
    def is_shared(self) -> bool:
        """Whether the limits are the same on every slice."""
        return not any(condition.relative for condition in self.conditions)

    def room(self, cell: Cell, shared: Sequence[Limit] | None = None) -> float:
        """How far a cell is on the good side of its nearest limit, or how good it is without.

        `shared` are the limits, where they are the same on every slice.
        """
        point = self.figures(cell)[0]
        if point is None:
            return float("inf")
        limits = self.limits(cell) if shared is None else shared
        sides = [(point - limit.at) * (-1 if limit.below is False else 1) for limit in limits]
        return min(sides, default=point if self.better is not False else -point)


def forests(evaluation: EvaluationResult, anchor: str) -> tuple[Forest, ...]:
    """One forest for each test of an evaluation that measured anything, in the suite's order."""
    by_test: dict[tuple[str, str], list[Cell]] = {}
    for cell in evaluation.cells:
        # What a test found by itself is no value of it: it has a card.
        if cell.slice.kind != DISCOVERED:
            by_test.setdefault((cell.test.name, cell.variant), []).append(cell)
    grave = [min(map(highlights.rank, cells)) for cells in by_test.values()]
    # The first test with the gravest verdict is open; the others are one click away.
    first = grave.index(min(grave)) if grave else 0
    columns = columns_of(evaluation)
    return tuple(
        _forest(evaluation, columns, f"{anchor}-t{place}", cells, is_open=place == first)
        for place, cells in enumerate(by_test.values())
    )


def _forest(
    evaluation: EvaluationResult,
    columns: Sequence[str],
    anchor: str,
    cells: Sequence[Cell],
    *,
    is_open: bool,
) -> Forest:
    test = cells[0].test
    axis = _axis(evaluation, cells)
    of_baseline = any(reference_label(cell) == "baseline" for cell in cells)
    hidden = {evaluation.baseline} if axis.of_difference and of_baseline else set()
    tested = {cell.model.name for cell in cells} - hidden
    models = [name for name in columns if name in tested]
    slice_rows = _rank_slices(cells, models, axis)
    scale = _scale(slice_rows[: SHOWN + FOLDED], axis)
    lines = tuple(_line(row, models, axis, scale) for row in slice_rows[: SHOWN + FOLDED])
    return Forest(
        anchor=anchor,
        test=fmt.one_line(highlights.test_label(cells[0])),
        demand=demand(cells[0]),
        axis=_axis_words(
            test.metric, evaluation.baseline if of_baseline else "the clean model", axis
        ),
        tally=tally(cells),
        models=tuple(fmt.one_line(model_label(name)) for name in models),
        ticks=tuple(scale.ticks()) if scale is not None else (),
        zones=_zones(cells[0], axis, scale) if axis.is_shared else (),
        ends=_ends(scale),
        zero=scale.at(0.0) if scale is not None and axis.of_difference else None,
        shown=lines[:SHOWN],
        folded=lines[SHOWN:],
        more=len(slice_rows) - len(lines),
        is_open=is_open,
    )


def _rank_slices(
    cells: Sequence[Cell], models: Sequence[str], axis: _Axis
) -> list[dict[str, Cell]]:
    """The cells of each slice by model, the worst slice first."""
    slices: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        if cell.model.name in models:
            slices.setdefault(cell.slice.name, {})[cell.model.name] = cell
    shared = axis.limits(cells[0]) if axis.is_shared else None
    return sorted(slices.values(), key=lambda row: _worst_first(row.values(), axis, shared))


def _zones(cell: Cell, axis: _Axis, scale: Scale | None) -> tuple[Zone, ...]:
    if scale is None:
        return ()
    return tuple(zone(scale, limit) for limit in axis.limits(cell))


def _axis(evaluation: EvaluationResult, cells: Sequence[Cell]) -> _Axis:
    test = cells[0].test
    absolute = tuple(condition for condition in test.conditions if not needs_baseline(condition))
    margins = tuple(condition for condition in test.conditions if needs_baseline(condition))
    of_difference = not absolute and any(cell.delta is not None for cell in cells if margins)
    better = highlights.direction(evaluation, test.metric)
    return _Axis(margins if of_difference else absolute, of_difference, better)


def demand(cell: Cell) -> str:
    """What a test demands, in words."""
    text = fmt.one_line(demand_text(cell.test) or "no condition")
    return f"{text}, by the plain value" if cell.test.decide is DecideBy.POINT else text


def _axis_words(metric: str, baseline: str | None, axis: _Axis) -> str:
    name = fmt.one_line(metric)
    if axis.of_difference:
        return f"{name} minus that of {fmt.one_line(baseline or 'the baseline')}, on the same rows"
    return name


def tally(cells: Iterable[Cell]) -> tuple[tuple[str, int, str], ...]:
    """How many cells have each verdict, with what it is called."""
    counts = dict.fromkeys(_WORDS, 0)
    for cell in cells:
        counts[highlights.word(cell)] += 1
    said = SAID | ({"WARN": "warnings"} if counts[highlights.WARN] != 1 else {})
    return tuple((word, amount, said[word]) for word, amount in counts.items() if amount)


def _ends(scale: Scale | None) -> str:
    if scale is None:
        return ""
    return minus(f"{scale.low:.3g} to {scale.high:.3g}")


def _worst_first(
    cells: Iterable[Cell], axis: _Axis, shared: Sequence[Limit] | None
) -> tuple[object, ...]:
    row = list(cells)
    return (
        not highlights.is_overall(row[0].slice),
        min(map(highlights.rank, row)),
        min(axis.room(cell, shared) for cell in row),
        -row[0].counts.n,
        row[0].slice.name,
    )


def _scale(rows: Iterable[Mapping[str, Cell]], axis: _Axis) -> Scale | None:
    spans, keep = [], []
    for row in rows:
        for cell in row.values():
            point, low, high = axis.figures(cell)
            if point is None:
                continue
            spans.append((point if low is None else low, point if high is None else high))
            if axis.is_shared or highlights.is_overall(cell.slice):
                keep += [limit.at for limit in axis.limits(cell)]
            if highlights.is_overall(cell.slice):
                keep.append(point)
    if not spans:
        return None
    return around_zero(spans, keep) if axis.of_difference else fit_scale(spans, keep)


def _line(row: Mapping[str, Cell], models: Sequence[str], axis: _Axis, scale: Scale | None) -> Line:
    some = next(iter(row.values()))
    return Line(
        name=fmt.one_line(some.slice.name),
        n=fmt.count(max(cell.counts.n for cell in row.values())),
        marks=tuple(_mark(row[name], axis, scale) if name in row else None for name in models),
        is_overall=highlights.is_overall(some.slice),
    )


def _mark(cell: Cell, axis: _Axis, scale: Scale | None) -> Mark:
    point, low, high = axis.figures(cell)
    said = highlights.word(cell)
    drawn = bar(scale, point, low, high) if scale is not None and point is not None else None
    own = drawn is not None and not axis.is_shared
    write = change_text if axis.of_difference else interval_text
    return Mark(
        word=said,
        said=SAID[said],
        bar=drawn,
        text=write(point, low, high) if point is not None else _missing_text(cell),
        tip=f"{SAID[said]}: {fmt.one_line(cell.reason, 300)}",
        zones=_zones(cell, axis, scale) if own else (),
    )


def _missing_text(cell: Cell) -> str:
    if cell.verdict is Verdict.ERROR:
        return "error"
    return "undefined" if cell.measured.value is None else "not compared"
