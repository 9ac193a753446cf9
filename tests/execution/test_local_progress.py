"""How far the processes of a local scan are, told while they are at it."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pytest

from engine.execution import local_scans
from engine.execution.local_scans import _tell_progress
from engine.execution.local_worker import _count_rows, rows_done_file


def test_rows_are_told_batch_after_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_scans, "PROGRESS_SECONDS", 0.01)
    work = str(tmp_path / "work.pkl")
    files = [rows_done_file(work, number) for number in range(2)]
    batch = pa.record_batch({"x": list(range(10))})
    told: list[int] = []

    def wait_for(rows: int) -> None:
        until = time.monotonic() + 10
        while sum(told) < rows and time.monotonic() < until:
            time.sleep(0.01)
        assert sum(told) == rows

    with _tell_progress(files, told.append):
        # One process has begun, and the other has not.
        scan = _count_rows([batch] * 3, files[0])
        next(scan)
        assert sum(told) == 0
        next(scan)
        wait_for(10)
        next(scan)
        wait_for(20)
        # What is done when nobody looks any more is told at the end.
        list(_count_rows([batch], files[1]))
        list(scan)
    assert sum(told) == 40


def test_a_scan_that_fails_tells_no_end(tmp_path: Path) -> None:
    file = rows_done_file(str(tmp_path / "work.pkl"), 0)
    file.write_bytes(b"7")
    told: list[int] = []
    with pytest.raises(ValueError, match="broken"), _tell_progress([file], told.append):
        raise ValueError("broken")
    assert sum(told) <= 7
