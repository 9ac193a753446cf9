"""The models side by side on all the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.conditions import demand_text
from engine.core.vocabulary import EvaluationResult, Verdict
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.highlights import Spot
from engine.sinks.report.axis import minus
from engine.sinks.report.figures import colours
from engine.sinks.subjects import columns_of, model_label, reference_label

DASH = "–"


@dataclass(frozen=True, slots=True)
class Head:
    """A model's column."""

    name: str
    colour: str
    is_baseline: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """One model's value of one metric; `trend` is better, worse, same, differs or nothing."""

    value: str
    exact: str
    word: str
    reason: str
    delta: str = ""
    sureness: str = ""
    trend: str = ""
    interval: str = ""
    best: bool = False
    reference: str = "baseline"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric with what is asked of it."""

    metric: str
    hint: str
    conditions: str
    figures: tuple[Figure | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The table of metrics by models."""

    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    baseline: str | None


def compare(evaluation: EvaluationResult) -> Comparison:
    """Sets the models side by side on `overall`; rows in the order of the tests."""
    palette, columns = colours(evaluation), columns_of(evaluation)
    heads = tuple(
        Head(
            fmt.one_line(model_label(name)),
            palette.get(name, "transparent"),
            name == evaluation.baseline,
        )
        for name in columns
    )
    rows = tuple(
        _row(evaluation, columns, label, by_model)
        for label, by_model in highlights.overall_spots(evaluation).items()
    )
    return Comparison(heads, rows, evaluation.baseline)


def _row(
    evaluation: EvaluationResult, columns: Sequence[str], label: str, by_model: dict[str, Spot]
) -> Row:
    cells = [cell for spot in by_model.values() for cell in spot.cells]
    better = highlights.direction(evaluation, cells[0].test.metric)
    demands = dict.fromkeys(text for c in cells if (text := demand_text(c.test)))
    values = {name: spot.value for name, spot in by_model.items() if spot.value is not None}
    best = _best(values, better)
    return Row(
        metric=fmt.one_line(label),
        hint={True: "higher is better", False: "lower is better", None: ""}[better],
        conditions=", ".join(fmt.one_line(text) for text in demands),
        figures=tuple(
            _figure(evaluation, by_model, name, better=better, best=name in best)
            for name in columns
        ),
    )


def _best(values: dict[str, float], better: bool | None) -> set[str]:
    if better is None or len(values) < 2 or len(set(values.values())) == 1:
        return set()
    top = max(values.values()) if better else min(values.values())
    return {name for name, value in values.items() if value == top}


def _figure(
    evaluation: EvaluationResult,
    by_model: dict[str, Spot],
    name: str,
    *,
    better: bool | None,
    best: bool,
) -> Figure | None:
    spot = by_model.get(name)
    if spot is None:
        return None
    worst, delta = spot.worst, None
    if not highlights.is_baseline(spot, evaluation.baseline):
        delta = highlights.difference(spot, by_model.get(evaluation.baseline or ""))
    measured = spot.cells[0].measured
    interval = minus(fmt.interval(measured.ci_low, measured.ci_high))
    if not interval and measured.error_bound > 0:
        interval = f"± {fmt.number(measured.error_bound)}"
    return Figure(
        value=fmt.number(spot.value, DASH),
        exact=fmt.exact(spot.value, f"undefined: {measured.reason or 'no reason given'}"),
        word=highlights.word(worst),
        reason=_reason(spot),
        delta=minus(fmt.signed_number(delta, "")),
        sureness=highlights.sureness(spot) if delta is not None else "",
        trend=highlights.trend(delta, better),
        interval=interval,
        best=best,
        reference=reference_label(worst),
    )


def _reason(spot: Spot) -> str:
    worst = spot.worst
    if worst.verdict in (Verdict.PASS, Verdict.RECORDED) and spot.value is not None:
        return ""
    return fmt.one_line(worst.reason)
