"""What plants have in common: what they know of a draw, and what they say of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.core.registry import did_you_mean
from engine.data.generation.blocks import Block, chances
from engine.data.generation.copula import Floats
from engine.data.generation.marginals import from_numbers, has_room, is_number, to_numbers
from engine.data.generation.strict import Strict
from engine.errors import DataError

Ints = np.ndarray[Any, np.dtype[np.int64]]
# Values, then labels, then what is a function of the label, then copies of whole rows.
IMBALANCE, VALUES, LABELS, PREDICTIONS, COPIES, REPEATS = range(6)

Bools = np.ndarray[Any, np.dtype[np.bool_]]


class BlockMaker(Protocol):
    """Makes rows by their numbers."""

    def block(self, block: Block) -> pa.Table:
        """The rows of a block."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What a plant knows of the rows in which it stands.

    Attributes:
        seed: of the draw.
        stream: the plant's place among the plants, which tells their chances apart.
        rows: how many there are.
        sample: rows that were drawn without plants, with which their distribution is told.
        label: the label's column.
        key: the key's column.
        source: the rows of the dataset that made ones are like.
        reference: makes the rows of the reference, where there is one.
        normal: columns that are known to be normal: of these the figures have closed forms.
        classes: of the label with their shares, once they are known.
        spreads: standard deviations of columns, once they are known.
    """

    seed: int
    stream: int
    rows: int
    sample: pa.Table
    label: str | None = None
    key: str | None = None
    source: pa.Table | None = None
    reference: BlockMaker | None = None
    normal: frozenset[str] = frozenset()
    classes: Mapping[Any, float] | None = None
    spreads: Mapping[str, float] = field(default_factory=dict)

    def chances(self, numbers: Ints, part: int = 0) -> Floats:
        """[row]: a number in [0, 1) by the row's number; `part` tells several of a plant apart."""
        return chances(self.seed, 16 * (self.stream + 1) + part, numbers)

    def evenly(self, numbers: Ints, count: int) -> Bools:
        """[row]: which rows are the `count` that lie evenly among all, but for the first."""
        rest = max(self.rows - 1, 1)
        many = min(count, rest)
        own, before = numbers * many // rest, (numbers - 1) * many // rest
        return np.asarray((own > before) & (numbers > 0))

    def column(self, name: str) -> pa.Array:
        """A column of the sample.

        Raises:
            DataError: when there is none, with the nearest.
        """
        if name not in self.sample.column_names:
            raise DataError(
                f"plant: no column {name!r}{did_you_mean(name, self.sample.column_names)}"
            )
        return self.sample.column(name).combine_chunks()

    def numbers(self, name: str) -> Floats:
        """The numbers of a column of the sample, those that are there.

        Raises:
            DataError: when it has no numbers.
        """
        column = self.column(name)
        if not is_number(column.type):
            raise DataError(f"plant: the column {name!r} is {column.type}, expected numbers")
        numbers = to_numbers(column)
        return numbers[np.isfinite(numbers)]

    def check_room(self, name: str, numbers: Floats) -> None:
        """Refuses numbers that the type of a column cannot hold.

        Raises:
            DataError: with the greatest of them.
        """
        kind = self.column(name).type
        if not has_room(kind, numbers):
            most = float(np.abs(numbers).max())
            raise DataError(
                f"plant: the column {name!r} is {kind}, which has no room for {most:,.6g}; "
                "expected a smaller change"
            )

    def spread(self, name: str) -> float:
        """The standard deviation of a column."""
        known = self.spreads.get(name)
        return float(np.std(self.numbers(name))) if known is None else known

    def settle(self, columns: Sequence[str]) -> Draw:
        """The same for those who make rows: with what they need of the sample, without it.

        Args:
            columns: whose standard deviations are needed.
        """
        has_label = self.label is not None and self.label in self.sample.column_names
        return replace(
            self,
            sample=self.sample.slice(0, 0),
            classes=self.labels() if has_label else None,
            spreads={name: self.spread(name) for name in columns},
        )

    def shares(self, name: str) -> dict[Any, float]:
        """The values of a column of the sample with their shares of the rows that have one."""
        counted = self.column(name).drop_null().value_counts()
        total = float(np.sum(counted.field("counts").to_numpy(zero_copy_only=False)))
        return {
            value.as_py(): count.as_py() / total
            for value, count in zip(counted.field("values"), counted.field("counts"), strict=True)
        }

    def labels(self) -> dict[Any, float]:
        """The classes of the label with their shares.

        Raises:
            DataError: when no label is named.
        """
        if self.classes is not None:
            return dict(self.classes)
        if self.label is None:
            raise DataError("plant: expected `label`, the column whose values are changed")
        return self.shares(self.label)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a right test finds of a plant.

    Attributes:
        rows: how many rows are changed; of a chance how many are expected.
        finds: the figures, by the names that metrics have in results.
        test: a test of a suite that asks for it.
        where: the slice on which it is to be found; "" for all rows.
        says: what the figures hold for, in a sentence.
    """

    rows: float
    finds: Mapping[str, float]
    test: Mapping[str, Any] | None
    where: str = ""
    says: str = ""
    models: list[Mapping[str, Any]] = field(default_factory=list)


class PlantBody(Strict, ABC):
    """The keys of a plant."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Plants of a lower rank are planted first, so that none spoils another's figure."""

    def sound(self) -> PlantBody | None:
        """The same columns without the effect, for the reference; None where it adds none."""
        return None

    @abstractmethod
    def apply(self, rows: pa.Table, numbers: Ints, draw: Draw) -> pa.Table:
        """The rows with the effect in them, by their numbers."""

    @abstractmethod
    def answer(self, draw: Draw) -> Answer:
        """What a right test finds."""


def changed_numbers(column: pa.Array, numbers: Floats) -> pa.Array:
    """A column with other numbers where it has some; its nulls stay."""
    values = from_numbers(np.nan_to_num(numbers), column.type)
    return pc.if_else(column.is_valid(), values, pa.scalar(None, column.type))


def replace_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """Rows with other values in a column."""
    place = rows.schema.get_field_index(name)
    kind = rows.schema.field(place)
    return rows.set_column(place, kind, values.cast(kind.type))
