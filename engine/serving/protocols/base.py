"""What a protocol is: where a server is asked, what stands in a request, what in an answer.

A protocol knows no network. `engine.serving.client` sends what it writes, and gives it what was
answered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar
from urllib.parse import quote

from engine.core.registry import Registry
from engine.core.vocabulary import Endpoint
from engine.errors import EndpointError
from engine.serving.rows import Rows


class Protocol(ABC):
    """The dialect of a kind of server.

    Attributes:
        key: its name in a suite.
        description: what it is, in a line.
        names_model: whether the server knows models by names, one of which an endpoint must give.
        most_bytes: the most bytes of a request that the servers take; None where nobody says.
        ready_path: what tells by a status of 200 that the server is up; None where nothing does.
    """

    key: ClassVar[str]
    description: ClassVar[str]
    names_model: ClassVar[bool] = False
    most_bytes: ClassVar[int | None] = None

    @abstractmethod
    def ask_path(self, endpoint: Endpoint) -> str:
        """Where a request for predictions goes, behind the endpoint's URL."""

    def ready_path(self, endpoint: Endpoint) -> str | None:
        """What tells by a status of 200 that the server is up."""
        return None

    def version_path(self, endpoint: Endpoint) -> str | None:
        """What tells which version of the model answers; None where nothing does."""
        return None

    def read_version(self, data: Any) -> str | None:
        """The version of the model by what `version_path` answered; None where it does not tell."""
        return None

    @abstractmethod
    def write(self, rows: Rows) -> Any:
        """What is asked for rows, ready for JSON."""

    @abstractmethod
    def read(self, data: Any, count: int) -> Any:
        """The predictions in an answer: a list with an entry for each row, or columns by name.

        Raises:
            EndpointError: when the answer is not what the protocol says.
        """


PROTOCOLS: Registry[Protocol] = Registry("protocol", "evalmatrix.protocols")


def path_part(name: str | None) -> str:
    """A model's name as a part of a path."""
    return quote(name or "", safe="")


def entry(data: Any, *keys: str) -> Any:
    """What stands under the first of these keys in an answer.

    Raises:
        EndpointError: when there is none of them. Keys of the answer may be data, and are not told.
    """
    for key in keys:
        if isinstance(data, dict) and key in data:
            return data[key]
    expected = " or ".join(map(repr, keys))
    kind = "a mapping without it" if isinstance(data, dict) else f"a {json_kind(data)}"
    raise EndpointError(f"the answer is {kind}, expected a mapping with {expected}")


def json_kind(data: Any) -> str:
    """What JSON calls a value."""
    kinds = {dict: "mapping", list: "list", str: "text", bool: "truth value", type(None): "null"}
    return kinds.get(type(data), "number")


def plain_predictions(data: Any, count: int) -> Any:
    """Predictions with an entry for each row, in one form for all that mean the same.

    A Series answers `[{"0": v}]` and an array `[v]`; a frame without names `[{"0": v, "1": w}]`.

    Raises:
        EndpointError: when there is not an entry for each row.
    """
    if isinstance(data, dict):
        for column in data.values():
            _check_count(column, count)
        return data
    _check_count(data, count)
    if data and all(isinstance(row, dict) for row in data):
        numbered = [str(place) for place in range(len(data[0]))]
        if all(list(row) == numbered for row in data):
            rows = [list(row.values()) for row in data]
            return [row[0] for row in rows] if len(numbered) == 1 else rows
    return data


def _check_count(data: Any, count: int) -> None:
    if not isinstance(data, list):
        raise EndpointError(f"the predictions are a {json_kind(data)}, expected a list")
    if len(data) != count:
        raise EndpointError(
            f"the answer has {len(data):,} predictions for {count:,} rows, expected one for each"
        )
