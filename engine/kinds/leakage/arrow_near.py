"""Near duplicates in Arrow: the same rows as `near` finds by Spark, of tables that fit here.

Rows, their sets, buckets and crowds are those of the query there, by the same hashes. Candidates
are compared by the hashes of their tokens, 64 bits each, where the query compares the tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.kinds.arrow_rows import Figures, Ints, SlicedRows, take
from engine.kinds.leakage.checks import LEAKED
from engine.kinds.leakage.minhash import BANDS, BITS, least_bits, sketch_sets
from engine.kinds.questions import COUNT
from engine.pieces import NotThisWay
from engine.pieces.functions import FUNCTIONS, describe_error
from engine.pieces.row_hash import as_stored, hash_rows, is_hashable

CROWDED = "crowded"
CROWD, LIKELIEST = 32, 4
# A row's number within 56 bits leaves room, above it, for how many of 64 bits two rows share. A
# second one of 64 bits tells rows apart where the first does not.
NUMBER_BITS = 56
_NUMBER = np.int64((1 << NUMBER_BITS) - 1)

# Beyond so many distinct rows the buckets of both sides are Spark's to join.
MOST_ROWS = 1_000_000
# What Java takes for space and separators, as RE2 spells it.
_SPACE = r"[\s\x0b\pZ]+"
# So many rows are looked at together.
_ROWS = 10_000

Bits = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Distinct:
    """The distinct rows of a table, in the order of their numbers.

    Attributes:
        ids: int64 [row], their numbers.
        of_row: int64 [row of the table], which of them each row of the table is.
        ends: int64 [row + 1], where their tokens end, behind a 0.
        tokens: int64, the hashes of each row's tokens, sorted and each once.
        bits: uint64 [row], of their sketches.
        buckets: int64 [row, BANDS], of their sketches.
    """

    ids: Ints
    of_row: Ints
    ends: Ints
    tokens: Ints
    bits: Bits
    buckets: Ints


def count_near(
    rows: SlicedRows, beside: Mapping[str, SlicedRows], columns: Sequence[str], near: float
) -> Figures:
    """The rows of slices, those with a near duplicate in the reference, and those in crowds.

    Raises:
        NotThisWay: for columns of other types in the reference, values whose hash, text or cases
            only Spark knows, and tables of too many distinct rows.
    """
    sides = rows, beside["reference"]
    _check_types(*sides, columns)
    ours, theirs = (
        _distinct_rows([side.column(name) for name in columns], len(side.slices)) for side in sides
    )
    is_near, is_crowded = np.zeros(len(ours.ids), bool), np.zeros(len(ours.ids), bool)
    crowds = _Crowds.of(theirs)
    for low in range(0, len(ours.ids), _ROWS):
        some = np.arange(low, min(low + _ROWS, len(ours.ids)))
        crowded, own, others = crowds.meet(ours, some, near)
        is_crowded[some] = crowded > BANDS / 2
        near_pairs = _are_near(ours, theirs, (own, others), near)
        is_near[own[near_pairs]] = True
    leaked = np.flatnonzero(is_near[ours.of_row])
    crowded = np.flatnonzero((is_crowded & ~is_near)[ours.of_row])
    return {COUNT: rows.sizes(), LEAKED: rows.sums(leaked), CROWDED: rows.sums(crowded)}


def _check_types(rows: SlicedRows, reference: SlicedRows, columns: Sequence[str]) -> None:
    for name in columns:
        kinds = [side.column(name).type for side in (rows, reference)]
        if kinds[0] != kinds[1]:
            raise NotThisWay(f"the column {name!r} is of another type in the reference")
        if not is_hashable(kinds[0]):
            raise NotThisWay(f"values of {kinds[0]} are compared")


def _distinct_rows(columns: Sequence[pa.Array], rows: int) -> _Distinct:
    """The distinct rows of some columns, with their sketches."""
    stored = [part for column in columns for part in (column.is_null(), as_stored(column))]
    first, second = (
        hash_rows([pa.array(np.full(rows, number, np.int32)), *stored], rows) for number in (1, 2)
    )
    order = np.lexsort((second, first & _NUMBER))
    ids, seconds = (first & _NUMBER)[order], second[order]
    is_new = _are_first(ids, seconds)
    places = np.flatnonzero(is_new)
    if len(places) > MOST_ROWS:
        raise NotThisWay(f"{len(places):,} distinct rows are more than {MOST_ROWS:,}")
    of_row = np.empty(rows, np.int64)
    of_row[order] = np.cumsum(is_new) - 1
    ends, tokens = _sets(take(columns, order[places]), len(places))
    listed = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(tokens))
    sketches = sketch_sets(listed)
    bits = sketches.field("bits").to_numpy(zero_copy_only=False).view(np.uint64)
    buckets = sketches.field("buckets").values.to_numpy(zero_copy_only=False)
    return _Distinct(ids[places], of_row, ends, tokens, bits, buckets.reshape(-1, BANDS))


def _sets(columns: Sequence[pa.Array], rows: int) -> tuple[Ints, Ints]:
    """The hashes of each row's tokens: where those of a row end, behind a 0, and all of them."""
    owners, hashes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for place, column in enumerate(columns):
        if pa.types.is_string(column.type):
            owner, values = _words(column)
        else:
            owner = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
            (values,) = take([column], owner)
            if pa.types.is_floating(values.type):
                values = pc.add(pc.cast(values, pa.float64()), 0.0)
        number = pa.array(np.full(len(values), place, np.int32))
        owners.append(owner)
        hashes.append(hash_rows([number, values], len(values)))
    owner, token = np.concatenate(owners), np.concatenate(hashes)
    order = np.lexsort((token, owner))
    owner, token = owner[order], token[order]
    is_new = _are_first(owner, token)
    counts = np.bincount(owner[is_new], minlength=rows)
    if int(counts.sum()) > np.iinfo(np.int32).max:
        raise NotThisWay("the rows have too many words")
    return np.concatenate([[0], np.cumsum(counts)]), token[is_new]


def _words(texts: pa.Array) -> tuple[Ints, pa.Array]:
    """The words of texts, and of which text each is."""
    try:
        split = pc.split_pattern_regex(FUNCTIONS["lower"](texts), _SPACE)
    except pa.ArrowException as error:
        raise NotThisWay(describe_error(error)) from error
    words, owner = split.flatten(), pc.list_parent_indices(split)
    is_word = pc.not_equal(words, "")
    return owner.filter(is_word).to_numpy(zero_copy_only=False), words.filter(is_word)


@dataclass(frozen=True, slots=True)
class _Crowds:
    """The buckets of the reference, each with the first of its rows in an order of its own.

    Attributes:
        reference: its distinct rows.
        buckets: int64, sorted.
        rows: int64, the row in each.
        places: int64, the row's place in its bucket, from 0 to `CROWD`.
    """

    reference: _Distinct
    buckets: Ints
    rows: Ints
    places: Ints

    @classmethod
    def of(cls, reference: _Distinct) -> _Crowds:
        buckets = reference.buckets.ravel()
        rows = np.repeat(np.arange(len(reference.ids)), BANDS)
        ids = reference.ids[rows]
        order = np.lexsort((ids, ids ^ buckets, buckets))
        buckets, rows = buckets[order], rows[order]
        places = _places_in_runs(buckets)
        kept = places <= CROWD
        return cls(reference, buckets[kept], rows[kept], places[kept])

    def meet(self, ours: _Distinct, some: Ints, near: float) -> tuple[Ints, Ints, Ints]:
        """Whom some rows meet in their buckets.

        Returns:
            How many of its buckets are crowded, [row of `some`]; and the pairs that are likeliest
            to be near: of ours, and of the reference.
        """
        buckets = ours.buckets[some].ravel()
        starts = np.searchsorted(self.buckets, buckets)
        sizes = np.searchsorted(self.buckets, buckets, "right") - starts
        entry = np.repeat(np.arange(len(buckets)), sizes)
        met = starts[entry] + _places_in_runs(entry)
        crowded = np.bincount(entry[self.places[met] == CROWD] // BANDS, minlength=len(some))
        kept = self.places[met] < CROWD
        entry, other = entry[kept], self.rows[met[kept]]
        own = some[entry // BANDS]
        common = BITS - np.bitwise_count(ours.bits[own] ^ self.reference.bits[other])
        likely = common >= least_bits(near)
        likeness = (common[likely].astype(np.int64) << NUMBER_BITS) + self.reference.ids[
            other[likely]
        ]
        return crowded, *_likeliest(entry[likely], some, likeness, other[likely])


def _likeliest(entry: Ints, some: Ints, likeness: Ints, other: Ints) -> tuple[Ints, Ints]:
    """The pairs of each row with the likeliest of each bucket, of these the likeliest of all."""
    best = np.lexsort((-likeness, entry))
    entry, likeness, other = entry[best], likeness[best], other[best]
    is_first = _are_first(entry)
    row, likeness, other = entry[is_first] // BANDS, likeness[is_first], other[is_first]
    order = np.lexsort((-likeness, row))
    row, likeness, other = row[order], likeness[order], other[order]
    is_new = _are_first(row, likeness)
    row, other = row[is_new], other[is_new]
    kept = _places_in_runs(row) < LIKELIEST
    return some[row[kept]], other[kept]


def _are_near(
    ours: _Distinct, theirs: _Distinct, pairs: tuple[Ints, Ints], near: float
) -> NDArray[np.bool_]:
    """Of which pairs of rows the sets are similar enough; two that say nothing are."""
    count = len(pairs[0])
    owners, tokens = [], []
    sizes = np.zeros(count, np.int64)
    for side, rows in zip((ours, theirs), pairs, strict=True):
        lengths = side.ends[rows + 1] - side.ends[rows]
        owner = np.repeat(np.arange(count), lengths)
        owners.append(owner)
        tokens.append(side.tokens[side.ends[rows][owner] + _places_in_runs(owner)])
        sizes += lengths
    owner, token = np.concatenate(owners), np.concatenate(tokens)
    order = np.lexsort((token, owner))
    owner, token = owner[order], token[order]
    common = np.bincount(owner[~_are_first(owner, token)], minlength=count)
    union = sizes - common
    alike = np.divide(common, union, out=np.ones(count), where=union > 0)
    return np.asarray(alike >= near)


def _are_first(*values: Ints) -> NDArray[np.bool_]:
    """Which of sorted values, or of sorted pairs of them, are the first of their like."""
    first = np.ones(len(values[0]), bool)
    first[1:] = np.logical_or.reduce([one[1:] != one[:-1] for one in values])
    return first


def _places_in_runs(values: Ints) -> Ints:
    """How many of their like stand before each of sorted values."""
    starts = np.flatnonzero(_are_first(values))
    sizes = np.diff(np.append(starts, len(values)))
    return np.asarray(np.arange(len(values)) - np.repeat(starts, sizes))
