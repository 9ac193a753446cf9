"""`prediction_drift`: does a model predict as it did on the reference?

The model predicts the rows of both; its scores or values, or the classes that it predicts, are
counted over fine bins that no data choose, which are put together to ten parts of the reference's
rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from engine.core.vocabulary import Cell, ModelTest, Night, Output, TaskKind
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.drift.bin_rows import BinRows, bin_rows, fine_rows, with_rows
from engine.kinds.drift.distances import DISTANCES
from engine.kinds.drift.estimate import (
    Samples,
    estimate_counts,
    estimate_gaps,
    sums_of,
)
from engine.kinds.drift.kind import DistanceField, limit_mistakes
from engine.kinds.drift.pictures import night_lines
from engine.kinds.drift.predicted_values import estimate_values, put_together, value_rows
from engine.kinds.drift.section import drift_section
from engine.kinds.estimates import SliceEstimates
from engine.kinds.pictures import KindPicture
from engine.kinds.questions import figure
from engine.kinds.setting import Context, Section, Setting
from engine.metrics import Metric, Problem, Slices, label_text
from engine.states import SCORE_EDGES, Family, PredictedValues, PredictionCounts


class PredictionDriftKind(Kind):
    """The distance of a model's predictions from those on the reference."""

    key = "prediction_drift"
    description = "How far a model's predictions have moved from those on the reference."
    conditions = ("max",)
    reads_reference = True
    looks_back = True

    def keys(self) -> Mapping[str, Any]:
        return {self.key: (DistanceField, Field(description=self.description))}

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        for key, sentence in limit_mistakes(self.key, test):
            yield (key,), sentence

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        distance = file.prediction_drift
        return {"metric": distance, "parameters": parameters_text({"distance": distance})}

    def write(self, test: ModelTest) -> dict[str, Any]:
        return {self.key: _distance(test)}

    def title(self, test: ModelTest) -> str:
        return f"{self.key} {_distance(test)}"

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        task, distance = setting.problem.task, _distance(test)
        if task is TaskKind.REGRESSION:
            return
        if task not in (TaskKind.BINARY, TaskKind.MULTICLASS):
            yield (
                "drift of predictions is of scores, classes or values, of a binary, multiclass or "
                f"regression task; found a {task.value} task"
            )
        elif distance == "wasserstein":
            yield (
                f"found wasserstein of the predictions of a {task.value} task, which are counted "
                "over bins; expected another distance, such as psi or ks"
            )
        elif distance == "ks" and task is TaskKind.MULTICLASS:
            yield "ks is of scores, found a multiclass task; expected another distance, such as psi"
        elif distance == "ks":
            of_labels = [model.name for model in setting.models if model.output is Output.LABEL]
            if of_labels:
                yield f"ks is of scores, and {', '.join(map(repr, of_labels))} return labels only"

    def families(self, test: ModelTest, problem: Problem) -> Sequence[Family]:
        if problem.task is TaskKind.REGRESSION:
            return [PredictedValues()]
        label = problem.positive if problem.task is TaskKind.BINARY else None
        return [PredictionCounts(problem.n_classes, label)]

    def metric(self, test: ModelTest) -> Metric:
        most = DISTANCES[_distance(test)].most
        return figure(test.metric, higher_is_better=False, bounds=(0.0, most), intervals=True)

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if on.reference is None:
            reason = "it could not be computed on the reference"
            return SliceEstimates.repeat_failure(len(on), reason)
        distance, problem = DISTANCES[_distance(test)], context.problem
        (family,) = self.families(test, problem)
        if problem.task is TaskKind.REGRESSION:
            estimates = estimate_values(distance, on, family.key, context.level)
            if not context.is_overall:
                return estimates
            return with_rows(estimates, value_rows(on, family.key))
        counts = [sums_of(side, family.key) for side in (on.reference, on)]
        samples = Samples(counts[0], counts[1], on.sampling.clustered)
        if distance.key == "ks":
            estimates = estimate_gaps(distance, samples, SCORE_EDGES, context.level)
        elif problem.task is TaskKind.BINARY:
            estimates = estimate_counts(distance, put_together(samples), context.level)
        else:
            names = [label_text(label) for label in problem.classes]
            estimates = estimate_counts(distance, replace(samples, names=names), context.level)
        if not context.is_overall:
            return estimates
        return with_rows(estimates, _rows(samples, context))

    def section(self, cells: Sequence[Cell]) -> Section | None:
        section = drift_section(cells)
        return None if section is None else replace(section, title="Drift of predictions")

    def history(self, cells: Sequence[Cell], nights: Sequence[Night]) -> Sequence[KindPicture]:
        return night_lines(cells, nights)


def _rows(samples: Samples, context: Context) -> BinRows:
    """The rows of both by about equal parts of the reference's scores, or by predicted class."""
    classes = [label_text(label) for label in context.problem.classes]
    has_labels = context.model is not None and context.model.output is Output.LABEL
    if context.problem.task is TaskKind.BINARY and not has_labels:
        return fine_rows(samples, SCORE_EDGES)
    counts = [side[..., : len(classes)] for side in (samples.reference, samples.current)]
    return bin_rows(replace(samples, reference=counts[0], current=counts[1], names=classes))


def _distance(test: ModelTest) -> str:
    distance: str = json.loads(test.parameters)["distance"]
    return distance


KINDS.add("prediction_drift", PredictionDriftKind())
