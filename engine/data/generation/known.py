"""A population that is said, not fitted: independent columns, and a label that depends on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.special import expit, ndtri

from engine.data.generation.blocks import BLOCK, Block, generator
from engine.data.generation.copula import Floats
from engine.data.generation.marginals import Levels
from engine.data.generation.recipe import KnownColumn, KnownPopulation, KnownTarget


@dataclass(frozen=True, slots=True)
class Normal:
    """Numbers of a normal distribution."""

    mean: float
    sd: float

    def draw(self, uniforms: Floats) -> pa.Array:
        """[row]: the values at places in (0, 1)."""
        return pa.array(self.mean + self.sd * ndtri(uniforms))


@dataclass(frozen=True, slots=True)
class Uniform:
    """Numbers that are all as likely, from `low` to `high`."""

    low: float
    high: float

    def draw(self, uniforms: Floats) -> pa.Array:
        """[row]: the values at places in (0, 1)."""
        return pa.array(self.low + (self.high - self.low) * uniforms)


Known = Normal | Uniform | Levels


@dataclass(frozen=True, slots=True)
class Independent:
    """Columns that know nothing of each other, and perhaps a target."""

    columns: dict[str, Known]
    target: KnownTarget | None
    key: str | None

    @classmethod
    def of(cls, said: KnownPopulation, key: str | None) -> Independent:
        """The population that a recipe says."""
        return cls(
            {name: _distribution(column) for name, column in said.columns.items()}, said.target, key
        )

    @property
    def schema(self) -> pa.Schema:
        """Of what is drawn, the key with it."""
        rows = self.draw(0, Block(0, 1)).schema
        return rows if self.key is None else rows.insert(0, pa.field(self.key, pa.int64()))

    def draw(self, seed: int, block: Block, attempt: int = 0) -> pa.Table:
        """The rows of a block, always BLOCK of them, without their key."""
        rng = generator(seed, block.number, attempt)
        # Away from 0, where a normal number would be infinite.
        uniforms = rng.random((BLOCK, len(self.columns) + 1)) + 2.0**-54
        drawn = {
            name: column.draw(uniforms[:, place])
            for place, (name, column) in enumerate(self.columns.items())
        }
        if self.target is not None:
            z = np.full(BLOCK, self.target.intercept)
            for name, weight in self.target.weights.items():
                z += weight * drawn[name].to_numpy(zero_copy_only=False)
            chance = expit(z)
            drawn[self.target.name] = pa.array((uniforms[:, -1] < chance).astype(np.int64))
            if self.target.score is not None:
                drawn[self.target.score] = pa.array(chance)
        return pa.table(drawn)

    def with_key(self, rows: pa.Table, block: Block) -> pa.Table:
        """Rows with the number of each as its key, in the first column."""
        if self.key is None:
            return rows
        return rows.add_column(0, self.key, pa.array(block.row_numbers()))


def _distribution(column: KnownColumn) -> Known:
    if column.normal is not None:
        return Normal(*column.normal)
    if column.uniform is not None:
        return Uniform(*column.uniform)
    assert column.categories is not None, "a recipe's column is one of the three"
    shares = np.array(list(column.categories.values()))
    return Levels(pa.array(list(column.categories)), shares / shares.sum())
