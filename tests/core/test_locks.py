"""One writer at a time for a table on a local disk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.locks import run_holder, sole_process, sole_writer
from engine.errors import InputError, StoreError

HOLDER = """
import sys, time
from pathlib import Path
from engine.core.locks import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes the table `t` for ever."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "t")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_waited_for_and_named(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with (
        pytest.raises(StoreError, match=f"the process {holder.pid} has been writing it for"),
        sole_writer(tmp_path / "t", patience=0.2),
    ):
        raise AssertionError("two writers at once")


def test_a_killed_writer_leaves_nothing_locked(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    with sole_writer(tmp_path / "t", patience=0.2):
        pass


def test_another_table_is_not_waited_for(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with sole_writer(tmp_path / "u", patience=0.2):
        pass


def test_threads_of_one_process_wait_for_each_other(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def write() -> None:
        for _ in range(20):
            with sole_writer(tmp_path / "t"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_place_where_nothing_can_be_locked_is_written_without(tmp_path: Path) -> None:
    (tmp_path / ".locks").write_text("a file where the folder would be")
    with sole_writer(tmp_path / "t"):
        pass
    with sole_writer(None):
        pass


def test_a_run_goes_on_in_one_place(tmp_path: Path) -> None:
    with sole_process(tmp_path, "r1"):
        with (
            pytest.raises(InputError, match=f"'r1' is going on in the process {os.getpid()};"),
            sole_process(tmp_path, "r1"),
        ):
            raise AssertionError("the run goes on twice")
        assert run_holder(tmp_path, "r1") == f"the process {os.getpid()}"
        with sole_process(tmp_path, "r2"), sole_process(None, "r1"):
            pass
    assert run_holder(tmp_path, "r1") is run_holder(None, "r1") is None
    with sole_process(tmp_path, "r1"):
        pass
    assert not list((tmp_path / ".locks").iterdir()), "nothing is left of runs that ended"
