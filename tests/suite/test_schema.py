"""The JSON Schema by which editors complete: every key says what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.kinds import KINDS
from engine.suite import schema


def undescribed(part: Any, path: str = "") -> Iterator[str]:
    if isinstance(part, dict):
        for name, kind in part.get("properties", {}).items():
            if not kind.get("description"):
                yield f"{path}.{name}"
        for key, inner in part.items():
            yield from undescribed(inner, f"{path}.{key}")
    elif isinstance(part, list):
        for place, inner in enumerate(part):
            yield from undescribed(inner, f"{path}[{place}]")


def test_every_key_says_what_it_means() -> None:
    assert list(undescribed(schema())) == []


def test_it_knows_every_key_of_every_kind() -> None:
    definitions = schema()["$defs"]
    for kind in KINDS:
        file = kind.file()
        assert set(definitions[file.__name__]["properties"]) == set(file.model_fields)
