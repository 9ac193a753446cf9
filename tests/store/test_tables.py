"""A store's table has the same rows by both roads, whoever wrote them."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from engine.core.locations import Store
from engine.delta.local_table import LocalTable
from engine.errors import StoreError
from engine.spark.lazy_session import LazySession
from engine.store.tables import StoreTables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.spark.spark_table import SparkTable

NOW = dt.datetime(2026, 11, 29, 6, tzinfo=dt.UTC)
SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("n", pa.int64()),
        ("at", pa.timestamp("us", "UTC")),
        ("counts", pa.map_(pa.string(), pa.int64())),
        ("keys", pa.list_(pa.string())),
        ("payload", pa.binary()),
        ("share", pa.float64()),
        ("right", pa.bool_()),
    ]
)
Table = LocalTable | Any


def rows(*names: str | None, first: int = 0) -> pa.Table:
    records = [
        {
            "run_id": name,
            "n": first + place,
            "at": NOW + dt.timedelta(days=first + place),
            "counts": [("a", place)],
            "keys": [str(name), None],
            "payload": bytes([0, place]),
            "share": place / 7,
            "right": bool(place % 2),
        }
        for place, name in enumerate(names)
    ]
    return pa.Table.from_pylist(records, SCHEMA)


WRITES: list[tuple[str, Callable[[Table], object]]] = [
    ("append", lambda t: t.append_once(rows("a", "b", "it's", None), token="one")),
    ("again", lambda t: t.append_once(rows("z", first=9), token="one")),
    ("more", lambda t: t.append_once(rows("c", "d", first=4), token="two")),
    ("update", lambda t: t.update([("run_id", "=", "c")], {"n": 40, "counts": {"x": 2}})),
    ("update some", lambda t: t.update([("run_id", "in", ["a", "d"])], {"share": 0.5})),
    ("delete", lambda t: t.delete([("at", "<", NOW + dt.timedelta(hours=1))])),
    (
        "delete like",
        lambda t: t.delete_like(pa.table({"run_id": pa.array([None, "it's"]), "n": [3, 2]})),
    ),
    (
        "wider",
        lambda t: t.append_once(
            rows("e", first=7).append_column("new", pa.array(["y"])), token="three"
        ),
    ),
    ("compact", lambda t: t.compact()),
    ("vacuum", lambda t: t.vacuum(0)),
]


def content(table: Table) -> list[dict[str, Any]]:
    read = table.rows().to_pylist()
    for row in read:
        row["at"] = row["at"].astimezone(dt.UTC)
    return sorted(read, key=lambda row: (row["n"], str(row["run_id"])))


@pytest.mark.spark
def test_both_roads_write_and_read_the_same(tmp_path: Path, spark: SparkSession) -> None:
    """Each write by the one road, by the other, and by both in turn; each read by both."""
    from engine.spark.spark_table import SparkTable

    def local(name: str) -> LocalTable:
        return LocalTable(tmp_path / name)

    def sparks(name: str) -> SparkTable:
        return SparkTable(spark, str(tmp_path / name))

    expected: list[list[dict[str, Any]]] = []
    for name, roads in (("local", (local,)), ("mixed", (local, sparks)), ("spark", (sparks,))):
        for place, (what, write) in enumerate(WRITES):
            write(roads[place % len(roads)](name))
            seen = content(local(name))
            if name == "mixed" or place == len(WRITES) - 1:
                assert content(sparks(name)) == seen, (name, what)
            if name == "local":
                expected.append(seen)
            assert seen == expected[place], (name, what)
    assert [row["run_id"] for row in expected[-1]] == ["b", "d", "e", "c"]
    assert local("local").size()[0] == 1


@pytest.mark.spark
def test_deletion_vectors_are_read_right_and_written_by_spark(
    tmp_path: Path, spark: SparkSession
) -> None:
    path = tmp_path / "store" / "runs"
    frame = spark.createDataFrame(rows(*[f"r{n}" for n in range(50)])).coalesce(1)
    frame.write.format("delta").option("delta.enableDeletionVectors", "true").save(str(path))
    spark.sql(f"DELETE FROM delta.`{path}` WHERE n % 10 = 3")
    table = StoreTables(Store(str(tmp_path / "store")), LazySession(spark))["runs"]
    numbers = [n for n in range(50) if n % 10 != 3]
    assert sorted(table.rows(["n"])["n"].to_pylist()) == numbers
    table.delete([("n", "<", 10)])
    table.append_once(rows("new", first=99), token="new")
    table.append_once(rows("new", first=99), token="new")
    numbers = [*numbers[9:], 99]
    assert sorted(table.rows(["n"])["n"].to_pylist()) == numbers
    assert sorted(table.by_spark().rows(["n"])["n"].to_pylist()) == numbers


@pytest.mark.spark
def test_a_catalogs_table_is_sparks(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA IF NOT EXISTS roads")
    try:
        table = StoreTables(Store("roads.of"), LazySession(spark))["runs"]
        assert (table.path, table.folder, table.is_direct) == ("roads.of.runs", None, False)
    finally:
        spark.sql("DROP SCHEMA roads CASCADE")
    tables = StoreTables(Store("s3a://bucket/store"), LazySession(spark))
    assert tables["runs"].path == "s3a://bucket/store/runs" and tables["runs"].is_direct


def test_a_damaged_table_is_told_with_what_to_do(tmp_path: Path) -> None:
    table = StoreTables(Store(str(tmp_path)), LazySession())["results"]
    table.append_once(rows("a"), token="a")
    (file,) = (tmp_path / "results").glob("*.parquet")
    file.unlink()
    with pytest.raises(StoreError, match=r"'.*results' cannot be read: .*; restore it from a copy"):
        table.rows()
    with pytest.raises(StoreError, match="what it spares is computed anew"):
        table.rows(spares=True)


LOCKLESS = """
import fcntl, sys
import pyarrow as pa
def refuse(*args):
    raise OSError(95, "Operation not supported")
fcntl.flock = refuse
from engine.delta.local_table import LocalTable
table = LocalTable(sys.argv[1])
table.append_once(pa.table({"n": [1]}), token="a")
table.append_once(pa.table({"n": [1]}), token="a")
print(table.rows().num_rows)
"""


def test_a_disk_without_locks_takes_the_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCKLESS, str(tmp_path / "t")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.stdout.strip() == "1", done.stderr


def test_a_path_that_delta_rs_does_not_take_is_sparks(tmp_path: Path) -> None:
    tables = StoreTables(Store(str(tmp_path / "100% [x]")), LazySession())
    assert tables["runs"].folder == tmp_path / "100% [x]" / "runs"
    assert not tables["runs"].is_direct
