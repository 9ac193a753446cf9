"""Models on their way to workers: what is packed, and where a worker looks for it."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.vocabulary import ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.execution.shipping import pack_folder
from engine.models.load import find_folder, shipped_name


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str], ModelVersion]:
    def model(path: str) -> ModelVersion:
        place = str(tmp_path / path)
        return ModelVersion(
            "m", place, None, "0" * 64, place, "sklearn", TaskKind.BINARY, Output.LABEL
        )

    return model


def test_all_files_are_packed_but_caches(tmp_path: Path) -> None:
    for name in ("MLmodel", "data/weights.bin", "code/__pycache__/a.pyc", "code/a.py"):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    archive = pack_folder(tmp_path / "model", tmp_path / "model.zip")
    with zipfile.ZipFile(archive) as found:
        assert sorted(found.namelist()) == ["MLmodel", "code/a.py", "data/weights.bin"]


def test_a_model_on_the_same_disk_is_read_where_it_lies(
    model: Callable[[str], ModelVersion], tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    assert find_folder(model("here")) == tmp_path / "here"


def test_what_was_shipped_goes_before_the_same_path(
    model: Callable[[str], ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    shipped = tmp_path / "files" / shipped_name("0" * 64)
    shipped.mkdir(parents=True)
    # So Spark makes what it has shipped known to a worker.
    monkeypatch.setattr(sys, "path", [str(tmp_path / "files"), *sys.path])
    assert find_folder(model("here")) == shipped
    assert find_folder(model("elsewhere")) == shipped


def test_a_model_that_is_nowhere_is_told_of(model: Callable[[str], ModelVersion]) -> None:
    with pytest.raises(ModelError, match=r"no folder at .*elsewhere', and the driver has shipped"):
        find_folder(model("elsewhere"))
