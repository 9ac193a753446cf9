"""What single columns say of the label, of rows in Arrow: what the query of `Target` finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.kinds.arrow_rows import Figures, Ints, SlicedRows, value_codes
from engine.kinds.questions import COUNT
from engine.pieces import NotThisWay
from engine.pieces.numbers import Bools, Floats, doubles, percentiles
from engine.pieces.row_hash import as_stored, hash_rows, is_hashable

# What Spark writes for a null, which a text may be as well.
_NULL = "<null>"
# Java writes numbers below it without an exponent.
_PLAIN_NUMBER = 1e7
# Of Spark's estimate of how many values there are, with 512 registers: up to here it counts those
# that are empty.
_REGISTER_BITS, _COUNTED_UP_TO = 9, 400


@dataclass(frozen=True, slots=True)
class Cutting:
    """How numeric columns are cut.

    Attributes:
        shares: at which shares of the reference's rows, ascending.
        rows: about how many of them say where.
        few: a column of no more values is taken value by value.
    """

    shares: Sequence[float]
    rows: int
    few: int


@dataclass(frozen=True, slots=True)
class Labels:
    """The label of rows as numbers, of those that have one.

    Of classes the numbers are the places of their texts in the order of their bytes.
    """

    ours: Floats
    theirs: Floats
    are_classes: bool


def powers(
    rows: SlicedRows,
    reference: SlicedRows,
    columns: Sequence[str],
    labels: Labels,
    cutting: Cutting,
) -> Figures:
    """The rows of slices, those with a label, and what each column says of it, `p0`, `p1`, ...

    Raises:
        NotThisWay: for columns of other types in the reference, or that have no text here.
    """
    known, learned = (np.flatnonzero(~np.isnan(side)) for side in (labels.ours, labels.theirs))
    y, of_reference = labels.ours[known], labels.theirs[learned]
    places = known[rows.slices[known] >= 0]
    there = [count > 0 for count in rows.sums(places)]
    labelled = [n if some else None for n, some in zip(rows.sums(places), there, strict=True)]
    figures: Figures = {COUNT: rows.sizes(), "labelled": labelled}
    drawn = _sample_mask(reference, columns, cutting)
    whole = np.zeros(len(learned), np.int64)
    for place, name in enumerate(columns):
        ours, theirs = _parts(rows, reference, name, drawn, cutting)
        if not len(learned):
            figures[f"p{place}"] = [None] * rows.count
            continue
        usual = _says(whole, of_reference, labels.are_classes, 1)[0]
        size = int(max(ours.max(initial=0), theirs.max(initial=0))) + 1
        says = _says(theirs[learned], of_reference, labels.are_classes, size)[ours[known]]
        says = np.where(np.isnan(says), usual, says)
        if labels.are_classes:
            right, majority = (rows.sums(known[y == told]) for told in (says, usual))
            power = [_share(r - m, n - m) for r, m, n in
                     zip(right, majority, rows.sums(known), strict=True)]  # fmt: skip
        else:
            left, spread = (rows.sums(known, np.square(y - told)) for told in (says, usual))
            shares = [_share(a, b) for a, b in zip(left, spread, strict=True)]
            power = [None if share is None else 1 - share for share in shares]
        figures[f"p{place}"] = [p if some else None for p, some in zip(power, there, strict=True)]
    if not len(learned):
        figures["labelled"] = [None] * rows.count
    return figures


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def class_labels(rows: SlicedRows, reference: SlicedRows, name: str) -> Labels:
    """Labels that are classes.

    Raises:
        NotThisWay: for labels that are texts which Spark writes.
    """
    texts = [_label_texts(side.column(name)) for side in (rows, reference)]
    whole = pa.concat_arrays(texts).dictionary_encode()
    order = pc.sort_indices(whole.dictionary).to_numpy()
    ranks = np.zeros(len(order), np.float64)
    ranks[order] = np.arange(len(order))
    codes = pc.fill_null(whole.indices, -1).to_numpy(zero_copy_only=False)
    numbers = np.full(len(codes), np.nan)
    numbers[codes >= 0] = ranks[codes[codes >= 0]]
    return Labels(numbers[: len(texts[0])], numbers[len(texts[0]) :], are_classes=True)


def number_labels(rows: SlicedRows, reference: SlicedRows, name: str) -> Labels:
    """Labels that are numbers; of those that are not finite nothing is learned."""
    ours, theirs = (doubles(side.column(name)) for side in (rows, reference))
    ours, theirs = (np.where(np.isfinite(y), y, np.nan) for y in (ours, theirs))
    return Labels(ours, theirs, are_classes=False)


def _label_texts(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_floating(kind):
        numbers = doubles(column)
        known = numbers[column.is_valid().to_numpy(zero_copy_only=False)]
        if not (np.abs(known) < _PLAIN_NUMBER).all() or (known % 1 != 0).any():
            raise NotThisWay("labels are numbers of which Spark writes the texts")
        return pa.array([None if value is None else f"{value:.1f}" for value in column.to_pylist()],
                        pa.string())  # fmt: skip
    types = pa.types
    if not (types.is_integer(kind) or types.is_string(kind) or types.is_boolean(kind)
            or types.is_date32(kind)):  # fmt: skip
        raise NotThisWay(f"labels are texts of {kind} that Spark writes")
    return pc.cast(column, pa.string())


def _says(parts: Ints, y: Floats, are_classes: bool, size: int) -> Floats:
    """What each part says: its most frequent class, the greatest of several, or its mean."""
    told = np.full(size, np.nan)
    if not are_classes:
        counts = np.bincount(parts, minlength=size)
        sums = np.bincount(parts, y, minlength=size)
        np.divide(sums, counts, out=told, where=counts > 0)
        return told
    width = int(y.max(initial=0)) + 1
    pairs, counts = np.unique(parts * width + y.astype(np.int64), return_counts=True)
    order = np.lexsort((pairs % width, counts, pairs // width))
    # The last of each part is written last.
    told[pairs[order] // width] = pairs[order] % width
    return told


def _sample_mask(reference: SlicedRows, columns: Sequence[str], cutting: Cutting) -> Bools:
    """The rows of the reference that say where numeric columns are cut."""
    count = len(reference.slices)
    every = max(count // cutting.rows, 1)
    if every == 1:
        return np.ones(count, bool)
    stored = [as_stored(reference.column(name)) for name in columns]
    if not all(is_hashable(column.type) for column in stored):
        raise NotThisWay("rows are drawn by a hash of values that have none")
    return np.asarray(hash_rows(stored, count) % every == 0)


def _parts(
    rows: SlicedRows, reference: SlicedRows, name: str, drawn: Bools, cutting: Cutting
) -> tuple[Ints, Ints]:
    """The number of the part that each row of both is in, by a column."""
    pair = [side.column(name) for side in (rows, reference)]
    if pair[0].type != pair[1].type:
        raise NotThisWay(f"the column {name!r} is of another type in the reference")
    kind = pair[0].type
    texts = [_as_text(column) for column in pair]
    codes = value_codes([pa.concat_arrays(texts)], sum(map(len, texts)))
    if not _is_number(kind):
        return codes[: len(pair[0])], codes[len(pair[0]) :]
    numbers = np.concatenate([doubles(column) for column in pair])
    sample = doubles(pair[1])[drawn]
    cuts = np.array(percentiles(sample[np.isfinite(sample)], cutting.shares) or ())
    if not len(cuts) or _are_few(pair[1].filter(pa.array(drawn)), cutting.few):
        return codes[: len(pair[0])], codes[len(pair[0]) :]
    below = np.searchsorted(cuts, numbers, side="left")
    parts = np.where(np.isfinite(numbers), below, codes + len(cuts) + 1)
    return parts[: len(pair[0])], parts[len(pair[0]) :]


def _are_few(column: pa.Array, most: int) -> bool:
    """Whether Spark's `approx_count_distinct` of a column is no more than this."""
    values = pc.unique(as_stored(column)).drop_null()
    hashes = hash_rows([values], len(values)).view(np.uint64)
    places = (hashes >> np.uint64(64 - _REGISTER_BITS)).astype(np.int64)
    registers = 1 << _REGISTER_BITS
    empty = registers - len(np.unique(places))
    if not empty:
        return False
    estimate = registers * np.log(registers / empty)
    return bool(estimate <= _COUNTED_UP_TO and np.floor(estimate + 0.5) <= most)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _as_text(column: pa.Array) -> pa.Array:
    """A column of which values are equal where Spark's texts of them are: zeros have their sign."""
    if pa.types.is_string(column.type):
        return pc.fill_null(column, _NULL)
    if not pa.types.is_floating(column.type):
        return column
    numbers = doubles(column)
    numbers = np.where(np.isnan(numbers), np.nan, numbers)
    return pa.array(numbers.view(np.int64), mask=column.is_null().to_numpy(zero_copy_only=False))


def target_powers(
    rows: SlicedRows,
    beside: Mapping[str, SlicedRows],
    columns: Sequence[str],
    label: tuple[str, bool],
    cutting: Cutting,
) -> Figures:
    """What `powers` finds, by the name of the label and whether it is a class."""
    reference, (name, are_classes) = beside["reference"], label
    read = class_labels if are_classes else number_labels
    return powers(rows, reference, columns, read(rows, reference, name), cutting)
