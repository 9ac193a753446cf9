"""States of columns: they add up, are taken away again, and say what pandas and numpy say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.states import (
    BUCKETS,
    ColumnBatch,
    ColumnCategories,
    ColumnFamily,
    ColumnHistogram,
    ColumnMean,
    ColumnSums,
    ColumnValues,
    NotInvertible,
    States,
    ValueCounts,
    column_nulls,
    decode,
)
from engine.states.columns import numbers_of

GROUPS = 3
NUMBERS = st.one_of(st.none(), st.sampled_from([0.0, -1.5, 2.0, 2.5, math.nan, math.inf, -7.0]))
ROW = st.tuples(NUMBERS, st.integers(0, GROUPS - 1), st.integers(0, BUCKETS - 1))
TABLES = st.lists(ROW, max_size=40)


def double(column: pa.Array) -> np.ndarray:
    return 2 * numbers_of(column)[0]


FAMILIES: list[ColumnFamily] = [
    column_nulls("x"),
    ColumnMean("x", "double", double),
    ColumnHistogram("x", (-1.0, 2.0, 2.5)),
    ColumnCategories("x", (0.0, 2.0, -7.0)),
    ColumnSums("x", (-1.5, 0.0, 2.25)),
    ColumnValues("x", 50),
    ColumnValues("x", 2),
]


def states_of(family: ColumnFamily, rows: list[Any]) -> States:
    x, groups, buckets = ([row[at] for row in rows] for at in range(3))
    batch = ColumnBatch(
        pa.record_batch({"x": pa.array(x, pa.float64())}), np.array(buckets, np.int64)
    )
    return family.of(batch, np.array(groups, np.int64), GROUPS)


def same(one: States, other: States) -> bool:
    if isinstance(one, ValueCounts) and isinstance(other, ValueCounts):
        return all(
            np.array_equal(getattr(one, name), getattr(other, name))
            for name in ("over", "keys", "counts")
        ) and (one.values == other.values)
    ours, theirs = (states.values for states in (one, other))  # type: ignore[attr-defined]
    return np.allclose(ours, theirs, rtol=1e-12, atol=1e-9, equal_nan=True)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.key)
@given(rows=TABLES, cut=st.integers(0, 40))
def test_any_split_adds_up_and_is_taken_away(
    family: ColumnFamily, rows: list[Any], cut: int
) -> None:
    if isinstance(family, ColumnMean) and family.name == "double":
        rows = [row for row in rows if row[0] is None or not math.isinf(row[0])]
    whole = states_of(family, rows)
    one, other = states_of(family, rows[:cut]), states_of(family, rows[cut:])
    zero = family.zero(GROUPS)
    for total in (one.merge(other), other.merge(one), zero.merge(one, other), whole.merge(zero)):
        assert same(total, whole)
    assert same(decode(whole.encode()), whole)
    picked = np.array([2, 0, 7])
    assert same(whole.select(picked).take(0), whole.take(2))
    try:
        left = whole.minus(other)
    except NotInvertible:
        assert isinstance(whole, ValueCounts) and whole.over.any()
    else:
        assert same(left, one)


@given(TABLES)
def test_values_are_counted_as_pandas_does(rows: list[Any]) -> None:
    frame = pd.DataFrame(
        {"x": [None if row[0] is None else str(row[0]) for row in rows],
         "group": [row[1] for row in rows]}
    )  # fmt: skip
    counts = states_of(ColumnValues("x", 100), rows)
    assert isinstance(counts, ValueCounts)
    for group, totals in enumerate(counts.totals):
        expected = frame[frame["group"] == group]["x"].value_counts(dropna=False)
        assert totals is not None
        assert sorted(totals.values()) == sorted(expected.tolist())
        assert totals.get(None, 0) == frame[frame["group"] == group]["x"].isna().sum()


def test_a_group_of_many_values_says_so_whatever_the_order() -> None:
    rows = [(float(n), 0, n % BUCKETS) for n in range(10)] + [(1.0, 1, 0)]
    for order in (rows, rows[::-1]):
        counts = states_of(ColumnValues("x", 9), order)
        assert isinstance(counts, ValueCounts)
        assert counts.totals == [None, {"1": 1.0}, {}]
    halves = [states_of(ColumnValues("x", 9), part) for part in (rows[:5], rows[5:])]
    assert same(halves[0].merge(halves[1]), states_of(ColumnValues("x", 9), rows))


def test_histograms_are_those_of_numpy() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=500)
    x[:7] = math.nan
    rows = [(None if n < 3 else value, 0, n % BUCKETS) for n, value in enumerate(x.tolist())]
    edges = (-2.0, -0.5, 0.0, 1.25)
    states = states_of(ColumnHistogram("x", edges), rows)
    counts = states.values.sum(axis=(0, 1))  # type: ignore[attr-defined]
    known = x[7:]
    inner, _ = np.histogram(known, edges)
    assert counts[1:4].tolist() == inner.tolist()
    assert counts.tolist() == [
        (known < -2.0).sum(), *inner, (known >= 1.25).sum(), 3, 4,
    ]  # fmt: skip


def test_nulls_and_nan_are_nulls() -> None:
    states = states_of(column_nulls("x"), [(None, 0, 0), (math.nan, 0, 1), (1.0, 0, 2)])
    weight, _, mean, _ = states.values[0].T  # type: ignore[attr-defined]
    assert weight.sum() == 3 and (weight * mean).sum() == 2
