"""Where things of a store lie, for paths, object stores and catalogs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.store import Store


def test_a_path_holds_everything(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    assert not store.is_catalog
    assert store.local == tmp_path / "store"
    assert store.table("lake/claims") == str(tmp_path / "store" / "lake" / "claims")
    assert store.tracking_uri == f"sqlite:///{tmp_path}/store/mlflow.db"
    assert store.report_folder("r1") == tmp_path / "store" / "reports" / "r1"
    assert store.log_file == tmp_path / "store" / "logs" / "spark.log"


def test_relative_paths_are_taken_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Store("./store").local == tmp_path / "store"
    assert Store("~/store").local == tmp_path / "home" / "store"
    assert Store((tmp_path / "a b").as_uri()).local == tmp_path / "a b"


def test_a_catalog_names_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("main.evals")
    assert store.is_catalog
    assert store.local is None
    assert store.table("lake/claims") == "main.evals.lake_claims"
    assert store.files == tmp_path / "evalmatrix"
    (tmp_path / "main.evals").mkdir()
    assert not Store("main.evals").is_catalog, "a folder of that name is a folder"
    assert not Store("./main.evals").is_catalog


def test_an_object_store_has_its_files_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("s3://bucket/evals/")
    assert store.local is None
    assert store.table("results") == "s3://bucket/evals/results"
    assert store.report_folder("r1") == tmp_path / "evalmatrix" / "reports" / "r1"


def test_a_store_is_made_and_left_clean(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "deep" / "store"))
    store.check_writable()
    store.check_writable()
    assert list((tmp_path / "deep" / "store").iterdir()) == []


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be written: .* nothing was evaluated; choose"):
        Store(str(tmp_path / "file")).check_writable()
    with pytest.raises(StoreError, match=r"cannot be written: Not a directory"):
        Store(str(tmp_path / "file" / "store")).check_writable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_without_permission_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        Store(str(tmp_path / "store")).check_writable()
