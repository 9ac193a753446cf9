"""Tests of how a model behaves: as a component, behind noise, beside its training and no work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.commands.authoring.data_tests import TRAINING
from engine.commands.authoring.figures import (
    HALF_WIDTHS,
    Figure,
    difference_of,
    figure_of,
    number,
    round_down,
    round_up,
)
from engine.commands.authoring.task_metrics import TaskMetric, task_metrics
from engine.commands.authoring.trial import NOISE_SEVERITY, noisy_columns, trivial_models
from engine.commands.authoring.wishes import Draft, Situation
from engine.core.vocabulary import Cell, Verdict

COMPONENT = "As a component"
# What a service relies on; the others are about inputs that may never come.
_HARD = ("deterministic", "batch_equals_row", "order", "empty", "probabilities", "classes")


def add_behaviour_tests(draft: Draft, situation: Situation, cells: Sequence[Cell]) -> None:
    """Adds contract, robustness, overfit, trivial models and speed."""
    if not situation.looks:
        draft.omit("contract, robustness, overfit, speed: predictions alone have no model to ask")
        return
    own = [cell for cell in cells if cell.model.name == situation.champion]
    first = task_metrics(situation)[0]
    clean = next(
        (
            figure_of(cell)
            for cell in own
            if cell.test.kind == "metric"
            and cell.test.metric == first.name
            and cell.slice.set_name == "overall"
        ),
        None,
    )
    headroom = 0.0 if clean is None else first.headroom(clean)
    _add_overfit(draft, first, own, headroom)
    _add_trivial(draft, situation, first, own)
    _add_contract(draft, own)
    _add_noise(draft, situation, (first, own, headroom))
    draft.add(COMPONENT, {"speed": "latency_p95"}, "recorded: what a row takes on this machine")


def _add_overfit(draft: Draft, first: TaskMetric, cells: Sequence[Cell], headroom: float) -> None:
    gaps = [c for c in cells if c.test.kind == "overfit" and c.measured.ci_high is not None
            and c.test.metric.endswith("_gap")]  # fmt: skip
    figure = figure_of(gaps[0]) if gaps else None
    if figure is None:
        return
    limit = round_up(max(figure.value, 0.0) + HALF_WIDTHS * figure.above)
    if limit > headroom / 2:
        draft.omit(f"overfit: the gap of {first.name} is {figure}, of {number(headroom)} to lose")
        return
    test = {"overfit": first.name, "max_gap": limit, "slices": ["overall"], "severity": "warn"}
    draft.add(TRAINING, test, f"the gap to the training data is {figure}")


def _add_trivial(
    draft: Draft, situation: Situation, first: TaskMetric, cells: Sequence[Cell]
) -> None:
    gains: dict[str, Figure] = {}
    for cell in cells:
        if cell.test.kind == "baseline_models":
            figure = figure_of(cell)
            kind = next((k for k in trivial_models(situation) if k in cell.test.name.split()), "")
            if figure is not None and kind:
                gains[kind] = figure
    for kind, figure in gains.items():
        # Levels are tested by themselves: here half of what it is better by is enough.
        limit = min(figure.value - HALF_WIDTHS * figure.below, figure.value / 2)
        if limit <= 0:
            draft.omit(f"better than a {kind}: by {figure}, which is not sure")
            continue
        hard = kind != "stump"
        test: dict[str, Any] = {
            "baseline_models": [kind],
            "metric": first.name,
            "min_gain": round_down(limit),
            "slices": ["overall"],
        }
        test |= {} if hard else {"severity": "warn"}
        draft.add(TRAINING, test, f"the champion is better than a {kind} by {figure}")


def _add_contract(draft: Draft, cells: Sequence[Cell]) -> None:
    checks = {_check_of(cell): cell for cell in cells if cell.test.kind == "contract"}
    kept = [name for name, cell in checks.items() if cell.verdict is Verdict.PASS]
    for hard in (True, False):
        names = [name for name in kept if (name in _HARD) is hard]
        if names:
            test: dict[str, Any] = {"contract": names}
            test |= {} if hard else {"severity": "warn"}
            draft.add(COMPONENT, test, f"the champion keeps {'it' if len(names) == 1 else 'all'}")
    for name, cell in checks.items():
        if name not in kept:
            draft.omit(f"contract: {name}: {cell.verdict} of the champion: {cell.reason}")


def _check_of(cell: Cell) -> str:
    """The check of a cell of `contract: all`."""
    return cell.test.name.rpartition(" ")[2]


def _add_noise(
    draft: Draft,
    situation: Situation,
    measured: tuple[TaskMetric, Sequence[Cell], float],
) -> None:
    first, cells, headroom = measured
    columns = noisy_columns(situation)
    if not columns:
        draft.omit("robustness: the models read no column of many numbers")
        return
    noisy = [cell for cell in cells if cell.test.kind == "robustness"]
    figure = difference_of(noisy[0]) if noisy else None
    if figure is None:
        why = noisy[0].reason if noisy else "not measured"
        draft.omit(f"robustness against noise: {why}")
        return
    loss = max(-figure.value if first.is_better_higher else figure.value, 0.0)
    limit = round_up(loss + HALF_WIDTHS * max(figure.width, headroom / 100))
    if limit > headroom / 2:
        draft.omit(f"robustness: noise costs {number(loss)} of {first.name} ({figure})")
        return
    key = "max_drop" if first.is_better_higher else "max_rise"
    asked: Mapping[str, Any] = {"noise": columns, "severities": [NOISE_SEVERITY]}
    test = {"robustness": asked, "metric": first.name, key: limit}
    test |= {"slices": ["overall"], "severity": "warn"}
    draft.add(COMPONENT, test, f"noise of 5 % of a spread changes {first.name} by {figure}")
