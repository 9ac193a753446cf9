"""Files of nasty names and headers: each is taken as it is, or refused before any is taken."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from engine.data.ingest import ingest
from engine.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

GOOD = [
    "a b.parquet",
    "c[1].parquet",
    "c1.parquet",
    "d*{x}?.parquet",
    "e\\.parquet",
    "f\n🙂.parquet",
]
BAD = {
    "_a.csv": "begins with '_'",
    "2026-01-01T00:00.csv": "a colon in its name",
    "a[1].csv": "which Spark takes for a pattern",
    "a?.csv": "which Spark takes for a pattern",
    "latin.csv": "content that is not UTF-8",
}


def test_files_of_any_name_are_taken_once_each(spark: SparkSession, tmp_path: Path) -> None:
    folder, table = tmp_path / "in [x] it's {y} 100%", str(tmp_path / "table ${x}")
    folder.mkdir()
    for number, name in enumerate(GOOD):
        rows = pd.DataFrame({"mean radius": [number], "a,b;\n=(c)": [name], "`": [None]})
        rows.astype({"`": "string"}).to_parquet(folder / name, index=False)
    pattern = f"{tmp_path}/in*/*.parquet"
    first = ingest(spark, pattern, table=table, fmt="parquet")
    assert (first.version, len(first.added)) == (len(GOOD) - 1, len(GOOD))
    found = spark.read.format("delta").load(table).toPandas()
    assert list(found.columns) == ["mean radius", "a,b;\n=(c)", "`"]
    assert dict(zip(found["mean radius"], found["a,b;\n=(c)"], strict=True)) == dict(
        enumerate(GOOD)
    )
    again = ingest(spark, str(folder / "c[1].parquet"), table=table, fmt="parquet")
    assert (again.version, again.added, len(again.known)) == (first.version, (), 1)
    assert not [
        path
        for path in tmp_path.iterdir()
        if path.name not in (folder.name, "table ${x}", ".locks")
    ]


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_spark_would_take_for_another_is_refused_first(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    (tmp_path / "a1.csv").write_text("a\n1\n")
    encoding = "latin-1" if name == "latin.csv" else "utf-8"
    (tmp_path / name).write_text("ä b\n1\n", encoding=encoding)
    with pytest.raises(DataError, match=r"rename it|convert it") as refused:
        ingest(spark, str(tmp_path / "*.csv"), table=str(tmp_path / "t"), fmt="csv")
    assert BAD[name] in str(refused.value) and repr(str(tmp_path / name)) in str(refused.value)
    assert not (tmp_path / "t").exists(), "no file was taken"


def test_headers_of_any_name_make_columns_of_that_name(
    spark: SparkSession, tmp_path: Path, nasty: ModuleType
) -> None:
    names: dict[str, str] = {}
    for text in nasty.CURATED:
        # Spark names a column without a name, and ends lines in its own way.
        if text and "\r" not in text:
            names.setdefault(text.lower(), text)
    header = list(names.values())
    for part in ("1", "2"):
        with (tmp_path / f"{part}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, [part] * len(header)])
    table = str(tmp_path / "t")
    assert ingest(spark, str(tmp_path / "*.csv"), table=table, fmt="csv").version == 1
    frame = spark.read.format("delta").load(table)
    assert frame.columns == header
    assert sorted(map(tuple, frame.collect())) == [(1,) * len(header), (2,) * len(header)]


IN_C = """
from pathlib import Path
from engine.data.ingest import ingest
from engine.spark.session import get_session

spark = get_session(log_file=Path("spark.log"), extra={"spark.master": "local[1]"})
done = ingest(spark, "in/*.csv", table=str(Path("日本").absolute()), fmt="csv")
print(ascii([done.version, [Path(path).name for path in done.added]]))
"""


@pytest.mark.slow
def test_names_are_what_they_are_in_a_locale_without_letters(tmp_path: Path, root: Path) -> None:
    """As cron would start it: Java takes other letters than ASCII for question marks there."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ü🙂.csv").write_text("größe\n1\n", encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK", "L"))}
    environment = {**kept, "LC_ALL": "C", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", IN_C],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ascii([0, ["ü🙂.csv"]])
    assert {path.name for path in tmp_path.iterdir()} >= {"日本", "in"}
    assert not [path for path in tmp_path.iterdir() if "?" in path.name]
