"""Pydantic's errors as mistakes in the words of a suite file."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.fields.wording import Loc, nearest, quote, suggestion
from engine.suite.schema import SuiteFile
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
    listed = error.errors(include_url=False)
    misspelt = {_nearest_key(item["loc"]) for item in listed if item["type"] == "extra_forbidden"}
    for details in listed:
        if details["type"] == "missing" and details["loc"] in misspelt:
            # It is there under a wrong name: one mistake, which is told as the unknown key.
            continue
        # An error in a key of a mapping has `[key]` behind its place.
        in_key = details["loc"][-1:] == ("[key]",) and details["type"] != "extra_forbidden"
        loc = details["loc"][:-1] if in_key else details["loc"]
        is_key = in_key or details["type"] == "extra_forbidden"
        if loc not in places:
            document.report(loc, _message(details, loc), key=is_key)
        places.add(loc)
    return places


def _nearest_key(loc: Loc) -> Loc | None:
    """Finds the key that a misspelt one stands for, where there is a near one."""
    owner = _owner(loc)
    near = nearest(str(loc[-1]), owner.model_fields) if owner else None
    return (*loc[:-1], near) if near else None


def _message(details: ErrorDetails, loc: Loc) -> str:
    kind = details["type"]
    owner = _owner(loc)
    if kind == "extra_forbidden":
        known = list(owner.model_fields) if owner else []
        return f"found the unknown key {quote(loc[-1])}, expected {suggestion(loc[-1], known)}"
    if kind == "missing":
        info = owner.model_fields.get(str(loc[-1])) if owner else None
        meaning = f": {info.description}" if info and info.description else ""
        return f"is missing, expected the key {quote(loc[-1])}{meaning}"
    template = _EXPECTED.get(kind)
    wanted = template.format(**details.get("ctx", {})) if template else details["msg"]
    value = details["input"]
    return f"found {quote(value)}, expected {wanted}{_hint(kind, value)}"


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


def _owner(loc: Loc) -> type[BaseModel] | None:
    """Finds the model of the mapping that the last key of a place stands in."""
    model: type[BaseModel] | None = SuiteFile
    for step in loc[:-1]:
        if isinstance(step, int) or model is None:
            continue
        info = model.model_fields.get(step)
        model = next(_models_in(info.annotation), None) if info else None
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
