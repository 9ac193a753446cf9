"""The end of a command's process is quick, and says nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("triton")

SCRIPT = """
from engine.cli import app

def command():
    from triton._C import libtriton

app.app = command
app.main()
"""


def test_bindings_tell_nothing_of_what_is_left() -> None:
    """They told of some hundred functions where the last look is spared."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
