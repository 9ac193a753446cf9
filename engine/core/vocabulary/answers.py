"""What queries and probes find: a few numbers by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from engine.errors import InputError

MOST_NUMBERS = 4_096

Numbers = Mapping[str, float | None]


def plain_numbers(answer: Any) -> dict[str, float | None]:
    """An answer as plain numbers.

    Raises:
        InputError: when it is no mapping of names to finite numbers.
    """
    if not isinstance(answer, Mapping):
        raise InputError(f"found {_kind(answer)}, expected a mapping of names to numbers")
    if len(answer) > MOST_NUMBERS:
        raise InputError(f"found {len(answer):,} numbers, expected {MOST_NUMBERS:,} or fewer")
    return {_name(name): _number(value) for name, value in answer.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise InputError(f"found {_kind(name)} as the name of a number, expected a text")
    return name


def _number(value: Any) -> float | None:
    if value is None:
        return None
    # A truth value of numpy's is no number to Python.
    if not isinstance(value, Real) and type(value).__name__ not in ("bool", "bool_"):
        raise InputError(f"found {_kind(value)}, expected a number")
    if not math.isfinite(value):
        raise InputError("found a number that is not finite, expected finite ones or None")
    return float(value)


def _kind(value: Any) -> str:
    return f"a value of type {type(value).__name__}"
