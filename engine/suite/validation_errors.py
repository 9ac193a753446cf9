"""Pydantic's errors as mistakes in the words of a suite file."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.fields.wording import Loc, nearest, quote, suggestion
from engine.kinds import KINDS, KindFile
from engine.suite.schema import SuiteFile, test_file
from engine.suite.yaml_document import Document

# What was expected, by the type of pydantic's error; the braces are filled from its context.
_EXPECTED: Mapping[str, str] = {
    "expected": "{words}",
    "string_type": "a text",
    "string_too_long": "a text of at most {max_length} characters",
    "string_too_short": "a text that is not empty",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "finite_number": "a finite number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "literal_error": "{expected}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number of {ge:g} or more",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "a number of {le:g} or less",
}


def report_errors(error: ValidationError, document: Document) -> set[Loc]:
    """Adds a mistake for each of pydantic's errors, and returns where they stand."""
    places: set[Loc] = set()
    errors = error.errors(include_url=False)
    misspelt = {_nearest_key(item["loc"]) for item in errors if item["type"] == "extra_forbidden"}
    for details in errors:
        if details["type"] == "missing" and details["loc"] in misspelt:
            # It is there under a wrong name: one mistake, which is told as the unknown key.
            continue
        # An error in a key of a mapping has `[key]` behind its place.
        in_key = details["loc"][-1:] == ("[key]",) and details["type"] != "extra_forbidden"
        path = details["loc"][:-1] if in_key else details["loc"]
        is_key = in_key or details["type"] == "extra_forbidden"
        loc = _without_kind(path)
        if loc not in places:
            document.report(loc, _message(details, path), key=is_key)
        places.add(loc)
    return places


def _kind_at(path: Loc) -> int | None:
    """Where a place names the kind of a test, behind the test's number."""
    for at in range(2, len(path)):
        if path[at - 2] == "tests" and isinstance(path[at - 1], int):
            return at
    return None


def _without_kind(path: Loc) -> Loc:
    at = _kind_at(path)
    return path if at is None else (*path[:at], *path[at + 1 :])


def _nearest_key(path: Loc) -> Loc | None:
    """Finds the key that a misspelt one stands for, where there is a near one.

    A misspelt kind leaves a test without the key of any: so the metric is not missing there.
    """
    near = nearest(str(path[-1]), _known_keys(path))
    if near is None:
        return None
    return (*path[:-1], "metric" if near in KINDS.names() else near)


def _known_keys(path: Loc) -> list[str]:
    """The keys that could stand at a place."""
    owner = _owner(path)
    fields = list(owner.model_fields) if owner else []
    kinds = KINDS.names() if owner is not None and issubclass(owner, KindFile) else []
    return list(dict.fromkeys([*fields, *kinds]))


def _message(details: ErrorDetails, path: Loc) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        at = _kind_at(path)
        if at == len(path) - 2 and path[-1] in KINDS.names():
            return f"found two kinds of tests, {path[at]} and {path[-1]}, expected one of them"
        expected = suggestion(path[-1], _known_keys(path))
        return f"found the unknown key {quote(path[-1])}, expected {expected}"
    if kind == "missing":
        owner = _owner(path)
        info = owner.model_fields.get(str(path[-1])) if owner else None
        meaning = f": {info.description}" if info and info.description else ""
        return f"is missing, expected the key {quote(path[-1])}{meaning}"
    template = _EXPECTED.get(kind)
    wanted = template.format(**details.get("ctx", {})) if template else details["msg"]
    value = details["input"]
    return f"found {_value_text(value, path)}, expected {wanted}{_hint(kind, value)}"


# Keys whose values may be what nobody else should know, put where a variable belongs.
_SECRETIVE = frozenset({"headers", "password", "telemetry", "webhook"})
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def _value_text(value: Any, path: Loc) -> str:
    """A wrong value as it may be told: what may be a secret is not."""
    if value and not _SECRETIVE.isdisjoint(part for part in path if isinstance(part, str)):
        return "a value that is not shown"
    return quote(_LOGIN.sub("***", value) if isinstance(value, str) else value)


def _hint(kind: str, value: Any) -> str:
    """Tells of the quotes that turn one type into the other."""
    if kind == "string_type" and value is not None and not isinstance(value, (list, dict)):
        return "; put it in quotes"
    if kind in ("float_type", "int_type") and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        return "; take the quotes away"
    return ""


def _owner(path: Loc) -> type[BaseModel] | None:
    """Finds the model of the mapping that the last key of a place stands in."""
    model: type[BaseModel] | None = SuiteFile
    kind_at = _kind_at(path)
    for at, step in enumerate(path[:-1]):
        if at == kind_at:
            model = test_file(str(step))
        elif not isinstance(step, int) and model is not None:
            info = model.model_fields.get(step)
            model = next(_models_in(info.annotation), None) if info else None
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
