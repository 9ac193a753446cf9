"""Which files a glob matches, by what names they are told apart, and their folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.files.listing import File, files_text, find_files, name_of, shown_name
from engine.errors import DataError
from engine.spark.lazy_session import LazySession


def listed(pattern: Path | str) -> list[File]:
    return find_files(LazySession(), str(pattern), "csv")


def write(path: Path, text: str = "a\n1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_files_of_one_content_and_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("x/a.csv", "y/a.csv", "x/b.csv"):
        write(tmp_path / name)
    files = listed(tmp_path / "*" / "*.csv")
    assert [file.name for file in files] == ["x/a.csv", "x/b.csv", "y/a.csv"]
    assert len({file.content for file in files}) == 1
    assert len({file.row_id("") for file in files}) == 3


def test_a_file_is_the_same_wherever_its_folder_is(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path / "one" / "a.csv")
    write(tmp_path / "two" / "a.csv")
    monkeypatch.chdir(tmp_path / "one")
    marks = {
        listed(place)[0].row_id("") for place in (tmp_path / "two" / "a.csv", "a.csv", "*.csv")
    }
    assert len(marks) == 1
    assert listed("a.csv")[0].row_id("") != listed("a.csv")[0].row_id("other nulls")
    write(tmp_path / "one" / "a.csv", "a\n2\n")
    assert listed("a.csv")[0].row_id("") not in marks


@pytest.mark.parametrize("pattern", ["*/*/*.csv", "**/*.csv", "parts/*/*.csv", "parts/c=DE/*.csv"])
def test_folders_name_columns_however_the_glob_is_written(
    tmp_path: Path, monkeypatch, pattern: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "parts" / "c=DE" / "a.csv")
    assert [file.folders for file in listed(pattern)] == [(("c", "DE"),)]


def test_folders_of_nulls_and_of_odd_characters(tmp_path: Path) -> None:
    write(tmp_path / "a%20b=x%2Fy" / "c=__HIVE_DEFAULT_PARTITION__" / "a.csv")
    (file,) = listed(tmp_path / "*" / "*" / "a.csv")
    assert file.folders == (("a b", "x/y"), ("c", None))


def test_folders_that_contradict_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "c=1" / "c=2" / "a.csv")
    with pytest.raises(DataError, match="two folders for the column 'c'"):
        listed(tmp_path / "**" / "*.csv")
    write(tmp_path / "d" / "c=1" / "a.csv")
    write(tmp_path / "d" / "other" / "b.csv")
    with pytest.raises(DataError, match=r"lies in a folder 'c=...'.*b.csv' does not"):
        listed(tmp_path / "d" / "*" / "*.csv")


@given(st.text(min_size=1, max_size=200))
def test_a_mark_is_plain_and_has_the_name(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    mark = File("p", name, "digest").row_id("")
    assert mark.isascii() and len(mark) <= 123 and not set(mark) & set("'\"\\`\n")
    shown = name_of(mark)
    assert shown == name or (shown[0] == "…" and name.endswith(shown[1:]))


def test_names_in_few_words() -> None:
    assert (
        files_text(f"{n:02}.csv" for n in range(40))
        == "40 files: 00.csv, 01.csv, 02.csv, ..., 39.csv"
    )
    assert files_text(["a", "b", "c", "d"]) == "4 files: a, b, c, d"
    assert shown_name("iban=DE1/x=2/a.csv", ["iban"]) == "iban=…/x=2/a.csv"
