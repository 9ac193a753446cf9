"""Cells of some slices of a block by themselves: what several processes judge at once.

Slices are judged one by one, so it does not matter by whom. What all cells of an evaluation have in
common, its models, tests and dataset, does not go with them: they are of the plan that is here.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from engine.core.vocabulary import NO_MODEL, Cell, MetricValue
from engine.evaluation.blocks import Block
from engine.evaluation.cells import Judge
from engine.planning import EvaluationPlan
from engine.planning.slices import from_key
from engine.states.rows import ROWS, StateRow

# So many cells are judged here before others are asked: they take a second to be there.
MOST_HERE = 100_000
# Of a block so many slices go to one process at once: the largest block does not decide.
SLICES_AT_ONCE = 512

_VALUE = tuple(attribute.name for attribute in fields(MetricValue))
_REST = tuple(attribute.name for attribute in fields(Cell))[7:]


class Spread(Protocol):
    """Other processes that judge."""

    def add(self, judge: Judge, rows: Sequence[StateRow], slices: int) -> None:
        """Hands over the states of a block, and how many slices it has."""

    def cells(self) -> Iterator[Sequence[Cell]]:
        """The cells of all blocks that were handed over, in any order."""


@dataclass(slots=True)
class Sharing:
    """Which blocks of an evaluation are judged elsewhere: all that come behind the first cells."""

    judge: Judge
    spread: Spread | None
    judged: int = 0

    def takes(self, set_name: str, slices: int) -> bool:
        """Whether a block is handed over; else it is to be judged here, and is counted."""
        plan = self.judge.plan
        count = slices * len(plan.tests_on(set_name)) * len(plan.subjects)
        if self.spread is None or self.judged + count <= MOST_HERE:
            self.judged += count
            return False
        # Curves, thresholds and comparisons of groups are made here, and references lie here.
        return plan.sets_by_name[set_name].kind in ("by", "bins") and plan.reference is None

    def hand_over(self, rows: Sequence[StateRow], slices: int) -> None:
        """Has a block judged elsewhere."""
        assert self.spread is not None, "somebody takes it"
        self.spread.add(self.judge, rows, slices)

    def cells(self) -> Iterator[Sequence[Cell]]:
        """The cells of all blocks that were handed over, in any order."""
        return iter(()) if self.spread is None else self.spread.cells()


def slice_keys(rows: Iterable[StateRow]) -> list[str]:
    """The slices of a block that have rows, in the order of their names."""
    return sorted({key for row in rows if row.family == ROWS for key in row.slice_keys})


@dataclass(slots=True)
class SharedBlock:
    """A block whose slices are judged some at a time."""

    judge: Judge
    keys: list[str]
    block: Block

    @classmethod
    def of(cls, judge: Judge, rows: Sequence[StateRow]) -> SharedBlock:
        """Decodes the rows of one slice set and block."""
        block = Block.of(rows)
        return cls(judge, block.slice_keys(), block)

    def cells(self, set_name: str, first: int, last: int) -> Iterator[Cell]:
        """The cells of the slices from `first` to before `last`."""
        plan, keys = self.judge.plan, self.keys[first:last]
        places = [from_key(plan.sets_by_name, set_name, key) for key in keys]
        yield from self.judge.block(places, self.block.slices(plan, keys))


@dataclass(slots=True)
class CellCodec:
    """Cells as bytes, without what they have of the plan."""

    plan: EvaluationPlan
    models: list[Any] = field(init=False)
    numbers: Mapping[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.models = [subject.model or NO_MODEL for subject in self.plan.subjects]
        shared = [*self.models, *self.plan.tests]
        # Of an object that is there twice either number will do.
        self.numbers = {id(value): number for number, value in enumerate(shared)}

    def encode(self, cells: Iterable[Cell]) -> bytes:
        """Cells of the plan's models and tests."""
        rows = []
        for cell in cells:
            measured = tuple(getattr(cell.measured, name) for name in _VALUE)
            rest = tuple(getattr(cell, name) for name in _REST)
            model, test = self.numbers[id(cell.model)], self.numbers[id(cell.test)]
            rows.append((model, test, cell.slice, cell.counts, measured, rest))
        return pickle.dumps(rows, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, payload: bytes) -> list[Cell]:
        """What `encode` was given, in another process perhaps."""
        name, dataset = self.plan.name, self.plan.dataset
        shared = [*self.models, *self.plan.tests]
        return [
            Cell(
                name, shared[model], dataset, where, shared[test], counts,
                MetricValue(*measured), *rest,
            )
            for model, test, where, counts, measured, rest in pickle.loads(payload)
        ]  # fmt: skip
