"""What is wrong with where a model's predictions come from: a URI, or columns of the dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.core.vocabulary import TaskKind
from engine.fields.wording import quote
from engine.suite.default_names import STORED_KEYS

Loc = tuple[str | int, ...]
_NUMBERS = (TaskKind.REGRESSION, TaskKind.RANKING)


def check_source(
    at: Loc,
    raw: Mapping[str, Any],
    columns: Mapping[str, Sequence[str]],
    sensitive: Sequence[Any],
    task: TaskKind | None,
) -> Iterator[tuple[Loc, str]]:
    """Yields what is wrong with a model's source.

    Args:
        at: where the model stands.
        raw: the model, in which anything may be of a wrong type.
        columns: the columns that it names under each of `STORED_KEYS`.
        sensitive: the columns that never leave the data.
        task: what is predicted, where that is known.
    """
    stored = [key for key in STORED_KEYS if raw.get(key) is not None]
    if raw.get("uri") is not None:
        if stored:
            yield (
                (*at, stored[0]),
                f"found {stored[0]} with a uri, expected one of the two; the columns that a model "
                "returns are named in its output",
            )
        return
    if not stored:
        yield at, "found no uri, expected one, or scores or predicted: columns of the dataset"
        return
    if raw.get("name") is None:
        yield at, "found no name, expected one: there is no uri from which it could come"
    if isinstance(raw.get("output"), dict):
        expected = "expected probability, logit or value: which column is what, scores says"
        yield (*at, "output"), f"found a mapping, {expected}"
    for key in stored:
        for name in columns[key]:
            if name in sensitive:
                expected = "expected one that is not: results are made of it"
                yield (*at, key), f"found {quote(name)}, which is sensitive, {expected}"
    if "predicted" in stored and task in (*_NUMBERS, TaskKind.MULTILABEL):
        yield (*at, "predicted"), f"found a label for the task {task}, expected scores"
    if task in _NUMBERS and len(columns["scores"]) > 1:
        yield (*at, "scores"), f"found several columns for the task {task}, expected one"
