"""`overfit`: how much worse is a metric than on the data that the model was trained on?

The evaluation's `reference` is the training data. Both are samples of their own, so the variances
of the two figures add.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from engine.conditions import CONDITIONS, LimitRule
from engine.core.vocabulary import Cell, MetricValue, ModelTest
from engine.errors import InputError
from engine.fields.values import Name
from engine.kinds.base import KINDS, Kind, parameters_text
from engine.kinds.estimates import SliceEstimates, estimate_metric
from engine.kinds.metric import expand_classes, setting_misfits
from engine.kinds.pictures import intervals_by_test
from engine.kinds.setting import Context, Section, Setting
from engine.metrics import GROUPED, METRICS, Metric, Problem, Slices, spreads_of
from engine.metrics.values import Figured
from engine.statistics import Independent, Several

CONDITIONS.add(
    "max_gap",
    LimitRule(
        "max_gap",
        "How much worse the metric may be than on the reference.",
        least=False,
        field=Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)],
    ),
)

GAP, REFERENCE = "gap", "reference"


class OverfitKind(Kind):
    """The gap of a metric between the reference, on which a model was trained, and the dataset."""

    key = "overfit"
    description = "How much worse a metric is than on the reference, the training data."
    conditions = ("max_gap",)
    metric_key = "overfit"
    reads_reference = True

    def keys(self) -> Mapping[str, Any]:
        return {self.key: (Name, Field(description="The metric, as scikit-learn calls it."))}

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        return _fields(canonical(file.overfit), GAP)

    def write(self, test: ModelTest) -> dict[str, Any]:
        return {self.key: _metric_name(test)}

    def title(self, test: ModelTest) -> str:
        return f"{self.key} {_metric_name(test)}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """The gap with what is demanded of it, and the metric on the reference; for each class."""
        name = _metric_name(test)
        if test.metric != f"{name}_{GAP}":
            return (test,)
        gaps = [
            replace(test, name=own.name, **_fields(own.metric, GAP))
            for own in expand_classes(replace(test, metric=name), setting)
        ]
        beside = [
            replace(
                gap,
                name=f"{gap.name} on the reference",
                conditions=(),
                **_fields(_metric_name(gap), REFERENCE),
            )
            for gap in gaps
        ]
        return [one for pair in zip(gaps, beside, strict=True) for one in pair]

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        if _is_reference(test):
            return
        name = _metric_name(test)
        base = METRICS.get(name)
        yield from setting_misfits(base, setting)
        if name in GROUPED or base.against:
            what = "groups" if name in GROUPED else "two versions"
            yield f"{name!r} compares {what}; expected a metric of one model's predictions"
        elif base.higher_is_better is None:
            yield f"{name!r} is neither better higher nor lower; expected a metric that is"
        elif not base.intervals:
            yield f"{name!r} has no interval, which a gap is held with; expected a metric that has"

    def metric(self, test: ModelTest) -> Metric:
        """What is measured, of the states of the metric itself."""
        base = METRICS.get(_metric_name(test))
        if _is_reference(test):
            return replace(base, name=test.metric)
        return replace(
            base,
            name=test.metric,
            function=_refuse,
            higher_is_better=False,
            bounds=(base.bounds[0] - base.bounds[1], base.bounds[1] - base.bounds[0]),
            paired=None,
        )

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if on.reference is None:
            reason = "it could not be computed on the reference"
            return SliceEstimates.repeat_failure(len(on), reason)
        base, problem, level = METRICS.get(_metric_name(test)), context.problem, context.level
        if _is_reference(test):
            return estimate_metric(base, problem, on.reference, level=level, alone=True)
        figures = [base.figures(problem, side) for side in (on, on.reference)]
        spreads = [spreads_of(base, problem, side) for side in (on, on.reference)]
        # A gap above 0 is worse on the dataset, whichever way the metric is better.
        if base.higher_is_better:
            figures, spreads = figures[::-1], spreads[::-1]
        first, second = spreads
        assert first is not None and second is not None, "the metric has intervals"
        defined = figures[0].is_defined & figures[1].is_defined
        places = np.flatnonzero(first.is_known & second.is_known & defined)
        gap = Independent(first, second, (figures[0].values, figures[1].values), places)
        spread = Several(len(on), ((places, gap),) if places.size else ())
        return SliceEstimates.of_values(_values(test, figures, spread, base, level), spread)

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The metric on the training data and on the dataset, all rows."""
        whole = [cell for cell in cells if cell.slice.kind == "overall"]
        trained = {
            (_metric_name(cell.test), cell.model.name): cell.measured.value
            for cell in whole
            if _is_reference(cell.test)
        }
        rows = []
        for cell in whole:
            name, gap = _metric_name(cell.test), cell.measured
            before = trained.get((name, cell.model.name))
            if _is_reference(cell.test) or gap.value is None or before is None:
                continue
            worse = -1 if METRICS.get(name).higher_is_better else 1
            interval = "–" if gap.ci_low is None else f"{gap.ci_low:.4g} to {gap.ci_high:.4g}"
            shown = [f"{number:.4g}" for number in (before, before + worse * gap.value, gap.value)]
            rows.append([cell.test.name, cell.model.name, *shown, interval])
        lead = (
            "How much worse a metric is on all rows than on the reference, the training data; the "
            "variances of the two samples add."
        )
        columns = ["test", "model", "reference", "dataset", "gap", "interval"]
        gaps = [cell for cell in cells if not _is_reference(cell.test)]
        pictures = intervals_by_test(gaps, _axis_text)
        return Section("Overfit", lead, columns, rows, pictures=pictures) if rows else None


def _fields(metric: str, figure: str) -> dict[str, Any]:
    """The fields of a test that say of which metric it measures what."""
    return {"metric": f"{metric}_{figure}", "parameters": parameters_text({"metric": metric})}


def _metric_name(test: ModelTest) -> str:
    name: str = json.loads(test.parameters)["metric"]
    return name


def _is_reference(test: ModelTest) -> bool:
    """Whether a test is of the metric on the reference, which stands beside its gap."""
    return test.metric == f"{_metric_name(test)}_{REFERENCE}"


def _axis_text(test: ModelTest) -> str:
    return f"how much worse {_metric_name(test)} is than on the reference"


def _refuse(problem: Problem, *views: Any) -> Any:
    raise InputError("a gap is of two datasets, read by the kind's `estimate`")


def _values(
    test: ModelTest, figures: Sequence[Figured], spread: Several, base: Metric, level: float
) -> list[MetricValue]:
    """The gaps with their intervals; where either figure is undefined there is none."""
    (one, other), known = figures, spread.is_known
    ends = np.array(spread.interval(level))
    # The figure on the reference is the first where more is better, and the second else.
    on_reference = 0 if base.higher_is_better else 1
    values = []
    for at, gap in enumerate((one.values - other.values).tolist()):
        lacking = [n for n in (0, 1) if figures[n].reasons[at] is not None]
        if lacking:
            where = "on the reference" if lacking == [on_reference] else None
            detail = figures[lacking[0]].details[at] or where
            values.append(MetricValue(None, figures[lacking[0]].reasons[at], detail=detail))
            continue
        low, high = ends[:, at].tolist() if known[at] else (None, None)
        bound = float(one.bounds[at] + other.bounds[at])
        values.append(MetricValue(gap, None, bound, low, high))
    return values


KINDS.add("overfit", OverfitKind())
