"""What rows are drawn from: groups of columns with their distributions, tied by a copula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr

from engine.data.generation.blocks import BLOCK, Block, generator
from engine.data.generation.copula import Floats
from engine.data.generation.marginals import Marginal


@dataclass(frozen=True, slots=True)
class Latent:
    """A normal variable: behind the values of a column, or behind whether there is one."""

    column: str
    tells_nulls: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are alike in some columns: a class of the label, a value of `by`.

    Attributes:
        share: of all rows.
        fixed: the values of the columns that make the group.
        marginals: of the other columns; None where all of it is null.
        null_shares: of the columns with nulls.
        root: [latent, latent], the lower triangle whose square are the correlations.
    """

    share: float
    fixed: Mapping[str, pa.Scalar]
    marginals: Mapping[str, Marginal | None]
    null_shares: Mapping[str, float]
    root: Floats


@dataclass(frozen=True, slots=True)
class Population:
    """Groups of rows with the same columns; `key` is the column that numbers the rows.

    `notes` tell what of the source is not in it, a sentence each.
    """

    schema: pa.Schema
    groups: tuple[Group, ...]
    latents: tuple[Latent, ...]
    key: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def shares(self) -> Floats:
        """[group], adding up to 1."""
        return np.array([group.share for group in self.groups])

    def draw(self, seed: int, block: Block, attempt: int = 0) -> pa.Table:
        """The rows of a block, always BLOCK of them, without their key.

        Args:
            seed: of the whole draw.
            block: which rows.
            attempt: tells draws of one block apart, where rows are drawn until some meet a
                condition.
        """
        rng = generator(seed, block.number, attempt)
        chosen = np.searchsorted(np.cumsum(self.shares)[:-1], rng.random(BLOCK), side="right")
        normals = rng.standard_normal((BLOCK, len(self.latents)))
        parts, order = [], []
        for place, group in enumerate(self.groups):
            rows = np.flatnonzero(chosen == place)
            if len(rows):
                parts.append(self._draw_group(group, normals[rows]))
                order.append(rows)
        drawn = pa.concat_tables(parts)
        return drawn.take(pa.array(np.argsort(np.concatenate(order), kind="stable")))

    def _draw_group(self, group: Group, normals: Floats) -> pa.Table:
        uniforms = ndtr(normals @ group.root.T)
        place = {latent: n for n, latent in enumerate(self.latents)}
        columns = []
        for column in self._drawn_fields():
            if column.name in group.fixed:
                value = group.fixed[column.name]
                columns.append(pa.array([value.as_py()] * len(normals), column.type))
                continue
            marginal = group.marginals[column.name]
            if marginal is None:
                columns.append(pa.nulls(len(normals), column.type))
                continue
            own = place.get(Latent(column.name))
            half = np.full(len(normals), 0.5)
            values = marginal.draw(half if own is None else uniforms[:, own])
            nulls = group.null_shares.get(column.name, 0.0)
            if nulls:
                tells = uniforms[:, place[Latent(column.name, tells_nulls=True)]]
                values = pc.if_else(
                    pa.array(tells > 1 - nulls), pa.scalar(None, values.type), values
                )
            columns.append(values.cast(column.type))
        fields = self._drawn_fields()
        return pa.Table.from_arrays(columns, schema=pa.schema(fields))

    def _drawn_fields(self) -> Sequence[Any]:
        return [column for column in self.schema if column.name != self.key]

    def with_key(self, rows: pa.Table, block: Block) -> pa.Table:
        """Rows with the number of each as its key, in the place that the source has it."""
        if self.key is None:
            return rows
        place = self.schema.get_field_index(self.key)
        return rows.add_column(
            place, self.schema.field(place), keys_of(self.schema, self.key, block)
        )


def keys_of(schema: pa.Schema, key: str, block: Block) -> pa.Array:
    """The keys of a block's rows: their numbers, as texts where the source has texts."""
    kind = schema.field(key).type
    numbers = pa.array(block.row_numbers())
    return (
        numbers.cast(pa.string()).cast(kind)
        if not pa.types.is_integer(kind)
        else numbers.cast(kind)
    )
