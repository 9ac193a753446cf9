"""Files appended without Spark: the tables that Spark makes of them, or a refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from engine.data.files.reading import Reading
from engine.data.ingest import ingest
from engine.errors import DataError, InputError
from engine.spark.lazy_session import LazySession
from tests.fixtures.tables import read_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.data.ingest import Ingested

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

CSV = {
    "a.csv": 'id,text,day,x\n1,"q ""z""",2024-02-29,0.5\n2,,0001-01-01,nan\n',
    "b.csv": "x,day,id,text\n7,2024-01-01,3,007\n,,4,ä 🙂\n",
    "c.csv": "id,text,day,x\n",
    "sub/a.csv": 'id,text,day,x\n1,"q ""z""",2024-02-29,0.5\n2,,0001-01-01,nan\n',
}
READING = Reading({"x": "double", "id": "bigint"}, ("NA",))


def without_spark() -> LazySession:
    return LazySession(executor="local")


def make_files(folder: Path, contents: dict[str, str]) -> str:
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return str(folder / "**" / "*.csv")


def told_of(done: Ingested, folder: Path) -> Any:
    names = [[str(Path(path).relative_to(folder)) for path in paths] for paths in
             (done.added, done.known)]  # fmt: skip
    return done.version, names


def rows_of(spark: SparkSession, table: str) -> tuple[Any, list[Any]]:
    frame = spark.read.format("delta").load(table)
    return frame.dtypes, sorted(map(repr, frame.collect()))


def test_either_appends_what_the_other_would_and_knows_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    pattern = make_files(tmp_path / "in", CSV)
    tables = {way: str(tmp_path / way) for way in ("here", "there", "mixed")}
    ways = {"here": without_spark(), "there": LazySession(spark)}
    told = {
        way: ingest(session, pattern, table=tables[way], fmt="csv", reading=READING)
        for way, session in ways.items()
    }
    first = told_of(told["here"], tmp_path / "in")
    assert first == told_of(told["there"], tmp_path / "in")
    assert first == (3, [["a.csv", "b.csv", "c.csv", "sub/a.csv"], []])
    assert rows_of(spark, tables["here"]) == rows_of(spark, tables["there"])
    # What one has appended the other knows, by its history and by Delta's own guard.
    for way, other in (("here", "there"), ("there", "here")):
        again = ingest(ways[other], pattern, table=tables[way], fmt="csv", reading=READING)
        assert (again.version, again.added) == (3, ())
    for name, way in {"a.csv": "here", "b.csv": "there", "c.csv": "here"}.items():
        one = str(tmp_path / "in" / name)
        ingest(ways[way], one, table=tables["mixed"], fmt="csv", reading=READING)
    last = ingest(ways["there"], pattern, table=tables["mixed"], fmt="csv", reading=READING)
    assert told_of(last, tmp_path / "in") == (3, [["sub/a.csv"], ["a.csv", "b.csv", "c.csv"]])
    assert rows_of(spark, tables["mixed"]) == rows_of(spark, tables["here"])
    log = Path(tables["here"]) / "_delta_log"
    commits = [[json.loads(line) for line in file.read_text().splitlines()]
               for file in sorted(log.glob("*.json"))]  # fmt: skip
    tokens = [next(a["txn"]["appId"] for a in commit if "txn" in a) for commit in commits]
    notes = [next(a["commitInfo"]["userMetadata"] for a in commit if "commitInfo" in a)
             for commit in commits]  # fmt: skip
    assert tokens == notes and len(set(tokens)) == 4


def test_parquet_and_a_table_in_parts(spark: SparkSession, tmp_path: Path) -> None:
    rows = pa.table({"id": pa.array([1, 2], pa.int32()), "country": ["DE", None],
                     "money": pa.array([None, 1.5], pa.float32())})  # fmt: skip
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(rows, folder / "a.parquet")
    pq.write_table(rows.slice(0, 0), folder / "b.parquet")
    told, found = [], []
    for name, session in (("here", without_spark()), ("there", LazySession(spark))):
        table = str(tmp_path / name)
        write_deltalake(table, rows, partition_by=["country"])
        told.append(ingest(session, str(folder / "*.parquet"), table=table, fmt="parquet").version)
        found.append(rows_of(spark, table))
        assert DeltaTable(table).metadata().partition_columns == ["country"]
    assert told[0] == told[1] and found[0] == found[1]


def test_a_file_that_does_not_fit_is_refused_alike(spark: SparkSession, tmp_path: Path) -> None:
    make_files(tmp_path, {"a.csv": "id\n1\n", "b.csv": "id\nx\n", "c.csv": "id,y\n1,2\n"})
    for name in ("b.csv", "c.csv"):
        words = []
        for way, session in (("here", without_spark()), ("there", LazySession(spark))):
            table = str(tmp_path / way)
            ingest(session, str(tmp_path / "a.csv"), table=table, fmt="csv")
            with pytest.raises(DataError) as refused:
                ingest(session, str(tmp_path / name), table=table, fmt="csv")
            words.append(str(refused.value).replace(table, "T"))
            assert DeltaTable(table).version() == 0
        assert words[0] == words[1]


def test_what_only_spark_appends_it_appends_or_it_is_said(
    spark: SparkSession, tmp_path: Path
) -> None:
    odd = make_files(tmp_path / "odd", {"a.csv": "mean radius\n1\n"})
    parts = make_files(tmp_path / "parts", {"country=DE/a.csv": "id\n1\n"})
    for pattern, words in ((odd, "keeps under another one"), (parts, "folders are columns")):
        table = str(tmp_path / words.split()[-1])
        with pytest.raises(InputError, match=f"{words}.*executor: auto or spark"):
            ingest(without_spark(), pattern, table=table, fmt="csv")
        assert not Path(table).exists()
        assert ingest(LazySession(spark), pattern, table=table, fmt="csv").version == 0


JOB = """
import os, runpy, sys
from pathlib import Path

job = sys.argv[1]
sys.argv = sys.argv[1:]
try:
    runpy.run_path(job, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
java = [pid for pid in children if "java" in Path(f"/proc/{pid}/cmdline").read_text()]
print(len(java), "pyspark" in sys.modules)
"""


def test_the_job_starts_no_jvm(spark: SparkSession, tmp_path: Path, root: Path) -> None:
    make_files(tmp_path / "in", {"a.csv": "id\n1\n"})
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK", "PYSPARK"))}
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(root / "jobs" / "ingest.py"), "in/*.csv", "t"],
        cwd=tmp_path, env={**environment, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 False"
    assert read_rows(tmp_path / "t")["id"].tolist() == [1]
