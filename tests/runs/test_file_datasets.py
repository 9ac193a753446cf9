"""A dataset of files is what its files are now: each state against the rows that pandas reads.

Files are taken without Spark where they can be, and by Spark where only it reads or writes them;
that both make the same tables is seen in `data/files/test_local_files.py`.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from engine.data.changes import changes
from engine.data.files import lake
from engine.data.files.lake import Question, Taken, take
from engine.data.files.reading import Reading
from engine.data.files.table_state import FILE_COLUMN, names_at
from engine.data.files.values import Seen, class_of, text_class
from engine.data.ingest import ingest
from engine.errors import DataError
from engine.spark.lazy_session import LazySession, lazy

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

ROWS = pd.DataFrame({"id": range(6), "zip": [1067, 2, 3, 4, 5, 6], "x": [1, 2, 3, 4, 5, 6]})


class Lake:
    """A folder of files, a table of the lake, and what was told."""

    def __init__(self, session: LazySession, folder: Path) -> None:
        self.session, self.folder = session, folder
        self.table = str(folder / "lake" / "t")
        self.said: list[str] = []

    def take(self, pattern: str = "*.csv", **reading: Any) -> Taken:
        fmt = "csv" if pattern.endswith("csv") else "parquet"
        asked = Question(
            str(self.folder / pattern), fmt, self.table, Reading(**reading), self.folder / "facts"
        )
        self.said.clear()
        return take(self.session, asked, say=self.said.append)

    def rows(self, version: int | None = None) -> pd.DataFrame:
        """The rows that another reader finds at a version."""
        table = DeltaTable(self.table, version=version).to_pandas().drop(columns=FILE_COLUMN)
        return table.sort_values(list(table.columns)[:1], ignore_index=True)

    def csv(self, name: str, rows: pd.DataFrame) -> None:
        rows.to_csv(self.folder / name, index=False)


@pytest.fixture
def place(tmp_path: Path) -> Lake:
    return Lake(LazySession(executor="local"), tmp_path)


@pytest.fixture
def spark_place(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(lazy(spark), tmp_path)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    order = list(one.columns)
    sides = (side[order].sort_values(order, ignore_index=True) for side in (one, other))
    pd.testing.assert_frame_equal(*sides, check_dtype=False)


def test_the_files_that_match_now_are_the_dataset(place: Lake, spark: SparkSession) -> None:
    place.csv("a.csv", ROWS[:3])
    place.csv("b.csv", ROWS[3:])
    first = place.take()
    assert (first.version, place.said) == (0, [])
    same(place.rows(), ROWS)

    assert place.take().version == 0
    corrected = ROWS[:3].assign(x=[7, 8, 9])
    place.csv("a.csv", corrected)
    assert (place.take().version, place.said) == (1, ["rows replaced: the file a.csv"])
    same(place.rows(), pd.concat([corrected, ROWS[3:]]))
    found = changes(spark, place.table, 0, 1, lambda frame: frame.select("id", "x"))
    assert (found.rows_came, found.rows_gone, found.how) == (3, 3, "files")
    found.release()

    place.csv("a.csv", ROWS[:3])
    assert place.take().version == 2, "an older content is written again"
    same(place.rows(), ROWS)

    shutil.copy(place.folder / "b.csv", place.folder / "c.csv")
    assert (place.take().version, place.said) == (3, ["rows added: the file c.csv"])
    assert len(place.rows()) == 9, "two files of one content are the rows of two"

    assert place.take("b.csv").version == 4
    assert place.said == ["rows taken out: 2 files: a.csv, c.csv"]
    same(place.rows(), ROWS[3:])
    same(place.rows(1), pd.concat([corrected, ROWS[3:]]))
    assert [names_at(place.session, place.table, version) for version in (1, 3, 4)] == [
        ["a.csv", "b.csv"],
        ["a.csv", "b.csv", "c.csv"],
        ["b.csv"],
    ]


def test_a_file_without_rows_is_no_change_and_none_that_matches_is_refused(place: Lake) -> None:
    place.csv("a.csv", ROWS)
    place.csv("b.csv", ROWS[:0])
    assert [place.take().version for _ in range(2)] == [0, 0]
    place.csv("a.csv", ROWS[:0])
    assert [place.take().version for _ in range(2)] == [1, 1]
    assert len(place.rows()) == 0
    with pytest.raises(DataError, match="no file matches"):
        place.take("none-*.csv")


def test_types_are_those_of_all_files_together(place: Lake) -> None:
    place.csv("a.csv", ROWS)
    assert dict(place.take().schema) == {"id": "int", "zip": "int", "x": "int"}
    place.csv("b.csv", ROWS.assign(zip="01067", x=0.5, id=ROWS["id"] + 6))
    taken = place.take()
    assert dict(taken.schema) == {"id": "int", "zip": "string", "x": "double"}
    assert taken.version == 1 and "'zip' is string, was int" in place.said[0]
    found = place.rows()
    assert found["zip"].tolist() == [*ROWS["zip"].astype(str), *["01067"] * 6]
    assert found["x"].tolist() == [*ROWS["x"], *[0.5] * 6]
    (place.folder / "b.csv").unlink()
    assert dict(place.take().schema)["zip"] == "int", "what other files had is of no matter"
    said = place.take(columns={"zip": "string", "x": "bigint"})
    assert (said.version, dict(said.schema)["zip"], dict(said.schema)["x"]) == (
        3,
        "string",
        "bigint",
    )


def test_marks_of_nulls_and_what_the_suite_says_of_them(place: Lake) -> None:
    rows = pd.DataFrame({"id": [1, 2, 3], "x": ["1", " NA", "3"], "c": ["NA", "DE", "-"]})
    place.csv("a.csv", rows)
    assert dict(place.take().schema)["x"] == "string"
    taken = place.take(nulls_by_column={"x": ("NA",)})
    assert (taken.version, dict(taken.schema)["x"]) == (1, "int")
    assert place.rows()["c"].tolist() == ["NA", "DE", "-"]
    assert place.rows()["x"].isna().tolist() == [False, True, False]
    everywhere = place.take(nulls=("NA", "-"))
    assert everywhere.version == 2, "the type is as it was, and the rows are others"
    assert place.rows()["c"].isna().tolist() == [True, False, True]
    assert place.take(nulls=("-", "NA")).version == 2


def test_spark_and_python_put_each_text_in_the_same_class(spark: SparkSession) -> None:
    texts = ["1", "01", "0.5", "-0.5", "00", "+49", "9" * 10, "9" * 20, "9" * 40, "1e5", "nan",
             "-inf", "True", "2024-01-01", "2024-01-01 10:00", "2024-01-01T10:00:00.123000000Z",
             "NA", "-", "abc", "1\n", " 5 ", "1.", "5d", "\\N", None]  # fmt: skip
    frame = spark.createDataFrame([(text,) for text in texts], "t string")
    from pyspark.sql import functions as F

    found = frame.select("t", class_of(F.col("t")).alias("seen")).collect()
    assert {row["t"]: Seen(row["seen"]) for row in found} == {t: text_class(t) for t in texts}
    wrong = spark.createDataFrame([("2024-02-31",)], "t string").select(class_of(F.col("t")))
    assert Seen(wrong.collect()[0][0]) is Seen.TEXT


def test_folders_are_columns(spark_place: Lake) -> None:
    place = spark_place
    for country, code in (("DE", "01067"), ("__HIVE_DEFAULT_PARTITION__", "5"), ("NA", "5")):
        folder = place.folder / "parts" / f"country={country}" / f"zip={code}"
        folder.mkdir(parents=True)
        ROWS[["id", "x"]].to_parquet(folder / "p 0.parquet", index=False)
    taken = place.take("parts/*/*/*.parquet")
    kinds = {"id": "bigint", "x": "bigint", "country": "string", "zip": "string"}
    assert dict(taken.schema) == kinds
    counts = place.rows().groupby(["country", "zip"], dropna=False).size().to_dict()
    assert {(c if c == c else None, z): n for (c, z), n in counts.items()} == {
        ("DE", "01067"): 6, (None, "5"): 6, ("NA", "5"): 6
    }  # fmt: skip
    file = place.folder / "parts" / "country=DE" / "zip=01067" / "p 0.parquet"
    ROWS[["id", "x"]].assign(country="DE").to_parquet(file, index=False)
    only = "parts/country=DE/*/*.parquet"
    assert place.take(only).version == 1
    assert set(place.rows()["country"]) == {"DE"}
    ROWS[["id", "x"]].assign(country="FR").to_parquet(file, index=False)
    with pytest.raises(
        DataError, match=r"'country' has other values than the folder 'country=...'"
    ):
        place.take(only)
    assert DeltaTable(place.table).version() == 1


def test_types_that_pandas_writes_and_spark_refuses(spark_place: Lake, spark: SparkSession) -> None:
    place = spark_place
    times = pd.to_datetime(["2024-01-01 10:00:00.123456", None]).astype("datetime64[ns]")
    columns = {
        "naive": pa.array(times),
        "zoned": pa.array(times.tz_localize("UTC")),
        "half": pa.array(np.array([1.5, -2.0], "float16")),
        "clock": pa.array([1_000_000, None], pa.time64("us")),
        "large": pa.array([2**63 + 5, 1], pa.uint64()),
        "nothing": pa.nulls(2),
        "times": pa.array([[1000], None], pa.list_(pa.timestamp("ns"))),
        "fixed": pa.FixedSizeListArray.from_arrays(pa.array([0.0, 1.0, 2.0, 3.0], "float32"), 2),
        "coded": pa.array(["a", "b"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), place.folder / "a.parquet")
    taken = place.take("a.parquet")
    assert list(dict(taken.schema).values()) == [
        "timestamp_ntz", "timestamp", "float", "string", "decimal(20,0)", "string",
        "array<timestamp_ntz>", "array<float>", "string",
    ]  # fmt: skip
    found = spark.read.format("delta").load(place.table).collect()
    assert found[0]["naive"] == times[0].to_pydatetime() and found[1]["naive"] is None
    assert (found[0]["half"], found[0]["clock"]) == (1.5, "00:00:01.000000")
    assert (int(found[0]["large"]), found[0]["nothing"]) == (2**63 + 5, None)
    assert found[0]["times"][0].microsecond == 1 and found[1]["fixed"] == [2.0, 3.0]
    assert not (place.folder / "lake" / ".written-anew").exists()
    assert place.take("a.parquet").version == 0


REFUSED = {
    "fine": (pa.array([1001], pa.timestamp("ns")), r"'x' has nanoseconds .*dt.floor\('us'\)"),
    "wide": (pa.array([1], pa.decimal256(50, 2)), "'x' is decimal256"),
    "other": (pa.array(["a"]), r"'x' is string, and in .*a.parquet' it is bigint"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_names_file_column_and_remedy(spark_place: Lake, kind: str) -> None:
    place = spark_place
    values, words = REFUSED[kind]
    pq.write_table(pa.table({"x": [1]}), place.folder / "a.parquet")
    pq.write_table(pa.table({"x": values}), place.folder / "b.parquet")
    with pytest.raises(DataError, match=words) as refused:
        place.take("*.parquet" if kind == "other" else "b.parquet")
    assert "b.parquet" in str(refused.value) and "write" in str(refused.value)
    assert not Path(place.table).exists()


BAD_CSV = {
    "a,A\n1,2\n": "names that differ by capitals only: 'a' and 'A'",
    "a,a\n1,2\n": "two columns of the same name",
    "": "has no columns",
    "a,b\n1,2\n3\n": "a record that does not fit its first line",
    "a,__evalmatrix_file__\n1,2\n": "the name that evalmatrix itself gives",
}


@pytest.mark.parametrize("text", BAD_CSV)
def test_a_csv_that_makes_no_table_is_refused(place: Lake, text: str) -> None:
    (place.folder / "a.csv").write_text(text)
    with pytest.raises(DataError, match=BAD_CSV[text]) as refused:
        place.take()
    assert "a.csv" in str(refused.value)


def test_a_value_that_does_not_fit_is_not_told(place: Lake) -> None:
    place.csv("a.csv", pd.DataFrame({"x": [0, 1, 777]}))
    with pytest.raises(DataError, match="'x' has a value that does not fit boolean") as refused:
        place.take(columns={"x": "boolean"})
    assert "777" not in str(refused.value)


def test_a_table_of_appended_files_is_taken_over(spark_place: Lake, spark: SparkSession) -> None:
    place = spark_place
    place.csv("a.csv", ROWS)
    ingest(spark, str(place.folder / "a.csv"), table=place.table, fmt="csv")
    changed = ROWS.assign(x=9)
    place.csv("a.csv", changed)
    ingest(spark, str(place.folder / "a.csv"), table=place.table, fmt="csv")
    table = spark.read.format("delta").load(place.table)
    assert (table.count(), FILE_COLUMN in table.columns) == (12, False), "as it was appended"
    before = DeltaTable(place.table).metadata().id
    taken = place.take()
    assert taken.version == 2 and "made anew" in place.said[0]
    same(place.rows(), changed)
    assert DeltaTable(place.table).metadata().id == before
    found = changes(spark, place.table, 1, 2, lambda frame: frame.select("id", "zip", "x"))
    assert (found.rows_came, found.rows_gone) == (0, 6), "kept states are brought up to date"
    found.release()
    assert place.take().version == 2


def test_two_at_once_and_a_writer_that_is_killed(
    spark_place: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = spark_place
    place.csv("a.csv", ROWS)
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(place.take().version)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [0, 0]
    place.csv("a.csv", ROWS[:2])

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lake.tables, "overwrite", die)
        with pytest.raises(KeyboardInterrupt):
            place.take()
    same(place.rows(), ROWS)
    assert place.take().version == 1
    same(place.rows(), ROWS[:2])


def test_strangers_rows_are_taken_out(spark_place: Lake, spark: SparkSession) -> None:
    place = spark_place
    place.csv("a.csv", ROWS)
    place.take()
    seven = pa.array([7], pa.int32())
    stranger = {"id": seven, "zip": seven, "x": seven, FILE_COLUMN: pa.nulls(1, pa.string())}
    write_deltalake(place.table, pa.table(stranger), mode="append")
    place.csv("b.csv", ROWS)
    with pytest.raises(DataError, match="is a dataset of files"):
        ingest(spark, str(place.folder / "b.csv"), table=place.table, fmt="csv")
    (place.folder / "b.csv").unlink()
    assert place.take().version == 2
    same(place.rows(), ROWS)


Suites = Callable[..., dict[str, Any]]


def test_a_suite_of_files_end_to_end(
    world: Any, small: Suites, evaluated: Callable[..., Any], spark: SparkSession, tmp_path: Path
) -> None:
    """Planned, run, told, changed, run again, and the older version by its number."""
    import engine

    world.few.to_csv(tmp_path / "rows.csv", index=False)
    suite = small(
        reuse=True, name="of files", dataset={"csv": str(tmp_path / "*.csv"), "name": "of files"}
    )
    suite["executor"] = "local"
    dataset = suite["evaluations"][0]["dataset"]
    for key in ("delta", "version"):
        del dataset[key]
    result = evaluated(suite, "of-files", run_id="of-files-1")
    (told,) = {cell.dataset.files for cell in result.outcome.cells}
    assert told == "the file rows.csv"
    page = (world.store / "reports" / "of-files-1" / "index.html").read_text(encoding="utf-8")
    assert "version 0, 400 rows, of the file rows.csv" in page
    assert FILE_COLUMN not in dict(result.outcome.evaluations[0].dataset.schema)

    world.few.assign(fraud=1 - world.few["fraud"]).to_csv(tmp_path / "rows.csv", index=False)
    again = evaluated(suite, "of-files", run_id="of-files-2")
    first, second = (
        {c.slice.name: c.measured.value for c in r.outcome.cells if c.test.metric == "accuracy"}
        for r in (result, again)
    )
    assert {c.dataset.version for c in again.outcome.cells} == {1}
    for name, value in first.items():
        if value is not None:
            assert second[name] == pytest.approx(1 - value)
    (planned,) = engine.plan(world.write("of-files", suite), spark=spark)
    assert (planned.plan.dataset.version, planned.predictions) == (1, 0)
    (tmp_path / "rows.csv").unlink()
    dataset["version"] = 0
    (older,) = engine.plan(world.write("of-files", suite), spark=spark)
    assert (older.plan.dataset.version, older.plan.dataset.files) == (0, "the file rows.csv")


def test_a_mark_in_a_column_that_models_read_is_refused_with_the_remedy(
    world: Any, small: Suites, spark: SparkSession, tmp_path: Path
) -> None:
    import engine

    rows = world.few.astype({"f0": object})
    rows.loc[rows.index[::9], "f0"] = "NA"
    rows.to_csv(tmp_path / "rows.csv", index=False)
    suite = small(name="marks", dataset={"csv": str(tmp_path / "*.csv"), "name": "marks"})
    suite["executor"] = "local"
    dataset = suite["evaluations"][0]["dataset"]
    for key in ("delta", "version"):
        del dataset[key]
    with pytest.raises(DataError) as refused:
        engine.plan(world.write("marks", suite), spark=spark)
    told = str(refused.value)
    assert "'f0' is double but for 45 marks of missing values (\"NA\")" in told
    assert 'null_values: {f0: ["NA"]}' in told
    dataset["null_values"] = {"f0": ["NA"]}
    (planned,) = engine.plan(world.write("marks", suite), spark=spark)
    assert dict(planned.plan.dataset.schema)["f0"] == "double"
