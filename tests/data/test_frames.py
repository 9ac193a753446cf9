"""Frames as tables: types, nulls, categories, names, and what no table can have."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from engine.data import frames
from engine.data.frames import Frame, frame_of
from engine.errors import DataError


def table_of(frame: Frame) -> pa.Table:
    return frame.reader().read_all()


def example() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "whole": [1, 2, 3],
            "small": np.array([1, 2, 3], np.uint8),
            "half": np.array([1.5, 2.5, np.nan], np.float16),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "fraction": [0.5, np.nan, -0.0],
            "text": ["a", None, "ü"],
            "arrow text": pd.array(["a", None, "c"], dtype="string[pyarrow]"),
            "category": pd.Categorical(["x", None, "x"]),
            "numbers as categories": pd.Categorical([3, 1, 3]),
            "yes": [True, False, True],
            "maybe": [True, None, False],
            "at": pd.to_datetime(["2026-01-01 10:00:00.123456789", None, "2026-03-01 00:00:00.0"]),
            "zoned": pd.to_datetime(["2026-01-01 10:00"] * 3).tz_localize("Europe/Berlin"),
            "day": [dt.date(2026, 1, 1), None, dt.date(2026, 1, 2)],
            "price": [decimal.Decimal("1.50"), None, decimal.Decimal("2.25")],
            "objects": pd.Series([1, None, 2.5], dtype=object),
            "nothing": [None, None, None],
            "list": [[1, 2], None, []],
        }
    )


def test_types_of_pandas_are_those_of_a_table() -> None:
    frame = frame_of(example())
    assert dict(frame.columns) == {
        "whole": "bigint",
        "small": "smallint",
        "half": "float",
        "nullable": "bigint",
        "fraction": "double",
        "text": "string",
        "arrow text": "string",
        "category": "string",
        "numbers as categories": "bigint",
        "yes": "boolean",
        "maybe": "boolean",
        "at": "timestamp_ntz",
        "zoned": "timestamp",
        "day": "date",
        "price": "decimal(3,2)",
        "objects": "double",
        "nothing": "string",
        "list": "array<bigint>",
    }
    rows = table_of(frame).to_pylist()
    assert [row["nullable"] for row in rows] == [1, None, 3]
    assert [row["fraction"] for row in rows] == [0.5, None, -0.0]
    assert [row["category"] for row in rows] == ["x", None, "x"]
    assert [row["numbers as categories"] for row in rows] == [3, 1, 3]
    assert [row["objects"] for row in rows] == [1.0, None, 2.5]
    assert rows[0]["at"] == dt.datetime(2026, 1, 1, 10, 0, 0, 123456)
    assert rows[0]["zoned"] == dt.datetime(2026, 1, 1, 9, 0, tzinfo=dt.UTC)
    assert [row["list"] for row in rows] == [[1, 2], None, []]


def test_rows_come_some_at_a_time_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table_of(frame_of(example()))
    monkeypatch.setattr(frames, "ROWS", 2)
    parts = list(frame_of(example()).batches())
    assert [part.num_rows for part in parts] == [2, 1]
    assert pa.Table.from_batches(parts) == whole
    for other in (whole, pl.from_arrow(whole), whole.to_reader(1)):
        assert table_of(frame_of(other)) == whole
    texts = whole.select(["category"])
    for other in (
        pl.from_arrow(texts).with_columns(pl.col("category").cast(pl.Categorical)),
        pl.from_arrow(texts).with_columns(pl.col("category").cast(pl.Enum(["x", "y"]))),
        texts.set_column(0, "category", texts["category"].dictionary_encode()),
    ):
        assert table_of(frame_of(other)) == texts


def test_what_is_read_once_can_be_read_twice() -> None:
    frame = frame_of(pa.table({"a": [1, 2]}).to_reader())
    assert frame.digest() == frame.digest() == frame_of(pa.table({"a": [1, 2]})).digest()


def test_the_digest_is_of_the_content() -> None:
    one = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    digest = frame_of(one).digest()
    assert frame_of(one.copy()).digest() == digest
    assert frame_of(one.set_axis([7, 9])).digest() == digest, "an index is no column"
    others = [
        one.assign(a=[1, 3]),
        one.assign(b=["x", ""]),
        one.rename(columns={"a": "c"}),
        one[["b", "a"]],
        one[::-1],
        one.astype({"a": "int32"}),
        one[:1],
    ]
    assert len({digest, *(frame_of(other).digest() for other in others)}) == len(others) + 1


def test_no_number_is_null_in_all_frames() -> None:
    numbers = pd.DataFrame({"x": [1.0, np.nan, 3.0]})
    others = [
        pl.DataFrame({"x": [1.0, float("nan"), 3.0]}),
        pa.table({"x": [1.0, float("nan"), 3.0]}),
        pl.DataFrame({"x": pl.Series([1.0, float("nan"), 3.0], dtype=pl.Float32)}),
    ]
    for frame in (numbers, *others):
        assert table_of(frame_of(frame))["x"].to_pylist() == [1.0, None, 3.0]


def test_columns_that_are_numbers_get_names() -> None:
    assert [name for name, _ in frame_of(pd.DataFrame(np.zeros((2, 3)))).columns] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            [1, 2],
            "the data are of the type list; expected a frame of pandas, Polars, Arrow or Spark",
        ),
        (pl.LazyFrame({"a": [1]}), "type LazyFrame; .* collect.. makes a frame of it"),
        (pd.DataFrame(), "has no columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the columns 'a' twice"),
        (pd.DataFrame({"a": [1], "A": [2]}), "the columns 'a' and 'A'"),
        (pd.DataFrame({" ": [1]}), "a column called ' '"),
        (pd.DataFrame({"o": [1, "secret"]}), "'o' .* the types int, str; expected one"),
        (pd.DataFrame({"t": [pd.Timedelta("1s")]}), "'t' .* is duration"),
        (pd.DataFrame({"z": [1 + 2j]}), "'z' of the frame is complex128"),
        (pa.table({"i": pa.array([2**63], pa.uint64())}), "'i' of the frame .* no int64"),
        (pd.DataFrame({"b": pd.Series([2**70], dtype=object)}), "'b' of the frame"),
    ],
)
def test_what_cannot_be_a_table_is_told_without_a_value(data: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        table_of(frame_of(data))
    assert "secret" not in str(error.value)
    assert str(2**63) not in str(error.value)
