"""What is said of a cluster that is not there, or does not fit; its checks on a real one are in
tests/spark."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row

from engine._version import __version__
from engine.errors import InputError, StoreError
from engine.execution.workers import _workers_error, check_looks, files_seen, make_look
from engine.spark.preflight import check_reachable


@pytest.fixture
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("address", ["local[*]", "local", "local-cluster[2,1,1024]", "yarn"])
def test_addresses_without_a_host_are_not_looked_at(address: str) -> None:
    check_reachable(address)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("spark://127.0.0.1:{}", "Spark master"),
        ("sc://127.0.0.1:{}/;user_id=me;token=secret", "Spark Connect server"),
        ("k8s://https://127.0.0.1:{}", "Spark master"),
    ],
)
def test_what_does_not_listen_is_told_of_at_once(address: str, what: str, free_port: int) -> None:
    started = time.monotonic()
    with pytest.raises(StoreError, match=f"the {what} .*cannot be reached") as caught:
        check_reachable(address.format(free_port))
    assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 10


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(StoreError, match=r"spark://no\.such\.host\.invalid:7077 cannot be reached"):
        check_reachable("spark://no.such.host.invalid:7077")


def test_one_of_several_masters_is_enough(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        check_reachable(f"spark://127.0.0.1:{free_port},127.0.0.1:{port}")
        check_reachable(f"sc://127.0.0.1:{port}/;use_ssl=true")


def look(**fields: Any) -> Row:
    found = {"python": "3.11.7", "executable": "/e/python", "engine": __version__, "broken": None}
    libraries = fields.pop("found", {"sklearn": "1.9.0"})
    return Row(**(found | fields), found=json.dumps(libraries))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"engine": None}, "has no evalmatrix"),
        ({"engine": "0.0.1"}, f"has evalmatrix 0.0.1, the driver {__version__}"),
        ({"broken": "ImportError: scipy"}, "cannot import evalmatrix: ImportError: scipy"),
        ({"found": {}}, "lacks the library 'sklearn', .*pip install scikit-learn"),
    ],
)
def test_what_a_worker_lacks(fields: dict[str, Any], message: str) -> None:
    check_looks([look()], {"sklearn": "pip install scikit-learn"})
    with pytest.raises(InputError, match=message):
        check_looks([look(), look(**fields)], {"sklearn": "pip install scikit-learn"})


def test_another_version_of_a_library_is_said(caplog: pytest.LogCaptureFixture) -> None:
    check_looks([look(found={"numpy": "0.1"})], {"numpy": "pip install numpy"})
    assert "numpy of another version than the driver: 0.1" in caplog.text


def test_a_look_at_this_process() -> None:
    (batch,) = make_look(["numpy", "no_such_library"])(())
    (row,) = batch.to_pylist()
    assert row["engine"] == __version__ and row["broken"] is None
    assert list(json.loads(row["found"])) == ["numpy"]


def test_files_count_as_seen_where_all_workers_see_the_same(tmp_path: Path) -> None:
    same, other, gone = (str(tmp_path / name) for name in ("same", "other", "gone"))
    for file in (same, other):
        Path(file).write_text("rows")
    (batch,) = make_look([], [same, other, gone])(())
    (row,) = batch.to_pylist()
    here = Row(**row)
    assert files_seen([here, here], [same, other, gone]) == {same, other}
    # Another machine has another file under the path of one, and lacks the other.
    there = Row(**{**row, "seen": json.dumps({same: json.loads(row["seen"])[same], other: "4 1"})})
    assert files_seen([here, there], [same, other, gone]) == {same}
    lacks = Row(**{**row, "seen": json.dumps({same: "", other: ""})})
    assert files_seen([here, lacks], [same, other, gone]) == frozenset()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.12 than that in "
            "driver: 3.11, PySpark cannot run",
            "the workers run Python 3.12, the driver 3.11",
        ),
        ("ModuleNotFoundError: No module named 'pyarrow'", "lacks 'pyarrow'"),
        ('java.io.IOException: Cannot run program "./environment/bin/python"', "no './environment"),
        ("something else\nand more", "could not be asked what they have: something else$"),
    ],
)
def test_why_the_workers_did_not_answer(text: str, message: str) -> None:
    with pytest.raises((InputError, StoreError), match=message):
        raise _workers_error(text)
