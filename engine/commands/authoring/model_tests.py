"""Tests of the models: beside the champion first, then its own level, then slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.commands.authoring.figures import (
    HALF_WIDTHS,
    Figure,
    difference_of,
    figure_of,
    number,
    round_up,
    step_above,
    step_below,
)
from engine.commands.authoring.slices import SliceRule, candidates
from engine.commands.authoring.task_metrics import TaskMetric, slice_metrics, task_metrics
from engine.commands.authoring.wishes import Draft, Entry, Situation
from engine.core.vocabulary import Cell

BESIDE, LEVEL, SLICES = "Beside the champion", "The champion's own level", "On slices"
_METRIC = "metric"


def add_model_tests(draft: Draft, situation: Situation, cells: Sequence[Cell]) -> None:
    """Adds the tests of metrics, with the slices that they are on."""
    metrics = task_metrics(situation)
    for place, metric in enumerate(metrics):
        own = _overall(cells, situation.champion, metric.name)
        figure = None if own is None else figure_of(own)
        if figure is None:
            why = "no value" if own is None else own.reason
            draft.omit(f"{metric.name}: the champion has no interval of it ({why})")
            continue
        _add_paired(draft, situation, metric, (cells, figure, place == 0))
        _add_level(draft, metric, figure, is_first=place == 0)
    _add_slices(draft, situation, cells)


def _overall(cells: Sequence[Cell], model: str, metric: str) -> Cell | None:
    for cell in cells:
        own = (cell.test.kind, cell.test.metric, cell.model.name, cell.slice.set_name)
        if own == (_METRIC, metric, model, "overall"):
            return cell
    return None


def _add_paired(
    draft: Draft,
    situation: Situation,
    metric: TaskMetric,
    measured: tuple[Sequence[Cell], Figure, bool],
) -> None:
    """A margin for the metric that decides, no evidence of harm for the others."""
    cells, figure, is_first = measured
    severity = {} if is_first else {"severity": "warn"}
    overall = {"slices": ["overall"], **severity}
    if not is_first:
        why = f"the champion has {figure}; fails where a candidate is surely worse"
        draft.add(BESIDE, {"metric": metric.name, "no_worse": True, **overall}, why)
        return
    rivals = [_overall(cells, name, metric.name) for name in situation.names[1:]]
    differences = [difference_of(cell) for cell in rivals if cell is not None]
    widths = [difference.width for difference in differences if difference is not None]
    # A rival that is nearly the champion says little of how far the next one is from it.
    width = max(*widths, figure.width / 2) if widths else figure.width
    key = "max_drop" if metric.is_better_higher else "max_rise"
    margin = round_up(HALF_WIDTHS * width)
    if width <= 0 or margin > metric.headroom(figure) / 2:
        why = f"{figure}: too wide for a margin; fails where a candidate is surely worse"
        draft.add(BESIDE, {"metric": metric.name, "no_worse": True, **overall}, why)
        return
    seen = (
        f"differences to the champion are known to +- {number(width, 2)}"
        if widths
        else f"the champion has {figure}; a difference is known at least about so well"
    )
    why = f"{seen}; the margin is {HALF_WIDTHS:g} half widths"
    draft.add(BESIDE, {"metric": metric.name, key: margin, **overall}, why)


def _add_level(draft: Draft, metric: TaskMetric, figure: Figure, *, is_first: bool) -> None:
    """A limit two half widths from the champion's value, where that says something."""
    headroom = metric.headroom(figure)
    if not metric.decides(figure, headroom):
        draft.omit(
            f"a limit of {metric.name}: the champion has {figure}, a model that knows nothing "
            f"{number(metric.trivial)}; two half widths off is no limit that tells them apart"
        )
        return
    severity = {} if is_first else {"severity": "warn"}
    test = {"metric": metric.name, **_limit(metric, [figure]), "slices": ["overall"], **severity}
    why = f"{figure}, a model that knows nothing {number(metric.trivial)}"
    draft.add(LEVEL, test, why)


def _limit(metric: TaskMetric, figures: Sequence[Figure]) -> dict[str, float]:
    """The limit that keeps two half widths from each figure, on the side that is worse."""
    step = min(figure.width for figure in figures)
    if metric.is_better_higher:
        low = min(figure.value - HALF_WIDTHS * figure.below for figure in figures)
        return {"min": step_below(low, step)}
    high = max(figure.value + HALF_WIDTHS * figure.above for figure in figures)
    return {"max": step_above(high, step)}


def _add_slices(draft: Draft, situation: Situation, cells: Sequence[Cell]) -> None:
    """The slice sets of which a metric's intervals decide on each slice, with their limits."""
    chosen: dict[str, list[tuple[str, list[Figure]]]] = {}
    metrics = slice_metrics(situation)
    by_column: dict[str, list[SliceRule]] = {}
    for rule in candidates(situation):
        by_column.setdefault(rule.column, []).append(rule)
    for column, rules in by_column.items():
        fits = _first_fit(rules, metrics, situation, cells)
        if fits is None:
            rows = [cell.counts.n for cell in _cells_of(rules[-1], metrics[0], situation, cells)]
            least = f"; the smallest has {min(rows):,} rows" if rows else ""
            names = " nor ".join(metric.name for metric in metrics)
            draft.omit(f"slices by {column}: not on each is {names} known well enough{least}")
            continue
        rule, metric, figures = fits
        worst = max(figures, key=lambda figure: figure.width)
        draft.slices.append(
            Entry(rule.keys, f"{len(figures)} slices; {metric.name} of the least sure {worst}")
        )
        chosen.setdefault(metric.name, []).append((column, figures))
    for metric in metrics:
        if metric.name in chosen:
            _add_slice_tests(draft, metric, chosen[metric.name])
    _tell_columns_left(draft, situation, by_column)


def _first_fit(
    rules: Sequence[SliceRule],
    metrics: Sequence[TaskMetric],
    situation: Situation,
    cells: Sequence[Cell],
) -> tuple[SliceRule, TaskMetric, list[Figure]] | None:
    """The finest cut of a column, and the first metric that decides on each of its slices."""
    for rule in rules:
        for metric in metrics:
            own = [figure_of(cell) for cell in _cells_of(rule, metric, situation, cells)]
            figures = [figure for figure in own if figure is not None]
            decide = all(metric.decides(figure, metric.headroom(figure)) for figure in figures)
            if len(figures) == len(own) > 1 and decide:
                return rule, metric, figures
    return None


def _cells_of(
    rule: SliceRule, metric: TaskMetric, situation: Situation, cells: Sequence[Cell]
) -> list[Cell]:
    return [
        cell
        for cell in cells
        if cell.test.kind == _METRIC
        and cell.test.metric == metric.name
        and cell.model.name == situation.champion
        and cell.slice.set_name == rule.name
    ]


def _add_slice_tests(
    draft: Draft, metric: TaskMetric, chosen: Sequence[tuple[str, list[Figure]]]
) -> None:
    widest = max((figure for _, figures in chosen for figure in figures), key=lambda f: f.width)
    key = "max_drop" if metric.is_better_higher else "max_rise"
    paired: dict[str, Any] = {
        "metric": metric.name,
        key: round_up(HALF_WIDTHS * widest.width),
        "slices": [column for column, _ in chosen],
        "severity": "warn",
    }
    draft.add(SLICES, paired, f"the least sure slice of the champion's has {widest}")
    for column, figures in chosen:
        binding = _weakest(metric, figures)
        test: dict[str, Any] = {"metric": metric.name, "name": f"{metric.name} by {column}"}
        test |= {**_limit(metric, figures), "slices": [column], "severity": "warn"}
        draft.add(SLICES, test, f"its limit is that of the weakest of {len(figures)}: {binding}")


def _weakest(metric: TaskMetric, figures: Sequence[Figure]) -> Figure:
    """The slice whose two half widths reach farthest."""
    if metric.is_better_higher:
        return min(figures, key=lambda figure: figure.value - HALF_WIDTHS * figure.below)
    return max(figures, key=lambda figure: figure.value + HALF_WIDTHS * figure.above)


def _tell_columns_left(
    draft: Draft, situation: Situation, measured: dict[str, list[SliceRule]]
) -> None:
    """Says how many columns nobody looked at: `discover` looks at all."""
    plain = [
        name
        for name in situation.shown_columns
        if situation.table.columns[name].kind in ("text", "number", "whole", "boolean")
        and name not in measured
        and name != situation.roles.label
    ]
    if plain:
        those = f"column {plain[0]}" if len(plain) == 1 else f"{len(plain):,} other columns"
        draft.omit(
            f"slices by the {those}: too many values, one, or more columns than are tried; "
            "`discover: {}` looks for weak slices by all"
        )
