"""What is wrong with where a model's predictions come from: a URI, columns, or a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.core.vocabulary import TaskKind
from engine.fields.wording import quote
from engine.suite.default_names import STORED_KEYS

Loc = tuple[str | int, ...]
Found = Iterator[tuple[Loc, str]]

_NUMBERS = (TaskKind.REGRESSION, TaskKind.RANKING)
_TABLE = "predictions"
_SOURCES = (*STORED_KEYS, _TABLE)


def check_source(
    at: Loc, raw: Mapping[str, Any], sensitive: Sequence[Any], task: TaskKind | None
) -> Found:
    """Yields what is wrong with a model's source.

    Args:
        at: where the model stands.
        raw: the model, in which anything may be of a wrong type.
        sensitive: the columns that never leave the data.
        task: what is predicted, where that is known.
    """
    if raw.get("endpoint") is not None:
        return
    stored = [key for key in _SOURCES if raw.get(key) is not None]
    if raw.get("uri") is not None:
        if stored:
            yield (
                (*at, stored[0]),
                f"found {stored[0]} with a uri, expected one of the two; the columns that a model "
                "returns are named in its output",
            )
        return
    if not stored:
        yield (
            at,
            "found no uri, expected one, or scores or predicted: columns of the dataset, or "
            "predictions: a table that has them, or endpoint: the URL of a server",
        )
        return
    if raw.get("name") is None:
        yield at, "found no name, expected one: there is no uri from which it could come"
    if isinstance(raw.get("output"), dict):
        expected = "expected probability, logit or value: which column is what, scores says"
        yield (*at, "output"), f"found a mapping, {expected}"
    if _TABLE in stored and len(stored) > 1:
        expected = f"expected it under predictions: they are columns of that table, {stored[0]} too"
        yield (*at, stored[0]), f"found {stored[0]} beside predictions, {expected}"
        return
    if _TABLE not in stored:
        yield from _columns_of_dataset(at, raw, stored, sensitive)
    table = raw.get(_TABLE)
    place = at if _TABLE not in stored else (*at, _TABLE)
    yield from _columns_for_task(place, table if isinstance(table, dict) else raw, task)


def _columns_of_dataset(
    at: Loc, raw: Mapping[str, Any], stored: Sequence[str], sensitive: Sequence[Any]
) -> Found:
    for key in stored:
        for name in columns_in(raw.get(key)):
            if name in sensitive:
                expected = "expected one that is not: results are made of it"
                yield (*at, key), f"found {quote(name)}, which is sensitive, {expected}"


def _columns_for_task(at: Loc, raw: Mapping[str, Any], task: TaskKind | None) -> Found:
    if raw.get("predicted") is not None and task in (*_NUMBERS, TaskKind.MULTILABEL):
        yield (*at, "predicted"), f"found a label for the task {task}, expected scores"
    if task in _NUMBERS and len(columns_in(raw.get("scores"))) > 1:
        yield (*at, "scores"), f"found several columns for the task {task}, expected one"


def columns_in(value: Any) -> list[str]:
    """The columns that a key names, one or a list of them; what is no name is passed over."""
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [
        text
        for text in (value if isinstance(value, dict) else listed)
        if isinstance(text, str) and text.strip()
    ]
