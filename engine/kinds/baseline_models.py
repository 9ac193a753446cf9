"""`baseline_models`: is a model better than one that took no work?

The trivial models are fitted by us on the evaluation's `reference`, the training data, before the
scan: the majority or the mean of the labels, a tree that asks one question, a linear model. They
predict the rows that the models predict, and are compared with each on the same rows, bucket by
bucket, like any two versions; they have no cells of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from engine.conditions import CONDITIONS, LimitRule
from engine.core.vocabulary import Cell, MetricValue, ModelTest
from engine.errors import InputError
from engine.fields.values import Number, distinct
from engine.kinds.base import KINDS, Kind, parameters_text
from engine.kinds.estimates import SliceEstimates
from engine.kinds.metric import METRIC_FIELD, expand_classes, setting_misfits
from engine.kinds.pictures import intervals_by_test
from engine.kinds.setting import Context, Section, Setting
from engine.metrics import (
    CLASSIFICATION,
    GROUPED,
    METRICS,
    REGRESSION,
    Comparison,
    Metric,
    Problem,
    RowsOf,
    Slices,
    comparisons_of,
)
from engine.statistics import Several

CONDITIONS.add(
    "min_gain",
    LimitRule(
        "min_gain",
        "By how much the metric must be better than the trivial model's.",
        least=True,
        field=Number,
    ),
)

GAIN = "gain"
Trivial = Annotated[
    list[Literal["majority", "mean", "stump", "linear"]],
    Field(min_length=1),
    AfterValidator(distinct),
]
_DESCRIPTION = (
    "The trivial models: majority of a classification or mean of a regression, stump, linear."
)
# What says the same of every row, and of which tasks it can be said.
_CONSTANTS = {"majority": CLASSIFICATION, "mean": REGRESSION}
_WHAT = {
    "majority": "the majority of the reference's labels",
    "mean": "the mean of the reference's labels",
    "stump": "a decision tree of depth 1",
    "linear": "a logistic or linear regression",
}


class BaselineModelsKind(Kind):
    """By how much a metric is better than that of a model which took no work."""

    key = "baseline_models"
    description = "By how much a metric is better than a trivial model's, on the same rows."
    conditions = ("min_gain",)
    reads_reference = True
    is_told_by_name = True

    def keys(self) -> Mapping[str, Any]:
        return {self.key: (Trivial, Field(description=_DESCRIPTION)), "metric": METRIC_FIELD}

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        return _fields(canonical(file.metric), file.baseline_models)

    def write(self, test: ModelTest) -> dict[str, Any]:
        return {self.key: list(_models(test)), "metric": _base_name(test)}

    def title(self, test: ModelTest) -> str:
        return f"{self.key} {','.join(_models(test))} {_base_name(test)}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """A test for each trivial model, and of a metric of each class one for each of those."""
        return [
            replace(test, name=own.name, **_fields(own.metric, [model]))
            for name, model in _names(test)
            for own in expand_classes(replace(test, name=name, metric=_base_name(test)), setting)
        ]

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        base, task = _base(test), setting.problem.task
        if task not in CLASSIFICATION | REGRESSION:
            yield (
                f"{self.key} are of classes or numbers that are predicted, found the task {task}; "
                "expected binary, multiclass or regression"
            )
            return
        for model in _models(test):
            if task not in _CONSTANTS.get(model, frozenset([task])):
                other = "mean" if model == "majority" else "majority"
                yield f"a {task} task has no {model}; expected {other}, stump or linear"
        yield from setting_misfits(base, setting)
        if base.name in GROUPED or base.against:
            what = "groups" if base.name in GROUPED else "two versions"
            yield f"{base.name!r} compares {what}; expected a metric of one model's predictions"
        elif base.higher_is_better is None:
            yield f"{base.name!r} is neither better higher nor lower; expected a metric that is"
        elif not base.intervals:
            yield f"{base.name!r} has no interval, which a gain is held with; expected one that has"

    def trivial_models(self, test: ModelTest) -> Sequence[str]:
        return _models(test)

    def pin_trivial(self, test: ModelTest, fitted: Mapping[str, str]) -> ModelTest:
        own = {model: fitted[model] for model in _models(test) if model in fitted}
        parameters = json.loads(test.parameters)
        return replace(test, parameters=parameters_text({**parameters, "fitted": own}))

    def metric(self, test: ModelTest) -> Metric:
        base = _base(test)
        return replace(
            base,
            name=test.metric,
            function=_refuse,
            higher_is_better=True,
            bounds=(base.bounds[0] - base.bounds[1], base.bounds[1] - base.bounds[0]),
            paired=None,
        )

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        (model,) = _models(test)
        if model not in on.trivial:
            reason = f"nothing is kept of the trivial model {model!r}"
            return SliceEstimates.repeat_failure(len(on), reason)
        base, problem = _base(test), context.problem
        own, trivial = (_plain(base, problem, side) for side in (on, on.trivial[model]))
        # A gain above 0 is better than the trivial model, whichever way the metric is better.
        first, second = (own, trivial) if base.higher_is_better else (trivial, own)
        first.baseline = second
        comparison = comparisons_of(base, problem, first)
        assert comparison is not None, "the metric has intervals"
        assert isinstance(comparison.spread, Several), "the spreads of many slices"
        values = _values(base, problem, (own, trivial), comparison, context.level)
        return SliceEstimates.of_values(values, comparison.spread)

    def cost(self, test: ModelTest, setting: Setting) -> str:
        (model,) = _models(test)
        fitted = json.loads(test.parameters).get("fitted", {}).get(model)
        on = "" if fitted is None else f", fitted on {fitted}"
        predicted = "nothing is predicted for it"
        if model not in _CONSTANTS:
            predicted = "it predicts each row 1 time"
        return f"{_WHAT[model]}{on}; {predicted}"

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The gains on all rows, and what they are over."""
        rows = []
        for cell in cells:
            gain, (model,) = cell.measured, _models(cell.test)
            if cell.slice.kind != "overall" or gain.value is None:
                continue
            interval = "–" if gain.ci_low is None else f"{gain.ci_low:.4g} to {gain.ci_high:.4g}"
            fitted = json.loads(cell.test.parameters).get("fitted", {}).get(model, "–")
            shown = [_WHAT[model], f"{gain.value:.4g}", interval, fitted]
            rows.append([cell.test.name, cell.model.name, *shown])
        lead = (
            "By how much a metric is better on all rows than that of a trivial model. Those are "
            "fitted by evalmatrix on the reference; they are no candidates and have no verdicts."
        )
        columns = ["test", "model", "trivial model", "gain", "interval", "fitted on"]
        pictures = intervals_by_test(cells, _axis_text)
        return Section("Trivial models", lead, columns, rows, pictures=pictures) if rows else None


def _axis_text(test: ModelTest) -> str:
    parameters = json.loads(test.parameters)
    return f"gain of {parameters['metric']} over {', '.join(parameters['models'])}"


def _fields(metric: str, models: Sequence[str]) -> dict[str, Any]:
    """The fields of a test that say of which metric it measures the gain, over what."""
    parameters = {"metric": metric, "models": list(models)}
    return {"metric": f"{metric}_{GAIN}", "parameters": parameters_text(parameters)}


def _models(test: ModelTest) -> tuple[str, ...]:
    return tuple(json.loads(test.parameters)["models"])


def _base_name(test: ModelTest) -> str:
    name: str = json.loads(test.parameters)["metric"]
    return name


def _base(test: ModelTest) -> Metric:
    return METRICS.get(_base_name(test))


def _names(test: ModelTest) -> Iterator[tuple[str, str]]:
    """What the test of each trivial model is called, with the model."""
    models = _models(test)
    listed = ",".join(models)
    for model in models:
        if len(models) == 1:
            yield test.name, model
        elif listed in test.name:
            yield test.name.replace(listed, model), model
        else:
            yield f"{test.name} {model}", model


def _refuse(problem: Problem, *views: Any) -> Any:
    raise InputError("a gain is of two models, read by the kind's `estimate`")


def _plain(base: Metric, problem: Problem, on: Slices) -> Slices:
    """The slices of a model with the states that the metric reads, beside no other model."""
    families = {family.key: on.families[family.key] for family in base.needs(problem)}
    rows = RowsOf(on.counts, on.buckets)
    plain = Slices(rows, families, sampling=on.sampling, first=on.first)
    plain.has_probabilities = on.has_probabilities
    return plain


def _values(
    base: Metric,
    problem: Problem,
    sides: tuple[Slices, Slices],
    comparison: Comparison,
    level: float,
) -> list[MetricValue]:
    """The gains with their intervals; where the model or the trivial one has no value is none."""
    figures = [base.figures(problem, side) for side in sides]
    low, high = (end.tolist() for end in comparison.spread.interval(level))
    values = []
    for at, gain in enumerate(np.broadcast_to(comparison.delta, len(sides[0])).tolist()):
        lacking = [n for n in (0, 1) if figures[n].reasons[at] is not None]
        if lacking:
            of_trivial = "of the trivial model" if lacking[0] else None
            detail = figures[lacking[0]].details[at] or of_trivial
            values.append(MetricValue(None, figures[lacking[0]].reasons[at], detail=detail))
            continue
        ends = (low[at], high[at]) if math.isfinite(low[at]) else (None, None)
        bound = float(figures[0].bounds[at] + figures[1].bounds[at])
        values.append(MetricValue(gain, None, bound, *ends))
    return values


KINDS.add("baseline_models", BaselineModelsKind())
