"""Slices: how values are named, coded, crossed and cut, against loops over Python values."""

from __future__ import annotations

import datetime as dt
import math
import struct
from decimal import Decimal
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.slice_names import NULL, interval_texts, slice_of, value_text
from engine.core.vocabulary import Dimension, SliceSet
from engine.planning.slices import (
    OVERALL,
    Coded,
    SliceIndex,
    Slicer,
    code_bins,
    code_values,
    cross_dimensions,
    from_key,
    slice_key,
    where_column,
)

UTC = dt.UTC
WHEN = dt.datetime(2026, 11, 23, 7, 30, 5, 120, tzinfo=UTC)


def by(*columns: str) -> SliceSet:
    return SliceSet(" x ".join(columns), "by", tuple(Dimension(column) for column in columns))


def texts_of(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    coded = code_values(column)
    return [coded.texts[code] for code in coded.codes]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([3, -7, None], pa.int16()), ["3", "-7", None]),
        (pa.array([2**63 - 1, -(2**63)]), ["9223372036854775807", "-9223372036854775808"]),
        (pa.array([1.5, 2.0, 1e300, -0.1]), ["1.5", "2.0", "1e+300", "-0.1"]),
        (pa.array([-0.0, 0.0]), ["0.0", "0.0"]),
        (pa.array([math.nan, None, math.inf, -math.inf]), ["NaN", None, "inf", "-inf"]),
        (pa.array([0.1, 16777217.0], pa.float32()), ["0.1", "16777216.0"]),
        (pa.array([dt.date(2026, 11, 23), None]), ["2026-11-23", None]),
        (pa.array([WHEN], pa.timestamp("us", "UTC")), ["2026-11-23T07:30:05.000120+00:00"]),
        (pa.array([dt.datetime(2026, 1, 2, 3)], pa.timestamp("us")), ["2026-01-02T03:00:00"]),
        (pa.array([Decimal("1.50"), Decimal("-20.00"), None]), ["1.50", "-20.00", None]),
        (pa.array([b"", b"\x00\xff", None]), ["", "00ff", None]),
        (pa.array(["DE", "", "NaN", "null", None]), ["DE", "", "NaN", "null", None]),
        (pa.array(["😀", "a\nb", 'say "hi"']), ["😀", "a\nb", 'say "hi"']),
        (pa.nulls(2), [None, None]),
    ],
)
def test_values_of_every_type_have_texts(column: pa.Array, texts: list[str | None]) -> None:
    assert texts_of(column) == texts
    assert texts_of(pa.chunked_array([column, column])) == texts * 2
    if not pa.types.is_null(column.type):
        assert texts_of(column.dictionary_encode()) == texts
        assert texts_of(column.dictionary_encode(null_encoding="encode")) == texts
    assert texts_of(column.slice(1)) == texts[1:]


def test_instants_are_the_same_in_every_time_zone() -> None:
    for zone in ("UTC", "Europe/Berlin", "America/New_York"):
        column = pa.array([WHEN], pa.timestamp("us", zone))
        assert texts_of(column) == ["2026-11-23T07:30:05.000120+00:00"]


def test_all_nan_are_one_value() -> None:
    other = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000001))[0]
    column = pa.array(np.array([math.nan, other, 1.0]))
    assert SliceIndex(by("x")).groups([code_values(column)], 3).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("DE", "country=DE"),
        (None, "country=<null>"),
        ("<null>", 'country="<null>"'),
        ("", 'country=""'),
        (" DE", 'country=" DE"'),
        ("a=b", 'country="a=b"'),
        ("a & b=c", 'country="a & b=c"'),
        ('say "hi"', r'country="say \"hi\""'),
        ("a\nb", r'country="a\nb"'),
        ("a\u2028b", r'country="a\u2028b"'),
        ("a\\u2028b", "country=a\\u2028b"),
        ("\u202egnp", r'country="\u202egnp"'),
        ("two words", "country=two words"),
        ("😀", "country=😀"),
        ("👩\u200d🚀", 'country="👩\u200d🚀"'),
        ("NaN", "country=NaN"),
    ],
)
def test_names_are_quoted_only_where_they_must_be(value: str | None, name: str) -> None:
    assert slice_of(by("country"), (value,)).name == name


def test_names_of_slices() -> None:
    assert slice_of(OVERALL, ()).name == "overall"
    where = SliceSet("young germans", "where", where="age < 25")
    assert slice_of(where, ()).name == "young germans"
    cross = slice_of(by("country", "device"), ("DE", None))
    assert cross.name == "country=DE & device=<null>"
    assert cross.columns == {"country": "DE", "device": None}
    assert slice_of(by("a=1 & b"), ("2",)).name == '"a=1 & b"=2'
    assert slice_of(by("net income"), ("2",)).name == "net income=2"
    bins = SliceSet("age", "bins", (Dimension("age", (18.0, 30.0)), Dimension("country")))
    names = [slice_of(bins, (text, "DE")).name for text in (*interval_texts((18.0, 30.0)), "NaN")]
    assert names == [
        "age < 18 & country=DE",
        "age in [18, 30) & country=DE",
        "age >= 30 & country=DE",
        "age=NaN & country=DE",
    ]
    assert slice_of(bins, (None, "DE")).name == "age=<null> & country=DE"


TEXT = st.none() | st.text(max_size=8) | st.sampled_from([NULL, "NaN", '"', "a=1", " & b=2", "\\n"])


@given(st.lists(st.tuples(TEXT, TEXT), unique=True, min_size=2, max_size=20))
def test_no_two_slices_of_a_set_share_a_name(values: list[tuple[str | None, ...]]) -> None:
    names = [slice_of(by("a", "b"), each).name for each in values]
    assert len(set(names)) == len(names)
    assert all("\n" not in name for name in names)


COLUMN = st.text(min_size=1, max_size=6) | st.sampled_from(["a", "a=1 & b", "b", "a <", "x in [1"])
SETS = st.lists(st.tuples(COLUMN, TEXT), min_size=1, max_size=3, unique_by=lambda pair: pair[0])


@given(SETS, SETS)
def test_no_two_sets_of_columns_share_a_name(
    one: list[tuple[str, str | None]], two: list[tuple[str, str | None]]
) -> None:
    names = [slice_of(by(*dict(each)), tuple(dict(each).values())).name for each in (one, two)]
    assert (names[0] == names[1]) is (one == two)


@given(st.lists(TEXT, max_size=3))
def test_keys_lead_back_to_their_slices(values: list[str | None]) -> None:
    columns = [f"c{number}" for number in range(len(values))]
    slice_set = by(*columns) if columns else OVERALL
    key = slice_key(tuple(values))
    assert from_key({slice_set.name: slice_set}, slice_set.name, key) == slice_of(
        slice_set, tuple(values)
    )


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=6, unique=True))
def test_intervals_have_names_of_their_own(edges: list[float]) -> None:
    texts = interval_texts(sorted({edge + 0.0 for edge in edges}))
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("edges", "texts"),
    [
        ((18.0, 30.0), ["< 18", "[18, 30)", ">= 30"]),
        ((0.5,), ["< 0.5", ">= 0.5"]),
        ((0.123456789, 0.9), ["< 0.123457", "[0.123457, 0.9)", ">= 0.9"]),
        ((1.0000001, 1.0000002), ["< 1.0000001", "[1.0000001, 1.0000002)", ">= 1.0000002"]),
        ((1234567.0,), ["< 1234567", ">= 1234567"]),
    ],
)
def test_edges_are_short_where_that_tells_them_apart(
    edges: tuple[float, ...], texts: list[str]
) -> None:
    assert interval_texts(edges) == texts


def test_bins_are_half_open() -> None:
    values = [17.999, 18, 29.9, 30, 1e9, -math.inf, math.inf, math.nan, None]
    coded = code_bins(pa.array(values, pa.float64()), (18.0, 30.0))
    assert [coded.texts[code] for code in coded.codes] == [
        "< 18", "[18, 30)", "[18, 30)", ">= 30", ">= 30", "< 18", ">= 30", "NaN", None
    ]  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        pa.array([17, 18, None], pa.int8()),
        pa.array([Decimal("17.99"), Decimal("18.00"), None]),
        pa.array([17.5, 18.0, None], pa.float32()),
        pa.array([17.5, 18.0, None]).dictionary_encode(),
        pa.chunked_array([[17.5, 18.0], [None]]),
    ],
)
def test_bins_cut_numbers_of_every_type(column: pa.Array | pa.ChunkedArray) -> None:
    coded = code_bins(column, (18.0,))
    assert [coded.texts[code] for code in coded.codes] == ["< 18", ">= 18", None]


CODED = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=30, max_size=30),
    min_size=1,
    max_size=4,
)


@given(CODED)
def test_crosses_are_the_tuples_of_their_values(columns: list[list[str | None]]) -> None:
    coded = [code_values(pa.array(column, pa.string())) for column in columns]
    codes, values = cross_dimensions(coded)
    assert [values[code] for code in codes] == list(zip(*columns, strict=True))
    assert len(set(values)) == len(values)


def test_crosses_of_many_values_do_not_overflow() -> None:
    """Ten columns with a million possible values each: 10^60 crosses, of which a few occur."""
    texts = tuple(map(str, range(1_000_000)))
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 1_000_000, 500) for _ in range(10)]
    codes, values = cross_dimensions([Coded(column, texts) for column in columns])
    expected = [tuple(str(column[row]) for column in columns) for row in range(500)]
    assert [values[code] for code in codes] == expected


def test_slices_keep_their_numbers_from_batch_to_batch() -> None:
    index = SliceIndex(by("a", "b"))
    seen: dict[tuple[Any, ...], int] = {}
    rng = np.random.default_rng(3)
    for _ in range(5):
        columns = [rng.choice(["x", "y", "z", None], 40).tolist() for _ in "ab"]
        coded = [code_values(pa.array(column, pa.string())) for column in columns]
        groups = index.groups(coded, 40).tolist()
        for values, number in zip(zip(*columns, strict=True), groups, strict=True):
            assert seen.setdefault(values, number) == number
            assert index.keys[number] == values
    assert sorted(seen.values()) == list(range(len(index.keys))) == list(range(16))


def test_all_sets_are_placed_at_once() -> None:
    a, b = ["x", "y", None, "x"], [1, 1, 2, None]
    sets = (
        OVERALL,
        by("a"),
        by("a", "b"),
        by("b", "a"),
        SliceSet("w", "where", where="b = 1"),
        SliceSet("n", "where", where="false"),
    )
    batch = pa.record_batch(
        {
            "a": pa.array(a),
            "b": pa.array(b),
            where_column(4): pa.array([True, True, False, None]),
            where_column(5): pa.array([False] * 4),
        }
    )
    slicer = Slicer(sets)
    placed = slicer.place(batch)
    named = []
    for index, where in zip(slicer.indices, placed, strict=True):
        rows = range(4) if where.rows is None else where.rows.tolist()
        named.append(
            {
                row: slice_of(index.slice_set, index.keys[number]).name
                for row, number in zip(rows, where.groups.tolist(), strict=True)
            }
        )
    assert named[0] == dict.fromkeys(range(4), "overall")
    assert named[1] == dict(enumerate(["a=x", "a=y", "a=<null>", "a=x"]))
    assert named[2] == dict(
        enumerate(["a=x & b=1", "a=y & b=1", "a=<null> & b=2", "a=x & b=<null>"])
    )
    assert named[3][2] == "b=2 & a=<null>"
    assert named[4] == {0: "w", 1: "w"}
    assert named[5] == {}
    assert slicer.indices[5].keys == [()], "a slice that matches nothing is there all the same"


def test_a_column_is_coded_once_for_all_its_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Dimension] = []
    from engine.planning import slices

    real = slices._code

    def counted(column: pa.Array, dimension: Dimension) -> Coded:
        asked.append(dimension)
        return real(column, dimension)

    monkeypatch.setattr(slices, "_code", counted)
    columns = "abc"
    sets = [by(*dict.fromkeys(pair)) for pair in product(columns, repeat=2)]
    sets.append(SliceSet("a bins", "bins", (Dimension("a", (1.0,)),)))
    batch = pa.record_batch({column: pa.array([1, 2, None]) for column in columns})
    Slicer(sets).place(batch)
    assert len(asked) == len(set(asked)) == 4


def test_texts_of_other_values() -> None:
    assert value_text(dt.time(7, 5)) == "07:05:00"
    assert value_text(dt.timedelta(days=1)) == "1 day, 0:00:00"


def test_values_that_python_has_no_type_for_are_slices_of_their_own() -> None:
    far = pa.array([3_000_000, -800_000, 0, None], pa.date32())
    assert code_values(far).texts == ("10183-09-21", "-0221-09-04", "1970-01-01", None)
    moments = pa.array([4 * 10**17, -7 * 10**16, 5], pa.timestamp("us", "UTC"))
    assert code_values(moments).texts == (
        "14645-06-30T15:06:40+00:00",
        "-0249-10-15T19:33:20+00:00",
        "1970-01-01T00:00:00.000005+00:00",
    )
    local = pa.array([4 * 10**17 + 1], pa.timestamp("us"))
    assert code_values(local).texts == ("14645-06-30T15:06:40.000001",)


def test_bytes_that_are_no_text_are_told_apart() -> None:
    raw = pa.array([b"\xffa", b"\xfea", b"ok", b"\xffa", None], pa.binary())
    # As Spark sends them: marked as text, and never looked at.
    texts = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    coded = code_values(texts)
    assert coded.texts == ("\ufffda (ff61)", "\ufffda (fe61)", "ok", None)
    assert coded.codes.tolist() == [0, 1, 2, 0, 3]


def test_a_column_is_not_taken_for_one_that_is_made_for_the_scan() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "__where_0": pa.array(["a", "b"]),
            "where 0": pa.array([False, False]),
            where_column(0): pa.array([True, False]),
        }
    )
    sets = [SliceSet("w", "where", where="x"), by("__where_0"), by("where 0")]
    placed = Slicer(sets).place(batch)
    assert placed[0].rows is not None and placed[0].rows.tolist() == [0]
    assert placed[1].groups.tolist() == [0, 1]
