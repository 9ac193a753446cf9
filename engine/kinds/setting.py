"""What a kind of test is told: of what it is asked, what is known beside the states, its report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.core.vocabulary import Cell, Columns, ModelVersion
from engine.kinds.pictures import KindPicture
from engine.metrics import Problem

# The least and the greatest finite number of columns; None where there is none.
Ranges = Mapping[str, tuple[float, float] | None]
# Values of a column, each with its weight among them: `[[value, weight], ...]`.
ColumnValues = Sequence[Sequence[Any]]
# The bins of a column that its reference gives it, as plain data.
Bins = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a test is asked about: the task, the models, the columns of the dataset.

    `types` are the columns' types as Spark writes them.
    """

    problem: Problem
    models: tuple[ModelVersion, ...]
    baseline: str | None
    columns: Columns
    types: Mapping[str, str]

    @property
    def stored_columns(self) -> frozenset[str]:
        """The columns that are predictions which the dataset has."""
        return frozenset(
            name for model in self.models if model.is_stored for name in model.features
        )

    @property
    def plain_columns(self) -> list[str]:
        """The label and the columns without another role, neither sensitive nor predictions."""
        own = self.columns
        others = {*own.key, *own.sensitive, own.weight, own.cluster, own.query}
        return [name for name in self.types if name not in others | self.stored_columns]


@dataclass(frozen=True, slots=True)
class Context:
    """What is known beside the states when a test is measured.

    `model` is None where the data are measured, `reference` whether there is something to compare
    with, `thresholds` those that earlier evaluations chose, by evaluation, aim and digest,
    `started_at` when the run began, where it is known, and `is_overall` whether the slice is that
    of all rows, of which a picture is drawn.
    """

    problem: Problem
    level: float
    model: ModelVersion | None = None
    is_baseline: bool = False
    compares: bool = True
    thresholds: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict)
    started_at: dt.datetime | None = None
    is_overall: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A number from 0 on with a name, and the ends of its interval where it has one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """One thing that was found, in words that need no table: its name, where, what, and how sure.

    `bars` are the numbers that it is about, on one scale.
    """

    title: str
    about: str
    headline: str
    sentences: tuple[str, ...]
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report that is a kind's own: a heading, what it says, pictures and a table.

    `cards` stand before all else. `series` are the numbers of each row that are drawn as a line,
    over the last columns; None where there is no number. Without rows there is no table. `cells`
    are those that the rows are of, whose verdicts are shown before them; the columns named by
    `figures` are of numbers, and `bars` has shares from 0 to 1 that are drawn behind the texts of a
    column, by its name.
    """

    title: str
    lead: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    series: Sequence[Sequence[float | None]] = ()
    pictures: Sequence[KindPicture] = ()
    cards: Sequence[Card] = ()
    cells: Sequence[Cell] = ()
    figures: Sequence[str] = ()
    bars: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
