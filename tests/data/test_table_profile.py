"""What the columns of a table are like: this process and Spark tell the same."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from engine.data import arrow_table_profile, table_profile
from engine.data.arrow_table_profile import profile_here, spread_here
from engine.data.source import Source, pin_table
from engine.data.table_profile import MOST_VALUES, profile_by_spark, spread_by_spark
from engine.spark.lazy_session import LazySession

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

ROWS = 700
KINDS = {
    "whole": pa.int64(), "text": pa.string(), "number": pa.float64(), "small": pa.float32(),
    "money": pa.decimal128(38, 2),
}  # fmt: skip


def some_rows(seed: int = 0) -> pa.Table:
    """Columns of each kind, of few and of many values, with nulls, odd numbers and odd texts."""
    rng = np.random.default_rng(seed)

    def holes(values: list[object], kind: pa.DataType) -> pa.Array:
        gone = rng.random(ROWS) < 0.1
        return pa.array([None if g else v for v, g in zip(values, gone, strict=True)], kind)

    odd = rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf, 0.1, 1e150, 5e-324], ROWS).tolist()
    spread = np.where(rng.random(ROWS) < 0.1, odd, rng.normal(size=ROWS) * 1e3).tolist()
    day = dt.date(2026, 1, 1)
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    columns = {
        "key": pa.array(range(ROWS), pa.int64()),
        "code": pa.array([f"ä {n}" for n in range(ROWS)]),
        "nearly": pa.array([min(n, ROWS - 2) for n in range(ROWS)], pa.int32()),
        "with_null": pa.array([None, *range(1, ROWS)], pa.int16()),
        "few": holes(rng.integers(-3, 3, ROWS).tolist(), pa.int8()),
        "words": holes(rng.choice(["", "a", "Ünï", "true", "1.5"], ROWS).tolist(), pa.string()),
        "flag": holes((rng.random(ROWS) < 0.4).tolist(), pa.bool_()),
        "odd": holes(odd, pa.float64()),
        "odd_float": pa.array([0.1, -0.0, np.nan, np.inf, 1e-45] * (ROWS // 5), pa.float32()),
        "spread": holes(spread, pa.float64()),
        "tenths": pa.array((rng.integers(0, 9, ROWS) / 10).astype(np.float32)),
        "money": holes([Decimal(int(n)).scaleb(-2) for n in rng.integers(0, 9, ROWS)],
                       pa.decimal128(12, 2)),
        "day": holes([day] * ROWS, pa.date32()),
        "at": holes([at] * ROWS, pa.timestamp("us", "UTC")),
        "raw": holes([b"a"] * ROWS, pa.binary()),
        "listed": holes([[1, 2]] * ROWS, pa.list_(pa.int32())),
        "nothing": pa.array([None] * ROWS, pa.string()),
        "not a number": pa.array([np.nan] * ROWS),
    }  # fmt: skip
    return pa.table(columns)


def pin(spark: SparkSession, folder: Path) -> Source:
    return pin_table(LazySession(spark), str(folder), "latest")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Source:
    """A table of three files."""
    folder = tmp_path_factory.mktemp("profile") / "table"
    rows = some_rows()
    # Delta's column names have no blanks without a mapping.
    rows = rows.rename_columns([name.replace(" ", "_") for name in rows.column_names])
    for start, stop in ((0, 300), (300, 301), (301, ROWS)):
        write_deltalake(folder, rows.slice(start, stop - start), mode="append")
    return pin(spark, folder)


def test_columns_are_told_alike(source: Source) -> None:
    here, there = profile_here(source), profile_by_spark(source)
    assert here.rows == there.rows == ROWS
    assert list(here.columns) == list(there.columns) == source.columns
    for name, own in here.columns.items():
        other = there.columns[name]
        if own.distinct > MOST_VALUES and not own.is_unique:
            assert other.distinct == pytest.approx(own.distinct, rel=0.2), name
            other = table_profile.replace(other, distinct=own.distinct)
        assert own == other, name
    unique = [name for name, one in here.columns.items() if one.is_unique]
    assert unique == ["key", "code"]
    assert dict(here.columns["odd"].values).keys() >= {0.0, np.inf, 5e-324}
    assert here.columns["not_a_number"].nulls == ROWS


def test_few_values_are_few_on_both_ways(spark: SparkSession, tmp_path: Path) -> None:
    counts = [MOST_VALUES - 1, MOST_VALUES, MOST_VALUES + 1, 44, 60]
    rows = {}
    for count in counts:
        numbers = pa.array((np.arange(300) % count * 7).tolist(), pa.int64())
        rows |= {f"{name} {count}": numbers.cast(kind) for name, kind in KINDS.items()}
    rows = {name.replace(" ", "_"): values for name, values in rows.items()}
    write_deltalake(tmp_path / "t", pa.table(rows))
    source = pin(spark, tmp_path / "t")
    here, there = profile_here(source), profile_by_spark(source)
    for name, own in here.columns.items():
        count = int(name.split("_")[1])
        assert own.values == there.columns[name].values
        assert own.distinct == count and len(own.values) == (count if count <= MOST_VALUES else 0)
        assert own.count_text == there.columns[name].count_text


def test_of_many_keys_the_first_are_told(spark: SparkSession, tmp_path: Path) -> None:
    names = [f"k{n}" for n in range(20)]
    keys = pa.array(range(1_000), pa.int64())
    twins = pa.array([0, *range(999)], pa.int64())
    rows = {name: twins if n % 2 else keys for n, name in enumerate(names)}
    write_deltalake(tmp_path / "t", pa.table(rows))
    source = pin(spark, tmp_path / "t")
    for table in (profile_here(source), profile_by_spark(source)):
        unique = [name for name, one in table.columns.items() if one.is_unique]
        assert unique == names[:16:2]


def test_a_key_of_more_values_than_are_counted_is_one(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = profile_here(source).columns
    monkeypatch.setattr(arrow_table_profile, "MOST_DISTINCT", 100)
    for name, one in profile_here(source).columns.items():
        assert one == expected[name], name


def test_spreads_are_alike(source: Source) -> None:
    for name in ("spread", "few", "money", "odd", "tenths", "not_a_number"):
        here, there = spread_here(source, name), spread_by_spark(source, name)
        assert here.deviation == pytest.approx(there.deviation, rel=1e-9, nan_ok=True), name
        assert here.absolute == pytest.approx(there.absolute, rel=1e-9), name


def test_a_table_without_rows(spark: SparkSession, tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", some_rows().select(["key", "words", "spread"]).slice(0, 0))
    source = pin(spark, tmp_path / "t")
    assert profile_here(source) == profile_by_spark(source)
    assert spread_here(source, "spread") == spread_by_spark(source, "spread")
