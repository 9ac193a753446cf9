"""What the doctor says of a Python that compiles its packages again in each process."""

from __future__ import annotations

import compileall
import sys
from pathlib import Path

import pytest

from engine.commands.doctor import _bytecode


def test_packages_without_bytecode_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "uncompiled_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    told = _bytecode(package.name)
    assert "PYTHONDONTWRITEBYTECODE" in told and f"compileall -q {tmp_path}" in told
    # Python itself writes some at the next start.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert _bytecode(package.name) == ""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert compileall.compile_dir(package, quiet=1)
    assert _bytecode(package.name) == ""
