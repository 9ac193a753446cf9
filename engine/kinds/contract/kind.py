"""How a contract is written in a suite, what is counted, and how a breach is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema, create_model

from engine.conditions import CONDITIONS, Decision, LimitRule, Measurement
from engine.core.vocabulary import (
    Cell,
    Condition,
    MetricValue,
    ModelTest,
    Numbers,
    Severity,
    TaskKind,
    Verdict,
)
from engine.fields.values import expected
from engine.fields.wording import suggestion
from engine.kinds.base import KINDS, Kind, KindFile, parameters_text
from engine.kinds.contract.comparisons import BREACHES, TRIED
from engine.kinds.contract.inputs import ANSWERED, DIED, HELD, NAMED, NOT_FINITE, NOT_TAKEN, REFUSED
from engine.kinds.contract.probe import CHECKS, CheckRule, ContractProbe
from engine.kinds.estimates import SliceEstimates
from engine.kinds.pictures import Sign, SignTable
from engine.kinds.questions import Probe, figure
from engine.kinds.setting import Context, Section, Setting
from engine.metrics import Metric, Slices

ALL = "all"
MAX_BREACHES = "max_breaches"
# Inputs that a reason names; the others are counted.
NAMED_INPUTS = 5

_WITH_CLASSES = (TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.MULTILABEL)


class BreachRule(LimitRule):
    """A limit on a count, whose reason names what breaks it."""

    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        decision = super().decide_by_point(condition, measurement)
        detail = measurement.value.detail
        return replace(decision, reason=f"{decision.reason}: {detail}") if detail else decision


CONDITIONS.add(
    MAX_BREACHES,
    BreachRule(
        MAX_BREACHES,
        "How many rows, inputs or columns may break a check of the contract; default: none.",
        least=False,
        field=Annotated[int, Field(strict=True, ge=0)],
    ),
)


def _read_checks(value: Any) -> list[str]:
    """Checks of a suite as a list: `all`, one, or several that differ."""
    if value == ALL:
        return [ALL]
    asked = [value] if isinstance(value, str) else value
    if not isinstance(asked, list) or not asked:
        raise expected(f"all, or a list of {', '.join(CHECKS)}")
    for place, name in enumerate(asked):
        if not isinstance(name, str) or name not in CHECKS:
            raise expected(f"all, or {suggestion(name, CHECKS)}")
        if name in asked[:place]:
            raise expected(f"checks that differ, but {name!r} stands twice")
    return list(asked)


_NAMES = {"type": "string", "enum": list(CHECKS)}
ChecksField = Annotated[
    list[str],
    PlainValidator(_read_checks),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": [ALL, *CHECKS]},
                {"type": "array", "items": _NAMES, "minItems": 1, "uniqueItems": True},
            ]
        }
    ),
]


class ContractKind(Kind):
    """What a service around a model relies on; each check is a test, and a cell, of its own."""

    key = "contract"
    description = "Checks of a model as a component, from a row alone to an empty batch."
    conditions = (MAX_BREACHES,)
    on_slices = False
    is_told_by_name = True

    def keys(self) -> Mapping[str, Any]:
        told = f"all, or some of {', '.join(CHECKS)}."
        return {self.key: (ChecksField, Field(description=f"What a model has to keep: {told}"))}

    def file(self) -> type[KindFile]:
        file = super().file()
        own = CONDITIONS.get(MAX_BREACHES)
        none_allowed = (own.field | None, Field(0, description=own.description))
        fields: dict[str, Any] = {MAX_BREACHES: none_allowed}
        return create_model(file.__name__, __base__=file, __doc__=file.__doc__, **fields)

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        checks = parameters_text({self.key: getattr(file, self.key)})
        return {"metric": BREACHES, "parameters": checks}

    def write(self, test: ModelTest) -> dict[str, Any]:
        checks = _checks(test)
        return {self.key: ALL if checks == [ALL] else checks}

    def title(self, test: ModelTest) -> str:
        return f"contract {','.join(_checks(test))}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """A test for each check; of `all` those that make sense for the task."""
        checks = _checks(test)
        if checks == [ALL]:
            fitting = setting.problem.task in _WITH_CLASSES
            checks = [name for name, check in CHECKS.items() if fitting or not check.classes]
        elif len(checks) == 1:
            return (test,)
        title, expanded = self.title(test), []
        for check in checks:
            own = replace(test, parameters=parameters_text({self.key: [check]}))
            name = test.name.replace(title, self.title(own))
            expanded.append(replace(own, name=name if title in test.name else f"{name} {check}"))
        return expanded

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        task = setting.problem.task
        for check in _checks(test):
            if CHECKS[check].classes and task not in _WITH_CLASSES:
                yield f"the check {check!r} is of models of classes, the task is {task}"

    def probe(self, test: ModelTest, setting: Setting) -> Probe:
        return ContractProbe(_checks(test)[0])

    def metric(self, test: ModelTest) -> Metric:
        return figure(f"{BREACHES}({_checks(test)[0]})", higher_is_better=False)

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        check = _checks(test)[0]
        return SliceEstimates.of_values([_value(check, answer) for answer in on.answers])

    def section(self, cells: Sequence[Cell]) -> Section | None:
        """The table of the contract: a row for each check, a column for each model."""
        signs: dict[str, dict[str, Sign]] = {}
        for cell in cells:
            signs.setdefault(_checks(cell.test)[0], {})[cell.model.name] = _sign(cell)
        models = list(dict.fromkeys(cell.model.name for cell in cells))
        rows = {
            check: [signs[check].get(model) for model in models]
            for check in CHECKS
            if check in signs
        }
        if not rows:
            return None
        return Section(
            "Contract",
            "What a service around a model relies on. A number says how many rows, inputs or "
            "columns broke a check; the reasons of the cells name the inputs.",
            pictures=[SignTable("Contract", models, rows)],
        )


def _checks(test: ModelTest) -> list[str]:
    checks: list[str] = json.loads(test.parameters)[ContractKind.key]
    return checks


def _value(check: str, answer: Numbers) -> MetricValue:
    """How many breaches were counted, with what was tried and what broke it."""
    count, tried = answer[BREACHES], int(answer[TRIED] or 0)
    if count is None:
        return MetricValue(None, _why_undefined(check, answer))
    refused = [name for name in answer if name.startswith((f"{NAMED}|", f"{REFUSED}|"))]
    numbers = {TRIED: float(tried), REFUSED: float(len(refused))}
    return MetricValue(count, detail=_detail(CHECKS[check], count, tried, answer), numbers=numbers)


def _why_undefined(check: str, answer: Numbers) -> str:
    if "no signature" in answer:
        return "the model has no signature of columns, so no types are declared"
    if CHECKS[check].classes:
        return "the model gives no probabilities"
    return "the model has no finite answer for rows as they are"


def _detail(rule: CheckRule, count: float, tried: int, answer: Numbers) -> str:
    if not tried:
        return "no column can have such a value"
    plural = "" if tried == 1 else "s"
    told = f"{int(count):,} of {tried:,} {rule.unit}{plural} {rule.broken}"
    if rule.unit == "row" and not count:
        most = 1 - 0.05 ** (1 / tried)  # with a larger share none would be seen in 5 % of samples
        told += f" (of all rows at most {100 * most:.2g} %, by 95 %)"
    inputs = [name.split("|", 2) for name in answer if name.count("|") >= 2]
    broken = [_input_text(*parts) for parts in inputs if parts[0] not in (NAMED, REFUSED)]
    silent = [f"{what} in {name!r}" if name else what for word, what, name in inputs
              if word == REFUSED and name]  # fmt: skip
    parts = [told]
    if broken:
        parts.append(_few(broken))
    if silent:
        parts.append(f"refused without naming the column: {_few(silent)}")
    return "; ".join(parts)


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - NAMED_INPUTS
    return ", ".join(texts[:NAMED_INPUTS]) + (f" and {more:,} more" if more > 0 else "")


def _input_text(word: str, what: str, name: str) -> str:
    where = f"{what} in {name!r}" if name else what
    if word == NOT_FINITE:
        return f"{where} is answered by NaN or infinity"
    return f"{where} {_SAID.get(word, word)}"


_SAID = {
    DIED: "makes it fail without a clear word",
    ANSWERED: "is answered",
    NOT_TAKEN: "is not taken",
    HELD: "is held",
}


def _sign(cell: Cell) -> Sign:
    """What came of a check of a model."""
    count, verdict = cell.measured.value, cell.verdict
    numbers = cell.measured.numbers or {}
    if verdict is Verdict.ERROR:
        return Sign("error", "error", cell.reason)
    if count is None:
        return Sign("undecided", "not known", cell.reason)
    told = cell.measured.detail or cell.reason
    if not count:
        refused, tried = int(numbers.get(REFUSED) or 0), int(numbers.get(TRIED) or 0)
        if refused:
            return Sign("refused", f"{refused:,} of {tried:,} refused", told)
        return Sign("ok", "kept", told)
    unit = CHECKS[_checks(cell.test)[0]].unit
    broken = verdict is Verdict.FAIL and cell.test.severity is Severity.FAIL
    text = f"{int(count):,} {unit}{'' if count == 1 else 's'}"
    return Sign("broken" if broken else "allowed", text, told)


KINDS.add("contract", ContractKind())
