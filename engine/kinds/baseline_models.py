"""`baseline_models`: is a model better than one that knows nothing of a row?

`majority` says the training data's most frequent class, with the shares of the classes as scores.
It says the same of all rows, so its states on the very rows that a model has predicted are made of
their labels alone: the two are compared on the same rows, bucket by bucket, like any two versions.
The evaluation's `reference` is the training data.
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
    Comparison,
    Metric,
    Problem,
    RowsOf,
    Slices,
    comparisons_of,
)
from engine.states import Confusion, Family, Floats, Scored
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
Trivial = Annotated[list[Literal["majority"]], Field(min_length=1), AfterValidator(distinct)]


class BaselineModelsKind(Kind):
    """By how much a metric is better than that of a model which knows nothing of a row."""

    key = "baseline_models"
    description = "By how much a metric is better than a trivial model's, on the same rows."
    conditions = ("min_gain",)
    reads_reference = True

    def keys(self) -> Mapping[str, Any]:
        return {
            self.key: (Trivial, Field(description="The trivial models: majority.")),
            "metric": METRIC_FIELD,
        }

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        return _fields(canonical(file.metric), file.baseline_models)

    def write(self, test: ModelTest) -> dict[str, Any]:
        parameters = json.loads(test.parameters)
        return {self.key: parameters["models"], "metric": parameters["metric"]}

    def title(self, test: ModelTest) -> str:
        parameters = json.loads(test.parameters)
        return f"{self.key} {','.join(parameters['models'])} {parameters['metric']}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        parameters = json.loads(test.parameters)
        by_metric = expand_classes(replace(test, metric=parameters["metric"]), setting)
        return [
            replace(test, name=own.name, **_fields(own.metric, parameters["models"]))
            for own in by_metric
        ]

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        base = _base(test)
        task = setting.problem.task
        if task not in CLASSIFICATION:
            yield (
                f"{self.key} of a {task.value} task has no majority; expected a binary or "
                "multiclass task"
            )
            return
        yield from setting_misfits(base, setting)
        if base.name in GROUPED or base.against:
            what = "groups" if base.name in GROUPED else "two versions"
            yield f"{base.name!r} compares {what}; expected a metric of one model's predictions"
        elif base.higher_is_better is None:
            yield f"{base.name!r} is neither better higher nor lower; expected a metric that is"
        elif not base.intervals:
            yield f"{base.name!r} has no interval, which a gain is held with; expected one that has"
        elif base.needs_columns:
            names = ", ".join(map(repr, base.needs_columns))
            yield (
                f"{base.name!r} reads the columns {names}, of which a trivial model's rows know "
                "nothing; expected a metric of labels and predictions"
            )

    def metric(self, test: ModelTest) -> Metric:
        base = _base(test)

        def needs(problem: Problem) -> list[Any]:
            families = [*base.needs(problem), Confusion(problem.n_classes)]
            return list({family.key: family for family in families}.values())

        return replace(
            base,
            name=test.metric,
            needs=needs,
            function=_refuse,
            higher_is_better=True,
            bounds=(base.bounds[0] - base.bounds[1], base.bounds[1] - base.bounds[0]),
            paired=None,
        )

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if on.reference is None:
            reason = "nothing is known of the labels of the reference"
            return SliceEstimates.repeat_failure(len(on), reason)
        base, problem = _base(test), context.problem
        own, trivial = _plain(base, problem, on), _majority(base, problem, on, on.reference)
        # A gain above 0 is better than the trivial model, whichever way the metric is better.
        first, second = (own, trivial) if base.higher_is_better else (trivial, own)
        first.baseline = second
        comparison = comparisons_of(base, problem, first)
        assert comparison is not None, "the metric has intervals"
        assert isinstance(comparison.spread, Several), "the spreads of many slices"
        values = _values(base, problem, (own, trivial), comparison, context.level)
        return SliceEstimates.of_values(values, comparison.spread)

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The gains on all rows."""
        rows = []
        for cell in cells:
            gain = cell.measured
            if cell.slice.kind != "overall" or gain.value is None:
                continue
            interval = "–" if gain.ci_low is None else f"{gain.ci_low:.4g} to {gain.ci_high:.4g}"
            rows.append([cell.test.name, cell.model.name, f"{gain.value:.4g}", interval])
        lead = (
            "By how much a metric is better on all rows than that of a trivial model, which says "
            "the training data's majority of every row."
        )
        columns = ["test", "model", "gain", "interval"]
        pictures = intervals_by_test(cells, _axis_text)
        return Section("Trivial models", lead, columns, rows, pictures=pictures) if rows else None


def _axis_text(test: ModelTest) -> str:
    parameters = json.loads(test.parameters)
    return f"gain of {parameters['metric']} over {', '.join(parameters['models'])}"


def _fields(metric: str, models: Sequence[str]) -> dict[str, Any]:
    """The fields of a test that say of which metric it measures the gain, over what."""
    parameters = {"metric": metric, "models": list(models)}
    return {"metric": f"{metric}_{GAIN}", "parameters": parameters_text(parameters)}


def _base(test: ModelTest) -> Metric:
    return METRICS.get(json.loads(test.parameters)["metric"])


def _refuse(problem: Problem, *views: Any) -> Any:
    raise InputError("a gain is of two models, read by the kind's `estimate`")


def _plain(base: Metric, problem: Problem, on: Slices) -> Slices:
    """The slices of the model with the states that the metric reads, beside no other model."""
    families = {family.key: on.families[family.key] for family in base.needs(problem)}
    rows = RowsOf(on.counts, on.buckets)
    plain = Slices(rows, families, sampling=on.sampling, first=on.first)
    plain.has_probabilities = on.has_probabilities
    return plain


def _majority(base: Metric, problem: Problem, on: Slices, reference: Slices) -> Slices:
    """The same slices of the model that says of every row what is most frequent in the reference.

    Rows of one label are all alike to it: one row of their weight stands for them in each bucket.
    """
    key, count = Confusion(problem.n_classes).key, len(on)
    weights = _class_weights(on, key)
    known = _class_weights(reference, key).sum(axis=1)
    whole = known.sum(axis=-1, keepdims=True)
    shares = np.divide(known, whole, out=np.full(known.shape, np.nan), where=whole > 0)
    groups, bucket, truth = np.nonzero(weights > 0)
    told = ~np.isnan(shares[groups, 0])
    groups, bucket, truth = groups[told], bucket[told], truth[told]
    batch = Scored(
        truth.astype(np.int64),
        weights[groups, bucket, truth],
        bucket.astype(np.int64),
        shares[groups],
        np.argmax(np.nan_to_num(shares), axis=-1)[groups].astype(np.int64),
    )
    families = {
        family.key: family.of(batch, groups.astype(np.int64), count)
        for family in base.needs(problem)
        if isinstance(family, Family)
    }
    return Slices(RowsOf(on.counts, on.buckets), families, sampling=on.sampling)


def _class_weights(slices: Slices, key: str) -> Floats:
    """The weight of the rows of each class: [slice, bucket, class]."""
    actual = slices.view(key).actual
    # With all rows, less those without the bucket.
    return np.asarray(np.maximum(actual[:, :1] - actual[:, 1:], 0.0))


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
            detail = figures[lacking[0]].details[at] or ("of the majority" if lacking[0] else None)
            values.append(MetricValue(None, figures[lacking[0]].reasons[at], detail=detail))
            continue
        ends = (low[at], high[at]) if math.isfinite(low[at]) else (None, None)
        values.append(MetricValue(gain, None, float(figures[0].bounds[at]), *ends))
    return values


KINDS.add("baseline_models", BaselineModelsKind())
