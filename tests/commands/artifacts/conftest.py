"""A folder of its own from which suites are exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine import export
from tests.fixtures.exports import OPTIONS, cluster_suite

Exporting = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def exporting(home: Path, tmp_path: Path) -> Exporting:
    """Exports a suite to a target, all its files; gives their folder."""

    def call(target: str, suite: dict[str, Any] | None = None, **options: Any) -> Path:
        file = home / options.pop("file", "claims.yml")
        data = cluster_suite() if suite is None else suite
        file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        out = options.pop("out", tmp_path / "out" / target)
        options = {**OPTIONS.get(target, {}), **options}
        written = export(target, file.relative_to(home), out=out, **options)
        assert written.folder == out
        return Path(out)

    return call
