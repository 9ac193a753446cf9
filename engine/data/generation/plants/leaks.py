"""Rows of the source among those that were made, or a column that is the label in disguise."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from engine.data.generation.blocks import BLOCK, Block
from engine.data.generation.plants.plant import (
    COPIES,
    PREDICTIONS,
    Answer,
    Draw,
    Ints,
    PlantBody,
)
from engine.data.generation.strict import Name, Share
from engine.errors import DataError


class Leakage(PlantBody):
    """`rows` of the source under other keys; or a `column`, the label in a `share` of the rows."""

    rows: Annotated[int, Field(ge=1)] | None = None
    column: Name | None = None
    share: Share = 1.0

    @model_validator(mode="after")
    def _is_one(self) -> Leakage:
        if (self.rows is None) == (self.column is None):
            raise ValueError(
                "expected `rows` (copies of the source's), or `column` (the label's copy)"
            )
        return self

    @property
    def rank(self) -> int:
        """A column is planted with the labels; copies are made of rows that are whole."""
        return PREDICTIONS if self.rows is None else COPIES

    def sound(self) -> PlantBody | None:
        """The same column: a label in disguise stands in the training data too."""
        return None if self.column is None else self

    def apply(self, rows: pa.Table, numbers: Ints, draw: Draw) -> pa.Table:
        """Puts copies in the place of rows, or adds the column."""
        if self.rows is not None:
            return self._with_copies(rows, numbers, draw, self.rows)
        assert draw.label is not None and self.column is not None, "it was checked"
        labels = rows.column(draw.label).combine_chunks()
        classes = list(draw.labels().items())
        ends = np.cumsum([share for _, share in classes])[:-1]
        drawn = np.searchsorted(ends, draw.chances(numbers, 1), side="right")
        others = pa.array([value for value, _ in classes], labels.type).take(pa.array(drawn))
        copied = pa.array(draw.chances(numbers) < self.share)
        return rows.append_column(self.column, pc.if_else(copied, labels, others))

    def _with_copies(self, rows: pa.Table, numbers: Ints, draw: Draw, count: int) -> pa.Table:
        places = np.flatnonzero(draw.evenly(numbers, count))
        if not len(places):
            return rows
        copies = self._originals(numbers[places], draw, count)
        order = np.arange(rows.num_rows)
        order[places] = rows.num_rows + np.arange(len(places))
        for place, name in enumerate(rows.column_names):
            if name != draw.key and name in copies.column_names:
                both = [table.column(name).combine_chunks() for table in (rows, copies)]
                values = pa.concat_arrays(both).take(pa.array(order))
                rows = rows.set_column(place, rows.schema.field(place), values)
        return rows

    def _originals(self, numbers: Ints, draw: Draw, count: int) -> pa.Table:
        """The rows that leak: those of the reference with the same numbers, or the source's."""
        if draw.reference is not None:
            block = Block(int(numbers[0]) // BLOCK, BLOCK)
            return draw.reference.block(block).take(pa.array(numbers - block.first))
        assert draw.source is not None, "it was checked"
        which = (numbers - 1) * count // max(draw.rows - 1, 1) % draw.source.num_rows
        return draw.source.take(pa.array(which))

    def answer(self, draw: Draw) -> Answer:
        """How many rows leak, or what the column says of the label."""
        if self.rows is not None:
            most = draw.rows - 1
            if draw.reference is None:
                if draw.source is None:
                    raise DataError(
                        "plant: `leakage: {rows}` copies rows of the `reference` or of a dataset, "
                        "expected one of them"
                    )
                most = min(most, draw.source.num_rows - 1)
            if self.rows > most:
                raise DataError(
                    f"plant: found {self.rows:,} rows to copy, expected at most {most:,}"
                )
            origin = "the source" if draw.reference is None else "the reference"
            test: dict[str, Any] = {"leakage": "rows", "max_rows": 0}
            says = f"beside {origin}; rows that are like one by chance are not counted"
            return Answer(self.rows, {"leaked_rows": float(self.rows)}, test, says=says)
        classes = draw.labels()
        if self.column in draw.sample.column_names:
            raise DataError(f"plant: there is a column {self.column!r} already")
        power = disguise_power(list(classes.values()), self.share)
        test = {"leakage": "target", "max": round(power / 2, 3)}
        says = "of the column alone; what others say of the label is not counted"
        return Answer(draw.rows, {"target_power": power}, test, says=says)


def disguise_power(classes: list[float], share: float) -> float:
    """What a column says of the label that is its copy in a share of rows, else drawn like it.

    Beside the majority's guess: what the best guess by the column has right more, as a share of
    what that has wrong.
    """
    shares = np.asarray(classes)
    majority = float(shares.max())
    if majority >= 1:
        return 0.0
    right = 0.0
    for place, own in enumerate(shares):
        others = np.delete(shares, place)
        right += own * max(share + (1 - share) * own, (1 - share) * float(others.max(initial=0.0)))
    return max(0.0, (right - majority) / (1 - majority))
