"""The archive of class data: where it lies, when it is used, and what a failure says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import EvalMatrixError
from engine.spark import class_archive, session
from engine.spark.class_archive import ARCHIVE_TO, archive_file, java_options, write_archive
from engine.spark.internals import delta_jars
from engine.spark.java import find_java


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(ARCHIVE_TO, raising=False)


def test_another_java_or_other_jars_have_another_archive(tmp_path: Path) -> None:
    one = archive_file("java 17", ["a.jar", "b.jar"])
    assert one.parent == tmp_path / "cache" / "evalmatrix"
    others = [
        archive_file("java 21", ["a.jar", "b.jar"]),
        archive_file("java 17", ["b.jar", "a.jar"]),
        archive_file("java 17", ["a.jar"]),
    ]
    assert len({one, *others}) == 4
    assert archive_file("java 17", ["a.jar", "b.jar"]) == one


def test_an_archive_is_used_where_there_is_one(tmp_path: Path) -> None:
    archive = tmp_path / "classes.jsa"
    assert java_options(archive) == []
    archive.write_bytes(b"")
    assert f"-XX:SharedArchiveFile={archive}" in java_options(archive)


def test_a_damaged_archive_costs_time_only(tmp_path: Path) -> None:
    """Java starts without it, and says nothing that a user would have to read."""
    archive = tmp_path / "classes.jsa"
    archive.write_bytes(b"no archive" * 1000)
    done = subprocess.run(
        [str(find_java()), *java_options(archive), "-version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "archive" not in done.stdout + done.stderr
    assert 'version "' in done.stderr


def test_a_rehearsal_that_fails_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no module named sklearn' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    archive = archive_file("java 17", [])
    with pytest.raises(EvalMatrixError, match=r"exit code 3.*\n.*no module named sklearn"):
        write_archive(archive, "engine.commands.rehearsal")
    assert list(archive.parent.iterdir()) == []


def test_a_rehearsal_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "python"
    hanging.write_text("#!/bin/sh\nexec sleep 30\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hanging))
    monkeypatch.setattr(class_archive, "_SECONDS", 0.2)
    with pytest.raises(EvalMatrixError, match="not written within"):
        write_archive(archive_file("java 17", []), "engine.commands.rehearsal")


@pytest.mark.spark
@pytest.mark.slow
def test_the_archive_holds_the_classes_of_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `evalmatrix warmup` leaves, which `make test` has called before its first test."""
    monkeypatch.undo()
    jars = delta_jars()
    assert jars, "other tests have fetched Delta by now"
    archive = session.class_archive(jars)
    if not archive.exists():
        done = subprocess.run(
            [str(Path(sys.executable).parent / "evalmatrix"), "warmup"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert str(archive) in done.stdout
    assert archive.stat().st_size > 50 * 2**20
    # The file names the classes that it holds.
    assert b"org/apache/spark/sql/delta/DeltaLog" in archive.read_bytes()
