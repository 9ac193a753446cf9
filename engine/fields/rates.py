"""How often something happens, as a suite writes it: `50/s`, `3000/min`, or a number a second."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from engine.fields.values import expected

_RATE = re.compile(r" *([0-9]+(?:\.[0-9]*)?|\.[0-9]+) */ *(s|min) *")
_SECONDS = {"s": 1, "min": 60}
MOST_RATE = 1_000_000.0


def _read(value: Any) -> float:
    """The number in a second."""
    number = math.nan
    if isinstance(value, str) and (match := _RATE.fullmatch(value)):
        number = float(Decimal(match[1]) / _SECONDS[match[2]])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(min(value, math.inf)) if value < 2 * MOST_RATE else math.inf
    if not 0 < number <= MOST_RATE:
        raise expected("a rate such as 50/s or 600/min, or a number in a second, above 0")
    return number


def rate_text(rate: float) -> str:
    """A rate as the text that is read as exactly this rate again.

    >>> rate_text(50.0), rate_text(0.5)
    ('50/s', '0.5/s')
    """
    return f"{Decimal(repr(rate)).normalize():f}/s"


RateField = Annotated[
    float,
    PlainValidator(_read),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_RATE},
                {"type": "string", "pattern": r"^ *([0-9]+(\.[0-9]*)?|\.[0-9]+) */ *(s|min) *$"},
            ]
        }
    ),
]
