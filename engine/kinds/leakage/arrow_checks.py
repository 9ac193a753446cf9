"""Leaks among rows in Arrow, beside those of the reference: what the queries find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.kinds.arrow_rows import Figures, Ints, SlicedRows, take, value_codes
from engine.kinds.questions import COUNT
from engine.pieces import NotThisWay
from engine.pieces.row_hash import hash_rows, is_hashable


def rows_in_both(
    rows: SlicedRows, beside: Mapping[str, SlicedRows], columns: Sequence[str], *, nulls: bool
) -> Ints:
    """The places of rows whose values of some columns a row of the reference has.

    A null is equal to a null. `nulls` says whether a row counts that has nothing else.

    Raises:
        NotThisWay: for columns of other types in the reference, or values without a hash.
    """
    ours, theirs = _alike(rows, beside["reference"], columns)
    hashes = [_hashes(side, len(given.slices)) for side, given in
              ((ours, rows), (theirs, beside["reference"]))]  # fmt: skip
    here, there = (
        np.flatnonzero(pc.is_in(pa.array(one), pa.array(other)).to_numpy(zero_copy_only=False))
        for one, other in (hashes, hashes[::-1])
    )
    if not nulls:
        empty = np.ones(len(hashes[1]), bool)
        for column in theirs:
            empty &= column.is_null().to_numpy(zero_copy_only=False)
        there = there[~empty[there]]
    pairs = zip(take(ours, here), take(theirs, there), strict=True)
    whole = [pa.concat_arrays(pair) for pair in pairs]
    codes = value_codes(whole, len(here) + len(there))
    return here[np.isin(codes[: len(here)], codes[len(here) :])]


def count_leaks(rows: SlicedRows, places: Ints, name: str) -> Figures:
    """The rows of slices, and those of them at some places."""
    return {COUNT: rows.sizes(), name: rows.sums(places)}


def rows_not_younger(rows: SlicedRows, beside: Mapping[str, SlicedRows], column: str) -> Ints:
    """The places of rows that are not younger than all of the reference.

    Raises:
        NotThisWay: for a column of another type in the reference.
    """
    (ours,), (theirs,) = _alike(rows, beside["reference"], [column])
    older = pc.less_equal(ours, pc.max(theirs))
    return np.flatnonzero(pc.fill_null(older, False).to_numpy(zero_copy_only=False))


def _alike(
    rows: SlicedRows, reference: SlicedRows, columns: Sequence[str]
) -> tuple[list[pa.Array], list[pa.Array]]:
    """Columns of both as they are compared: whole numbers of one size, one zero and one NaN."""
    ours, theirs = [], []
    for name in columns:
        pair = [side.column(name) for side in (rows, reference)]
        if pair[0].type != pair[1].type:
            if not all(pa.types.is_integer(column.type) for column in pair):
                raise NotThisWay(f"the column {name!r} is of another type in the reference")
            pair = [pc.cast(column, pa.int64()) for column in pair]
        if pa.types.is_floating(pair[0].type):
            pair = [_one_zero(column) for column in pair]
        ours.append(pair[0])
        theirs.append(pair[1])
    return ours, theirs


def _one_zero(column: pa.Array) -> pa.Array:
    column = pc.add(column, pa.scalar(0.0, column.type))
    return pc.if_else(pc.is_nan(column), pa.scalar(np.nan, column.type), column)


def _hashes(columns: Sequence[pa.Array], rows: int) -> Ints:
    for column in columns:
        if not is_hashable(column.type):
            raise NotThisWay(f"values of {column.type} are compared")
    return hash_rows([*columns, *(column.is_null() for column in columns)], rows)
