"""What came and what went between two versions of real Delta tables, against reading both.

Commits are Spark's where it is its way to commit that is looked at; rows are otherwise appended
and read by delta-rs, which is quicker. A path that needs encoding is Spark's alone.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pandas as pd
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fixtures.tables import delete_rows, write_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engine.data.changes import Changes

pytestmark = pytest.mark.spark

VECTORS = {"delta.enableDeletionVectors": "true"}
FEED = {"delta.enableChangeDataFeed": "true"}
Project = Callable[["DataFrame"], "DataFrame"]


def everything(frame: DataFrame) -> DataFrame:
    return frame.select("*")


def bag(frame: DataFrame | None) -> Counter[str]:
    """The rows of a frame with how often each occurs; a NaN is a NaN, 0.0 is -0.0."""
    return Counter() if frame is None else rows_of([frame.toArrow()])


def rows_of(parts: list[Any]) -> Counter[str]:
    """The rows of Arrow's batches or tables with how often each occurs."""
    rows = [row for part in parts for row in part.to_pylist()]
    return Counter(repr([plain(value) for value in row.values()]) for row in rows)


def plain(value: Any) -> Any:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return sorted((key, plain(each)) for key, each in value.items())
    return value


class Table:
    """A Delta table of a test, and the law that every answer about it must keep."""

    def __init__(self, spark: SparkSession, path: Path | str, *, is_plain: bool = True) -> None:
        self.spark, self.path, self.is_plain = spark, str(path), is_plain
        self._bags: dict[tuple[int, Project], Counter[str]] = {}
        # Of which versions pieces have told the same, and why of others they did not.
        self.told: list[tuple[int, int]] = []
        self.refusals: list[str] = []

    def sql(self, statement: str) -> None:
        escaped = self.path.replace("`", "``")
        self.spark.sql(statement.replace("TABLE_", f"delta.`{escaped}`"))

    @property
    def delta(self) -> Any:
        from delta.tables import DeltaTable

        return DeltaTable.forPath(self.spark, self.path)

    @property
    def version(self) -> int:
        log = Path(self.path) / "_delta_log"
        return max(int(file.stem) for file in log.glob("*.json") if file.stem.isdigit())

    def append(self, start: int, stop: int, **options: str) -> Table:
        if self.is_plain and not options:
            ids = pd.RangeIndex(start, stop).to_series(index=range(stop - start))
            texts = "p " + (ids % 3).astype(str) + "%"
            write_rows(self.path, pd.DataFrame({"id": ids, "x": ids * 0.5, "p": texts}))
        else:
            self.write(self.rows(start, stop), "append", **options)
        return self

    def compact(self) -> None:
        DeltaTable(self.path).optimize.compact()

    def rows(self, start: int, stop: int) -> DataFrame:
        return self.spark.range(start, stop, 1, 1).selectExpr(
            "id", "cast(id * 0.5 as double) as x", "concat('p ', id % 3, '%') as p"
        )

    def write(self, frame: DataFrame, mode: str = "append", **options: str) -> None:
        by = options.pop("by", None)
        writer = frame.write.format("delta").mode(mode).options(**options)
        (writer.partitionBy(*by.split(",")) if by else writer).save(self.path)

    def read(self, version: int) -> DataFrame:
        return self.spark.read.format("delta").option("versionAsOf", version).load(self.path)

    def changes(self, old: int, new: int, project: Project = everything) -> Changes:
        from engine.data.changes import changes

        return changes(self.spark, self.path, old, new, project)

    def bag(self, version: int, project: Project) -> Counter[str]:
        """The projected rows of a version, read once: before any of its files is removed."""
        key = version, project
        if key not in self._bags:
            self._bags[key] = self.read_bag(version, project)
        return self._bags[key]

    def read_bag(self, version: int, project: Project) -> Counter[str]:
        if self.is_plain and project is everything:
            there = DeltaTable(self.path, version=version)
            if not there.protocol().reader_features:
                return rows_of([there.to_pyarrow_table()])
        return bag(project(self.read(version)))

    def check(self, old: int, new: int, project: Project = everything) -> Changes:
        """Holds an answer against the rows of both versions, which must differ by just it."""
        found = self.changes(old, new, project)
        before, after = self.bag(old, project), self.bag(new, project)
        assert bag(found.came) == after - before
        assert bag(found.gone) == before - after
        assert (found.rows_came, found.rows_gone) == (
            (after - before).total(),
            (before - after).total(),
        )
        assert (found.came is None) == (found.rows_came == 0)
        assert (found.gone is None) == (found.rows_gone == 0)
        found.release()
        if project is everything:
            self.check_pieces(old, new)
        return found

    def check_pieces(self, old: int, new: int) -> None:
        """The same law of the pieces that workers would read, where this process can tell them."""
        from engine.data.changes.by_pieces import changed_pieces
        from engine.pieces import NotThisWay
        from engine.pieces.listing import Listing
        from engine.pieces.reading import ReadColumn
        from engine.pieces.scanning import PieceReader

        def reader_of(listing: Listing) -> PieceReader:
            # Columns that are mapped have other names in the files; all are read under their own.
            names = tuple(listing.columns)
            columns = [
                ReadColumn(name, listing.name_in_files(name), listing.arrow_type(name, "UTC"))
                for name in names
            ]
            return PieceReader(names, tuple(columns), ())

        try:
            moved, reader = changed_pieces(Path(self.path), (old, new), reader_of)
        except NotThisWay as reason:
            self.refusals.append(str(reason))
            return
        sides = [rows_of(list(reader.batches(pieces))) for pieces in (moved.came, moved.gone)]
        assert [side.total() for side in sides] == [moved.rows_came, moved.rows_gone]
        before, after = self.bag(old, everything), self.bag(new, everything)
        self.told.append((old, new))
        assert sides == [after - before, before - after]


@pytest.fixture
def table(spark: SparkSession, tmp_path: Path) -> Table:
    """A table that does not exist yet, under a path that needs encoding."""
    return Table(spark, tmp_path / "a b%20+'ü[1]{x}", is_plain=False)


@pytest.fixture
def plain_table(spark: SparkSession, tmp_path: Path) -> Table:
    """One under a path that delta-rs opens as well: the pieces of its files are looked at."""
    return Table(spark, tmp_path / "plain")


@pytest.fixture
def jobs(spark: SparkSession) -> Callable[[], int]:
    """How many Spark jobs have been started so far, by a counter of Spark's own."""
    tracker = spark.sparkContext.statusTracker()
    return lambda: max(tracker.getJobIdsForGroup(None), default=-1) + 1


def counts(found: Changes) -> tuple[str, int, int]:
    return found.how, found.rows_came, found.rows_gone


def test_an_append_is_read_by_its_files_in_one_small_job(
    table: Table, jobs: Callable[[], int]
) -> None:
    table.append(0, 20).append(20, 25).append(25, 30)
    table.read(2).count()
    before = jobs()
    found = table.changes(0, 2)
    assert jobs() - before <= 2
    assert counts(found) == ("files", 10, 0)
    assert counts(table.check(0, 2)) == ("files", 10, 0)
    assert found.came is not None and len(found.came.inputFiles()) == 2


def test_the_same_version_and_commits_without_rows_change_nothing(plain_table: Table) -> None:
    table = plain_table
    table.append(0, 5).append(5, 9)
    table.sql("ALTER TABLE TABLE_ SET TBLPROPERTIES ('a' = 'b')")
    table.delta.optimize().executeCompaction()
    table.delta.optimize().executeZOrderBy("id")
    last = table.version
    assert last >= 3
    assert counts(table.check(1, 1)) == ("nothing", 0, 0)
    assert counts(table.check(1, last)) == ("nothing", 0, 0)


def test_an_older_version_swaps_the_roles(plain_table: Table) -> None:
    plain_table.append(0, 5).append(5, 9)
    assert counts(plain_table.check(1, 0)) == ("files", 0, 4)


def test_rows_that_are_copied_beside_those_that_changed(plain_table: Table) -> None:
    table = plain_table
    table.append(0, 30)
    table.sql("DELETE FROM TABLE_ WHERE id IN (3, 4)")
    assert counts(table.check(0, 1)) == ("files", 0, 2)
    merge_rows(table)
    assert counts(table.check(1, 2)) == ("files", 5, 2)
    assert len(table.told) == 2 and not table.refusals


def merge_rows(table: Table) -> None:
    """Updates two rows and adds three."""
    new = table.rows(28, 33).selectExpr("id", "x + 1 as x", "p")
    merge = table.delta.alias("t").merge(new.alias("s"), "t.id = s.id")
    merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()


def test_delete_update_merge_and_restore(plain_table: Table) -> None:
    """Of a table that only marks rows as deleted."""
    table = plain_table
    table.append(0, 30, **VECTORS)
    table.sql("DELETE FROM TABLE_ WHERE id IN (3, 4)")
    assert counts(table.check(0, 1)) == ("files", 0, 2)
    table.sql("UPDATE TABLE_ SET x = -1 WHERE id < 2 OR id = 7")
    merge_rows(table)
    assert counts(table.check(1, 3)) == ("files", 8, 5)
    table.delta.restoreToVersion(0)
    assert counts(table.check(3, 4)) == ("files", 7, 8)
    assert counts(table.check(0, 4)) in [("nothing", 0, 0), ("files", 0, 0)]
    assert len(table.told) == 4 and not table.refusals


def test_columns_that_are_not_read_make_no_change(table: Table) -> None:
    table.append(0, 10)
    table.sql("UPDATE TABLE_ SET x = -1 WHERE id < 5")
    found = table.check(0, 1, lambda frame: frame.selectExpr("id", "pmod(hash(id), 4) as bucket"))
    assert counts(found) == ("files", 0, 0)


def test_an_append_before_and_after_optimize_does_not_read_what_was_rewritten(
    plain_table: Table,
) -> None:
    table = plain_table
    table.append(0, 10).append(10, 12)
    table.compact()
    table.append(12, 13)
    table.compact()
    found = table.check(0, table.version)
    assert counts(found) == ("files", 3, 0)
    assert found.kept is None
    assert table.told and not table.refusals


def test_vacuum_before_and_after_what_is_asked(plain_table: Table, spark: SparkSession) -> None:
    from engine.data.changes import CannotTell
    from engine.spark import tables

    table = plain_table
    table.append(0, 10).append(10, 12)
    table.compact()
    table.append(12, 14)
    delete_rows(table.path, "id = 1")
    last = table.version
    tables.vacuum(spark, str(table.path), 0)
    # The appended file lives on in no version that is left; the optimised one was rewritten.
    with pytest.raises(CannotTell, match=r"versions 0 and 4 cannot be told: .*VACUUM; the whole"):
        table.changes(0, last)
    with pytest.raises(CannotTell, match="VACUUM"):
        table.changes(3, last)
    assert counts(table.check(last, table.version)) == ("nothing", 0, 0)
    table.append(20, 21)
    assert counts(table.check(last, table.version)) == ("files", 1, 0)


def test_files_that_only_versions_between_had_are_not_missed(plain_table: Table) -> None:
    table = plain_table
    table.append(0, 10).append(10, 12)
    table.compact()
    needed = {
        unquote(name).rpartition("/")[2]
        for version in (0, table.version)
        for name in DeltaTable(table.path, version=version).file_uris()
    }
    for file in Path(table.path).glob("*.parquet"):
        if file.name not in needed:
            file.unlink()
    assert counts(table.check(0, table.version)) == ("files", 2, 0)


def test_overwriting(plain_table: Table) -> None:
    table = plain_table
    table.append(0, 10)
    table.write(table.rows(2, 12), "overwrite")
    assert counts(table.check(0, 1)) == ("files", 2, 2)


def test_partitions(plain_table: Table) -> None:
    table = plain_table
    kept = "CASE WHEN id % 4 = 0 THEN NULL WHEN id % 4 = 1 THEN '%20/ü' ELSE p END AS p"
    about = [kept, "x", "cast(id as int) % 2 = 0 AS even", "id"]
    times = "timestamp_micros(1700000000123456 + id % 2) AS t"
    rows = table.rows(0, 20).selectExpr(*about, times)
    table.write(rows, by="p,even,t", **VECTORS)
    table.write(table.rows(20, 24).selectExpr(*about, times))
    assert counts(table.check(0, 1)) == ("files", 4, 0)
    table.check(0, 1, lambda frame: frame.select("id"))
    table.sql("DELETE FROM TABLE_ WHERE p IS NULL AND id < 9")
    assert counts(table.check(0, 2)) == ("files", 4, 3)
    replaced = table.rows(50, 54).selectExpr("'p 0%' AS p", *about[1:], times)
    table.write(replaced, "overwrite", replaceWhere="p = 'p 0%'")
    table.check(0, 3)
    assert len(table.told) == 3 and not table.refusals


def test_a_new_column_is_fine_and_a_renamed_one_is_not(plain_table: Table) -> None:
    from engine.data.changes import CannotTell

    table = plain_table

    def some(frame: DataFrame) -> DataFrame:
        return frame.select("id", "p")

    table.append(0, 5)
    table.sql("ALTER TABLE TABLE_ ADD COLUMN (extra STRING)")
    table.write(table.rows(5, 7).selectExpr("*", "'e' AS extra"))
    assert counts(table.check(0, 2, some)) == ("files", 2, 0)
    table.sql("DELETE FROM TABLE_ WHERE id = 0")
    assert counts(table.check(0, 3, some)) == ("files", 2, 1)
    with pytest.raises(CannotTell, match="other types"):
        table.changes(0, 2)
    with pytest.raises(CannotTell, match="extra"):
        table.changes(0, 2, lambda frame: frame.select("extra"))
    table.sql("ALTER TABLE TABLE_ SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    table.sql("ALTER TABLE TABLE_ RENAME COLUMN x TO y")
    assert counts(table.check(3, 4, some)) == ("nothing", 0, 0)
    with pytest.raises(CannotTell, match="removed or renamed the column 'x'"):
        table.changes(3, table.version, some)
    table.sql("INSERT INTO TABLE_ SELECT 100L, 1D, 'q', 'e'")
    with pytest.raises(CannotTell, match="removed or renamed the column 'x'"):
        table.changes(3, table.version, some)


def test_mapped_columns_are_read_through_the_table(table: Table) -> None:
    table.append(0, 5, **{"delta.columnMapping.mode": "name"})
    table.sql("ALTER TABLE TABLE_ RENAME COLUMN x TO `the x`")
    table.write(table.rows(5, 7).withColumnRenamed("x", "the x"))
    found = table.check(1, 2)
    assert counts(found) == ("files", 2, 0)


def test_types_that_widen_cannot_be_told(table: Table) -> None:
    from engine.data.changes import CannotTell

    table.write(
        table.rows(0, 5).selectExpr("cast(id as int) as id"), **{"delta.enableTypeWidening": "true"}
    )
    table.sql("ALTER TABLE TABLE_ ALTER COLUMN id TYPE bigint")
    table.write(table.rows(5, 9).select("id"))
    with pytest.raises(CannotTell, match="changed the type of the column 'id'"):
        table.changes(0, 2)
    assert counts(table.check(1, 2)) == ("files", 4, 0)


def test_a_table_that_was_replaced_cannot_be_told(spark: SparkSession) -> None:
    from engine.data.changes import CannotTell, changes

    spark.sql("CREATE DATABASE IF NOT EXISTS changing")
    name = "changing.replaced"
    spark.sql(f"CREATE OR REPLACE TABLE {name} USING delta AS SELECT 1 AS id")
    spark.sql(f"CREATE OR REPLACE TABLE {name} USING delta AS SELECT 2 AS id")
    with pytest.raises(CannotTell, match="version 1 replaced the table"):
        changes(spark, name, 0, 1, everything)


def test_log_files_that_are_gone_cannot_be_told(plain_table: Table) -> None:
    from engine.data.changes import CannotTell

    table = plain_table
    table.append(0, 5).append(5, 6).append(6, 7)
    DeltaTable(table.path).create_checkpoint()
    for version in (0, 1):
        (Path(table.path) / "_delta_log" / f"{version:020d}.json").unlink()
    with pytest.raises(CannotTell, match="has removed log files"):
        table.changes(0, 2)


def test_the_change_feed_where_it_was_on(table: Table) -> None:
    table.append(0, 10, **FEED)
    table.sql("UPDATE TABLE_ SET x = -1 WHERE id < 2")
    table.append(10, 13)
    table.sql("DELETE FROM TABLE_ WHERE id = 1 OR id = 12")
    table.delta.optimize().executeCompaction()
    assert counts(table.check(0, table.version)) == ("feed", 3, 2)
    assert counts(table.check(1, 2)) == ("files", 3, 0)


def test_a_change_feed_that_came_midway_gives_way_to_files(plain_table: Table) -> None:
    table = plain_table
    table.append(0, 10)
    table.sql("UPDATE TABLE_ SET x = -1 WHERE id < 2")
    table.sql("ALTER TABLE TABLE_ SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    table.sql("UPDATE TABLE_ SET x = -2 WHERE id < 3")
    assert counts(table.check(0, 3)) == ("files", 3, 3)
    assert counts(table.check(2, 3)) == ("feed", 3, 3)


def test_values_of_every_kind(table: Table) -> None:
    kinds = [
        "array(id, null) AS a",
        "named_struct('b', x, 'c', array(named_struct('d', p))) AS s",
        "map(p, array(x)) AS m",
        "cast(x as decimal(20, 7)) AS `dec.imal`",
        "timestamp_micros(1700000000000001 + id) AS t",
        "cast(timestamp_micros(id) as timestamp_ntz) AS tn",
        "date_from_unix_date(cast(id as int)) AS day",
        "cast(p as binary) AS raw",
        "CASE WHEN id % 3 = 0 THEN double('NaN') WHEN id % 3 = 1 THEN -0.0D END AS f",
    ]
    table.write(table.rows(0, 6).selectExpr(*kinds))
    table.write(table.rows(0, 3).selectExpr(*kinds))
    table.sql("UPDATE TABLE_ SET `dec.imal` = 5 WHERE day = date'1970-01-02'")
    table.sql("DELETE FROM TABLE_ WHERE day = date'1970-01-01'")
    assert counts(table.check(0, 1)) == ("files", 3, 0)
    assert counts(table.check(0, table.version)) == ("files", 3, 2)
    first = table.changes(0, table.version).came
    assert first is not None and first.schema["dec.imal"].dataType.simpleString() == "decimal(20,7)"
    assert {row["dec.imal"] for row in first.collect()} == {Decimal("5"), Decimal("1")}


def test_values_that_cannot_be_grouped_keep_the_law(table: Table) -> None:
    variant = "parse_json(concat('{\"k\": ', id, '}')) AS v"
    table.write(table.rows(0, 4).selectExpr("id", variant))
    table.sql("DELETE FROM TABLE_ WHERE id = 1")
    found = table.changes(0, 1)
    assert found.came is not None and found.gone is not None
    came = Counter(row["id"] for row in found.came.collect())
    gone = Counter(row["id"] for row in found.gone.collect())
    assert gone - came == Counter([1]) and not came - gone
    assert (found.rows_came, found.rows_gone) == (came.total(), gone.total())


def test_a_table_of_the_catalog_and_its_shallow_clone(spark: SparkSession, table: Table) -> None:
    from engine.data.changes import changes

    table.append(0, 5)
    spark.sql("CREATE DATABASE IF NOT EXISTS changing")
    name = "changing.clone"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(f"CREATE TABLE {name} SHALLOW CLONE delta.`{table.path}`")
    spark.sql(f"INSERT INTO {name} SELECT 100L, 1D, 'q'")
    spark.sql(f"DELETE FROM {name} WHERE id = 2")
    appended = changes(spark, name, 0, 1, everything)
    assert counts(appended) == ("files", 1, 0)
    found = changes(spark, name, 0, 2, everything)
    assert counts(found) == ("files", 1, 1)
    assert found.gone is not None and [row["id"] for row in found.gone.collect()] == [2]
    found.release()


OPERATIONS = [
    "append",
    "append twins",
    "delete",
    "update",
    "nothing",
    "merge",
    "optimize",
    "overwrite",
    "restore",
    "zorder",
    "replace some",
    "feed on",
]


@pytest.fixture
def numbers(tmp_path: Path) -> Callable[[], Path]:
    fresh = itertools.count()
    return lambda: tmp_path / f"t{next(fresh)}"


# Steps, whether rows are only marked as deleted, the column of partitions, and versions to compare.
Sequence = tuple[list[tuple[str, int]], bool, str | None, list[tuple[int, int]]]
SEQUENCES: st.SearchStrategy[Sequence] = st.tuples(
    st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 11)), min_size=4, max_size=6),
    st.booleans(),
    st.sampled_from([None, "p"]),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=2),
)
# Most of the operations, each where the ones before it matter. Rows that are only marked as deleted
# cost Spark several times as much, and have tests above.
LONG: Sequence = (
    [("append twins", 3), ("merge", 4), ("delete", 2), ("optimize", 0), ("replace some", 0),
     ("restore", 2)],
    False, "p", [(6, 2)],
)  # fmt: skip


def check_sequence(table: Table, sequence: Sequence) -> None:
    steps, vectors, by, pairs = sequence
    options = (VECTORS if vectors else {}) | ({"by": by} if by else {})
    table.append(0, 12, **options)
    for step, number in steps:
        do(table, step, number)
    last = table.version
    for old, new in [(0, last), *pairs]:
        table.check(old % (last + 1), new % (last + 1))
    assert len(table.told) == 1 + len(pairs) and not table.refusals


def test_a_long_sequence_of_operations_keeps_the_law(plain_table: Table) -> None:
    check_sequence(plain_table, LONG)


# Shrinking would run for minutes; the sequences are short as they are.
@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sequence=SEQUENCES)
def test_any_sequence_of_operations_keeps_the_law(
    spark: SparkSession, numbers: Callable[[], Path], sequence: Sequence
) -> None:
    check_sequence(Table(spark, numbers()), sequence)


def do(table: Table, step: str, number: int) -> None:
    """Does one operation; the number says to which rows, or back to which version."""
    if step == "append":
        table.append(number * 2, number * 2 + 4)
    elif step == "append twins":
        table.write(table.rows(number, number + 2).union(table.rows(number, number + 1)))
    elif step == "delete":
        table.sql(f"DELETE FROM TABLE_ WHERE id % 5 = {number % 5}")
    elif step == "update":
        table.sql(f"UPDATE TABLE_ SET x = x + 1 WHERE id % 4 = {number % 4}")
    elif step == "nothing":
        table.sql(f"UPDATE TABLE_ SET x = x WHERE id % 2 = {number % 2}")
    elif step == "merge":
        source = table.rows(number, number + 3).selectExpr("id", "-x AS x", "p").alias("s")
        merge = table.delta.alias("t").merge(source, "t.id = s.id")
        merge = merge.whenMatchedUpdate("s.id % 2 = 0", {"x": "s.x"}).whenMatchedDelete()
        merge.whenNotMatchedInsertAll().execute()
    elif step == "optimize":
        table.delta.optimize().executeCompaction()
    elif step == "zorder":
        table.delta.optimize().executeZOrderBy("id")
    elif step == "overwrite":
        table.write(table.rows(number, number + 6), "overwrite")
    elif step == "restore":
        table.delta.restoreToVersion(number % (table.version + 1))
    elif step == "replace some":
        table.write(table.rows(0, 9).where("p = 'p 1%'"), "overwrite", replaceWhere="p = 'p 1%'")
    else:
        table.sql("ALTER TABLE TABLE_ SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
