"""`shuffle`: in the place of a column's value one as other rows have it.

It is drawn from what is pinned of the whole column, never taken from a row beside it: so it is the
same on any partitioning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.fields.values import Columns
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

# The share of rows with another row's value; all of them is what importance by permutation does
# (Breiman 2001).
SHARES = {WHOLE: 1.0, 1: 0.1, 2: 0.25, 3: 0.5, 4: 0.75, 5: 1.0}


class Shuffle(Perturbation):
    """A value of another row, drawn from the column's pinned values, in a share of the rows.

    Of few values each has its share; of many numbers 20 quantiles stand for them. Null stays.
    """

    key = "shuffle"
    description = "A value as other rows have it, in a share of rows, up to all."
    field = Columns
    needs_values = True
    keeps_answer = True

    def columns(self, asked: Sequence[str]) -> Sequence[str]:
        return asked

    def parameters(
        self, asked: Sequence[str], severity: int, facts: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        values = {name: facts.get(name) or [] for name in asked}
        return {"values": values, "share": SHARES[severity]}

    def misfits(self, asked: Sequence[str], setting: Setting) -> Iterator[str]:
        words = "numbers, text or truth values"
        return type_misfits(self.key, asked, setting, f"{NUMBERS}|{CATEGORIES}", words)

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        for name, values in parameters["values"].items():
            chosen = choose_rows(rows, parameters["share"], self.key, name)
            drawn = uniform_numbers(rows, self.key, name, "value")
            change = partial(_draw, values=values, chosen=chosen, drawn=drawn)
            batch = change_column(batch, name, change)
        return batch


def _draw(column: pa.Array, values: Sequence[Any], chosen: Bools, drawn: Floats) -> pa.Array:
    """A column with one of the values where it is chosen, by their weights."""
    pool = pa.array([value for value, _ in values], column.type)
    upto = np.cumsum([weight for _, weight in values], dtype=np.float64)
    place = np.searchsorted(upto / upto[-1], drawn, side="right")
    place = np.minimum(place, len(pool) - 1)
    chosen = chosen & column.is_valid().to_numpy(zero_copy_only=False)
    return pc.if_else(pa.array(chosen), pool.take(pa.array(place)), column)


PERTURBATIONS.add("shuffle", Shuffle())
