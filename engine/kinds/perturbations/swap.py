"""`swap`: a category in the place of another one that the column has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Discriminator, Field, Tag

from engine.fields.values import Columns, Labels, Text
from engine.kinds.perturbations.base import (
    CATEGORIES,
    NUMBERS,
    PERTURBATIONS,
    WHOLE,
    Perturbation,
    change_column,
    choose_rows,
    type_misfits,
    uniform_numbers,
)
from engine.kinds.setting import Setting
from engine.states import Bools, Floats, Ints

# The share of rows with another category, at each severity: no table has a standard.
SHARES = {WHOLE: 1.0, 1: 0.01, 2: 0.05, 3: 0.1, 4: 0.2, 5: 0.4}


def _form(asked: Any) -> str:
    return "values" if isinstance(asked, Mapping) else "columns"


_VALUES = Annotated[dict[Text, Labels], Field(min_length=1)]
_ASKED = Annotated[
    Annotated[Columns, Tag("columns")] | Annotated[_VALUES, Tag("values")], Discriminator(_form)
]


class Swap(Perturbation):
    """Another value of the column, each with the same chance, in a share of the rows.

    Of a column with two values it is the other one. Null stays. The values are those that at least
    one in a thousand rows has, the 100 most frequent at most, or those that the suite names.
    """

    key = "swap"
    description = "Another value that the column has, in a share of rows."
    field = _ASKED
    needs_values = True
    keeps_answer = True

    def columns(self, asked: Any) -> Sequence[str]:
        return list(asked)

    def pinned_columns(self, asked: Any) -> Sequence[str]:
        return [] if isinstance(asked, Mapping) else asked

    def parameters(self, asked: Any, severity: int, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        own = asked if isinstance(asked, Mapping) else {}
        values = {
            name: list(own[name]) if name in own else sorted(v for v, _ in facts.get(name) or [])
            for name in asked
        }
        return {"values": values, "share": SHARES[severity]}

    def misfits(self, asked: Any, setting: Setting) -> Iterator[str]:
        words = "categories: text, whole numbers or truth values"
        yield from type_misfits(self.key, self.columns(asked), setting, CATEGORIES, words)
        for name, values in asked.items() if isinstance(asked, Mapping) else ():
            kind = setting.types.get(name)
            wrong = [v for v in values if kind is not None and not _is_of(v, kind)]
            if wrong:
                yield f"swap has {wrong[0]!r} for {name!r}, which is {kind}; expected its values"

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        for name, values in parameters["values"].items():
            chosen = choose_rows(rows, parameters["share"], self.key, name)
            drawn = uniform_numbers(rows, self.key, name, "value")
            change = partial(_exchange, values=values, chosen=chosen, drawn=drawn)
            batch = change_column(batch, name, change)
        return batch


def _is_of(value: object, kind: str) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in NUMBERS.split("|"):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str)


def _exchange(column: pa.Array, values: Sequence[Any], chosen: Bools, drawn: Floats) -> pa.Array:
    """A column with another of these values where it is chosen."""
    pool = pa.array(values, column.type)
    at = pc.index_in(column, value_set=pool)
    known = at.is_valid().to_numpy(zero_copy_only=False)
    own = pc.fill_null(at, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    # Among n values a known one has n - 1 others; an unknown one has n.
    others = np.maximum(len(pool) - known, 1)
    step = (drawn * others).astype(np.int64)
    place = np.where(known, (own + 1 + step) % len(pool), step)
    chosen = chosen & column.is_valid().to_numpy(zero_copy_only=False)
    return pc.if_else(pa.array(chosen), pool.take(pa.array(place)), column)


PERTURBATIONS.add("swap", Swap())
