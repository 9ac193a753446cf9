"""`invariance`: does a prediction stay when something is changed that should not matter?

A row's `sex` is swapped, or a column's value replaced by that of another row: an attribute flip.
It is not counterfactual fairness (Kusner et al. 2017), which asks for a causal model: what else
tells of the attribute stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field, create_model

from engine.conditions import CONDITIONS, LimitRule
from engine.core.vocabulary import (
    Cell,
    MetricValue,
    ModelTest,
    ModelVersion,
    Output,
    TaskKind,
    Variant,
)
from engine.fields.file_model import FileModel
from engine.fields.values import Proportion
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.estimates import SliceEstimates
from engine.kinds.perturbations import PERTURBATIONS, WHOLE
from engine.kinds.perturbed import (
    Need,
    columns_by_need,
    estimate_pairs,
    known_facts,
    make_variant,
    perturbation_misfits,
    perturbation_mistakes,
    perturbation_parts,
    pin_column_values,
    pin_spreads,
    tell_unchanged,
    untouched_note,
)
from engine.kinds.pictures import intervals_by_test
from engine.kinds.setting import ColumnValues, Context, Section, Setting
from engine.metrics import CLASSIFICATION, REGRESSION, Metric, Problem, Slices, Value, share_of
from engine.states import Floats, MomentsView, Pair, PairedChange

FLIPS, MOVES = "flip_rate", "move_rate"
MAX_FLIPS, MAX_MOVES = "max_flips", "max_moves"

for _key, _what in [
    (MAX_FLIPS, "The greatest share of changed rows whose predicted class may differ, 0 to 1."),
    (MAX_MOVES, "The greatest share of changed rows whose score may move beyond `tolerance`."),
]:
    CONDITIONS.add(_key, LimitRule(_key, _what, least=False, field=Proportion))

Tolerance = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


_LEFT_OUT = "of the rows were left as they were, and do not count"


class InvarianceKind(Kind):
    """Shares of rows whose prediction does not stay when a column is changed.

    A test with a `tolerance` is two: of labels that flip, and of scores that move.
    """

    key = "invariance"
    description = "The share of rows whose prediction changes with a column that should not matter."
    conditions = (MAX_FLIPS, MAX_MOVES)
    compares_itself = True

    def keys(self) -> Mapping[str, Any]:
        perturbations: dict[str, Any] = {
            change.key: (
                change.field | None,
                Field(None, description=change.description),
            )
            for change in PERTURBATIONS
            if change.keeps_answer
        }
        file = create_model(
            "InvarianceFile",
            __base__=FileModel,
            __doc__="One change that should not matter, done to every row.",
            **perturbations,
        )
        tolerance = "How far a score may move and still stay; default: scores are not looked at."
        return {
            self.key: (file, Field(description="The change of the model's input.")),
            "tolerance": (Tolerance | None, Field(None, description=tolerance)),
        }

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        known = [change.key for change in PERTURBATIONS if change.keeps_answer]
        yield from perturbation_mistakes(self.key, test.get(self.key), known)
        if test.get(MAX_MOVES) is not None and test.get("tolerance") is None:
            yield (
                (MAX_MOVES,),
                f"found {MAX_MOVES} without tolerance, expected how far a score may move",
            )

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        parameters = json.loads(parameters_text(getattr(file, self.key)))
        if file.tolerance is not None:
            parameters["tolerance"] = float(file.tolerance)
        return {"metric": FLIPS, "parameters": parameters_text(parameters)}

    def write(self, test: ModelTest) -> dict[str, Any]:
        parts = perturbation_parts(test)
        asked = {parts.perturbation.key: parts.asked}
        return {self.key: asked, "tolerance": parts.parameters.get("tolerance")}

    def title(self, test: ModelTest) -> str:
        return f"invariance {perturbation_parts(test).stem}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """A test of flips, where there are labels, and one of moves, where there is a tolerance."""
        moves = "tolerance" in perturbation_parts(test).parameters
        if not moves:
            return (test,)
        of_moves = replace(
            test,
            metric=MOVES,
            name=f"{test.name} moves",
            conditions=tuple(c for c in test.conditions if c.kind == MAX_MOVES),
        )
        if setting.problem.task is TaskKind.REGRESSION:
            # That it has no flips is told where a test demands something of them.
            return (replace(of_moves, conditions=test.conditions),)
        others = tuple(c for c in test.conditions if c.kind != MAX_MOVES)
        return (replace(test, name=f"{test.name} flips", conditions=others), of_moves)

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        yield from perturbation_misfits(test, setting)
        task = setting.problem.task
        if task not in CLASSIFICATION | REGRESSION:
            yield f"invariance is of classes or numbers that are predicted; the task is {task}"
        elif task is TaskKind.REGRESSION and (
            test.metric == FLIPS or any(c.kind == MAX_FLIPS for c in test.conditions)
        ):
            yield "a regression has no classes that flip; expected tolerance and max_moves"
        of_labels = [model.name for model in setting.models if model.output is Output.LABEL]
        if of_labels and test.metric == MOVES:
            yield (
                f"tolerance is of scores, and {', '.join(map(repr, of_labels))} "
                f"return{'' if len(of_labels) > 1 else 's'} labels only; expected max_flips alone"
            )

    def spreads(self, test: ModelTest) -> Sequence[str]:
        return columns_by_need(test, Need.SPREAD)

    def pin(self, test: ModelTest, spreads: Mapping[str, float | None]) -> ModelTest:
        return pin_spreads(test, spreads)

    def known_spreads(self, test: ModelTest) -> Mapping[str, float | None]:
        return known_facts(test, Need.SPREAD)

    def values(self, test: ModelTest) -> Sequence[str]:
        return columns_by_need(test, Need.VALUES)

    def pin_values(self, test: ModelTest, values: Mapping[str, ColumnValues]) -> ModelTest:
        return pin_column_values(test, values)

    def known_values(self, test: ModelTest) -> Mapping[str, ColumnValues]:
        return known_facts(test, Need.VALUES)

    def variants(self, test: ModelTest) -> Sequence[Variant]:
        return [make_variant(test, WHOLE)]

    def metric(self, test: ModelTest) -> Metric:
        moves = test.metric == MOVES
        tolerance = perturbation_parts(test).parameters.get("tolerance", 0.0)
        family = moves_beyond(tolerance) if moves else PairedChange("flips", label_flips)
        return Metric(
            test.metric,
            CLASSIFICATION | REGRESSION if moves else CLASSIFICATION,
            lambda problem: (family,),
            _share_of_changed,
            higher_is_better=False,
            needs_scores=moves,
            bounds=(0.0, 1.0),
            against=True,
            many=True,
        )

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        metric = self.metric(test)
        (family,) = metric.needs(context.problem)
        estimates = estimate_pairs(metric, on, context)
        if any(estimates.failures):
            return estimates
        return tell_unchanged(estimates, on, family, words=_LEFT_OUT)

    def cost(self, test: ModelTest, setting: Setting) -> str:
        return "1 variant: each model predicts each row 1 time more"

    def note(self, test: ModelTest, model: ModelVersion) -> str:
        return untouched_note(test, model)

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The shares on all rows, with the ends of their intervals."""
        rows = [
            [
                cell.test.name,
                cell.model.name,
                "the class" if cell.test.metric == FLIPS else "the score",
                f"{cell.counts.n:,}",
                *_share_texts(cell.measured),
            ]
            for cell in cells
            if cell.slice.kind == "overall"
        ]
        lead = (
            "The share of all rows whose prediction differs when a column is changed that should "
            "not matter, with the least and the most that the rows allow. It is an attribute flip, "
            "not counterfactual fairness: what else tells of the attribute stays."
        )
        columns = ["test", "model", "what differs", "rows", "share", "at least", "at most"]
        pictures = intervals_by_test(cells, _axis_text)
        return Section("Invariance", lead, columns, rows, pictures=pictures) if rows else None


def label_flips(pair: Pair) -> Floats:
    """1 for each row whose predicted class is another."""
    ours, theirs = pair.candidate.predicted, pair.baseline.predicted
    assert ours is not None, "flips are of predicted classes"
    return np.asarray(ours != theirs, np.float64)


def moves_beyond(tolerance: float) -> PairedChange:
    """1 for each row of which a score, or the predicted number, moves by more than this."""

    def moves(pair: Pair) -> Floats:
        ours, theirs = pair.candidate.scores, pair.baseline.scores
        assert ours is not None and theirs is not None, "moves are of scores"
        distance = np.abs(ours - theirs).reshape(len(ours), -1).max(axis=1)
        return np.asarray(distance > tolerance, np.float64)

    return PairedChange(f"moves {tolerance!r}", moves)


def _share_of_changed(problem: Problem, moments: MomentsView) -> Value:
    return replace(share_of(problem, moments), undefined=(("unchanged", moments.weight == 0),))


def _axis_text(test: ModelTest) -> str:
    what = "class" if test.metric == FLIPS else "score"
    return f"share of the changed rows whose {what} does not stay"


def _share_texts(value: MetricValue) -> list[str]:
    shares = (value.value, value.ci_low, value.ci_high)
    return ["–" if share is None else f"{share:.2%}" for share in shares]


KINDS.add("invariance", InvarianceKind())
