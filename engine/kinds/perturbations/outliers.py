"""`outliers`: numbers that lie far off, on some rows of numeric columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

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
from engine.kinds.perturbations.noise import add_numbers
from engine.kinds.setting import Setting
from engine.states import Ints

# The share of rows with an outlier, at each severity: no table has a standard.
SHARES = {1: 0.01, 2: 0.02, 3: 0.05, 4: 0.1, 5: 0.2}
NEAREST, FARTHEST = 5.0, 10.0


class Outliers(Perturbation):
    """5 to 10 spreads added or taken away in 1, 2, 5, 10 or 20 % of the rows.

    Whole numbers stay whole and within their type; null, NaN and infinity stay.
    """

    key = "outliers"
    description = "A share of values moved by 5 to 10 spreads of their column."
    field = Columns
    needs_spread = True

    def columns(self, asked: Sequence[str]) -> Sequence[str]:
        return asked

    def parameters(
        self, asked: Sequence[str], severity: int, facts: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        spreads = {name: facts.get(name) or 0.0 for name in asked}
        return {"spread": spreads, "share": SHARES[severity]}

    def misfits(self, asked: Sequence[str], setting: Setting) -> Iterator[str]:
        return type_misfits(self.key, asked, setting, NUMBERS, "numeric columns")

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        for name, spread in parameters["spread"].items():
            chosen = choose_rows(rows, parameters["share"], self.key, name)
            drawn = 2.0 * uniform_numbers(rows, self.key, name, "distance") - 1.0
            sign = np.where(drawn < 0, -1.0, 1.0)
            distance = sign * (NEAREST + (FARTHEST - NEAREST) * np.abs(drawn)) * spread
            far = np.where(chosen, distance, 0.0)
            batch = change_column(batch, name, partial(add_numbers, numbers=far))
        return batch


PERTURBATIONS.add("outliers", Outliers())
