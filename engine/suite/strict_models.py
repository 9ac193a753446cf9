"""Files that are not suites, read as strictly: pydantic models, and their errors as mistakes."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails

from engine.fields.wording import Loc, quote, suggestion
from engine.suite.yaml_document import Document

# Pydantic's types in the words of a YAML file.
WORDS = {"dict_type": "a mapping", "model_type": "a mapping", "list_type": "a list"}


class Strict(BaseModel):
    """A mapping of a file, without keys that nobody knows; nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def report_error(
    document: Document,
    loc: Loc,
    details: ErrorDetails,
    known: list[str],
    words: Mapping[str, str] = WORDS,
) -> None:
    """Adds the mistake of one of pydantic's errors.

    Args:
        document: gets it.
        loc: where it stands in the file.
        details: the error.
        known: the keys that the mapping may have in which it stands.
        words: what was expected, by the error's type; of others pydantic's own words.
    """
    if details["type"] == "extra_forbidden":
        expected = suggestion(loc[-1], known)
        document.report(loc, f"found the unknown key, expected {expected}", key=True)
    elif details["type"] == "missing":
        document.report(loc, "is missing")
    else:
        wanted = words.get(details["type"], details["msg"].removeprefix("Input should be "))
        document.report(loc, f"found {quote(details['input'])}, expected {wanted}")


def known_keys(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys of the mapping at a place, as the file has them."""
    for step in loc:
        field = next(
            (own for name, own in model.model_fields.items() if step in (name, own.alias)), None
        )
        if field is not None:
            model = next(_models(field.annotation), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a type: of `X | None`, and of a list of X, it is X."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        for part in typing.get_args(annotation):
            yield from _models(part)
