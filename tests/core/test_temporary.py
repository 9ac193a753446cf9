"""Temporary files of a process that was killed are removed by the next one."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from engine.core.temporary import scratch_folder
from engine.errors import StoreError

HOLDER = """
import sys, time
from pathlib import Path
from engine.core.temporary import scratch_folder
folder = scratch_folder(Path(sys.argv[1]))
(folder / "rows").write_text("of the data")
print(folder, flush=True)
time.sleep(600)
"""


def test_a_folder_is_there_while_its_process_lives(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        ours = scratch_folder(tmp_path)
        assert ours != theirs and (theirs / "rows").exists()
        process.kill()
        process.wait()
    again = scratch_folder(tmp_path)
    assert not theirs.exists()
    assert ours.exists() and again.exists(), "this process still has both"
    assert again.stat().st_mode & 0o077 == 0, "what others may not read is not theirs to read"


@pytest.mark.parametrize(("filled", "left"), [(40, 24), (65, 0)])
def test_a_disk_with_too_little_room_is_refused(disk: Path, filled: int, left: int) -> None:
    fill = ["dd", "if=/dev/zero", f"of={disk}/filler", "bs=1M", f"count={filled}"]
    subprocess.run(fill, check=False)
    with pytest.raises(StoreError) as told:
        scratch_folder(disk / "own")
    assert str(told.value) == (
        f"Spark's temporary files need at least 32 MB, and {left} MB are free ({disk / 'own'}); "
        "free that disk, or set TMPDIR to a folder of another one"
    )
    (disk / "filler").unlink()
    assert scratch_folder(disk / "own").is_dir()


def test_no_place_for_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    says = "No usable temporary directory found in ['/tmp', '/var/tmp']"

    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, says)

    monkeypatch.setattr(tempfile, "gettempdir", none)
    expected = f"Spark's temporary files cannot be written: {re.escape(says)}; free that disk"
    with pytest.raises(StoreError, match=expected):
        scratch_folder()
