"""Rows by blocks: drawn, held against the conditions, with the effects that are planted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from engine.data.generation.blocks import BLOCK, Block, blocks_of
from engine.data.generation.given import meets, text_of
from engine.data.generation.plants import Draw, PlantBody
from engine.data.generation.plants.labels import Imbalance
from engine.data.generation.population import Population
from engine.errors import DataError

# Rows that are looked at before any are made, and how rare may be what is asked for.
PILOT_BLOCKS, LEAST_MET = 16, 1e-4
# Blocks of the sample that tells of distributions; their numbers are no others'.
SAMPLE_BLOCKS, SAMPLE_FIRST = 32, 2**40


class Source(Protocol):
    """What rows are drawn from."""

    @property
    def schema(self) -> pa.Schema:
        """The columns, the key with them."""

    def draw(self, seed: int, block: Block, attempt: int = 0) -> pa.Table:
        """The rows of a block, without their key."""

    def with_key(self, rows: pa.Table, block: Block) -> pa.Table:
        """The rows with their key."""


@dataclass(frozen=True, slots=True)
class RealRows:
    """The rows of a dataset themselves, in an order that its content decides."""

    table: pa.Table

    @property
    def schema(self) -> pa.Schema:
        """Their columns."""
        return self.table.schema

    def draw(self, seed: int, block: Block, attempt: int = 0) -> pa.Table:
        """The rows of a block: they are what they are, by any seed."""
        return self.table.slice(block.first, block.rows)

    def with_key(self, rows: pa.Table, block: Block) -> pa.Table:
        """The rows: they have their keys."""
        return rows


@dataclass(frozen=True, slots=True)
class Maker:
    """All that decides on every row: it is shipped to who makes some of them."""

    source: Source
    seed: int
    rows: int
    given: Mapping[str, Any]
    plants: tuple[tuple[PlantBody, Draw], ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Of what is made."""
        return self.block(Block(0, min(self.rows, BLOCK))).schema

    def block(self, block: Block) -> pa.Table:
        """The rows of a block."""
        rows = self._draw_rows(block)
        rows = self.source.with_key(rows, block)
        numbers = block.row_numbers()
        for plant, draw in self.plants:
            rows = plant.apply(rows, numbers, draw)
        return rows.combine_chunks()

    def _draw_rows(self, block: Block) -> pa.Table:
        if not self.given:
            return self.source.draw(self.seed, block).slice(0, block.rows)
        parts, there, attempt = [], 0, 0
        # A whole block is filled, so that a draw that ends within it has the same beginning.
        while there < block.rows:
            drawn = self.source.draw(self.seed, block, attempt)
            drawn = drawn.filter(pa.array(meets(drawn, self.given)))
            parts.append(drawn)
            there, attempt = there + drawn.num_rows, attempt + 1
        return pa.concat_tables(parts).slice(0, block.rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, a block at a time."""
        for block in blocks_of(self.rows):
            yield from self.block(block).to_batches()

    def sample(self, blocks: int = SAMPLE_BLOCKS) -> pa.Table:
        """Rows like those that are made, but for the plants; without keys."""
        if isinstance(self.source, RealRows):
            return self.source.table
        bare = replace(self, plants=())
        parts = [bare._draw_rows(Block(SAMPLE_FIRST + place, BLOCK)) for place in range(blocks)]
        return pa.concat_tables(parts).combine_chunks()


def check_met(source: Source, seed: int, given: Mapping[str, Any]) -> float:
    """The share of the source's rows that meet the conditions.

    Raises:
        DataError: when none does, or so few that rows could not be drawn.
    """
    if not given:
        return 1.0
    met = [
        meets(source.draw(seed, Block(SAMPLE_FIRST + place, BLOCK)), given).mean()
        for place in range(PILOT_BLOCKS)
    ]
    share = float(np.mean(met))
    if share < LEAST_MET:
        tried = PILOT_BLOCKS * BLOCK
        raise DataError(
            f"given: {round(share * tried)} of {tried:,} rows meet {text_of(given)}, expected at "
            f"least {LEAST_MET:.2%}; ask for less, or for one of the conditions at a time"
        )
    return share


def with_class_shares(source: Source, plants: Sequence[PlantBody], label: str | None) -> Source:
    """A source whose classes have the shares that a plant gives them.

    Raises:
        DataError: where there are no classes to change.
    """
    for plant in plants:
        if isinstance(plant, Imbalance):
            source = _reshape(source, plant, label)
    return source


def _reshape(source: Source, plant: Imbalance, label: str | None) -> Source:
    if isinstance(source, RealRows):
        return _thin(source, plant, label)
    has_classes = isinstance(source, Population) and label in source.groups[0].fixed
    if not isinstance(source, Population) or label is None or not has_classes:
        raise DataError(
            "plant: `imbalance` changes the shares of classes, expected a `dataset` with a `label` "
            "of classes"
        )
    classes: dict[Any, float] = {}
    for group in source.groups:
        value = group.fixed[label].as_py()
        classes[value] = classes.get(value, 0.0) + group.share
    now = plant.class_shares(classes)
    groups = tuple(
        replace(group, share=group.share * now[value] / classes[value])
        for group in source.groups
        for value in [group.fixed[label].as_py()]
    )
    return replace(source, groups=groups)


def _thin(source: RealRows, plant: Imbalance, label: str | None) -> Source:
    """Real rows of which some are left out, evenly, until the shares are so."""
    if label is None:
        raise DataError("plant: expected `label`, the column whose values are changed")
    values = np.array(source.table.column(label).to_pylist(), object)
    classes = {value: float((values == value).mean()) for value in dict.fromkeys(values.tolist())}
    now = plant.class_shares(classes)
    kept = min(classes[value] / now[value] for value in classes if now[value] > 0)
    stays = np.zeros(len(values), bool)
    for value, share in classes.items():
        places = np.flatnonzero(values == value)
        part = now[value] * kept / share
        stays[
            places[
                np.floor((np.arange(len(places)) + 1) * part)
                > np.floor(np.arange(len(places)) * part)
            ]
        ] = True
    return RealRows(source.table.filter(pa.array(stays)).combine_chunks())
