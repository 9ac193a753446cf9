"""`noise`: Gaussian noise on numeric columns, in units of each column's spread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.fields.values import Columns
from engine.kinds.base import Setting
from engine.kinds.perturbations.base import PERTURBATIONS, Perturbation, normal_numbers
from engine.states import Ints

# The standard deviation of the noise at each severity, as a share of the column's.
SHARES = {1: 0.05, 2: 0.1, 3: 0.2, 4: 0.4, 5: 0.8}

# Of the room to the end of a type, as a double knows it.
_SAFE = 1 - 1e-12

_NUMBERS = re.compile("tinyint|smallint|int|bigint|float|double")


class Noise(Perturbation):
    """Gaussian noise of 5, 10, 20, 40 or 80 % of a column's standard deviation.

    Whole numbers are rounded to whole numbers, within their type; null, NaN and infinity stay.
    """

    key = "noise"
    description = "Gaussian noise on numeric columns, in units of their spread."
    field = Columns
    needs_spread = True

    def columns(self, asked: Sequence[str]) -> Sequence[str]:
        return asked

    def parameters(
        self, asked: Sequence[str], severity: int, spreads: Mapping[str, float]
    ) -> Mapping[str, Any]:
        return {"sd": {name: spreads.get(name, 0.0) * SHARES[severity] for name in asked}}

    def misfits(self, asked: Sequence[str], setting: Setting) -> Iterator[str]:
        for name in asked:
            kind = setting.types.get(name)
            if kind is not None and _NUMBERS.fullmatch(kind) is None:
                yield f"noise wants numeric columns, found {name!r} of the type {kind}"

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        for name, sd in parameters["sd"].items():
            if name in batch.schema.names:
                noise = normal_numbers(rows, self.key, name) * sd
                place = batch.schema.get_field_index(name)
                column = _add(batch.column(place), noise)
                batch = batch.set_column(place, batch.schema.field(place), column)
        return batch


def _add(column: pa.Array, noise: Any) -> pa.Array:
    """A column with noise, of the type it had."""
    kind, null = column.type, column.is_null().to_numpy(zero_copy_only=False)
    filled = pc.fill_null(column, 0) if null.any() else column
    values = filled.to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind):
        limits = np.iinfo(values.dtype)
        # The noise is rounded, not the sum, so that large numbers keep their digits; where the sum
        # would leave the type, the number stays.
        moved = np.rint(np.clip(noise, -(2.0**62), 2.0**62)).astype(np.int64)
        room_below = values.astype(np.float64) - limits.min
        room_above = limits.max - values.astype(np.float64)
        inside = (moved >= -room_below * _SAFE) & (moved <= room_above * _SAFE)
        changed = (values + np.where(inside, moved, 0)).astype(values.dtype)
    else:
        changed = (values.astype(np.float64) + noise).astype(values.dtype)
        changed = np.where(np.isfinite(values), changed, values)
    return pa.array(changed, kind, mask=null if null.any() else None)


PERTURBATIONS.add("noise", Noise())
