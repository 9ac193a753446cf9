"""Pieces of tables: the batches that a worker makes of them are those that Spark would hand it."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from engine.core.vocabulary import Columns, DatasetVersion, Dimension, ModelTest, SliceSet, TaskKind
from engine.metrics import Problem
from engine.pieces import NotThisWay
from engine.pieces.listing import list_files
from engine.pieces.opening import UnreadableError
from engine.pieces.pieces import share_pieces, whole_files
from engine.planning import EvaluationPlan
from engine.planning.piece_columns import piece_reader
from engine.planning.projection import column_names, select_columns

Make = Callable[[Path, SparkSession], list[str]]

pytestmark = pytest.mark.spark


def some_rows(count: int, seed: int) -> pa.Table:
    """Rows of all plain types, with nulls, NaN, both zeros and texts of many alphabets."""
    draw = random.Random(seed)
    rng = np.random.default_rng(seed)

    def column(kind: pa.DataType, values: list[Any]) -> pa.Array:
        return pa.array([None if draw.random() < 0.15 else value for value in values], kind)

    alphabet = 'aZ 9"\\\n\t\x01é😀/\u2028\x7f'
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(60))) for _ in range(count)]
    floats = [
        draw.choice([0.0, -0.0, float("nan"), float("inf"), x]) for x in rng.normal(size=count)
    ]
    days = [dt.date(1970, 1, 1) + dt.timedelta(days=draw.randrange(-20_000, 30_000)) for _ in texts]
    times = [
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        + dt.timedelta(microseconds=draw.randrange(-(10**15), 2 * 10**15))
        for _ in texts
    ]
    return pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "text": column(pa.string(), texts),
            "i": column(pa.int32(), [draw.randrange(-5, 5) for _ in texts]),
            "h": column(pa.int16(), [draw.randrange(-500, 500) for _ in texts]),
            "y": column(pa.int8(), [draw.randrange(-100, 100) for _ in texts]),
            "d": column(pa.float64(), floats),
            "f": column(pa.float32(), [np.float32(x) for x in floats]),
            "b": column(pa.bool_(), [draw.random() < 0.5 for _ in texts]),
            "raw": column(pa.binary(), [text.encode() for text in texts]),
            "day": column(pa.date32(), days),
            "at": column(pa.timestamp("us", "UTC"), times),
            "c": column(
                pa.decimal128(12, 2), [Decimal(draw.randrange(10**9)) / 100 for _ in texts]
            ),
            "wide": column(
                pa.decimal128(30, 3), [Decimal(draw.randrange(10**15)) * 10**9 for _ in texts]
            ),
            "part": column(pa.string(), [draw.choice(["a b", "ä%=/", "x"]) for _ in texts]),
            "number": column(pa.int32(), [draw.choice([1, -2]) for _ in texts]),
            "label": column(pa.int64(), [draw.randrange(2) for _ in texts]),
        }
    )


def plain(folder: Path, spark: SparkSession) -> list[str]:
    frame = spark.createDataFrame(some_rows(300, 1))
    for part in (frame.where("id < 100"), frame.where("id < 0"), frame.where("id >= 100")):
        # Row groups of some rows only.
        writer = part.coalesce(1).write.format("delta").option("parquet.block.size", "4096")
        writer.mode("append").save(str(folder))
    return ["id"]


def partitioned(folder: Path, spark: SparkSession) -> list[str]:
    frame = spark.createDataFrame(some_rows(40, 2))
    frame.write.format("delta").partitionBy("part", "number", "day").save(str(folder))
    return ["text", "day", "i", "b"]


def without_key(folder: Path, spark: SparkSession) -> list[str]:
    frame = spark.createDataFrame(some_rows(200, 3)).repartition(3)
    frame.write.format("delta").save(str(folder))
    return []


def mapped_and_deleted(folder: Path, spark: SparkSession) -> list[str]:
    frame = spark.createDataFrame(some_rows(200, 4))
    writer = frame.drop("h").coalesce(2).write.format("delta").partitionBy("part")
    writer = writer.option("delta.columnMapping.mode", "name")
    writer.option("delta.enableDeletionVectors", "true").save(str(folder))
    table = f"delta.`{folder}`"
    spark.sql(f"DELETE FROM {table} WHERE id % 7 = 3")
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN d TO `d new`")
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN `d new` TO d")
    spark.sql(f"ALTER TABLE {table} ADD COLUMN (h smallint)")
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN part TO `a part`")
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN `a part` TO part")
    more = spark.createDataFrame(some_rows(260, 4)).where("id >= 200")
    more.write.format("delta").mode("append").save(str(folder))
    spark.sql(f"DELETE FROM {table} WHERE id IN (201, 205, 11)")
    return ["id"]


def of_other_writers(folder: Path, spark: SparkSession) -> list[str]:
    rows = some_rows(200, 5)
    write_deltalake(str(folder), rows, partition_by=["number"])
    write_deltalake(str(folder), some_rows(50, 6), mode="append")
    # Files that are rewritten have views of texts and bytes.
    DeltaTable(str(folder)).delete("id = 7")
    kinds = {
        field.type for file in DeltaTable(str(folder)).file_uris() for field in pq.read_schema(file)
    }
    assert {pa.string_view(), pa.binary_view()} <= kinds
    return ["id", "text"]


MAKERS: dict[str, Make] = {
    made.__name__: made
    for made in (plain, partitioned, without_key, mapped_and_deleted, of_other_writers)
}


def make_plan(folder: Path, spark: SparkSession, key: list[str]) -> EvaluationPlan:
    frame = spark.read.format("delta").load(str(folder))
    schema = tuple((field.name, field.dataType.simpleString()) for field in frame.schema.fields)
    version = spark.sql(f"DESCRIBE HISTORY delta.`{folder}`").agg({"version": "max"}).first()[0]
    dataset = DatasetVersion("d", str(folder), version, "", frame.count(), schema=schema)
    sets = (
        SliceSet("overall", "overall"),
        SliceSet("text", "by", (Dimension("text"), Dimension("day"))),
        SliceSet("all", "by", tuple(Dimension(name) for name, _ in schema)),
        SliceSet("low", "where", where="d < 0.5 OR number = 1"),
        SliceSet("part", "where", where="PART IN ('a b', 'x') AND NOT b"),
    )
    test = ModelTest("accuracy", "accuracy", slice_sets=tuple(one.name for one in sets))
    return EvaluationPlan(
        name="e",
        dataset=dataset,
        columns=Columns("label", None, tuple(key), None, (), None),
        problem=Problem(TaskKind.BINARY, ("0", "1")),
        models=(),
        baseline=None,
        slice_sets=sets,
        tests=(test,),
        min_slice_rows=1,
        max_slices=10,
        keep=bool(key),
    )


def told(table: pa.Table) -> list[str]:
    """The rows as texts, in which all NaN are one, sorted by their id."""
    columns = [table.column(place).to_pylist() for place in range(table.num_columns)]
    return sorted(repr(row) for row in zip(*columns, strict=True))


@pytest.fixture(scope="module", params=MAKERS)
def table(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, EvaluationPlan]:
    folder = tmp_path_factory.mktemp("tables") / request.param
    key = MAKERS[request.param](folder, spark)
    return folder, make_plan(folder, spark, key)


@pytest.mark.parametrize("shares", [1, 3, 1000])
def test_batches_of_pieces_are_what_spark_hands_over(
    table: tuple[Path, EvaluationPlan], spark: SparkSession, shares: int
) -> None:
    folder, plan = table
    frame = select_columns(spark.read.format("delta").load(str(folder)), plan)
    wanted = frame.toArrow().rename_columns(column_names(plan))
    listing = list_files(folder, plan.dataset.version)
    reader = piece_reader(plan, listing, "UTC")
    cut = share_pieces(whole_files(listing.files), shares)
    batches = [batch for share in cut for batch in reader.batches(share)]
    read = pa.Table.from_batches(batches)
    assert listing.rows == plan.dataset.rows == read.num_rows
    assert {field.name: field.type for field in read.schema} == {
        field.name: field.type for field in wanted.schema
    }
    assert told(read.select(wanted.column_names)) == told(wanted)


def test_shares_hold_about_as_many_rows(table: tuple[Path, EvaluationPlan]) -> None:
    folder, plan = table
    files = list_files(folder, plan.dataset.version).files
    sizes = [sum(p.rows for p in share) for share in share_pieces(whole_files(files), 4)]
    assert sum(sizes) == sum(file.rows for file in files)
    assert max(sizes) <= 1.2 * sum(sizes) / 4


@pytest.mark.parametrize(
    ("ddl", "why"),
    [
        ("v variant", "variant"),
        ("v struct<a: int>", "struct<a:int>"),
        ("v map<string, int>", "map<string,int>"),
        ("v char(5)", r"char\(5\)"),
    ],
)
def test_columns_that_only_spark_reads_are_left_to_it(
    ddl: str, why: str, spark: SparkSession, tmp_path: Path
) -> None:
    spark.sql(f"CREATE TABLE delta.`{tmp_path}/t` (id bigint, label int, {ddl}) USING delta")
    with pytest.raises(NotThisWay, match=why):
        _type_of_v(tmp_path / "t")


def _type_of_v(table: Path) -> pa.DataType:
    return list_files(table, 0).arrow_type("v", "UTC")


def test_a_file_that_is_not_the_one_that_was_written_is_not_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    plan = make_plan(tmp_path / "t", spark, plain(tmp_path / "t", spark))
    listing = list_files(tmp_path / "t", plan.dataset.version)
    reader, (first, *_) = piece_reader(plan, listing, "UTC"), listing.files
    pieces = whole_files([first])
    rows = pq.read_table(first.path)
    pq.write_table(rows.slice(1), first.path)
    with pytest.raises(UnreadableError, match="the table's log says"):
        list(reader.batches(pieces))
    pq.write_table(rows.set_column(1, "text", pa.array(range(rows.num_rows))), first.path)
    with pytest.raises(UnreadableError, match="'text' is int64 in a file"):
        list(reader.batches(pieces))
    Path(first.path).write_bytes(b"PAR1 no file PAR1")
    with pytest.raises(UnreadableError, match="the file /"):
        list(reader.batches(pieces))
    Path(first.path).unlink()
    with pytest.raises(UnreadableError, match="No such file"):
        list(reader.batches(pieces))
