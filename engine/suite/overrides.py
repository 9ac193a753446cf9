"""Overrides of a suite file: `--set dotted.key=value`, applied before anything is validated.

An item of a list is named by its index, or by its name where it has one. A value is read as YAML.
A path that no suite file has is found by the validation, as a key in the file would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.errors import Mistake
from engine.fields.wording import Loc, place_text, printable_text, quote, suggestion
from engine.suite.default_names import model_name
from engine.suite.yaml_document import Document, read_document


class _Refused(Exception):
    """An override that cannot be applied; the text says why."""


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Sets the values in the document, in order; an override that fits nowhere is a mistake."""
    for text in overrides:
        try:
            _apply(document, text)
        except _Refused as refused:
            document.mistakes.append(Mistake(f"--set {printable_text(text, 200)}", str(refused)))


def _apply(document: Document, text: str) -> None:
    dotted, equals, raw = text.partition("=")
    parts = [part.strip() for part in dotted.split(".")]
    if not equals or not all(parts):
        raise _Refused(f"found {quote(text)}, expected dotted.key=value")
    value = _value(raw)
    container: Any = document.data
    loc: Loc = ()
    while True:
        step, used = _step(container, parts, loc)
        loc, parts = (*loc, step), parts[used:]
        if not parts:
            container[step] = value
            document.origins[loc] = text
            document.broken.discard(loc)
            return
        if (container.get(step) if isinstance(container, dict) else container[step]) is None:
            container[step] = {}
            document.origins[loc] = text
            document.broken.discard(loc)
        container = _descend(container[step], loc)


def _value(raw: str) -> Any:
    """Reads the value of an override as YAML."""
    parsed = read_document(raw)
    if parsed.mistakes:
        said = "; ".join(mistake.message for mistake in parsed.mistakes)
        raise _Refused(f"found the value {quote(raw)}, expected YAML: {said}")
    return parsed.data


def _step(container: Any, parts: list[str], loc: Loc) -> tuple[str | int, int]:
    """Finds the key or index that the path goes on with, and how many parts of it that takes.

    Names and columns may hold dots, so the longest known key or name counts.
    """
    if isinstance(container, dict):
        known: dict[str, str | int] = {key: key for key in container}
    else:
        known = {name: index for index, name in _names(container, loc)}
        if parts[0].isascii() and parts[0].isdecimal() and len(parts[0]) < 10:
            index = int(parts[0])
            if index < len(container):
                return index, 1
    for used in range(len(parts), 0, -1):
        key = ".".join(parts[:used])
        if key in known:
            return known[key], used
    if isinstance(container, dict):
        return parts[0], 1
    raise _Refused(_no_item(parts[0], container, loc, list(known)))


def _no_item(part: str, items: list[Any], loc: Loc, names: list[str]) -> str:
    indices = f"an index from 0 to {len(items) - 1}" if items else "an item, but the list is empty"
    named = f" or {suggestion(part, names)}" if names else ""
    return f"{place_text(loc)} has no item {quote(part)}, expected {indices}{named}"


def _names(items: list[Any], loc: Loc) -> list[tuple[int, str]]:
    """Lists the names by which a list's items can be called; of two equal ones the first."""
    indices: dict[str, int] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        name = item.get("name")
        uri = item.get("uri")
        if name is None and loc[-1:] == ("models",) and isinstance(uri, str):
            name = model_name(uri)
        if isinstance(name, str):
            indices.setdefault(name, index)
    return [(index, name) for name, index in indices.items()]


def _descend(child: Any, loc: Loc) -> Any:
    """Goes one level down, into a mapping or a list."""
    if not isinstance(child, (dict, list)):
        raise _Refused(f"{place_text(loc)} is {quote(child)}, which has no keys below it")
    return child
