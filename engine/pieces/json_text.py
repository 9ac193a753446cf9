"""Rows as JSON texts, letter for letter as Spark's `to_json` writes a struct of plain columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

_CONTROL = "[\\x00-\\x1f]"
_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def has_json(kind: pa.DataType) -> bool:
    """Whether values of a type are written here as Spark writes them."""
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_string(kind)
        or types.is_boolean(kind)
        or types.is_date32(kind)
    )


def json_rows(columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """A JSON object for each row, without the columns that are null in it.

    Args:
        columns: columns of types that `has_json`, by their names.
        rows: how many rows they have.
    """
    text = pa.repeat(pa.scalar("", pa.string()), rows)
    for name, column in columns.items():
        label = pa.scalar(f",{_quote(name)}:")
        entry = pc.fill_null(pc.binary_join_element_wise(label, _values(column), ""), "")
        text = pc.binary_join_element_wise(text, entry, "")
    inside = pc.utf8_slice_codeunits(text, 1)
    return pc.binary_join_element_wise(pa.scalar("{"), inside, pa.scalar("}"), "")


def json_list(texts: Iterable[str]) -> str:
    """Texts as a JSON array."""
    return f"[{','.join(map(_quote, texts))}]"


def _values(column: pa.Array) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_date32(column.type)):
        return pc.cast(column, pa.string())
    text = pc.cast(column, pa.string())
    if pc.any(pc.match_substring_regex(text, _CONTROL)).as_py():
        return pa.array([None if value is None else _quote(value) for value in text.to_pylist()])
    for mark in ("\\", '"'):
        text = pc.replace_substring(text, mark, f"\\{mark}")
    quote = pa.scalar('"')
    return pc.binary_join_element_wise(quote, text, quote, "")


def _quote(text: str) -> str:
    """A text in quotes, with the marks that Jackson has for characters that JSON escapes."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{re.sub(_CONTROL, _mark, plain)}"'


def _mark(character: re.Match[str]) -> str:
    return _SHORT.get(character[0], f"\\u{ord(character[0]):04X}")
