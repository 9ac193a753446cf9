"""How a test of leakage is written in a suite, and how what it found is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from engine.conditions import CONDITIONS, LimitRule
from engine.core.vocabulary import Cell, DecideBy, MetricValue, ModelTest, Numbers
from engine.fields.values import Text
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.estimates import SliceEstimates
from engine.kinds.leakage.arrow_near import CROWDED
from engine.kinds.leakage.checks import CHECKS, LEAKED, POWER, Asked, LeakageCheck
from engine.kinds.leakage.minhash import recall
from engine.kinds.leakage.near import NearRows
from engine.kinds.questions import COUNT, Query, figure
from engine.kinds.setting import Context, Section, Setting
from engine.metrics import Metric, Slices

MAX_ROWS = "max_rows"
COLUMN, NEAR = "column", "near"
INPUTS = "inputs"

CONDITIONS.add(
    MAX_ROWS,
    LimitRule(
        MAX_ROWS,
        "How many rows may be in the reference too.",
        least=False,
        field=Annotated[int, Field(strict=True, ge=0)],
    ),
)

Check = Literal["rows", "keys", "entities", "dates", "target"]
Nearness = Annotated[float, Field(strict=True, gt=0, le=1)]


class LeakageKind(Kind):
    """Rows of the dataset that the training data, its `reference`, know already.

    The rows are all there are, so that a test is decided by their count.
    """

    key = "leakage"
    description = "Whether the test data stand in the training data, which are the reference."
    conditions = (MAX_ROWS, "max")
    measures_data = True
    reads_reference = True
    decides_by = DecideBy.POINT
    on_slices = False

    def keys(self) -> Mapping[str, Any]:
        told = "; ".join(f"{key}: {check.description}" for key, check in CHECKS.items())
        column = "The column of the rows' dates, of `dates`."
        near = "Beside `rows`: the Jaccard similarity from which on a row is nearly the same."
        return {
            self.key: (Check, Field(description=f"What is looked for: {told}.")),
            COLUMN: (Text | None, Field(None, description=column)),
            NEAR: (Nearness | None, Field(None, description=near)),
        }

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        asked = test.get(self.key)
        if asked not in CHECKS:
            return
        if asked == "dates" and test.get(COLUMN) is None:
            yield (self.key,), "found dates without column, expected the column of the rows' dates"
        for key, only in ((COLUMN, "dates"), (NEAR, "rows")):
            if asked != only and test.get(key) is not None:
                yield (key,), f"found {key} beside {asked}, expected it beside {only} only"
        counts = CHECKS[str(asked)].counts
        wrong, right = ("max", MAX_ROWS) if counts else (MAX_ROWS, "max")
        if test.get(wrong) is not None:
            what = "counts rows" if counts else "is a share, from 0 to 1"
            yield (wrong,), f"found {wrong} of {asked}, which {what}; expected {right}"

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        asked = {"check": getattr(file, self.key), COLUMN: file.column, NEAR: file.near}
        given = {key: value for key, value in asked.items() if value is not None}
        return {"metric": _check_of(given).metric, "parameters": parameters_text(given)}

    def write(self, test: ModelTest) -> dict[str, Any]:
        parameters = json.loads(test.parameters)
        own = {key: parameters.get(key) for key in (COLUMN, NEAR)}
        return {self.key: parameters["check"], **own}

    def title(self, test: ModelTest) -> str:
        parameters = json.loads(test.parameters)
        column = f"({parameters[COLUMN]})" if COLUMN in parameters else ""
        near = f" near {parameters[NEAR]:g}" if NEAR in parameters else ""
        return f"leakage {parameters['check']}{column}{near}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """The test with the columns that it looks at, whose places its answer tells."""
        if _check(test).counts:
            return (test,)
        parameters = {**json.loads(test.parameters), INPUTS: _question(test, setting).inputs}
        return (replace(test, parameters=parameters_text(parameters)),)

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        yield from _check(test).misfits(_question(test, setting))

    def query(self, test: ModelTest, setting: Setting) -> Query | None:
        check, asked = _check(test), _question(test, setting)
        return None if any(check.misfits(asked)) else check.query(asked)

    def metric(self, test: ModelTest) -> Metric:
        bounds = (0.0, float("inf")) if _check(test).counts else (0.0, 1.0)
        return figure(_check(test).metric, higher_is_better=False, bounds=bounds)

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if _check(test).counts:
            near = json.loads(test.parameters).get(NEAR)
            return SliceEstimates.of_values([_count_value(answer, near) for answer in on.answers])
        inputs = json.loads(test.parameters)[INPUTS]
        return SliceEstimates.of_values([_power_value(answer, inputs) for answer in on.answers])

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """What each check found, on the slices that it is on."""
        rows = []
        for cell in cells:
            value = cell.measured.value
            shown = "–" if value is None else f"{value:,.4g}"
            told = cell.measured.detail or cell.measured.reason or ""
            rows.append([cell.test.name, cell.slice.name, shown, f"{cell.counts.n:,}", told])
        lead = (
            "Rows that the training data know already say nothing of rows to come: a model may "
            "know them by heart. The reference is the training data."
        )
        columns = ["test", "slice", "found", "of rows", "what it is"]
        return Section("Leakage", lead, columns, rows) if rows else None


def _check_of(parameters: Mapping[str, Any]) -> LeakageCheck:
    return NearRows() if NEAR in parameters else CHECKS[parameters["check"]]


def _check(test: ModelTest) -> LeakageCheck:
    return _check_of(json.loads(test.parameters))


def _question(test: ModelTest, setting: Setting) -> Asked:
    parameters = json.loads(test.parameters)
    return Asked(setting, parameters.get(COLUMN), parameters.get(NEAR))


def _count_value(answer: Numbers, near: float | None) -> MetricValue:
    rows, leaked = answer[COUNT], answer[LEAKED]
    assert rows is not None and leaked is not None, "counts are numbers"
    if not rows:
        return MetricValue(leaked)
    told = [f"{leaked / rows:.2%} of the rows"]
    if near is not None:
        told.append(f"of rows as near as {near:g} {recall(near):.2%} are found")
    if answer.get(CROWDED):
        told.append(f"{answer[CROWDED]:,.0f} more were compared with some of their like only")
    return MetricValue(leaked, detail="; ".join(told))


def _power_value(answer: Numbers, inputs: Sequence[str]) -> MetricValue:
    """The most that a column says; a column that misleads says nothing."""
    powers = [answer[f"{POWER}{place}"] for place in range(len(inputs))]
    known = [(power, name) for power, name in zip(powers, inputs, strict=True) if power is not None]
    if not known:
        return MetricValue(None, "constant" if answer.get("labelled") else "empty")
    power, name = max(known)
    return MetricValue(max(power, 0.0), detail=f"the column {name!r}" if power > 0 else None)


KINDS.add("leakage", LeakageKind())
