"""Tables and leases in an object store, on a real server: nothing lost, nothing doubled."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.core.object_store import check_place
from engine.delta import leases, object_store
from engine.delta.data_files import describe_files
from engine.delta.head import is_table, read_head
from engine.delta.leases import Holder, Lease, sole_holder
from engine.delta.object_look import check_object_store
from engine.delta.object_table import ObjectTable
from engine.errors import InputError, StoreError
from tests.fixtures.object_store import SECRET, ObjectStore

PROPERTIES = {"delta.dataSkippingStatsColumns": "run_id"}


def at_once(count: int, action: Callable[[int], Any]) -> list[Any]:
    """What threads that start at the same moment give, or raise."""
    barrier, results = threading.Barrier(count), []

    def go(number: int) -> None:
        barrier.wait()
        try:
            results.append(action(number))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def rows(*numbers: int) -> pa.Table:
    return pa.table({"run_id": pa.array([f"r{n}" for n in numbers]), "n": pa.array(numbers)})


def test_ten_writers_at_once_make_a_table_and_append(s3: ObjectStore, tmp_path: Path) -> None:
    """Each token twice: all rows are there, and each once."""
    table = ObjectTable(s3.uri(tmp_path.name, "results"))
    assert not table.exists()
    tokens = [*range(10), *range(10)]

    def append(place: int) -> None:
        number = tokens[place]
        own = ObjectTable(table.place)
        own.append_once(rows(number), token=f"run {number}", properties=PROPERTIES)

    assert at_once(20, append) == [None] * 20
    assert sorted(table.rows()["n"].to_pylist()) == list(range(10))
    head = read_head(table.place)
    assert head.version == 10 and dict(head.properties) == PROPERTIES
    assert abs(head.timestamp.timestamp() - time.time()) < 120
    table.update([("n", "=", 3)], {"run_id": "new"})
    table.delete([("n", "<", 2)])
    table.delete_like(pa.table({"n": [2]}))
    table.compact()
    table.vacuum(0)
    assert sorted(table.rows()["n"].to_pylist()) == list(range(3, 10))
    assert table.rows(where=[("run_id", "=", "new")])["n"].to_pylist() == [3]
    assert is_table(table.place.replace("s3://", "s3a://"))


def test_a_lease_is_one_holders_and_ends(
    s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = s3.uri(tmp_path.name, ".locks", "run-a b")
    taken = at_once(8, lambda _: Lease(place).take())
    assert taken.count(None) == 1, taken
    others = [holder for holder in taken if holder is not None]
    assert all(isinstance(holder, Holder) and "the process" in str(holder) for holder in others)
    assert Lease(place).holder() == others[0]
    # This process goes on, so only time ends it; or a clock that is ahead.
    monkeypatch.setattr(leases.time, "time", lambda: others[0].until + 1)
    assert Lease(place).holder() is None
    again = Lease(place)
    assert again.take() is None and again.take() is None
    again.give_back()
    monkeypatch.undo()


def test_a_lease_of_a_process_that_is_gone_is_free(s3: ObjectStore, tmp_path: Path) -> None:
    lease = Lease(s3.uri(tmp_path.name, "lease"))
    assert lease.take() is None
    lease._own = Holder(process=2**22 + 1, began="1", mark=lease._own.mark)
    assert lease.take() is None
    assert Lease(lease.place).holder() is None


def test_leases_that_nobody_uses_any_more_go(s3: ObjectStore, tmp_path: Path) -> None:
    folder, now = s3.uri(tmp_path.name, ".locks"), dt.datetime.now(dt.UTC)
    assert leases.remove_leases(folder, "run-", now) == 0
    for name in ("run-a", "run-b", "budget-turn"):
        with sole_holder(f"{folder}/{name}", patience=1, doing=""):
            pass
    assert leases.remove_leases(folder, "run-", now - dt.timedelta(hours=1)) == 0
    assert leases.remove_leases(folder, "run-", now + dt.timedelta(hours=1)) == 2
    assert not is_table(f"{folder}/run-a") and is_table(f"{folder}/budget-turn")
    assert Lease(f"{folder}/run-a").take() is None


def test_who_has_a_turn_keeps_others_out_of_it(s3: ObjectStore, tmp_path: Path) -> None:
    """Eight read a number, add one and write it, each after the other."""
    place, counter = s3.uri(tmp_path.name, ".locks", "turn"), tmp_path / "counter"
    counter.write_text("0")

    def count(_: int) -> None:
        with sole_holder(place, patience=120, doing="counts"):
            number = int(counter.read_text())
            time.sleep(0.01)
            counter.write_text(str(number + 1))

    assert at_once(8, count) == [None] * 8
    assert counter.read_text() == "8"
    with (
        sole_holder(place, patience=1, doing="counts"),
        pytest.raises(StoreError, match="is held by the process"),
        sole_holder(place, patience=0.1, doing="counts"),
    ):
        pass


def test_a_server_that_is_away_for_some_seconds_costs_nothing(
    s3: ObjectStore, tmp_path: Path
) -> None:
    """It is killed while four append; they wait, and their rows are there once."""
    uri = s3.uri(tmp_path.name, "results")
    ObjectTable(uri).append_once(rows(0), token="first")
    later = threading.Timer(0.5, lambda: (s3.kill(), time.sleep(1), s3.start()))
    later.start()

    def append(place: int) -> None:
        for number in range(1 + 8 * place, 9 + 8 * place):
            ObjectTable(uri).append_once(rows(number), token=f"run {number}")
            time.sleep(0.1)

    assert at_once(4, append) == [None] * 4
    later.join()
    assert sorted(ObjectTable(uri).rows()["n"].to_pylist()) == list(range(33))


@pytest.mark.parametrize(
    ("environment", "uri", "told"),
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, None, r"refuses the credentials \(InvalidAccessKeyId"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, None, r"refuses the credentials \(Signature"),
        ({}, "s3://no-such-bucket/store", "has no such bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, None, r"cannot be reached.*AWS_ENDPOINT_URL"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, None, "gets no credentials"),
    ],
)
def test_what_is_wrong_is_told_at_once_and_without_a_secret(
    s3: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str | None],
    uri: str | None,
    told: str,
) -> None:
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    started = time.monotonic()
    with pytest.raises(StoreError, match=told) as caught:
        check_object_store(uri or s3.uri("store"))
    assert time.monotonic() - started < 20
    text = str(caught.value)
    assert "\n" not in text and "<" not in text and text.endswith("; nothing was evaluated")
    assert SECRET not in text and "wrong" not in text and "nobody" not in text


def test_who_may_only_read_is_told_when_something_is_written(
    s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    check_object_store(s3.uri("store"))
    with pytest.raises(StoreError, match="refuses the credentials"):
        Lease(s3.uri(tmp_path.name, "lease")).take()
    with pytest.raises(StoreError, match=r"could not be written: the object store refuses"):
        ObjectTable(s3.uri(tmp_path.name, "t")).append_once(rows(1), token="a")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("s3://AKIA:hunter2@bucket/x", "credentials in it"),
        ("s3://No_Bucket/x", "names the bucket"),
        ("s3:///x", "names the bucket ''"),
        ("s3://bucket/100%", "has '%' in it"),
    ],
)
def test_a_place_that_is_none_is_refused(place: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        check_place(place)
    assert "hunter2" not in str(caught.value) and "AKIA" not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1:9000", "ftp://host", "http://a:b@host:1"])
def test_an_address_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    with pytest.raises(InputError, match="AWS_ENDPOINT_URL is no address"):
        object_store.storage_options("s3://bucket/x")


def test_an_address_that_is_set_to_nothing_is_amazons(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pipelines do with a secret that they lack; delta-rs would end with a panic."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    options = object_store.storage_options("s3://bucket/x")
    assert options is not None
    assert options["aws_endpoint_url"] == "https://s3.eu-central-1.amazonaws.com"


def test_files_that_others_wrote_are_added_in_one_commit(s3: ObjectStore, tmp_path: Path) -> None:
    """Those without rows are left out; their limits spare reading; a second try adds nothing."""
    import pyarrow.parquet as pq
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    table = ObjectTable(s3.uri(tmp_path.name, "states"))
    folder = PyFileSystem(DeltaStorageHandler(table.place, table.options))
    for name, content in (("a", rows(1, 2)), ("b", rows(7)), ("none", rows(1)[:0])):
        with folder.open_output_stream(f"part-1/{name}.parquet") as file:
            pq.write_table(content, file)
    files, schema = describe_files(table.place, "part-1")
    assert sorted(file.path for file in files) == ["part-1/a.parquet", "part-1/b.parquet"]
    for _ in range(2):
        table.add_files(files, schema, token="scan", properties=PROPERTIES)
    assert sorted(table.rows()["n"].to_pylist()) == [1, 2, 7]
    assert dict(read_head(table.place).properties) == PROPERTIES
    sizes = {file.path: file.size for file in files}
    assert table.bytes_of([("run_id", "=", "r7")]) == sizes["part-1/b.parquet"]
    table.append_once(rows(9), token="more")
    assert table.rows(where=[("run_id", "=", "r9")]).num_rows == 1 and table.rows().num_rows == 4
