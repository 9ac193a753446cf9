"""Where things of a store lie, for paths, object stores and catalogs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import ModuleType

import pytest

from engine.core.locations import Store
from engine.errors import InputError, StoreError


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


@pytest.mark.parametrize("name", ["a b", "it's #1 100% [x]", "a;b&c=d", "ü🙂", "a%"])
def test_a_database_lies_in_a_store_of_any_name(tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path / name))
    assert store.tracking_uri == f"sqlite:///{tmp_path}/{name}/mlflow.db"


@pytest.mark.parametrize(("name", "odd"), [("a%20b", "%20"), ("a?b", "?"), ("what?/x", "?")])
def test_a_store_is_refused_whose_database_would_lie_elsewhere(
    tmp_path: Path, name: str, odd: str
) -> None:
    with pytest.raises(
        InputError, match=r"has '.+' in its path, by which MLflow's database"
    ) as told:
        Store(str(tmp_path / name)).tracking_uri  # noqa: B018
    assert f"has {odd!r} in" in str(told.value)


SANE = [
    "claims",
    "lake-rows",
    "Claims 2026",
    "a.b",
    "über",
    "x" * 200,
    "ä" * 110,
    "a:b",
    "a b",
    "~",
]


@pytest.mark.parametrize("name", SANE)
def test_a_dataset_lies_in_the_lake_under_its_name(tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path / "store"))
    assert store.lake_table(name) == str(tmp_path / "store" / "lake" / name)
    assert Store("s3://bucket/evals").lake_table(name) == f"s3://bucket/evals/lake/{name}"


def test_no_name_of_a_dataset_leads_out_of_the_lake(nasty: ModuleType, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    lake = tmp_path / "store" / "lake"
    below = ["a/" + name for name in nasty.NAMES]
    names = list(dict.fromkeys([*nasty.NAMES, *below, "/", "//", "a/..", "\U0001f642" * 63]))
    tables = [store.lake_table(name) for name in names]
    assert len(set(tables)) == len(names), "two datasets never share a table"
    for table in tables:
        path = Path(table)
        assert path.parent == lake and os.path.normpath(table) == table
        assert path.name not in (".", "..", "_delta_log", ".locks")
        path.mkdir(parents=True)
        (lake / f"{path.name}.lock").touch()
    assert len(list(lake.iterdir())) == 2 * len(names)
    assert [item.name for item in tmp_path.iterdir()] == ["store"]


def test_a_name_with_a_slash_stays_where_an_earlier_version_put_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    moved = store.lake_table("eu/claims")
    assert moved.startswith(f"{tmp_path}/store/lake/eu-claims-")
    (tmp_path / "store/lake/eu/claims/_delta_log").mkdir(parents=True)
    (tmp_path / "store/x/_delta_log").mkdir(parents=True)
    assert store.lake_table("eu/claims") == f"{tmp_path}/store/lake/eu/claims"
    assert store.lake_table("../x").startswith(f"{tmp_path}/store/lake/")
    assert store.lake_table("../x") != f"{tmp_path}/store/x"


def test_in_a_catalog_a_dataset_has_a_name_that_it_takes(
    nasty: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("main.evals")
    assert store.lake_table("claims_2026") == "main.evals.lake_claims_2026"
    tables = [store.lake_table(name) for name in nasty.NAMES]
    assert len(set(tables)) == len(set(nasty.NAMES))
    for table in tables:
        assert re.fullmatch(r"main\.evals\.lake_\w+", table)
