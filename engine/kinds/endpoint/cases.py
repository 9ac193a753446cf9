"""Requests that a server should not take as they are: what each has, and what is odd about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from engine.core.boundary_values import EXTREME, TEXTS, UNSEEN
from engine.kinds.endpoint.target import Target
from engine.serving import Input, Rows
from engine.serving.client import JSON

_UNKNOWN = "evalmatrix_unknown_column"
# More than the largest body that a cloud takes (SageMaker's 6 MB), and no burden for a machine.
LARGE_BYTES = 8 * 2**20
_WHOLE = frozenset({"integer", "long", "int32", "int64"})
_FLOATS = frozenset({"float", "double", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class Case:
    """One odd request.

    Attributes:
        column: which input is odd; "" for the request as a whole.
        what: what is odd, in words.
        body: what is sent.
        batch: the same for the offline model; None where it has no such input, as if it refused.
        kind: the type that the body is said to be.
        count: the rows of the request.
    """

    column: str
    what: str
    body: bytes
    batch: pa.RecordBatch | None = None
    kind: str | None = JSON
    count: int = 1


@dataclass(frozen=True, slots=True)
class OneRow:
    """The row in which one thing is changed at a time: as it is asked, and as the model has it."""

    target: Target
    rows: Rows
    batch: pa.RecordBatch

    def body(self, rows: Rows, *, bare: bool = False) -> bytes:
        """What is sent for rows; `bare` lets NaN stand as it does in Python."""
        return json.dumps(self.target.client.protocol.write(rows), allow_nan=bare).encode()

    def with_value(self, place: int, value: Any) -> Rows:
        """The row with another value in one input; of a tensor the first number is changed."""
        inputs = list(self.rows.inputs)
        own = inputs[place]
        if own.shape is not None and isinstance(own.values[0], list):
            value = _with_first(own.values[0], value)
        inputs[place] = replace(own, values=[value])
        return Rows(tuple(inputs), 1)

    def change(self, place: int, what: str, value: Any, array: Any) -> Case:
        """The case of another value in one input; `array` is the value as the model has it."""
        own = self.rows.inputs[place]
        bare = isinstance(value, float) and value - value != 0
        body = self.body(self.with_value(place, value), bare=bare)
        return Case(self._name(place), what, body, self._batch(place, own, array))

    def _batch(self, place: int, own: Input, array: Any) -> pa.RecordBatch | None:
        if array is None or own.shape is not None:
            return None
        name = self.target.model.model.features[place]
        at = self.batch.schema.get_field_index(name)
        return self.batch.set_column(at, name, array)

    def _name(self, place: int) -> str:
        return self.rows.inputs[place].name or self.target.model.model.features[place]


Cases = Callable[[OneRow], Iterator[Case]]


def _types(row: OneRow) -> Iterator[Case]:
    """Values of other types than the declared one, and rare ones of it."""
    for place, own in enumerate(row.rows.inputs):
        for what, value, array in _values(own.type or ""):
            yield row.change(place, what, value, array)


def _values(kind: str) -> Iterator[tuple[str, Any, Any]]:
    if kind in _WHOLE:
        yield "a fraction (1.5) in whole numbers", 1.5, pa.array([1.5])
        yield "a truth value in numbers", True, pa.array([True])
        yield "a number as text", "7", pa.array(["7"])
        yield "a number beyond 64 bits", 2**64, None
    elif kind in _FLOATS:
        yield "a very large number", EXTREME, pa.array([EXTREME])
        yield "minus zero", -0.0, pa.array([-0.0])
        yield "a truth value in numbers", True, pa.array([True])
        yield "a number as text", "7", pa.array(["7"])
        yield "text in the place of a number", "text", pa.array(["text"])
    elif kind == "string":
        yield from ((what, text, pa.array([text])) for what, text in TEXTS.items())
        yield "a number in the place of text", 7, pa.array([7])
        yield "a list in the place of text", ["text"], None
    elif kind in ("boolean", "bool"):
        yield "the text true", "true", pa.array(["true"])
        yield "1 in the place of a truth value", 1, pa.array([1])
    elif kind == "datetime":
        yield "a text that is no time", "not a time", pa.array(["not a time"])


def _nulls(row: OneRow) -> Iterator[Case]:
    for place, own in enumerate(row.rows.inputs):
        name = row.target.model.model.features[place] if own.shape is None else ""
        array = pa.nulls(1, row.batch.schema.field(name).type) if name else None
        yield row.change(place, "null", None, array)


def _nan(row: OneRow) -> Iterator[Case]:
    for place, own in enumerate(row.rows.inputs):
        if own.type in _FLOATS:
            for what, value in {"NaN": float("nan"), "infinity": float("inf")}.items():
                yield row.change(place, f"a bare {what}", value, pa.array([value]))


def _unseen(row: OneRow) -> Iterator[Case]:
    for place, own in enumerate(row.rows.inputs):
        if own.type == "string":
            yield row.change(place, "an unseen category", UNSEEN, pa.array([UNSEEN]))


def _missing(row: OneRow) -> Iterator[Case]:
    if row.rows.are_tensors:
        first = row.rows.inputs[0]
        if isinstance(first.values[0], list) and len(first.values[0]) > 1:
            short = replace(first, values=[first.values[0][:-1]])
            yield Case("", "a shorter row", row.body(Rows((short, *row.rows.inputs[1:]), 1)))
        return
    for place, own in enumerate(row.rows.inputs):
        rest = (*row.rows.inputs[:place], *row.rows.inputs[place + 1 :])
        if rest:
            features = row.target.model.model.features
            batch = row.batch.drop_columns([features[place]])
            yield Case(str(own.name), "the column is missing", row.body(Rows(rest, 1)), batch)


def _extra(row: OneRow) -> Iterator[Case]:
    if not row.rows.are_tensors:
        more = (*row.rows.inputs, Input(_UNKNOWN, "double", [1.0]))
        yield Case("", "a column that it does not know", row.body(Rows(more, 1)), row.batch)


def _empty(row: OneRow) -> Iterator[Case]:
    yield Case("", "no rows", row.body(row.rows.take([])), row.batch.slice(0, 0), count=0)
    yield Case("", "an empty body", b"")
    yield Case("", "an empty mapping", b"{}")


def _content_type(row: OneRow) -> Iterator[Case]:
    body = row.body(row.rows)
    for kind in ("text/plain", "application/xml", "application/x-unknown"):
        yield Case("", f"the content type {kind}", body, row.batch, kind)
    yield Case("", "no content type", body, row.batch, None)


def _not_json(row: OneRow) -> Iterator[Case]:
    body = row.body(row.rows)
    yield Case("", "half a body", body[:-1])
    yield Case("", "a body that is no UTF-8", body + b"\xff\xfe")
    yield Case("", "a body that is a list", b"[" + body + b"]")


def _too_large(row: OneRow) -> Iterator[Case]:
    large = LARGE_BYTES // 2**20
    yield Case("", f"a body of {large} MB", row.body(row.rows) + b" " * LARGE_BYTES, row.batch)


CASES: dict[str, Cases] = {
    "types": _types,
    "nulls": _nulls,
    "nan": _nan,
    "empty": _empty,
    "unseen": _unseen,
    "missing": _missing,
    "extra": _extra,
    "content_type": _content_type,
    "not_json": _not_json,
    "too_large": _too_large,
}
"""The kinds of odd requests, each a check of its own."""


def _with_first(value: list[Any], first: Any) -> list[Any]:
    head = value[0] if value else None
    return [_with_first(head, first) if isinstance(head, list) else first, *value[1:]]
