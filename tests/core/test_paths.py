"""Paths as they are written, with whatever characters, and URIs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from engine.core.paths import is_folder, is_there, local_path


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("/store/results", Path("/store/results")),
        ("store/results", Path.cwd() / "store/results"),
        ("file:///store/a%20b", Path("/store/a b")),
        ("file:/store/a%23b", Path("/store/a#b")),
        ("s3a://bucket/store/results", None),
        ("dbfs:/store", None),
        ("models:/claims/3", None),
        ("C:\\store", Path.cwd() / "C:\\store"),
        ("//[x", Path("//[x")),
        ("ab:c", Path.cwd() / "ab:c"),
        ("a b/100%/#1?[x]", Path.cwd() / "a b/100%/#1?[x]"),
        ("~nobody-has-this-name/x", Path.cwd() / "~nobody-has-this-name/x"),
    ],
)
def test_a_path_is_one_whatever_it_holds(place: str, path: Path | None) -> None:
    assert local_path(place) == path


def test_home_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/a") == tmp_path / "a"


def test_a_path_that_cannot_be_is_not_there(nasty: ModuleType, tmp_path: Path) -> None:
    for text in [*nasty.CURATED, *nasty.HUGE, "x" * 256, "\0"]:
        if "/" not in text and text.strip("."):
            assert not is_there(tmp_path / text)
            assert not is_folder(str(tmp_path / text))
    assert is_there(tmp_path) and is_folder(tmp_path)
