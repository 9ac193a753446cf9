"""Temporary files of a process that was killed are removed by the next one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.scratch import scratch_folder

HOLDER = """
import sys, time
from pathlib import Path
from engine.scratch import scratch_folder
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
