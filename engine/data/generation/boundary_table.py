"""A table of what becomes of each boundary of a model's signature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.core.vocabulary import TensorSpec
from engine.data.generation.blocks import BLOCK, Block
from engine.data.generation.mock import Mock
from engine.models.boundaries import ROWS, Outcome, try_boundaries

_COLUMNS = ("column", "what", "signature", "model", "said")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The rows of the table, as a source of made rows."""

    table: pa.Table

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return self.table.schema

    def draw(self, seed: int, block: Block, attempt: int = 0) -> pa.Table:
        """The rows of a block."""
        return self.table.slice(block.number * BLOCK, block.rows)

    def with_key(self, rows: pa.Table, block: Block) -> pa.Table:
        """The rows: they have no keys."""
        return rows


def find_outcomes(folder: Path, mock: Mock, seed: int) -> list[Outcome]:
    """What becomes of the boundaries of a model, beside mock inputs.

    Args:
        folder: the model, with its `MLmodel` file.
        mock: makes valid inputs.
        seed: of these.
    """
    return try_boundaries(folder, valid_rows(mock, seed))


def valid_rows(mock: Mock, seed: int) -> Any:
    """ROWS rows as the model takes them: a frame, or an array for one tensor."""
    drawn = mock.draw(seed, Block(0, BLOCK)).slice(0, ROWS)
    specs = mock.inputs
    if len(specs) == 1 and isinstance(specs[0], TensorSpec):
        nested = drawn.column(0).to_pylist()
        return np.array(nested, dtype=specs[0].dtype)
    frame: pd.DataFrame = drawn.to_pandas()
    return frame


def as_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Outcomes as rows."""
    return pa.table(dict(_columns(outcomes)))


def _columns(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, pa.Array]]:
    for name in _COLUMNS:
        yield name, pa.array([getattr(outcome, name) for outcome in outcomes], pa.string())
