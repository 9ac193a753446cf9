"""Predictions of the label with a known error, and a slice where they are worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from engine.data.generation.given import ConditionField, check_given, meets, text_of
from engine.data.generation.plants.plant import PREDICTIONS, Answer, Draw, Ints, PlantBody
from engine.data.generation.strict import Name, Share
from engine.errors import DataError


class WeakSlice(PlantBody):
    """A column `predicted`, wrong in `error` of the slice's rows and in `otherwise` of the rest.

    It is a model of stored predictions: `{name: planted, predicted: predicted}` in a suite.
    """

    where: dict[str, ConditionField] = Field(min_length=1)
    error: Share = 0.2
    otherwise: Share = 0.1
    predicted: Name = "predicted"

    def sound(self) -> PlantBody | None:
        """Predictions that are as wrong in the slice as elsewhere."""
        return self.model_copy(update={"error": self.otherwise})

    @property
    def rank(self) -> int:
        """When it is planted."""
        return PREDICTIONS

    def apply(self, rows: pa.Table, numbers: Ints, draw: Draw) -> pa.Table:
        """Adds the predictions."""
        assert draw.label is not None, "it was checked"
        labels = rows.column(draw.label).combine_chunks()
        error = np.where(meets(rows, self.where), self.error, self.otherwise)
        wrong = draw.chances(numbers) < error
        predicted = other_labels(labels, wrong, draw.chances(numbers, 1), list(draw.labels()))
        return rows.append_column(self.predicted, predicted)

    def answer(self, draw: Draw) -> Answer:
        """The accuracy on the slice, on all rows, and the slice's share."""
        classes = draw.labels()
        if len(classes) < 2:
            raise DataError(f"plant: the label {draw.label!r} has one class, expected two or more")
        check_given(self.where, draw.sample.schema)
        if self.predicted in draw.sample.column_names:
            raise DataError(f"plant: there is a column {self.predicted!r} already")
        inside = float(meets(draw.sample, self.where).mean())
        if not inside:
            raise DataError(f"plant: no row is in the slice {text_of(self.where)}")
        overall = 1 - inside * self.error - (1 - inside) * self.otherwise
        finds = {
            "accuracy": 1 - self.error, "accuracy of all rows": overall, "share of rows": inside,
        }  # fmt: skip
        columns = list(self.where)
        test = {"discover": {"columns": columns, "depth": min(max(len(columns), 1), 3)}}
        model: dict[str, Any] = {"name": "planted", "predicted": self.predicted}
        return Answer(
            inside * draw.rows, finds, test, where=text_of(self.where), models=[model],
            says=f"of the predictions in the column {self.predicted!r}",
        )  # fmt: skip


def other_labels(labels: pa.Array, wrong: Any, chances: Any, classes: list[Any]) -> pa.Array:
    """Labels of which some are another class, each of the others as likely.

    Args:
        labels: [row].
        wrong: [row]: which are another.
        chances: [row], in [0, 1).
        classes: the classes there are.
    """
    known = pa.array(sorted(classes, key=str), labels.type)
    places = labels.dictionary_encode()
    own = np.array([known.to_pylist().index(value) for value in places.dictionary.to_pylist()], int)
    codes = (
        own[places.indices.fill_null(0).to_numpy(zero_copy_only=False)]
        if len(own)
        else np.zeros(len(labels), int)
    )
    steps = 1 + np.floor(chances * (len(known) - 1)).astype(int)
    changed = np.where(wrong, (codes + steps) % len(known), codes)
    values = known.take(pa.array(changed))
    return pc.if_else(labels.is_valid(), values, pa.scalar(None, labels.type))
