"""Slice sets that may be worth a test: columns of few values, and parts of columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.commands.authoring.wishes import Situation
from engine.core.vocabulary import TaskKind
from engine.data.table_profile import ColumnProfile

MOST_LEVELS = 12
MOST_BY, MOST_CUT = 8, 6
PARTS = (4, 2)
# Of fewer rows no metric says anything of half of them.
_LEAST_ROWS = 40
_LEAST_SLICE = 10


@dataclass(frozen=True, slots=True)
class SliceRule:
    """A slice set of the trial: its name, its keys in a suite, the column that it cuts."""

    name: str
    keys: Mapping[str, Any]
    column: str


def candidates(situation: Situation) -> list[SliceRule]:
    """The slice sets that the trial measures."""
    if situation.rows < _LEAST_ROWS:
        return []
    by = [SliceRule(name, {"by": name}, name) for name in columns_of_levels(situation)[:MOST_BY]]
    cut = [
        SliceRule(f"{name} in {parts}", {"quantiles": {name: parts}}, name)
        for name in columns_of_numbers(situation)[:MOST_CUT]
        for parts in PARTS
    ]
    return [*by, *cut]


def columns_of_levels(situation: Situation) -> list[str]:
    """The columns of few values; of a multiclass task the label too."""
    task, label = situation.roles.task, situation.roles.label
    return [
        name
        for name in _in_order(situation)
        if _has_levels(situation.table.columns[name])
        and (name != label or task is TaskKind.MULTICLASS)
    ]


def _has_levels(column: ColumnProfile) -> bool:
    """Whether a column has few values, none of them of hardly any rows."""
    few = 2 <= len(column.values) <= MOST_LEVELS and column.kind != "time"
    return few and min(rows for _, rows in column.values) >= _LEAST_SLICE


def _in_order(situation: Situation) -> list[str]:
    """The label, then what no model reads, which is there for other reasons, then the features."""
    features, label = set(situation.features), situation.roles.label
    return sorted(situation.shown_columns, key=lambda name: (name != label, name in features))


def columns_of_numbers(situation: Situation) -> list[str]:
    """The columns of many numbers, but for the label."""
    return [
        name
        for name in _in_order(situation)
        if situation.table.columns[name].is_number
        and not situation.table.columns[name].values
        and situation.table.columns[name].distinct > MOST_LEVELS
        and name != situation.roles.label
    ]
