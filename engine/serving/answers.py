"""What a server answered, read as JSON: strictly, and told without a word of what stands in it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from engine.errors import EndpointError


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came.

    Attributes:
        status: the HTTP status.
        content: the body.
        kind: the type of the body that the server told.
        seconds: from the first byte that was sent to the last that was read.
    """

    status: int
    content: bytes
    kind: str = ""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the server says that it did what it was asked."""
        return 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        """Whether the server says that what it was asked is wrong."""
        return 400 <= self.status < 500


def read_json(content: bytes, *, strict: bool = False) -> Any:
    """The value that a body has.

    MLflow's server writes NaN and infinity as they are in Python, which is no JSON: other clients
    fail to read it.

    Args:
        content: the body.
        strict: whether that is refused.

    Raises:
        EndpointError: for what is no JSON.
    """

    def constant(word: str) -> float:
        if strict:
            raise EndpointError(f"the answer has a bare {word}, which is no JSON")
        return float(word.replace("Infinity", "inf"))

    if not content.strip():
        raise EndpointError("the answer is empty, expected JSON")
    try:
        return json.loads(content, parse_constant=constant)
    except RecursionError:
        raise EndpointError("the answer is nested too deep, expected predictions") from None
    except ValueError:  # of UTF-8, too; its message quotes the answer
        raise EndpointError(
            f"the answer is no JSON (of {len(content):,} bytes), expected JSON"
        ) from None


def has_bare_numbers(content: bytes) -> bool:
    """Whether a body that is read as JSON has NaN or infinity, which JSON has no words for."""
    try:
        read_json(content, strict=True)
    except EndpointError:
        return True
    return False


def is_finite(value: Any) -> bool:
    """Whether all numbers of an answer are finite, and nothing in it is null.

    >>> is_finite([[0.5, 0.5], [0.25, 0.75]]), is_finite([float("nan")])
    (True, False)
    """
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list):
        return all(map(is_finite, value))
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
