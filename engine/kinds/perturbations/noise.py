"""`noise`: Gaussian noise on numeric columns, in units of each column's spread."""

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
    normal_numbers,
    type_misfits,
)
from engine.kinds.setting import Setting
from engine.states import Floats, Ints

# The standard deviation of the noise at each severity, as a share of the column's.
SHARES = {1: 0.05, 2: 0.1, 3: 0.2, 4: 0.4, 5: 0.8}

# Of the room to the end of a type, as a double knows it.
_SAFE = 1 - 1e-12


class Noise(Perturbation):
    """Gaussian noise of 5, 10, 20, 40 or 80 % of a column's standard deviation.

    Whole numbers are rounded to whole numbers, within their type; null, NaN and infinity stay, and
    all else stays in the column's range.
    """

    key = "noise"
    description = "Gaussian noise on numeric columns, in units of their spread."
    field = Columns
    needs_spread = True
    stays_in_range = True

    def columns(self, asked: Sequence[str]) -> Sequence[str]:
        return asked

    def parameters(
        self, asked: Sequence[str], severity: int, facts: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {"sd": {name: (facts.get(name) or 0.0) * SHARES[severity] for name in asked}}

    def misfits(self, asked: Sequence[str], setting: Setting) -> Iterator[str]:
        return type_misfits(self.key, asked, setting, NUMBERS, "numeric columns")

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        for name, sd in parameters["sd"].items():
            noise = normal_numbers(rows, self.key, name) * sd
            batch = change_column(batch, name, partial(add_numbers, numbers=noise))
        return batch


def add_numbers(column: pa.Array, numbers: Floats) -> pa.Array:
    """A numeric column with numbers added, of the type it had, and within that."""
    kind, null = column.type, column.is_null().to_numpy(zero_copy_only=False)
    filled = pc.fill_null(column, 0) if null.any() else column
    values = filled.to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind):
        limits = np.iinfo(values.dtype)
        # What is added is rounded, not the sum, so that large numbers keep their digits; where the
        # sum would leave the type, the number stays.
        moved = np.rint(np.clip(numbers, -(2.0**62), 2.0**62)).astype(np.int64)
        room_below = values.astype(np.float64) - limits.min
        room_above = limits.max - values.astype(np.float64)
        inside = (moved >= -room_below * _SAFE) & (moved <= room_above * _SAFE)
        changed = (values + np.where(inside, moved, 0)).astype(values.dtype)
    else:
        changed = (values.astype(np.float64) + numbers).astype(values.dtype)
        changed = np.where(np.isfinite(values), changed, values)
    return pa.array(changed, kind, mask=null if null.any() else None)


PERTURBATIONS.add("noise", Noise())
