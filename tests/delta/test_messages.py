"""What delta-rs says of disks and files, in a user's words."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from engine.core.disk_errors import Kind, disk_error_of
from engine.delta.local_table import LocalTable
from engine.delta.messages import unreadable
from engine.delta.object_store import object_store_words
from engine.errors import StoreError


@pytest.fixture
def table(tmp_path: Path) -> LocalTable:
    table = LocalTable(tmp_path / "table")
    texts = [os.urandom(20).hex() for _ in range(1000)]
    table.append_once(pa.table({"n": list(range(1000)), "s": texts}), token="a")
    return table


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda content: None, Kind.GONE),
        (lambda content: content[:-30] + b"x" * 30, Kind.DAMAGED),
        (lambda content: content[: len(content) // 2], Kind.DAMAGED),
        (lambda content: content[:2000] + b"\0" * 500 + content[2500:], Kind.DAMAGED),
        (lambda content: b"", Kind.DAMAGED),
    ],
    ids=["gone", "footer", "cut off", "bits", "empty"],
)
def test_a_file_that_is_gone_or_damaged_is_named(
    table: LocalTable, damage: Callable[[bytes], bytes | None], kind: Kind
) -> None:
    (file,) = table.path.glob("*.parquet")
    content = damage(file.read_bytes())
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(Exception) as caught:  # noqa: PT011 of whichever library meets it
        table.rows()
    fault = disk_error_of(caught.value)
    assert fault is not None and fault.kind is kind
    # Where bits are wrong, nobody says in which file.
    assert fault.file in (str(file), None)
    told = str(unreadable(str(table.path), caught.value))
    assert "is gone" in told or "is damaged" in told
    assert "\n" not in told and told.endswith("restore it from a copy; nothing was changed")


def test_a_log_that_is_damaged_is_told(table: LocalTable) -> None:
    (table.path / "_delta_log" / f"{0:020d}.json").write_text("garbage\n")
    with pytest.raises(Exception) as caught:  # noqa: PT011
        table.rows()
    assert "a file is damaged" in str(unreadable("states", caught.value, spares=True))


def test_a_disk_that_is_read_only_is_told(disk: Path) -> None:
    table = LocalTable(disk / "table")
    table.append_once(pa.table({"n": [1]}), token="a")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        with pytest.raises(StoreError, match="Read-only file system"):
            table.append_once(pa.table({"n": [2]}), token="b")
        assert table.rows()["n"].to_pylist() == [1]
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def test_a_machine_without_a_role_gets_no_credentials() -> None:
    """However the library says so, which names neither the store nor an address."""
    text = "Operation not supported: an error occurred while loading credentials: failed to load"
    words = object_store_words(OSError(f"{text} IMDS session token: service error: forbidden"))
    assert words is not None and words.startswith("gets no credentials")
    assert object_store_words(OSError("Operation not supported")) is None
