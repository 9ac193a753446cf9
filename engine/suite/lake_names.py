"""Each table of the lake is made of the files of one dataset: two that differ need two names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.fields.wording import Loc, place_text, quote
from engine.suite.default_names import short_name

Found = Iterator[tuple[Loc, str]]

_FILES = ("csv", "parquet")
_READING = ("columns", "null_values")


def check_lake_names(evaluations: list[Any]) -> Found:
    """Yields the datasets that would fill one table with other files, or read them otherwise.

    Each would take out what the other put in, in every run.
    """
    tables: dict[str, tuple[Loc, object]] = {}
    for at, name, files in _datasets(evaluations):
        place, there = tables.setdefault(name, (at, files))
        if there != files:
            key = (*at, "name")
            yield (
                key,
                f"found the name {quote(name)} for other files, or another way to read them, than "
                f"those of {place_text(place)}, expected another name: a name is one table of the "
                "lake",
            )


def _datasets(evaluations: list[Any]) -> Iterator[tuple[Loc, str, object]]:
    """The datasets and references that are made of files, each with its name."""
    for index, evaluation in enumerate(evaluations):
        if not isinstance(evaluation, dict) or not isinstance(evaluation.get("name"), str):
            continue
        title = evaluation["name"]
        dataset = _mapping(evaluation.get("dataset"))
        reference = _mapping(evaluation.get("reference"))
        at: Loc = ("evaluations", index)
        yield from _one((*at, "dataset"), dataset, title)
        said = {key: dataset.get(key) for key in _READING} if reference.get("csv") else {}
        own = {**said, **{key: value for key, value in reference.items() if value is not None}}
        yield from _one((*at, "reference"), own, short_name(f"{title} reference"))


def _one(at: Loc, raw: dict[str, Any], title: str) -> Iterator[tuple[Loc, str, object]]:
    given = [(kind, raw[kind]) for kind in _FILES if raw.get(kind) is not None]
    if len(given) == 1 and raw.get("delta") is None:
        name = raw.get("name")
        yield at, name if isinstance(name, str) else title, (given, [raw.get(k) for k in _READING])


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
