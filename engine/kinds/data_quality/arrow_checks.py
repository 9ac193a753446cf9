"""The checks that do not add up, of rows in Arrow: what the queries of `sql.py` find.

Rows that break a check are those of the whole table, those of each slice among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.kinds.arrow_rows import (
    BadRows,
    Figures,
    Ints,
    SlicedRows,
    alike_places,
    are_known,
    take,
    value_codes,
)
from engine.kinds.data_quality.check import BAD, SQUARES
from engine.kinds.data_quality.sql import LONGEST_KEY
from engine.kinds.questions import COUNT, Mark
from engine.pieces import NotThisWay
from engine.pieces.json_text import has_json, json_list, json_rows
from engine.pieces.numbers import Bools
from engine.pieces.row_hash import hash_rows


def repeats(rows: SlicedRows, columns: Sequence[str], *, nulls: bool) -> BadRows:
    """Rows whose values of some columns other rows have as well (`sql.repeats`)."""
    values = rows.values(columns)
    known = np.arange(len(rows.slices))
    if not nulls:
        known = np.flatnonzero(are_known(values, len(known)))
    places = alike_places(values, known)
    groups = value_codes(take(values, places), len(places))
    return _bad(places, groups, np.bincount(groups) > 1)


def conflicts(rows: SlicedRows, columns: Sequence[str], label: str) -> BadRows:
    """Rows whose values of some columns other rows have with another label (`sql.conflicts`)."""
    values, labels = rows.values(columns), rows.values([label])
    places = alike_places(values, np.flatnonzero(are_known(labels, len(rows.slices))))
    groups = value_codes(take(values, places), len(places))
    codes = value_codes(take(labels, places), len(places))
    least = np.full(int(groups.max(initial=-1)) + 1, len(places))
    most = np.zeros(len(least), np.int64)
    np.minimum.at(least, groups, codes)
    np.maximum.at(most, groups, codes)
    return _bad(places, groups, least < most)


def exceptions(rows: SlicedRows, sources: Sequence[str], column: str) -> BadRows:
    """Rows that have not the value that most with their sources' values have (`sql.exceptions`)."""
    values = rows.values([*sources, column])
    places = np.flatnonzero(are_known(values, len(rows.slices)))
    *given, own = take(values, places)
    groups, ranks = value_codes(given, len(places)), _ranks(own)
    width = int(ranks.max(initial=0)) + 1
    pairs, at, support = np.unique(groups * width + ranks, return_inverse=True, return_counts=True)
    # The greatest support first, then the least value; the first of a group is the usual one.
    order = np.lexsort((pairs % width, -support, pairs // width))
    first = np.ones(len(order), bool)
    first[1:] = (pairs // width)[order][1:] != (pairs // width)[order][:-1]
    is_usual = np.zeros(len(pairs), bool)
    is_usual[order[first]] = True
    bad = ~is_usual[at]
    return BadRows(places[bad], groups[bad])


def marks(rows: SlicedRows, mark: Mark) -> BadRows:
    """Rows that a function of a column marks."""
    places = np.flatnonzero(np.asarray(mark.function(rows.column(mark.column))) > 0)
    return BadRows(places, np.zeros(len(places), np.int64))


def _bad(places: Ints, groups: Ints, bad: Bools) -> BadRows:
    """The rows of the groups that are bad."""
    mask = bad[groups] if len(groups) else np.zeros(0, bool)
    return BadRows(places[mask], groups[mask])


def _ranks(column: pa.Array) -> Ints:
    """For each value how many different ones of the column are less; texts by their bytes."""
    encoded = column.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.zeros(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return np.asarray(ranks[encoded.indices.to_numpy(zero_copy_only=False)])


def count_bad(rows: SlicedRows, bad: BadRows) -> Figures:
    """The bad rows of each slice, and the sum over their groups of the square of their number."""
    inside = rows.slices[bad.places] >= 0
    places, groups = bad.places[inside], bad.groups[inside]
    width = int(groups.max(initial=0)) + 1
    pairs = rows.slices[places] * width + groups
    _, first, sizes = np.unique(pairs, return_index=True, return_counts=True)
    chosen = places[first]
    return {
        COUNT: rows.sizes(),
        BAD: rows.sums(chosen, sizes),
        SQUARES: rows.sums(chosen, np.square(sizes.astype(np.float64))),
    }


def show_keys(rows: SlicedRows, bad: BadRows, key: Sequence[str], most: int) -> Figures:
    """How many bad rows slices have, and the keys of some (`sql.bad_rows`).

    Raises:
        NotThisWay: for keys that are no plain values.
    """
    places = bad.places[rows.slices[bad.places] >= 0]
    texts = _key_texts(rows, key, places)
    slices, hashes = rows.slices[places], hash_rows([texts], len(texts))
    order = np.lexsort((hashes, slices))
    starts = np.searchsorted(slices[order], np.arange(rows.count + 1))
    keys: list[str | None] = []
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        chosen = texts.take(pa.array(order[start : min(stop, start + most)]))
        keys.append(json_list(chosen.to_pylist()) if stop > start else None)
    return {COUNT: rows.sizes(), BAD: rows.sums(places), "keys": keys}


def _key_texts(rows: SlicedRows, key: Sequence[str], places: Ints) -> pa.Array:
    """The keys of rows as `sql.key_sql` writes them."""
    columns = dict(zip(key, take([rows.column(name) for name in key], places), strict=True))
    for name, column in columns.items():
        if not has_json(column.type):
            raise NotThisWay(f"the key {name!r} of {column.type} is a text that Spark writes")
    try:
        if len(key) > 1:
            texts = json_rows(columns, len(places))
        else:
            (column,) = columns.values()
            texts = pc.fill_null(pc.cast(column, pa.string()), "null")
        texts.validate(full=True)
        texts = pc.utf8_slice_codeunits(texts, 0, LONGEST_KEY)
    except pa.ArrowException as error:
        raise NotThisWay("keys are texts that Python does not have") from error
    return texts


def constants(rows: SlicedRows, columns: Sequence[str]) -> Figures:
    """Whether columns have at most one value, `c0`, `c1`, ...; nulls are none."""
    figures: Figures = {COUNT: rows.sizes()}
    for place, name in enumerate(columns):
        (values,) = rows.values([name])
        known = np.flatnonzero(are_known([values], len(values)) & (rows.slices >= 0))
        encoded = values.take(pa.array(known)).dictionary_encode()
        width = max(len(encoded.dictionary), 1)
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        pairs = np.unique(rows.slices[known] * width + codes)
        counts = np.bincount(pairs // width, minlength=rows.count)
        figures[f"c{place}"] = [float(count < 2) for count in counts.tolist()]
    return figures


def newest(rows: SlicedRows, column: str) -> Figures:
    """The newest value of a column of dates or timestamps, in seconds since 1970 (`sql.newest`)."""
    values = rows.column(column)
    kind = values.type
    known = np.flatnonzero(are_known([values], len(values)) & (rows.slices >= 0))
    numbers = values.view(pa.int32() if pa.types.is_date32(kind) else pa.int64())
    points = numbers.take(pa.array(known)).to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.full(rows.count, np.iinfo(np.int64).min)
    np.maximum.at(ends, rows.slices[known], points)
    there = np.bincount(rows.slices[known], minlength=rows.count) > 0
    if pa.types.is_date32(kind):
        seconds = 86400.0 * ends
    else:
        seconds = ends / 1e6 if kind.tz is not None else (ends // 1_000_000).astype(np.float64)
    told = zip(seconds.tolist(), there.tolist(), strict=True)
    return {COUNT: rows.sizes(), "seconds": [end if known else None for end, known in told]}


def counts_before(rows: SlicedRows, beside: Mapping[str, SlicedRows]) -> Figures:
    """The rows of slices now and in the version before, of those that are in either."""
    before = beside["before"]
    now = rows.sizes()
    return {COUNT: now + [0.0] * (before.count - rows.count), "before": before.sizes()}
