"""Nouns as plain data, for JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from enum import StrEnum
from typing import Any

LATER = {"later": True}
"""The metadata of a field that came after its noun was first written and hashed.

Where it has its default, `plain` leaves it out: what has nothing new is written as before, has the
digest it had, and is found in stores of before.
"""


def plain(value: Any) -> Any:
    """Turns a noun into JSON-ready dicts, lists, texts and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if _is_told(value, f)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return value


def _is_told(noun: Any, field_of: Field[Any]) -> bool:
    is_later = "later" in field_of.metadata
    return not (is_later and getattr(noun, field_of.name) == field_of.default)
