"""The slices of all sets at once: rows that share their slice in each set are one joint group.

States add up, so those of a slice are the sums of the joint groups that lie in it. Where the sets
cut by the same few columns, the states of all of them take one sum over the rows, and sums of sums
at the end of a scan.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.planning.slices import Placed
from engine.states import Ints, States

# With more joint groups for each slice, or more than so many of rows that are not many, one sum for
# each set takes less, of memory at least.
MOST_PER_SLICE = 2
MOST = 16_384
MOST_ROWS = 1_000_000
# Numbers that dense states may have of all those: of many models, columns or classes fewer groups.
MOST_NUMBERS = 2**25


class JointGroups:
    """The joint groups of batch after batch, numbered in the order in which they were met.

    `numbers` says about how many numbers dense states have of a group.
    """

    def __init__(self, numbers: int = 1) -> None:
        self._most = min(MOST, MOST_NUMBERS // max(numbers, 1))
        # For each group its slice in each set, [set]; -1 where it lies in none.
        self._slices: list[tuple[int, ...]] = []
        self._numbers: dict[tuple[int, ...], int] = {}
        self._rows = 0

    @property
    def n_groups(self) -> int:
        """How many there are so far."""
        return len(self._slices)

    def place(self, placed: Sequence[Placed], sizes: Sequence[int], rows: int) -> Ints | None:
        """The joint group of each row of a batch, int64 [row]; None where there are too many.

        Args:
            placed: where the rows lie in each set.
            sizes: how many slices each set has so far.
            rows: how many rows there are.
        """
        slices = [_slice_of_row(place, rows) for place in placed]
        codes, first = _number_rows(slices, sizes)
        self._rows += rows
        most = MOST_PER_SLICE * sum(sizes)
        if self._rows <= MOST_ROWS:
            most = max(most, self._most)
        if len(first) > most:
            return None
        met = np.stack([of_row[first] for of_row in slices], axis=1).tolist()
        numbers = np.array([self._number(tuple(group)) for group in met], np.int64)
        return numbers[codes] if self.n_groups <= most else None

    def _number(self, slices: tuple[int, ...]) -> int:
        number = self._numbers.get(slices)
        if number is None:
            number = self._numbers[slices] = len(self._slices)
            self._slices.append(slices)
        return number

    def sum_slices(self, states: States, number: int, n_slices: int) -> States:
        """The states of the slices of set `number`, of those of the joint groups."""
        slices = np.array(
            [of_group[number] for of_group in self._slices[: states.n_groups]], np.int64
        )
        inside = np.flatnonzero(slices >= 0)
        if len(inside) < len(slices):
            states, slices = states.select(inside), slices[inside]
        return states.regroup(slices, n_slices)


def _slice_of_row(placed: Placed, rows: int) -> Ints:
    """The slice of each row, -1 of those that lie in none."""
    if placed.rows is None:
        return placed.groups
    slices = np.full(rows, -1, np.int64)
    slices[placed.rows] = placed.groups
    return slices


def _number_rows(slices: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, Ints]:
    """A number for each row by its slices, without gaps, and for each number one of its rows."""
    rows = len(slices[0])
    most = 4 * rows + 65536
    codes, span = np.zeros(rows, np.int64), 1
    for of_row, size in zip(slices, sizes, strict=True):
        width = size + 1
        if span * width > most:
            codes, span = _renumber(codes, span)
        codes, span = codes * width + (of_row + 1), span * width
        if span > most:
            # Only here: two numbers of rows' size fit into 64 bits.
            present, codes = np.unique(codes, return_inverse=True)
            span = len(present)
    codes, span = _renumber(codes, span)
    first = np.zeros(span, np.int64)
    first[codes[::-1]] = np.arange(rows)[::-1]
    return codes, first


def _renumber(codes: Ints, span: int) -> tuple[Ints, int]:
    """Codes below `span` numbered anew without gaps, and how many there are."""
    marks = np.zeros(span, bool)
    marks[codes] = True
    return (np.cumsum(marks) - 1)[codes], int(np.count_nonzero(marks))
