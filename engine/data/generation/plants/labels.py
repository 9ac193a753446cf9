"""Labels that are wrong, or of other shares than in the source."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from engine.data.generation.plants.drift import share_distances
from engine.data.generation.plants.plant import (
    IMBALANCE,
    LABELS,
    Answer,
    Draw,
    Ints,
    PlantBody,
    replace_column,
)
from engine.data.generation.plants.weak_slice import other_labels
from engine.data.generation.strict import Name, Share
from engine.errors import DataError


class LabelNoise(PlantBody):
    """A `share` of the labels is another class, each of the others as likely.

    `keep` names a column for the labels as they were.
    """

    share: Share
    keep: Name | None = None

    def sound(self) -> PlantBody | None:
        """Labels that are all as they were."""
        return None if self.keep is None else LabelNoise(share=0.0, keep=self.keep)

    @property
    def rank(self) -> int:
        """When it is planted."""
        return LABELS

    def apply(self, rows: pa.Table, numbers: Ints, draw: Draw) -> pa.Table:
        """Changes labels."""
        assert draw.label is not None, "it was checked"
        labels = rows.column(draw.label).combine_chunks()
        wrong = draw.chances(numbers) < self.share
        noisy = other_labels(labels, wrong, draw.chances(numbers, 1), list(draw.labels()))
        rows = replace_column(rows, draw.label, noisy)
        return rows if self.keep is None else rows.append_column(self.keep, labels)

    def answer(self, draw: Draw) -> Answer:
        """What is left of an accuracy: `a (1 - r) + (1 - a) r / (k - 1)` of k classes.

        Of two classes that is `a (1 - 2r) + r`. Predictions that are always right find `1 - r`.
        """
        classes = draw.labels()
        if len(classes) < 2:
            raise DataError(f"plant: the label {draw.label!r} has one class, expected two or more")
        if self.keep is not None and self.keep in draw.sample.column_names:
            raise DataError(f"plant: there is a column {self.keep!r} already")
        other = self.share / (len(classes) - 1)
        says = (
            "of the labels as they were; a model of accuracy a comes to "
            f"a * {1 - self.share - other:g} + {other:g}"
        )
        models: list[Any] = [] if self.keep is None else [{"name": "truth", "predicted": self.keep}]
        test = {"metric": "accuracy", "min": 1.0}
        return Answer(
            self.share * draw.rows, {"accuracy": 1 - self.share}, test, says=says, models=models
        )


class Imbalance(PlantBody):
    """The class `label` has the `share` of the rows; the others keep theirs among themselves."""

    label: bool | int | float | str
    share: Share

    @property
    def rank(self) -> int:
        """When it is planted."""
        return IMBALANCE

    def apply(self, rows: pa.Table, numbers: Ints, draw: Draw) -> pa.Table:
        """Nothing: the rows are drawn so."""
        return rows

    def class_shares(self, classes: dict[Any, float]) -> dict[Any, float]:
        """The shares of the classes, as they are to be.

        Raises:
            DataError: when there is no such class, or it is the only one.
        """
        if self.label not in classes or classes[self.label] in (0.0, 1.0):
            listed = ", ".join(map(repr, classes))
            raise DataError(
                f"plant: found the class {self.label!r}, expected one of {listed}, of two or more"
            )
        rest = 1 - classes[self.label]
        return {
            value: self.share if value == self.label else share * (1 - self.share) / rest
            for value, share in classes.items()
        }

    def answer(self, draw: Draw) -> Answer:
        """How far the label's distribution is from the source's."""
        classes = draw.labels()
        now = self.class_shares(classes)
        moved = (self.share - classes[self.label]) / (1 - classes[self.label])
        if moved >= 0:
            finds = share_distances(classes, self.label, moved)
        else:
            finds = {"total_variation": classes[self.label] - self.share}
        finds = {**finds, "share of the class": now[self.label]}
        test = {
            "drift": "total_variation", "columns": [draw.label],
            "max": round(finds["total_variation"] / 2, 3),
        }  # fmt: skip
        return Answer(self.share * draw.rows, finds, test, says="beside rows without the plant")
