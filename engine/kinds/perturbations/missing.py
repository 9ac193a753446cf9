"""`missing`: values that are not there, in any column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.fields.values import Columns
from engine.kinds.perturbations.base import (
    PERTURBATIONS,
    Perturbation,
    change_column,
    choose_rows,
)
from engine.states import Bools, Ints

# The share of values that go, at each severity: no table has a standard.
SHARES = {1: 0.01, 2: 0.05, 3: 0.1, 4: 0.2, 5: 0.4}


class Missing(Perturbation):
    """Null in the place of 1, 5, 10, 20 or 40 % of a column's values, completely at random."""

    key = "missing"
    description = "Null in the place of a share of values."
    field = Columns

    def columns(self, asked: Sequence[str]) -> Sequence[str]:
        return asked

    def parameters(
        self, asked: Sequence[str], severity: int, facts: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {"columns": list(asked), "share": SHARES[severity]}

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        for name in parameters["columns"]:
            chosen = choose_rows(rows, parameters["share"], self.key, name)
            batch = change_column(batch, name, partial(_remove, chosen=chosen))
        return batch


def _remove(column: pa.Array, chosen: Bools) -> pa.Array:
    return pc.if_else(pa.array(chosen), pa.scalar(None, column.type), column)


PERTURBATIONS.add("missing", Missing())
