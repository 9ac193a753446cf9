"""The predicate of a slice that is known by its name's parts: the rows, in Spark SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping

# `[18, 30)`, `< 18`, `>= 30`: what an interval of a column of numbers is called.
_INNER = re.compile(r"\[(?P<low>\S+), (?P<high>\S+)\)")
_OUTER = re.compile(r"(?P<sign><|>=) (?P<edge>\S+)")
_NUMBERS = re.compile(r"tinyint|smallint|int|bigint|float|double|decimal\b.*")
_FLOATS = ("float", "double")


def slice_predicate(values: Mapping[str, str | None], types: Mapping[str, str]) -> str:
    """The rows that have these values of their columns, or lie in these intervals.

    Args:
        values: the texts that results have, by column; None is a row without a value, NaN too.
        types: the columns' types as Spark writes them.

    >>> slice_predicate({"country": "DE", "age": "[18, 30)"}, {"country": "string", "age": "int"})
    "country = 'DE' AND age >= 18 AND age < 30"
    """
    return " AND ".join(_part(name, text, types[name]) for name, text in values.items())


def _part(name: str, text: str | None, kind: str) -> str:
    column = name if re.fullmatch(r"[A-Za-z_]\w*", name) else "`" + name.replace("`", "``") + "`"
    if text is None:
        absent = f"{column} IS NULL"
        return f"({absent} OR isnan({column}))" if kind in _FLOATS else absent
    if kind == "boolean":
        return f"{column} = {text}"
    if not _NUMBERS.fullmatch(kind):
        escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        return f"{column} = '{escaped}'"
    inner, outer = _INNER.fullmatch(text), _OUTER.fullmatch(text)
    if inner is not None:
        return f"{column} >= {inner['low']} AND {column} < {inner['high']}"
    if outer is None:
        return f"isnan({column})" if text == "NaN" else f"{column} = {text}"
    # Spark takes NaN for greater than any number.
    known = f" AND NOT isnan({column})" if outer["sign"] == ">=" and kind in _FLOATS else ""
    return f"{column} {outer['sign']} {outer['edge']}{known}"
