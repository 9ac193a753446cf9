"""The order of cells in every output, and names that tell slices apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.core.slice_names import interval_texts
from engine.core.vocabulary import NO_MODEL, Cell, Slice
from engine.planning import EvaluationPlan, free_name


def with_unique_names(cells: Sequence[Cell]) -> list[Cell]:
    """Gives slices of different sets that would share a name names of their own.

    `where: "age < 18"` and a bin below 18 do; the set that the suite names first keeps the name.
    """
    # Slices are looked up by what they are in memory: hashing millions of them takes long.
    distinct = {id(cell.slice): cell.slice for cell in cells}
    named: dict[Slice, Slice] = {}
    taken: set[str] = set()
    for where in distinct.values():
        if where in named:
            continue
        known = f"{where.name} ({where.set_name})" if where.name in taken else where.name
        name = free_name(known, taken)
        named[where] = where if name == where.name else replace(where, name=name)
        taken.add(name)
    changed = {
        at: named[where] for at, where in distinct.items() if named[where].name != where.name
    }
    if not changed:
        return list(cells)
    return [
        replace(cell, slice=changed[id(cell.slice)]) if id(cell.slice) in changed else cell
        for cell in cells
    ]


class Order:
    """The order of cells in every output: by slice set, slice, test and model, as in the suite."""

    def __init__(self, plan: EvaluationPlan) -> None:
        self.sets = {slice_set.name: place for place, slice_set in enumerate(plan.slice_sets)}
        self.tests = {test.name: place for place, test in enumerate(plan.tests)}
        self.models = {model.name: place for place, model in enumerate([*plan.models, NO_MODEL])}
        self.edges = {
            (slice_set.name, dimension.column): interval_texts(dimension.edges)
            for slice_set in plan.slice_sets
            for dimension in slice_set.dimensions
            if dimension.edges is not None
        }

    def sort(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells in this order."""
        distinct = {id(cell.slice): cell.slice for cell in cells}
        places = {at: self._place(where) for at, where in distinct.items()}
        ranks = {place: rank for rank, place in enumerate(sorted(set(places.values())))}
        slices = {at: ranks[place] for at, place in places.items()}
        tests, models = len(self.tests), len(self.models)
        keys = [
            (slices[id(cell.slice)] * tests + self.tests[cell.test.name]) * models
            + self.models[cell.model.name]
            for cell in cells
        ]
        return [cells[at] for at in np.argsort(np.array(keys, np.int64), kind="stable").tolist()]

    def _place(self, where: Slice) -> tuple[int, tuple[tuple[int, float, str], ...]]:
        """The sort key of a slice; numbers among its values sort as numbers, null last.

        Slices that no set has come last, as they came.
        """
        if where.set_name not in self.sets:
            return len(self.sets), ()
        values = (self._value(where.set_name, column, value) for column, value in where.values)
        return self.sets[where.set_name], tuple(values)

    def _value(self, set_name: str, column: str, value: str | None) -> tuple[int, float, str]:
        if value is None:
            return 3, 0.0, ""
        texts = self.edges.get((set_name, column))
        if texts is not None:
            return 0, float(texts.index(value)) if value in texts else float(len(texts)), value
        try:
            as_number = float(value)
        except ValueError:
            return 1, 0.0, value
        return (2, 0.0, value) if as_number != as_number else (0, as_number, value)
