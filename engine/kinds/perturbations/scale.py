"""`scale`: slips of the unit, as metres for kilometres, on some rows of numeric columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.fields.values import Columns
from engine.kinds.perturbations.base import (
    NUMBERS,
    PERTURBATIONS,
    Perturbation,
    change_column,
    choose_rows,
    type_misfits,
    uniform_numbers,
)
from engine.kinds.setting import Setting
from engine.states import Floats, Ints

# The share of rows with a slip, at each severity: no table has a standard.
SHARES = {1: 0.01, 2: 0.05, 3: 0.1, 4: 0.2, 5: 0.4}
FACTORS = np.array([1e-3, 1e-2, 1e-1, 1e1, 1e2, 1e3])


class Scale(Perturbation):
    """Times or divided by 10, 100 or 1,000 in 1, 5, 10, 20 or 40 % of the rows.

    Whole numbers are rounded; a product beyond the column's type is left as it was.
    """

    key = "scale"
    description = "Slips of the unit: a share of values times or divided by 10, 100 or 1,000."
    field = Columns

    def columns(self, asked: Sequence[str]) -> Sequence[str]:
        return asked

    def parameters(
        self, asked: Sequence[str], severity: int, facts: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {"columns": list(asked), "share": SHARES[severity]}

    def misfits(self, asked: Sequence[str], setting: Setting) -> Iterator[str]:
        return type_misfits(self.key, asked, setting, NUMBERS, "numeric columns")

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        for name in parameters["columns"]:
            chosen = choose_rows(rows, parameters["share"], self.key, name)
            drawn = uniform_numbers(rows, self.key, name, "factor") * len(FACTORS)
            factors = np.where(chosen, FACTORS[drawn.astype(np.int64)], 1.0)
            batch = change_column(batch, name, partial(_multiply, factors=factors))
        return batch


def _multiply(column: pa.Array, factors: Floats) -> pa.Array:
    """A column times factors, of the type it had."""
    null = column.is_null().to_numpy(zero_copy_only=False)
    filled = pc.fill_null(column, 0) if null.any() else column
    values = filled.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        product = values.astype(np.float64) * factors
        inside = np.isfinite(product) & (factors != 1.0)
        if np.issubdtype(values.dtype, np.integer):
            limits = np.iinfo(values.dtype)
            # Up to 2**63 exclusive: a double next to it is that power itself.
            inside &= (product >= float(limits.min)) & (product < float(limits.max))
            product = np.where(inside, np.rint(product), 0.0)
        scaled = product.astype(values.dtype)
        inside &= np.isfinite(scaled)
    changed = np.where(inside, scaled, values)
    return pa.array(changed, column.type, mask=null if null.any() else None)


PERTURBATIONS.add("scale", Scale())
