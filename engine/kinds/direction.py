"""`direction`: does the score move the right way when a column rises, or falls?

The model predicts each row twice: as it is, and with the column one step further, within the range
of the data. A row whose score moves the other way is a violation; one whose score stays is none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, create_model

from engine.conditions import CONDITIONS, LimitRule
from engine.core.registry import did_you_mean
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
from engine.fields.values import LabelField, Proportion, Text, percent
from engine.fields.wording import list_text
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.estimates import SliceEstimates, estimate_metric
from engine.kinds.perturbations.step import NUMBERS, Step, StepSize
from engine.kinds.pictures import lines_along_column
from engine.kinds.setting import Context, Ranges, Section, Setting
from engine.metrics import Metric, Problem, Slices, label_text, mean_of, share_of
from engine.metrics.values import Value
from engine.states import Floats, MomentsView, Pair, PairMean

CONDITIONS.add(
    "max_violations",
    LimitRule(
        "max_violations",
        "The greatest share of rows whose score may move the wrong way, 0 to 1.",
        least=False,
        field=Proportion,
    ),
)

VIOLATIONS, SIZE, LEFT_OUT = "violations", "violation_size", "steps_left_out"
# What the two tests are called that stand beside the first, and have no condition.
BESIDE = {SIZE: "size", LEFT_OUT: "left out"}

# A move the wrong way by less of the score is what the sums of a network differ by between batches.
ROUNDING = 1e-6
# Into how many parts a range is at least cut, at whose edges its ends are pinned.
PARTS = 1000

_WAYS = ("increase", "decrease")


class DirectionKind(Kind):
    """How many scores move the wrong way when a column takes a step."""

    key = "direction"
    description = "The share of rows whose score moves the wrong way when a column takes a step."
    conditions = ("max_violations",)
    compares_itself = True

    def keys(self) -> Mapping[str, Any]:
        fields: dict[str, Any] = {
            "increase": (Text | None, Field(None, description="The column that rises.")),
            "decrease": (Text | None, Field(None, description="The column that falls.")),
            "by": (
                StepSize,
                Field(description="How far: a number in the column's units, or like '10%'."),
            ),
            "score": (
                Literal["up", "down"],
                Field(description="Which way the score should move, if it moves."),
            ),
            "class": (
                LabelField | None,
                Field(None, description="Of a multiclass task, the class whose score it is."),
            ),
        }
        file = create_model(
            "DirectionFile",
            __base__=FileModel,
            __doc__="A step of a column, and the way that the score should move.",
            **fields,
        )
        return {self.key: (file, Field(description="The step, and where the score should go."))}

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        asked = test.get(self.key)
        if not isinstance(asked, Mapping):
            return
        given = [way for way in _WAYS if asked.get(way) is not None]
        if len(given) != 1:
            words = " and ".join(given) or "no column"
            yield (self.key,), f"found {words}, expected exactly one of {', '.join(_WAYS)}"

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        asked = getattr(file, self.key)
        size, relative = asked.by
        column = asked.decrease if asked.increase is None else asked.increase
        parameters = {
            "column": column,
            "increase": asked.increase is not None,
            "by": size,
            "relative": relative,
            "score": asked.score,
        }
        class_label = getattr(asked, "class")
        if class_label is not None:
            parameters["class"] = class_label
        return {"metric": VIOLATIONS, "parameters": parameters_text(parameters)}

    def write(self, test: ModelTest) -> dict[str, Any]:
        parameters = json.loads(test.parameters)
        asked = {
            _way(parameters): parameters["column"],
            "by": percent(parameters["by"]) if parameters["relative"] else parameters["by"],
            "score": parameters["score"],
        }
        if "class" in parameters:
            asked["class"] = parameters["class"]
        return {self.key: asked}

    def title(self, test: ModelTest) -> str:
        parameters = json.loads(test.parameters)
        size = percent(parameters["by"]) if parameters["relative"] else f"{parameters['by']:g}"
        step = f"{_way(parameters)} {parameters['column']} by {size}"
        of_class = f" of {label_text(parameters['class'])}" if "class" in parameters else ""
        return f"{self.key} {step}: score{of_class} {parameters['score']}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """The share of violations with what is demanded of it, their mean size, the rows left out.

        The column's type is pinned: whole numbers go by whole numbers.
        """
        if test.metric != VIOLATIONS:
            return (test,)
        parameters = json.loads(test.parameters)
        parameters["type"] = setting.types.get(parameters["column"], "")
        test = replace(test, parameters=parameters_text(parameters))
        beside = [
            replace(test, name=f"{test.name} {word}", metric=metric, conditions=())
            for metric, word in BESIDE.items()
        ]
        return (test, *beside)

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        if test.metric != VIOLATIONS:
            return
        parameters = json.loads(test.parameters)
        yield from _task_misfits(parameters, setting)
        name, types = parameters["column"], setting.types
        read = {name for model in setting.models for name in model.features}
        if name not in types:
            yield f"the dataset has no column {name!r}{did_you_mean(name, types)}"
        elif name in setting.columns.sensitive:
            yield (
                f"results would show the range of {name!r}, which the suite calls sensitive; "
                "expected a column that is not"
            )
        elif types[name] not in NUMBERS:
            yield (
                f"a step wants a numeric column, found {name!r} of the type {types[name]}, in "
                "which nothing is further than another"
            )
        elif name not in read:
            yield (
                f"no model reads the column {name!r}, so a step of it changes nothing"
                f"{did_you_mean(name, read)}"
            )
        elif parameters.get("range") is None:
            yield (
                f"the column {name!r} has no two different numbers, so there is no range to step "
                "in; expected a column whose values differ"
            )

    def ranges(self, test: ModelTest) -> Sequence[str]:
        return [json.loads(test.parameters)["column"]]

    def pin_ranges(self, test: ModelTest, ranges: Ranges) -> ModelTest:
        parameters = json.loads(test.parameters)
        ends = ranges.get(parameters["column"])
        pinned = ends and _inner_range(*ends)
        if pinned is None:
            return test
        return replace(test, parameters=parameters_text({**parameters, "range": pinned}))

    def known_ranges(self, test: ModelTest) -> Ranges:
        parameters = json.loads(test.parameters)
        ends = parameters.get("range")
        return {} if ends is None else {parameters["column"]: (ends[0], ends[1])}

    def variants(self, test: ModelTest) -> Sequence[Variant]:
        return [_step(json.loads(test.parameters)).variant]

    def metric(self, test: ModelTest) -> Metric:
        parameters = json.loads(test.parameters)
        functions = {VIOLATIONS: _share, SIZE: _size, LEFT_OUT: share_of}

        def families(problem: Problem) -> tuple[PairMean]:
            return (_family(test.metric, parameters, problem),)

        return Metric(
            f"{test.metric}({test.parameters})",
            frozenset(TaskKind),
            families,
            functions[test.metric],
            higher_is_better=None if test.metric == LEFT_OUT else False,
            bounds=(0.0, np.inf) if test.metric == SIZE else (0.0, 1.0),
            needs_scores=True,
            against=True,
            many=True,
        )

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        metric = self.metric(test)
        (family,) = self.pair_families(test, context.problem)
        if family.key not in on.families:
            # The model as it is, with which the step is compared.
            return SliceEstimates.repeat_value(len(on), MetricValue(None, "is_baseline"))
        if on.baseline is None:
            reason = "the model failed as it is, with which its step is compared"
            return SliceEstimates.repeat_failure(len(on), reason)
        return estimate_metric(metric, context.problem, on, level=context.level, alone=True)

    def note(self, test: ModelTest, model: ModelVersion) -> str:
        if json.loads(test.parameters)["column"] in model.features:
            return ""
        return "the model does not read the column: nothing was changed for it"

    def cost(self, test: ModelTest, setting: Setting) -> str:
        if test.metric != VIOLATIONS:
            return ""
        return "1 variant: each model predicts each row 1 time more"

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """Violations on all rows, their size, and the slice where they surely are the most."""
        lines: dict[tuple[str, str], dict[str, list[Cell]]] = {}
        for cell in cells:
            line = lines.setdefault((cell.test.parameters, cell.model.name), {})
            line.setdefault(cell.test.metric, []).append(cell)
        rows = [row for line in lines.values() if (row := _section_row(line)) is not None]
        if not rows:
            return None
        lead = (
            "Of how many rows the score moves the wrong way when a column takes a step, and how "
            "far; rows that have no room for the step within the data's range are left out."
        )
        columns = ["test", "model", "violations", "interval", "mean size", "left out", "worst in"]
        shares = [cell for cell in cells if cell.test.metric == VIOLATIONS]
        pictures = lines_along_column(shares, _stepped_column, "share of violations")
        return Section("Direction", lead, columns, rows, pictures=pictures)


def _stepped_column(test: ModelTest) -> str:
    column: str = json.loads(test.parameters)["column"]
    return column


def _way(parameters: Mapping[str, Any]) -> str:
    return "increase" if parameters["increase"] else "decrease"


def _step(parameters: Mapping[str, Any]) -> Step:
    low, high = parameters.get("range") or (None, None)
    return Step(
        parameters["column"],
        parameters["increase"],
        parameters["by"],
        parameters["relative"],
        parameters.get("type", "double"),
        low,
        high,
    )


def _inner_range(low: float, high: float) -> list[float] | None:
    """A range's ends on a grid within it, so that a few new rows mostly leave them where they are.

    With all its digits a new greatest value would make all that was kept of yesterday useless.
    """
    width = high - low
    if not (0 < width < math.inf):
        return None
    grid = 10.0 ** math.floor(math.log10(width / PARTS))
    steps = [low / grid, high / grid]
    # An end that is on the grid but for rounding is on it.
    slack = [1e-6 + 1e-15 * abs(step) for step in steps]
    inner = [math.ceil(steps[0] - slack[0]) * grid, math.floor(steps[1] + slack[1]) * grid]
    # Beside numbers that are large for their range a grid is rounding.
    return [float(f"{end:.15g}") for end in inner] if inner[0] < inner[1] else [low, high]


def _task_misfits(parameters: Mapping[str, Any], setting: Setting) -> Iterator[str]:
    """Why there is no one score that could move."""
    problem, label = setting.problem, parameters.get("class")
    if problem.task in (TaskKind.MULTILABEL, TaskKind.RANKING):
        yield (
            f"a direction is of one score, of a binary, multiclass or regression task; found a "
            f"{problem.task.value} task"
        )
    elif problem.task is not TaskKind.MULTICLASS and label is not None:
        yield (
            f"found class {label!r} in a {problem.task.value} task, whose score needs no class; "
            "expected none"
        )
    elif problem.task is TaskKind.MULTICLASS and label not in problem.classes:
        given = "no class" if label is None else f"class {label!r}"
        yield f"found {given}, expected the key 'class' with one of {list_text(problem.classes)}"
    of_labels = [model.name for model in setting.models if model.output is Output.LABEL]
    if of_labels:
        ends = "" if len(of_labels) > 1 else "s"
        yield (
            f"a direction is of scores, and {', '.join(map(repr, of_labels))} return{ends} labels "
            "only; expected models with scores"
        )


def _family(metric: str, parameters: Mapping[str, Any], problem: Problem) -> PairMean:
    """The states of one of the three figures, all of which read the column as it is."""
    step, rising = _step(parameters), parameters["score"] == "up"
    place = None
    if problem.task is TaskKind.BINARY:
        place = problem.positive
    elif "class" in parameters and parameters["class"] in problem.classes:
        place = problem.classes.index(parameters["class"])

    def number(pair: Pair) -> Floats:
        moves = ~np.isnan(step.targets(pair.candidate.columns[step.column]))
        if metric == LEFT_OUT:
            return np.asarray(~moves, np.float64)
        before, after = (_score(side.scores, place) for side in (pair.baseline, pair.candidate))
        harm = before - after if rising else after - before
        wrong = harm > ROUNDING * np.maximum(np.abs(before), np.abs(after))
        if metric == SIZE:
            return np.where(moves & wrong, harm, np.nan)
        return np.where(moves, wrong.astype(np.float64), np.nan)

    name = f"{metric} of {step.variant.parameters} {parameters['score']} {place}"
    return PairMean(name, number, (step.column,))


def _score(scores: Any, place: int | None) -> Floats:
    assert scores is not None, "a direction is of scores"
    return np.asarray(scores if place is None else scores[:, place], np.float64)


def _share(problem: Problem, moments: MomentsView) -> Value:
    return replace(share_of(problem, moments), undefined=(("no_steps", moments.weight == 0),))


def _size(problem: Problem, moments: MomentsView) -> Value:
    return replace(mean_of(problem, moments), undefined=(("no_violations", moments.weight == 0),))


def _section_row(line: Mapping[str, Sequence[Cell]]) -> list[str] | None:
    """A test of a model in the report; None where it has no figure on all rows."""
    whole = {
        metric: cell
        for metric, cells in line.items()
        for cell in cells
        if cell.slice.kind == "overall" and cell.measured.value is not None
    }
    cell = whole.get(VIOLATIONS)
    if cell is None:
        return None
    sliced = [other for other in line[VIOLATIONS] if other.slice.kind != "overall"]
    worst = max(sliced, key=_surely, default=cell)
    low, high = cell.measured.ci_low, cell.measured.ci_high
    return [
        cell.test.name,
        cell.model.name,
        _text(cell),
        "–" if low is None or high is None else f"{low:.4g} to {high:.4g}",
        _text(whole.get(SIZE)),
        _text(whole.get(LEFT_OUT)),
        f"{worst.slice.name} ({_text(worst)})" if _surely(worst) > 0 and sliced else "–",
    ]


def _surely(cell: Cell) -> float:
    """The least that the violations of a slice can be."""
    return cell.measured.ci_low or 0.0


def _text(cell: Cell | None) -> str:
    value = None if cell is None else cell.measured.value
    return "–" if value is None else f"{value:.4g}"


KINDS.add("direction", DirectionKind())
