"""`step`: a numeric column moved one way, as `direction` asks for it, within the data's range."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import PlainValidator, WithJsonSchema

from engine.core.vocabulary import Variant
from engine.fields.values import expected, percent
from engine.kinds.perturbations.base import PERTURBATIONS, Perturbation, variant_stem
from engine.states import Floats, Ints
from engine.states.columns import numbers_of

# The types that can step, as Spark writes them.
WHOLE = frozenset({"tinyint", "smallint", "int", "bigint"})
NUMBERS = WHOLE | {"float", "double"}

# Whole numbers beyond are not all a double.
_EXACT = 2.0**53
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?%")


def _step_size(value: Any) -> tuple[float, bool]:
    """A number in the column's units, or a share of each value: the size, whether it is a share."""
    size, relative = math.nan, False
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value.strip())):
        # In decimal, so that writing a share as per cent and reading it again changes nothing.
        size, relative = float(Decimal(match[1]).scaleb(-2)), True
    elif isinstance(value, int | float) and not isinstance(value, bool):
        size = float(value) if abs(value) < 1e300 else math.inf
    if not (math.isfinite(size) and size > 0):
        raise expected("a number above 0, or a share of each value such as '10%'")
    return size, relative


StepSize = Annotated[
    Any,
    PlainValidator(_step_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^ *([0-9]+(\.[0-9]*)?|\.[0-9]+) ?% *$"},
            ]
        }
    ),
]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a column: up or down, by a number or by a share of each value's size.

    `low` and `high` are the ends of the range that it stays in, None where there is none; `type` is
    the column's, as Spark writes it.
    """

    column: str
    up: bool
    by: float
    relative: bool
    type: str = "double"
    low: float | None = None
    high: float | None = None

    @property
    def variant(self) -> Variant:
        """The variant of the step: `increase(income)@10%`."""
        size = percent(self.by) if self.relative else f"{self.by:g}"
        name = f"{variant_stem('increase' if self.up else 'decrease', [self.column])}@{size}"
        return Variant(name, StepPerturbation.key, json.dumps(asdict(self), sort_keys=True))

    def targets(self, values: Floats) -> Floats:
        """Where the step leads from each value, NaN where it leads nowhere.

        It ends at the range's end. A value that is none, or that has no room, stays where it is.
        Whole numbers go by whole numbers, by 1 at the least.
        """
        sign = 1.0 if self.up else -1.0
        whole = self.type in WHOLE
        with np.errstate(all="ignore"):
            sizes = self.by * np.abs(values) if self.relative else np.full(len(values), self.by)
            if whole:
                sizes = np.where(sizes > 0, np.maximum(np.rint(sizes), 1.0), 0.0)
            targets = values + sign * sizes
            end = self.high if self.up else self.low
            if end is not None:
                targets = np.minimum(targets, end) if self.up else np.maximum(targets, end)
            if whole:
                targets = np.floor(targets) if self.up else np.ceil(targets)
            elif self.type == "float":
                targets = targets.astype(np.float32).astype(np.float64)
            moves = np.isfinite(values) & np.isfinite(targets) & (sign * (targets - values) > 0)
            if whole:
                moves &= (np.abs(values) <= _EXACT) & (np.abs(targets) <= _EXACT)
        return np.where(moves, targets, np.nan)


class StepPerturbation(Perturbation):
    """A step of one column; rows that have no room for it stay as they are."""

    key = "step"
    description = "A numeric column moved one way."
    field = Any
    is_graded = False

    def columns(self, asked: Step) -> Sequence[str]:
        return [asked.column]

    def parameters(
        self, asked: Step, severity: int, spreads: Mapping[str, float]
    ) -> Mapping[str, Any]:
        return asdict(asked)

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        step = Step(**parameters)
        if step.column not in batch.schema.names:
            return batch
        place = batch.schema.get_field_index(step.column)
        column = batch.column(place)
        targets = step.targets(numbers_of(column)[0])
        moves = ~np.isnan(targets)
        moved = np.where(moves, targets, 0.0).astype(column.type.to_pandas_dtype())
        changed = pa.array(moved, column.type)
        column = pc.if_else(pa.array(moves), changed, column)
        return batch.set_column(place, batch.schema.field(place), column)


PERTURBATIONS.add("step", StepPerturbation())
