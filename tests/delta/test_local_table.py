"""Tables by delta-rs: writes that happen once, rows that pass, and what it cannot take."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from engine.delta.local_table import LocalTable
from engine.delta.messages import NeedsSpark
from engine.errors import StoreError

NOW = dt.datetime(2026, 11, 29, 6, tzinfo=dt.UTC)
ODD = 'it\'s a "run" with \\ and\nlines, ünï'
SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("n", pa.int64()),
        ("at", pa.timestamp("us", "UTC")),
        ("counts", pa.map_(pa.string(), pa.int64())),
        ("keys", pa.list_(pa.string())),
        ("payload", pa.binary()),
    ]
)


def rows(*names: str | None, first: int = 0) -> pa.Table:
    records = [
        {
            "run_id": name,
            "n": first + place,
            "at": NOW + dt.timedelta(days=first + place),
            "counts": [("a", place)],
            "keys": [str(name), None],
            "payload": bytes([place]),
        }
        for place, name in enumerate(names)
    ]
    return pa.Table.from_pylist(records, SCHEMA)


@pytest.fixture
def table(tmp_path: Path) -> LocalTable:
    table = LocalTable(tmp_path / "a table")
    table.append_once(rows("one", "two", ODD, None), token="first")
    return table


def names(table: LocalTable) -> list[str | None]:
    read = table.rows().sort_by("n")["run_id"].to_pylist()
    return list(read)


def test_rows_come_back_with_their_types(table: LocalTable) -> None:
    read = table.rows().sort_by("n")
    assert read.schema == SCHEMA
    assert read.to_pylist() == rows("one", "two", ODD, None).to_pylist()
    assert table.columns() == SCHEMA.names


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ([("run_id", "=", "one")], [0]),
        ([("run_id", "=", ODD)], [2]),
        ([("run_id", "!=", "one")], [1, 2]),
        ([("run_id", "in", ["two", ODD, "none"])], [1, 2]),
        ([("run_id", "in", [])], []),
        ([("n", ">=", 1), ("n", "<", 3)], [1, 2]),
        ([("at", "<", NOW + dt.timedelta(days=1))], [0]),
        ([("at", "<=", NOW + dt.timedelta(days=1)), ("n", ">", 0)], [1]),
    ],
)
def test_filters_choose_as_sql_does(
    table: LocalTable, where: list[tuple[str, str, object]], numbers: list[int]
) -> None:
    read = table.rows(["n", "absent"], where)
    assert read.column_names == ["n"]
    assert sorted(read["n"].to_pylist()) == numbers
    gone = sorted({0, 1, 2, 3} - set(numbers))
    if numbers:
        table.delete(where)
        assert sorted(table.rows(["n"])["n"].to_pylist()) == gone


def test_an_append_with_a_token_is_made_once(table: LocalTable) -> None:
    table.append_once(rows("three", first=9), token="first")
    assert len(names(table)) == 4
    table.append_once(rows("three", first=9), token="second")
    table.append_once(rows("three", first=9), token="second")
    assert names(table)[-1] == "three" and len(names(table)) == 5


def test_columns_that_came_later_are_added(table: LocalTable) -> None:
    more = rows("late", first=7).append_column("new", pa.array([1.5]))
    table.append_once(more.drop_columns(["counts"]), token="wider")
    read = table.rows(["run_id", "counts", "new"]).to_pylist()
    assert {row["new"] for row in read} == {None, 1.5}
    assert [row["counts"] for row in read if row["run_id"] == "late"] == [None]


def test_an_update_sets_columns_of_the_rows_that_pass(table: LocalTable) -> None:
    values = {"n": 40, "counts": {"x": 1, "y": 2}, "at": NOW}
    table.update([("run_id", "=", "two")], values)
    (row,) = table.rows(where=[("run_id", "=", "two")]).to_pylist()
    assert (row["n"], row["counts"], row["at"]) == (40, [("x", 1), ("y", 2)], NOW)
    assert row["payload"] == b"\x01" and len(names(table)) == 4
    version = DeltaTable(str(table.path)).version()
    table.update([("run_id", "=", "nobody")], values)
    assert DeltaTable(str(table.path)).version() == version


def test_rows_like_others_are_deleted_nulls_too(table: LocalTable) -> None:
    like = pa.table({"run_id": pa.array([None, ODD, ODD]), "n": pa.array([3, 2, 2])})
    table.delete_like(like)
    assert names(table) == ["one", "two"]
    table.delete_like(like)
    assert names(table) == ["one", "two"]


def test_compacting_and_vacuuming_keep_the_rows(table: LocalTable) -> None:
    for number in range(5):
        table.append_once(rows("more", first=10 + number), token=f"more {number}")
    before, files = names(table), table.size()[0]
    assert files == 6
    table.compact()
    table.vacuum(0)
    assert names(table) == before and table.size()[0] == 1
    assert len(list(table.path.glob("*.parquet"))) == 1
    # What a token says outlives the file that it came with.
    table.append_once(rows("more", first=10), token="more 0")
    assert names(table) == before


def test_the_bytes_of_rows_are_those_of_their_files(table: LocalTable) -> None:
    table.append_once(rows("zed", first=10), token="zed")
    every = table.bytes_of([])
    assert every == table.size()[1]
    assert 0 < table.bytes_of([("run_id", "=", "zed")]) < every
    assert table.bytes_of([("run_id", "in", ["zzz"])]) == 0


def test_ten_writers_at_once_lose_nothing(table: LocalTable) -> None:
    def write(number: int) -> None:
        own = LocalTable(table.path)
        own.append_once(rows(f"t{number}", first=100 + number), token=f"t{number}")
        own.update([("run_id", "=", f"t{number}")], {"n": 1000 + number})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = table.rows(["n"], [("n", ">=", 100)])["n"].to_pylist()
    assert sorted(numbers) == [1000 + number for number in range(10)]


KILLED = """
import os, sys
import pyarrow as pa
from engine.delta.local_table import LocalTable
table = LocalTable(sys.argv[1])
print("ready", flush=True)
for number in range(10_000):
    table.append_once(pa.table({"n": [number]}), token=str(number))
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_whole_commits(tmp_path: Path) -> None:
    path = tmp_path / "killed"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(9)]
        process.kill()
        told += process.stdout.read().splitlines()
    table = LocalTable(path)
    kept = sorted(table.rows()["n"].to_pylist())
    last = int(told[-1])
    assert kept in ([*range(last + 1)], [*range(last + 2)])
    table.append_once(pa.table({"n": [last]}), token=str(last))
    assert sorted(table.rows()["n"].to_pylist()) == kept


@pytest.mark.parametrize("content", [b"", b'{"add":{"path":"par'], ids=["empty", "cut off"])
def test_a_half_written_commit_is_told(table: LocalTable, content: bytes) -> None:
    log = table.path / "_delta_log" / f"{1:020d}.json"
    log.write_bytes(content)
    with pytest.raises(Exception, match=r"half written|Truncated|truncated|EOF"):
        table.rows()
    with pytest.raises(StoreError, match="could not be written"):
        table.append_once(rows("x"), token="x")


@pytest.mark.parametrize(
    "protocol",
    [
        {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["fromTheFuture"],
         "writerFeatures": ["fromTheFuture"]},
        {"minReaderVersion": 9, "minWriterVersion": 12},
    ],
)  # fmt: skip
def test_a_newer_protocol_is_not_read(table: LocalTable, protocol: dict[str, object]) -> None:
    log = table.path / "_delta_log" / f"{1:020d}.json"
    log.write_text(json.dumps({"commitInfo": {}}) + "\n" + json.dumps({"protocol": protocol}))
    with pytest.raises(NeedsSpark):
        table.rows()
    with pytest.raises(NeedsSpark):
        table.append_once(rows("x"), token="x")


def test_a_feature_that_only_concerns_writers_is_read(table: LocalTable) -> None:
    protocol = {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["changeDataFeed"]}
    log = table.path / "_delta_log" / f"{1:020d}.json"
    log.write_text(json.dumps({"commitInfo": {}}) + "\n" + json.dumps({"protocol": protocol}))
    assert len(names(table)) == 4
    with pytest.raises(NeedsSpark, match="changeDataFeed"):
        table.delete([("run_id", "=", "one")])
    assert len(names(table)) == 4


def test_a_full_disk_is_told_and_leaves_the_table_as_it_was(disk: Path) -> None:
    table = LocalTable(disk / "table")
    small = pa.table({"payload": pa.array([os.urandom(1000)], pa.binary())})
    table.append_once(small, token="small")
    large = pa.table({"payload": pa.array([os.urandom(2**20) for _ in range(90)], pa.binary())})
    with pytest.raises(StoreError, match="No space left on device"):
        table.append_once(large, token="large")
    assert table.rows().num_rows == 1


def test_there_is_none_yet(tmp_path: Path) -> None:
    table = LocalTable(tmp_path / "none")
    assert not table.exists()
    table.append_once(rows("a"), token="a", properties={"delta.appendOnly": "false"})
    assert table.exists()
    assert DeltaTable(str(table.path)).metadata().configuration == {"delta.appendOnly": "false"}


def test_another_writer_without_the_lock_may_come_between(table: LocalTable) -> None:
    write_deltalake(str(table.path), rows("by hand", first=50), mode="append")
    table.append_once(rows("mine", first=51), token="mine")
    assert names(table)[-2:] == ["by hand", "mine"]


@pytest.mark.parametrize("char", ["%", "%41", "[", "]", "\\", "^", "|", "\n", "\t", "\x7f"])
def test_a_path_that_delta_rs_takes_for_another_is_sparks(tmp_path: Path, char: str) -> None:
    table = LocalTable(tmp_path / f"a{char}b" / "table")
    for action in (table.exists, table.rows, lambda: table.append_once(rows("a"), token="a")):
        with pytest.raises(NeedsSpark, match="in it"):
            action()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("char", list("!\"#$&'()*+,;:<=>?@{}~` éß日😀％"))
def test_a_path_with_any_other_character_is_written_as_it_stands(tmp_path: Path, char: str) -> None:
    table = LocalTable(tmp_path / f"a{char}b" / char / "table")
    table.append_once(rows("a", "b"), token="a")
    table.append_once(rows("c", first=7), token="b")
    table.update([("run_id", "=", "a")], {"n": 5})
    table.delete([("run_id", "=", "b")])
    assert names(table) == ["a", "c"]
    assert [path.parent for path in tmp_path.rglob("_delta_log")] == [table.path]


def test_overwriting_tells_the_version_that_has_the_rows(tmp_path: Path) -> None:
    table = LocalTable(tmp_path / "t")
    for number, columns in enumerate((["a"], ["a", "b"], ["c"])):
        rows = pa.table({name: [number] for name in columns})
        assert table.overwrite(rows.to_reader) == number
        at_version = pa.table(DeltaTable(str(table.path), version=number).to_pyarrow_table())
        assert at_version.to_pydict() == rows.to_pydict()
        assert table.columns() == columns
