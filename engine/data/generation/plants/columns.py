"""A column of which a part is broken: null, constant, or in another unit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from engine.data.generation.marginals import to_numbers
from engine.data.generation.plants.plant import (
    VALUES,
    Answer,
    Draw,
    Ints,
    PlantBody,
    changed_numbers,
    replace_column,
)
from engine.data.generation.strict import Name, Share
from engine.errors import DataError


class Broken(PlantBody):
    """A `share` of a column is null; or `factor` times as large, as in another unit."""

    column: Name
    share: Share
    factor: float | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Broken:
        if self.factor == 1:
            raise ValueError("found `factor: 1`, which changes nothing")
        return self

    @property
    def rank(self) -> int:
        """When it is planted."""
        return VALUES

    def apply(self, rows: pa.Table, numbers: Ints, draw: Draw) -> pa.Table:
        """Breaks the column."""
        column = rows.column(self.column).combine_chunks()
        broken = pa.array(draw.chances(numbers) < self.share)
        if self.factor is None:
            values = pc.if_else(broken, pa.scalar(None, column.type), column)
            return replace_column(rows, self.column, values)
        scaled = changed_numbers(column, to_numbers(column) * self.factor)
        return replace_column(rows, self.column, pc.if_else(broken, scaled, column))

    def answer(self, draw: Draw) -> Answer:
        """The share of rows that a check of the column finds."""
        column = draw.column(self.column)
        nulls = column.null_count / max(len(column), 1)
        says = "of all rows"
        if self.factor is None:
            finds = {"null_share": nulls + (1 - nulls) * self.share}
            test = {"data_quality": {"not_null": [self.column]}, "max_share": round(nulls, 6)}
            return Answer(self.share * draw.rows, finds, test, says=says)
        numbers = draw.numbers(self.column)
        if not len(numbers):
            raise DataError(f"plant: the column {self.column!r} has no numbers")
        draw.check_room(self.column, numbers * self.factor)
        # Wider than the sample, beyond whose ends some rows lie.
        margin = float(np.ptp(numbers))
        low, high = float(numbers.min()) - margin, float(numbers.max()) + margin
        outside = float(((numbers * self.factor < low) | (numbers * self.factor > high)).mean())
        finds = {"out_of_range_share": (1 - nulls) * self.share * outside}
        test = {"data_quality": {"range": {self.column: [low, high]}}, "max_share": 0}
        return Answer(self.share * draw.rows, finds, test, says=says)
