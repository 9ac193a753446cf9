"""The states of the slices of one block, as they are read from the states table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from engine.metrics import RowsOf, Slices
from engine.planning import EvaluationPlan
from engine.states import States, Sums, decode
from engine.states.rows import FAILURE, ROWS, StateRow


@dataclass(frozen=True, slots=True)
class FamilyStates:
    """The states of some slices, and the place of each slice in them."""

    states: States
    places: Mapping[str, int]

    def select(self, slice_keys: Sequence[str]) -> States:
        """The states of these slices in their order, zero where there is none."""
        if list(self.places) == list(slice_keys):
            return self.states
        beyond = self.states.n_groups
        places = [self.places.get(key, beyond) for key in slice_keys]
        return self.states.select(np.array(places, np.int64))

    def beside(self, other: FamilyStates) -> FamilyStates:
        """Those of both, which have no slice in common."""
        keys = [*self.places, *other.places]
        states = self.select(keys).merge(other.select(keys))
        return FamilyStates(states, {key: place for place, key in enumerate(keys)})


@dataclass(slots=True)
class Block:
    """The states of a block by model and family."""

    held: dict[int, dict[str, FamilyStates]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[StateRow]) -> Block:
        """Decodes the rows of one slice set and block."""
        block = cls()
        # Rows of one block mostly name the same slices in the same order.
        known: dict[tuple[str, ...], dict[str, int]] = {}
        for row in rows:
            named = tuple(row.slice_keys)
            if named not in known:
                known[named] = {key: place for place, key in enumerate(named)}
            held = FamilyStates(decode(row.payload), known[named])
            block.held.setdefault(row.model, {})[row.family] = held
        return block

    @classmethod
    def join(cls, blocks: Sequence[Block]) -> Block:
        """All slices of a set, of its blocks."""
        if len(blocks) == 1:
            return blocks[0]
        joined = cls()
        for block in blocks:
            for number, families in block.held.items():
                into = joined.held.setdefault(number, {})
                for family, own in families.items():
                    into[family] = own if family not in into else into[family].beside(own)
        return joined

    def slice_keys(self) -> list[str]:
        """The slices that have rows, in the order of their names."""
        counted = (families[ROWS].places for families in self.held.values() if ROWS in families)
        return sorted(set().union(*counted))

    def slices(self, plan: EvaluationPlan, slice_keys: Sequence[str]) -> dict[int, Slices]:
        """The states of each subject on these slices, by its number."""
        subjects, by_model = plan.subjects, {}
        for number, held in sorted(self.held.items()):
            if ROWS in held:
                families = {
                    family: family_states.select(slice_keys)
                    for family, family_states in held.items()
                }
                rows = families[ROWS]
                assert isinstance(rows, Sums), "rows are counted by sums"
                model = subjects[number].model
                sampling = plan.data_sampling if model is None else plan.sampling
                by_model[number] = Slices(RowsOf.of(rows), families, sampling=sampling)
                by_model[number].has_probabilities = model is None or not model.squashed
        return by_model


@dataclass(frozen=True, slots=True)
class References:
    """The states of a reference dataset by slice set; `failed` are subjects that have none."""

    plan: EvaluationPlan
    sets: Mapping[str, Block]
    failed: frozenset[int]

    @classmethod
    def of(cls, plan: EvaluationPlan, rows: Iterable[StateRow]) -> References:
        """Decodes all states of the reference of a plan."""
        blocks: dict[str, list[Block]] = {}
        failed: set[int] = set()
        for (name, _), own in groupby(rows, key=lambda row: (row.slice_set, row.block)):
            if name:
                blocks.setdefault(name, []).append(Block.of(own))
            else:
                # What is made of some partitions only is the state of no dataset.
                failed |= {row.model for row in own if row.family == FAILURE}
        sets = {name: Block.join(listed) for name, listed in blocks.items()}
        return cls(plan, sets, frozenset(failed))

    def lay_beside(
        self, states: Mapping[int, Slices], set_name: str, slice_keys: Sequence[str]
    ) -> None:
        """Lays beside the states of each subject those of the reference on the same slices."""
        block = self.sets.get(set_name)
        if self.plan.reference is None or block is None:
            return
        beside = block.slices(self.plan.reference, slice_keys)
        for number, own in states.items():
            other = self.plan.number_in_reference(number)
            if other is not None and other not in self.failed:
                own.reference = beside.get(other)
