"""The types of single values in a suite file: what is accepted, and how a JSON Schema says it.

A validator raises `expected` with the words that follow "expected" in the mistake.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError

from engine.core.vocabulary import (
    DecideBy,
    GateRule,
    Label,
    ModelFormat,
    Output,
    OverRuns,
    Predictions,
    Severity,
    TaskKind,
    Within,
)
from engine.fields.names import (
    NAME_LENGTH,
    module_problem,
    name_problem,
    target_alias_problem,
    text_problem,
)
from engine.fields.wording import quote, suggestion

_INT64 = 2**63
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?%")


def expected(words: str) -> PydanticCustomError:
    """Makes the error of a value that is not what was expected."""
    return PydanticCustomError("expected", "{words}", {"words": words})


def _validator(problem: Callable[[str], str | None]) -> AfterValidator:
    def check(text: str) -> str:
        if words := problem(text):
            raise expected(words)
        return text

    return AfterValidator(check)


def _line_problem(text: str) -> str | None:
    return "a text that is not empty" if not text.strip() else text_problem(text)


def _predicate_problem(text: str) -> str | None:
    # A predicate may go over lines; its words are checked by Spark when the run is planned.
    return _line_problem(" ".join(text.split()))


_OneLine = Annotated[str, Field(strict=True, max_length=4000), _validator(_line_problem)]
Name = Annotated[
    str,
    _validator(name_problem),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": NAME_LENGTH}),
]
Text = Annotated[_OneLine, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 4000})]
Predicate = Annotated[
    str,
    Field(max_length=20_000),
    _validator(_predicate_problem),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 20_000}),
]
Module = Annotated[str, _validator(module_problem)]
TargetAlias = Annotated[
    str,
    _validator(target_alias_problem),
    WithJsonSchema({"type": "string", "pattern": r"^[\w\-]{1,255}$"}),
]
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_PASSWORD = re.compile(r"://[^/@]*:[^@]+@")


def _tracking_uri_problem(text: str) -> str | None:
    """What a tracking URI should be instead: a suite is stored, and holds no password."""
    if "${" in _VARIABLE.sub("", text):
        return "variables of the environment as ${NAME}"
    if _PASSWORD.search(_VARIABLE.sub("", text)):
        return (
            "a URI without a password, since a suite is stored: write ${NAME}, a variable of the "
            "environment that has it"
        )
    return None


TrackingUri = Annotated[Text, _validator(_tracking_uri_problem)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Proportion = Annotated[float, Field(strict=True, ge=0, le=1)]
BestField = Literal["f1", "youden", "cost"]


class Or:
    """Widens the JSON Schema of a field by a form that a validator turns into the field's own."""

    def __init__(self, other: dict[str, Any]) -> None:
        self._other = other

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [self._other, handler(core_schema)]}


def distinct(items: list[Any]) -> list[Any]:
    seen: list[tuple[type, Any]] = []
    for item in items:
        if (type(item), item) in seen:
            told = item.value if isinstance(item, StrEnum) else item
            raise expected(f"items that differ, but {quote(told)} stands twice")
        seen.append((type(item), item))
    return items


def _one_or_many(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise expected("a column or a list of columns")
    return value


TextList = Annotated[
    list[Text],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(distinct),
]
Columns = Annotated[TextList, BeforeValidator(_one_or_many), Or({"type": "string", "minLength": 1})]


def _check_edges(edges: list[float]) -> list[float]:
    if any(low >= high for low, high in itertools.pairwise(edges)):
        raise expected("edges that strictly increase")
    return edges


Edges = Annotated[list[Number], Field(min_length=1), AfterValidator(_check_edges)]
QuantileCount = Annotated[int, Field(ge=2, le=100)]


def _choice(kind: type[StrEnum]) -> BeforeValidator:
    def choose(value: Any) -> StrEnum:
        try:
            if isinstance(value, str):
                return kind(value)
        except ValueError:
            pass
        raise expected(suggestion(value, [item.value for item in kind]))

    return BeforeValidator(choose)


def _choice_schema(kind: type[StrEnum]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [item.value for item in kind]})


TaskField = Annotated[TaskKind, _choice(TaskKind), _choice_schema(TaskKind)]
OutputField = Annotated[Output, _choice(Output), _choice_schema(Output)]
SeverityField = Annotated[Severity, _choice(Severity), _choice_schema(Severity)]
DecideField = Annotated[DecideBy, _choice(DecideBy), _choice_schema(DecideBy)]
WithinField = Annotated[Within, _choice(Within), _choice_schema(Within)]
PredictionsField = Annotated[Predictions, _choice(Predictions), _choice_schema(Predictions)]
OverRunsField = Annotated[OverRuns, _choice(OverRuns), _choice_schema(OverRuns)]
FormatField = Annotated[ModelFormat, _choice(ModelFormat), _choice_schema(ModelFormat)]
RuleField = Annotated[GateRule, _choice(GateRule), _choice_schema(GateRule)]

Formats = Annotated[
    list[FormatField],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(distinct),
]


def _label(value: Any) -> Label:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if any(unicodedata.category(char) == "Cs" for char in value):
            # No data have half of a character, and no table takes it.
            raise expected("a text of whole characters")
        return value
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise expected("a label: a text, a finite number or a boolean")


LabelField = Annotated[
    Label, PlainValidator(_label), WithJsonSchema({"type": ["boolean", "number", "string"]})
]
Labels = Annotated[
    list[LabelField],
    Field(min_length=2, json_schema_extra={"uniqueItems": True}),
    AfterValidator(distinct),
]


def _version(value: Any) -> str | int | dt.datetime:
    """Takes `latest`, a version number, or a timestamp, which is UTC where it names no zone."""
    if value == "latest":
        return "latest"
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _INT64:
        return value
    try:
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime(value.year, value.month, value.day)
        if isinstance(value, dt.datetime):
            zoned = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            return zoned.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        pass
    raise expected("latest, a version number of 0 or more, or a timestamp")


VersionField = Annotated[
    str | int | dt.datetime,
    PlainValidator(_version),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "latest"},
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^[0-9]{4}-?[0-9]{2}-?[0-9]{2}"},
            ]
        }
    ),
]


@dataclass(frozen=True, slots=True)
class Margin:
    """How far a value may lie from the baseline's: absolute, or a share of |baseline|."""

    bound: float
    relative: bool = False


def _margin(value: Any) -> Margin:
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value.strip())):
        # In decimal, so that writing a share as per cent and reading it again changes nothing.
        margin = Margin(float(Decimal(match[1]).scaleb(-2)), relative=True)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            margin = Margin(float(value))
        except OverflowError:
            margin = Margin(math.inf)
    else:
        margin = Margin(math.nan)
    if not (math.isfinite(margin.bound) and margin.bound >= 0):
        raise expected("a number of 0 or more, or a share of the baseline such as '1%'")
    return margin


def percent(share: float) -> str:
    """Writes a share as the text that is read as exactly this share again, `1%` for 0.01."""
    return f"{Decimal(repr(share)).scaleb(2).normalize():f}%"


MarginField = Annotated[
    Margin,
    PlainValidator(_margin),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^ *([0-9]+(\.[0-9]*)?|\.[0-9]+) ?% *$"},
            ]
        }
    ),
]
