"""What slices are called: by their columns' values, and the intervals between edges.

`country=DE & age in [18, 30)`, `device=<null>`: one name for the same rows, whoever names them.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from engine.core.vocabulary import Slice, SliceSet

NULL = "<null>"

Values = tuple[str | None, ...]


def value_text(value: Any) -> str | None:
    """How a column's value is written in results: None for null, true, 1.5, 2026-11-23.

    Different values of one type have different texts. Instants are written in UTC, whatever the
    session's time zone.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "NaN" if value != value else repr(value)
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def edge_text(edge: float) -> str:
    """An edge as short as it can be written exactly."""
    return str(int(edge)) if float(edge).is_integer() and abs(edge) < 1e15 else repr(float(edge))


def interval_texts(edges: Sequence[float]) -> list[str]:
    """The names of the intervals between edges: `< 18`, `[18, 30)`, `>= 30`.

    Edges are written with six digits where that keeps them apart; the rows are cut exactly.
    """
    texts = [f"{edge:.6g}" for edge in edges]
    if len(set(texts)) < len(texts) or any("e" in text for text in texts):
        texts = [edge_text(edge) for edge in edges]
    inner = [f"[{low}, {high})" for low, high in pairwise(texts)]
    return [f"< {texts[0]}", *inner, f">= {texts[-1]}"]


def _quote_value(value: str | None) -> str:
    """A value as it stands in a slice's name; quoted where it could be read as something else."""
    if value is None:
        return NULL
    odd = value in ("", NULL) or value != value.strip() or not value.isprintable()
    return _in_quotes(value) if odd or set(value) & set('&="') else value


def _quote_column(column: str) -> str:
    """A column as it stands in a slice's name."""
    odd = column != column.strip() or not column.isprintable()
    return _in_quotes(column) if odd or set(column) & set('&="<>[') else column


def _in_quotes(text: str) -> str:
    """A text as JSON has it, readable, but without what would break or turn a line."""
    quoted = json.dumps(text, ensure_ascii=False)
    joiner = "\u200d"  # emojis are joined by it
    return "".join(c if c.isprintable() or c == joiner else json.dumps(c)[1:-1] for c in quoted)


def slice_of(slice_set: SliceSet, values: Values) -> Slice:
    """The slice of a set that has these values of its dimensions.

    >>> slice_of(SliceSet("country", "by", (Dimension("country"),)), ("DE",)).name
    'country=DE'
    """
    if not slice_set.dimensions:
        return Slice(slice_set.name, slice_set.kind, slice_set.name)
    parts = []
    for dimension, value in zip(slice_set.dimensions, values, strict=True):
        if dimension.edges is None or value is None or value == "NaN":
            parts.append(f"{_quote_column(dimension.column)}={_quote_value(value)}")
        else:
            joint = " in " if value.startswith("[") else " "
            parts.append(f"{_quote_column(dimension.column)}{joint}{value}")
    columns = [dimension.column for dimension in slice_set.dimensions]
    named = tuple(zip(columns, values, strict=True))
    return Slice(" & ".join(parts), slice_set.kind, slice_set.name, named)


def group_text(column: str, value: str | None) -> str:
    """How a group of rows is named by the value of its column, `sex=f`."""
    return f"{_quote_column(column)}={_quote_value(value)}"
