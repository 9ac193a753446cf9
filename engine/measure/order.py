"""The order of cells in every output, and names that tell slices apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.matrix import EvaluationPlan, free_name
from engine.slices import interval_texts
from engine.vocabulary import Cell, Slice


def told_apart(cells: Sequence[Cell]) -> list[Cell]:
    """Gives slices of different sets that would share a name names of their own.

    `where: "age < 18"` and a bin below 18 do; the set that the suite names first keeps the name.
    """
    names: dict[Slice, str] = {}
    taken: set[str] = set()
    for where in dict.fromkeys(cell.slice for cell in cells):
        known = f"{where.name} ({where.set_name})" if where.name in taken else where.name
        names[where] = free_name(known, taken)
        taken.add(names[where])
    return [
        cell
        if names[cell.slice] == cell.slice.name
        else replace(cell, slice=replace(cell.slice, name=names[cell.slice]))
        for cell in cells
    ]


class Order:
    """The order of cells in every output: by slice set, slice, test and model, as in the suite."""

    def __init__(self, plan: EvaluationPlan) -> None:
        self.sets = {each.name: place for place, each in enumerate(plan.slice_sets)}
        self.tests = {test.name: place for place, test in enumerate(plan.tests)}
        self.models = {model.name: place for place, model in enumerate(plan.models)}
        self.edges = {
            (each.name, dimension.column): interval_texts(dimension.edges)
            for each in plan.slice_sets
            for dimension in each.dimensions
            if dimension.edges is not None
        }

    def place(self, cell: Cell) -> tuple[object, ...]:
        """The sort key of a cell; numbers among slice values sort as numbers, null last."""
        values = tuple(
            self._value(cell.slice.set_name, column, value) for column, value in cell.slice.values
        )
        return (
            self.sets[cell.slice.set_name],
            values,
            self.tests[cell.test.name],
            self.models[cell.model.name],
        )

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
