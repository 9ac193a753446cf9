"""Rows that stand twice."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from engine.data.generation.blocks import BLOCK
from engine.data.generation.plants.plant import REPEATS, Answer, Draw, Ints, PlantBody
from engine.errors import DataError


class Duplicates(PlantBody):
    """So many `rows` are those before them once more, with their own key; with `key: true` not."""

    rows: Annotated[int, Field(ge=1)]
    key: bool = False

    @property
    def rank(self) -> int:
        """When it is planted."""
        return REPEATS

    def apply(self, rows: pa.Table, numbers: Ints, draw: Draw) -> pa.Table:
        """Repeats rows."""
        chosen = self._repeats(numbers, draw)
        before = pa.array(np.arange(rows.num_rows) - chosen)
        for place, name in enumerate(rows.column_names):
            if name != draw.key or self.key:
                values = rows.column(place).combine_chunks().take(before)
                rows = rows.set_column(place, rows.schema.field(place), values)
        return rows

    def _repeats(self, numbers: Ints, draw: Draw) -> Any:
        """[row]: which rows are the one before; the first of a block has none before it."""
        every = max((draw.rows - 1) // self.rows, 2)
        return (
            (numbers % every == every - 1) & (numbers // every < self.rows) & (numbers % BLOCK != 0)
        )

    def count(self, draw: Draw) -> int:
        """How many rows are repeated."""
        every = max((draw.rows - 1) // self.rows, 2)
        numbers = np.arange(every - 1, min(self.rows * every, draw.rows), every)
        return int((numbers % BLOCK != 0).sum())

    def answer(self, draw: Draw) -> Answer:
        """The share of rows that are equal to another: twice those that were repeated."""
        if 2 * self.rows > draw.rows:
            raise DataError(
                f"plant: found {self.rows:,} rows to repeat of {draw.rows:,}, expected at most half"
            )
        if self.key and draw.key is None:
            raise DataError("plant: `key: true` repeats keys, expected `key`")
        count = self.count(draw)
        share = 2 * count / draw.rows
        if self.key:
            test: dict[str, Any] = {"data_quality": {"unique": draw.key}, "max_share": 0}
            return Answer(count, {"repeated_share": share}, test, says="of all rows")
        columns = [name for name in draw.sample.column_names if name != draw.key]
        test = {"data_quality": {"no_duplicates": columns}, "max_share": 0}
        return Answer(
            count,
            {"duplicate_share": share},
            test,
            says="of all rows; those alike by chance are not counted",
        )
