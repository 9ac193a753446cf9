"""`robustness`: how much a metric suffers when a model's input is perturbed.

Each severity is a variant of the model, predicted in the same scan from the same batch; margins are
held against the same model's clean predictions, row by row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, create_model

from engine.conditions import needs_baseline, rule
from engine.core.vocabulary import Cell, ModelTest, ModelVersion, Variant
from engine.errors import InputError
from engine.fields.file_model import FileModel
from engine.fields.values import distinct
from engine.fields.wording import suggestion
from engine.kinds.base import CLEAN, KINDS, Kind, Mistakes, parameters_text
from engine.kinds.estimates import SliceEstimates, estimate_change
from engine.kinds.metric import METRIC_FIELD, expand_classes, setting_misfits
from engine.kinds.perturbations import PERTURBATIONS, SEVERITIES
from engine.kinds.perturbed import (
    WORST_CASE,
    Need,
    columns_by_need,
    estimate_pairs,
    known_facts,
    make_variant,
    make_worst_case,
    perturbation_misfits,
    perturbation_mistakes,
    pin_column_ranges,
    pin_column_values,
    pin_spreads,
    ranged_columns,
    tell_unchanged,
    unpinned_parameters,
    untouched_note,
    variants_stem,
)
from engine.kinds.setting import ColumnValues, Context, Ranges, Section, Setting
from engine.kinds.severity_charts import severity_charts, severity_text
from engine.metrics import (
    CLASSIFICATION,
    GROUPED,
    METRICS,
    REGRESSION,
    Metric,
    Problem,
    Slices,
)
from engine.states import ChangedRows, Family, PairFamily

AGAINST, BASELINE = "against", "baseline"
Against = Literal["clean", "baseline"]
_AGAINST = (
    "clean: margins are held against the same model's clean predictions; baseline: what the "
    "perturbation changes is held against what it changes of the baseline."
)
CHANGED = ChangedRows()
_LEFT = "of the rows were left as they were"
_LOST_RIVAL = "a model failed, clean or perturbed, with whose predictions these are compared"

Severities = Annotated[list[Literal[1, 2, 3, 4, 5]], Field(min_length=1), AfterValidator(distinct)]


class RobustnessKind(Kind):
    """A metric under a perturbation of the model's input."""

    key = "robustness"
    description = "A metric of the model under a perturbation of its input, severity by severity."
    conditions = ("min", "max", "between", "max_drop", "max_rise", "no_worse")
    compares_itself = True

    def keys(self) -> Mapping[str, Any]:
        perturbations: dict[str, Any] = {
            perturbation.key: (
                perturbation.field | None,
                Field(None, description=perturbation.description),
            )
            for perturbation in PERTURBATIONS
            if perturbation.is_graded
        }
        several = create_model(
            "WorstCaseFile",
            __base__=FileModel,
            __doc__="The perturbations of which each row has the worst.",
            **perturbations,
        )
        described = Field(None, description="Of each row the worst of several perturbations.")
        severities = (
            Severities,
            Field(list(SEVERITIES), description="How strong, from 1 to 5; default: all five."),
        )
        file = create_model(
            "RobustnessFile",
            __base__=FileModel,
            __doc__="One perturbation, and how strong it is.",
            severities=severities,
            **{**perturbations, WORST_CASE: (several | None, described)},
        )
        return {
            self.key: (file, Field(description="The perturbation of the model's input.")),
            "metric": METRIC_FIELD,
            AGAINST: (Against, Field(CLEAN, description=_AGAINST)),
        }

    def needs_baseline(self, test: Mapping[str, Any]) -> bool:
        return test.get(AGAINST) == BASELINE

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        known = [perturbation.key for perturbation in PERTURBATIONS if perturbation.is_graded]
        asked = test.get(self.key)
        yield from perturbation_mistakes(self.key, asked, [*known, WORST_CASE], ["severities"])
        among = asked.get(WORST_CASE) if isinstance(asked, Mapping) else None
        if isinstance(among, Mapping) and all(among.get(key) is None for key in among):
            expected = suggestion("", known)
            yield (
                (self.key, WORST_CASE),
                f"found no perturbation, expected one or more: {expected}",
            )

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        metric, asked = canonical(file.metric), getattr(file, self.key)
        parameters = asked.model_dump(exclude_none=True)
        if file.against == BASELINE:
            parameters[AGAINST] = BASELINE
        return {"metric": metric, "parameters": parameters_text(parameters)}

    def write(self, test: ModelTest) -> dict[str, Any]:
        parameters = unpinned_parameters(test)
        against, metric = parameters.pop(AGAINST, None), parameters.pop("metric", test.metric)
        return {self.key: parameters, "metric": metric, AGAINST: against}

    def title(self, test: ModelTest) -> str:
        beside = " against baseline" if self.meets_rival(test) else ""
        return f"robustness {variants_stem(test)} {test.metric}{beside}"

    def meets_rival(self, test: ModelTest) -> bool:
        return bool(json.loads(test.parameters).get(AGAINST) == BASELINE)

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        expanded = expand_classes(test, setting)
        return [_of_change(own) if self.meets_rival(own) else own for own in expanded]

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        metric = _base(test)
        for condition in test.conditions:
            wrong = rule(condition).misfit(metric)
            if wrong is not None:
                yield wrong
        yield from setting_misfits(metric, setting)
        if metric.name in GROUPED or metric.of_baseline is not None:
            what = "groups" if metric.name in GROUPED else "two versions"
            yield f"{metric.name!r} compares {what}; expected a metric of one model's predictions"
        margins = [condition.kind for condition in test.conditions if needs_baseline(condition)]
        if self.meets_rival(test):
            yield from _rival_misfits(test, metric, setting)
        elif metric.against and margins:
            yield (
                f"{metric.name!r} compares with the clean predictions already, found "
                f"{margins[0]}; expected min or max"
            )
        yield from perturbation_misfits(test, setting)
        task = setting.problem.task
        if WORST_CASE in json.loads(test.parameters) and task not in CLASSIFICATION | REGRESSION:
            yield (
                f"{WORST_CASE} is of rows by themselves; expected a binary, multiclass or "
                f"regression task, found {task.value}"
            )

    def spreads(self, test: ModelTest) -> Sequence[str]:
        return columns_by_need(test, Need.SPREAD)

    def pin(self, test: ModelTest, spreads: Mapping[str, float | None]) -> ModelTest:
        return pin_spreads(test, spreads)

    def known_spreads(self, test: ModelTest) -> Mapping[str, float | None]:
        return known_facts(test, Need.SPREAD)

    def ranges(self, test: ModelTest) -> Sequence[str]:
        return ranged_columns(test)

    def pin_ranges(self, test: ModelTest, ranges: Ranges) -> ModelTest:
        return pin_column_ranges(test, ranges)

    def known_ranges(self, test: ModelTest) -> Ranges:
        return {name: (low, high) for name, (low, high) in known_facts(test, Need.RANGE).items()}

    def values(self, test: ModelTest) -> Sequence[str]:
        return columns_by_need(test, Need.VALUES)

    def pin_values(self, test: ModelTest, values: Mapping[str, ColumnValues]) -> ModelTest:
        return pin_column_values(test, values)

    def known_values(self, test: ModelTest) -> Mapping[str, ColumnValues]:
        return known_facts(test, Need.VALUES)

    def variants(self, test: ModelTest) -> Sequence[Variant]:
        parameters = json.loads(test.parameters)
        severities = sorted(parameters["severities"])
        if WORST_CASE in parameters:
            return [make_worst_case(test, severity, severities) for severity in severities]
        return [make_variant(test, severity) for severity in parameters["severities"]]

    def families(self, test: ModelTest, problem: Problem) -> Sequence[Family]:
        own = _base(test).families(problem, compared=False)
        return [family for family in own if isinstance(family, Family)]

    def pair_families(self, test: ModelTest, problem: Problem) -> Sequence[PairFamily]:
        own = _base(test).families(problem, compared=True)
        return [*(family for family in own if isinstance(family, PairFamily)), CHANGED]

    def state_keys(self, test: ModelTest, problem: Problem) -> list[str]:
        keys = [family.key for family in self.families(test, problem)]
        if _base(test).against:
            families = self.pair_families(test, problem)
            keys += [family.key for family in families if family is not CHANGED]
        return keys

    def metric(self, test: ModelTest) -> Metric:
        """The metric, or of two versions what a variant changes of it."""
        base = _base(test)
        if not self.meets_rival(test):
            return base
        low, high = base.bounds
        bounds = base.bounds if base.against else (low - high, high - low)
        return replace(
            base, name=test.metric, function=_refuse, bounds=bounds, against=False, paired=None
        )

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        estimates = self._estimate(test, on, context)
        if any(estimates.failures):
            return estimates
        return tell_unchanged(estimates, on, CHANGED, words=_LEFT)

    def _estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        metric = _base(test)
        if self.meets_rival(test):
            if on.baseline is None or on.rival is None or not context.compares:
                return SliceEstimates.repeat_failure(len(on), _LOST_RIVAL)
            return estimate_change(metric, context.problem, on, level=context.level)
        if metric.against:
            return estimate_pairs(metric, on, context)
        return super().estimate(test, on, context)

    def cost(self, test: ModelTest, setting: Setting) -> str:
        asked = self.variants(test)
        variants = len({one for variant in asked for one in variant.members or (variant,)})
        told = (
            f"{variants} variant{'' if variants == 1 else 's'}: each model predicts each row "
            f"{variants} time{'' if variants == 1 else 's'} more"
        )
        untouched = [repr(model.name) for model in setting.models if self.note(test, model)]
        if not untouched:
            return told
        verb = "reads" if len(untouched) == 1 else "read"
        return f"{told}; {', '.join(untouched)} {verb} none of the perturbed columns"

    def note(self, test: ModelTest, model: ModelVersion) -> str:
        return untouched_note(test, model)

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The metric by severity on all rows, beside that of the clean model."""
        whole = [cell for cell in cells if cell.slice.kind == "overall"]
        # Of a test of two versions the clean value is not known here.
        rivals = [cell for cell in whole if self.meets_rival(cell.test)]
        alone = [cell for cell in whole if not self.meets_rival(cell.test)]
        lines: dict[tuple[str, str], dict[str, Cell]] = {}
        for cell in alone:
            lines.setdefault((cell.test.name, cell.model.name), {})[severity_text(cell)] = cell
        if not whole:
            return None
        severities = sorted({severity for line in lines.values() for severity in line})
        rows, series = [], []
        for (test, model), line in lines.items():
            clean = next(iter(line.values())).baseline_value
            values = [clean, *(_value(line.get(severity)) for severity in severities)]
            rows.append([test, model, *map(_number_text, values)])
            series.append(values)
        return Section(
            "Robustness",
            "A metric on all rows when the model's input is perturbed, by severity; "
            "each is compared with the same model's clean predictions, row by row.",
            ["test", "model", CLEAN, *(f"severity {severity}" for severity in severities)],
            rows,
            series,
            [*severity_charts(alone), *severity_charts(rivals, of_change=True)],
        )


def _of_change(test: ModelTest) -> ModelTest:
    """The test of two versions, whose cells are called by what is measured."""
    if METRICS.get(test.metric).against:
        return test
    parameters = {**json.loads(test.parameters), "metric": test.metric}
    metric = f"{test.metric}_change"
    return replace(test, metric=metric, parameters=parameters_text(parameters))


def _base(test: ModelTest) -> Metric:
    """The metric that a test names."""
    return METRICS.get(json.loads(test.parameters).get("metric", test.metric))


def _rival_misfits(test: ModelTest, metric: Metric, setting: Setting) -> Iterator[str]:
    """Why two versions cannot be compared in what a perturbation changes."""
    if setting.baseline is None:
        yield (
            "against: baseline in an evaluation without a baseline; expected the key 'baseline' "
            f"with {suggestion('', [model.name for model in setting.models])}"
        )
    if not metric.intervals:
        yield f"{metric.name!r} has no interval, which a difference is held with"
    for condition in test.conditions:
        if not needs_baseline(condition):
            yield (
                f"against: baseline compares what the perturbation changes of {metric.name!r}, "
                f"found {condition.kind}; expected max_drop, max_rise or no_worse"
            )
        elif condition.relative:
            yield (
                f"against: baseline compares two changes, found {condition.kind} in per cent of "
                "the baseline's, which may be 0; expected a number"
            )


def _refuse(problem: Problem, *views: Any) -> Any:
    raise InputError("a change is of two predictions, read by the kind's `estimate`")


def _value(cell: Cell | None) -> float | None:
    return None if cell is None else cell.measured.value


def _number_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


KINDS.add("robustness", RobustnessKind())
