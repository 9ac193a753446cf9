"""Numbered blocks of rows: what decides on a row is the seed and its number, and nothing else.

Seeds by the number of a partition give other rows on other partitions, and so does Spark's
`rand(seed)`. A block has a generator of its own (Philox is counted, so it costs 20 microseconds),
and is always drawn whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 8192
"""The rows of a block."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Block:
    """So many rows from the row `number * BLOCK` on."""

    number: int
    rows: int

    @property
    def first(self) -> int:
        """The number of its first row."""
        return self.number * BLOCK

    def row_numbers(self) -> NDArray[np.int64]:
        """[row]: the numbers of its rows."""
        return np.arange(self.first, self.first + self.rows, dtype=np.int64)


def blocks_of(rows: int) -> Iterator[Block]:
    """The blocks of so many rows; the last may be cut short."""
    for number in range(-(-rows // BLOCK)):
        yield Block(number, min(BLOCK, rows - number * BLOCK))


def generator(seed: int, *key: int) -> np.random.Generator:
    """The generator of a block: `key` is its number, and what else tells draws apart."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


def chances(seed: int, stream: int, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each row, by its number: the finalizer of SplitMix64 (Steele 2014).

    Args:
        seed: of the draw.
        stream: tells the draws of one seed apart.
        numbers: [row].
    """
    (key,) = np.random.SeedSequence(seed, spawn_key=(2**31 + stream,)).generate_state(1, np.uint64)
    with np.errstate(over="ignore"):
        mixed = numbers.astype(np.uint64) * _GOLDEN + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    drawn: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return drawn
