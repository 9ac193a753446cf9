"""`robustness`: how much a metric suffers when a model's input is perturbed.

Each severity is a variant of the model, predicted in the same scan from the same batch; margins are
held against the same model's clean predictions, row by row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, create_model

from engine.conditions import rule
from engine.core.registry import did_you_mean
from engine.core.vocabulary import Cell, ModelTest, ModelVersion, Variant
from engine.fields.file_model import FileModel
from engine.fields.values import distinct
from engine.fields.wording import suggestion
from engine.kinds.base import (
    CLEAN,
    KINDS,
    Kind,
    Mistakes,
    Section,
    Setting,
    parameters_text,
)
from engine.kinds.metric import METRIC_FIELD, expand_classes, setting_misfits
from engine.kinds.perturbations import PERTURBATIONS, SEVERITIES, Perturbation, variant_stem
from engine.metrics import GROUPED, METRICS, Metric

Severities = Annotated[list[Literal[1, 2, 3, 4, 5]], Field(min_length=1), AfterValidator(distinct)]

# Steps of a spread in a doubling: with all its digits a night's few new rows would make all that
# was kept of yesterday's noise useless.
STEPS = 4


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
        severities = (
            Severities,
            Field(list(SEVERITIES), description="How strong, from 1 to 5; default: all five."),
        )
        file = create_model(
            "RobustnessFile",
            __base__=FileModel,
            __doc__="One perturbation, and how strong it is.",
            severities=severities,
            **perturbations,
        )
        return {
            self.key: (file, Field(description="The perturbation of the model's input.")),
            "metric": METRIC_FIELD,
        }

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        asked = test.get(self.key)
        if not isinstance(asked, Mapping):
            return
        known = [perturbation.key for perturbation in PERTURBATIONS if perturbation.is_graded]
        given = [name for name in known if asked.get(name) is not None]
        if len(given) != 1 and set(asked) <= {*known, "severities"}:
            words = " and ".join(given) or "no perturbation"
            yield (self.key,), f"found {words}, expected exactly {suggestion('', known)}"

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        asked = getattr(file, self.key)
        return {"metric": canonical(file.metric), "parameters": parameters_text(asked)}

    def write(self, test: ModelTest) -> dict[str, Any]:
        asked = {
            key: value for key, value in json.loads(test.parameters).items() if key != "spread"
        }
        return {self.key: asked, "metric": test.metric}

    def title(self, test: ModelTest) -> str:
        perturbation, asked, _ = _parts(test)
        stem = variant_stem(perturbation.key, perturbation.columns(asked))
        return f"robustness {stem} {test.metric}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        return expand_classes(test, setting)

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        metric = METRICS.get(test.metric)
        perturbation, asked, parameters = _parts(test)
        for condition in test.conditions:
            wrong = rule(condition).misfit(metric)
            if wrong is not None:
                yield wrong
        yield from setting_misfits(metric, setting)
        if metric.name in GROUPED or metric.against:
            what = "groups" if metric.name in GROUPED else "two versions"
            yield f"{test.metric!r} compares {what}; expected a metric of one model's predictions"
        read = {name for model in setting.models for name in model.features}
        for name in perturbation.columns(asked):
            yield from _misfit_column(name, read, setting)
        yield from perturbation.misfits(asked, setting)
        for name, spread in parameters.get("spread", {}).items():
            if not spread and name in read and name in setting.types:
                yield (
                    f"the spread of the column {name!r} is not known: its numbers are all the "
                    "same, fewer than two or too large; expected a column whose values differ"
                )

    def spreads(self, test: ModelTest) -> Sequence[str]:
        perturbation, asked, _ = _parts(test)
        return perturbation.columns(asked) if perturbation.needs_spread else ()

    def pin(self, test: ModelTest, spreads: Mapping[str, float | None]) -> ModelTest:
        own = {
            name: _step(spread) if spread else None
            for name in self.spreads(test)
            for spread in [spreads.get(name)]
        }
        if not own:
            return test
        return replace(
            test, parameters=parameters_text({**json.loads(test.parameters), "spread": own})
        )

    def known_spreads(self, test: ModelTest) -> Mapping[str, float | None]:
        spreads: dict[str, float | None] = _parts(test)[2].get("spread", {})
        return spreads

    def variants(self, test: ModelTest) -> Sequence[Variant]:
        perturbation, asked, parameters = _parts(test)
        spreads = {name: size or 0.0 for name, size in parameters.get("spread", {}).items()}
        return [
            perturbation.variant(asked, severity, spreads) for severity in parameters["severities"]
        ]

    def metric(self, test: ModelTest) -> Metric:
        return METRICS.get(test.metric)

    def cost(self, test: ModelTest, setting: Setting) -> str:
        variants = len(self.variants(test))
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
        perturbation, asked, _ = _parts(test)
        if set(model.features) & set(perturbation.columns(asked)):
            return ""
        return "the model reads none of the perturbed columns: nothing was changed for it"

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The metric by severity on all rows, beside that of the clean model."""
        whole = [cell for cell in cells if cell.slice.kind == "overall"]
        lines: dict[tuple[str, str], dict[str, Cell]] = {}
        for cell in whole:
            lines.setdefault((cell.test.name, cell.model.name), {})[_severity(cell)] = cell
        if not lines:
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
        )


def _parts(test: ModelTest) -> tuple[Perturbation, Any, dict[str, Any]]:
    """The perturbation of a test, what is asked of it, and all that its parameters say."""
    parameters: dict[str, Any] = json.loads(test.parameters)
    key = next(name for name in parameters if name in PERTURBATIONS.names())
    return PERTURBATIONS.get(key), parameters[key], parameters


def _misfit_column(name: str, read: set[str], setting: Setting) -> Iterator[str]:
    if name not in setting.types:
        yield f"the dataset has no column {name!r}{did_you_mean(name, setting.types)}"
    elif name in setting.columns.sensitive:
        yield (
            f"results would show the spread of {name!r}, which the suite calls sensitive; expected "
            "a column that is not"
        )
    elif name not in read:
        hint = did_you_mean(name, read)
        yield f"no model reads the column {name!r}, so to perturb it changes nothing{hint}"


def _step(spread: float) -> float:
    """The nearest step to a spread."""
    return float(f"{2 ** (round(STEPS * math.log2(spread)) / STEPS):.6g}")


def _severity(cell: Cell) -> str:
    return cell.variant.rpartition("@")[2]


def _value(cell: Cell | None) -> float | None:
    return None if cell is None else cell.measured.value


def _number_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


KINDS.add("robustness", RobustnessKind())
