"""Versions that are pinned, files that are taken into Delta once, and columns with odd names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn import metrics as skm

from engine.core.vocabulary import DatasetVersion
from engine.data.ingest import ingest
from engine.errors import DataError
from engine.planning.model_finder import ModelFinder
from engine.planning.planner import prepare
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

Suites = Callable[..., dict[str, Any]]
Runs = Callable[..., "RunResult"]


def from_files(small: Suites, kind: str, pattern: Path, name: str) -> dict[str, Any]:
    suite = small(name=name, dataset={kind: str(pattern), "name": name})
    for key in ("delta", "version"):
        del suite["evaluations"][0]["dataset"][key]
    return suite


def pinned(world: Any, suite: dict[str, Any], spark: SparkSession) -> DatasetVersion:
    """The dataset of a suite's evaluation as a run would pin it."""
    read = read_suite(world.write("pinned", suite))
    (made,) = prepare(LazySession(spark), read, finder=ModelFinder(read))
    return made.plan.dataset


def pinned_at(world: Any, small: Suites, spark: SparkSession, version: Any) -> DatasetVersion:
    return pinned(world, small(dataset={"version": version}), spark)


def test_a_version_is_pinned_and_recorded(
    world: Any, small: Suites, evaluated: Runs, spark: SparkSession
) -> None:
    result = evaluated(small(dataset={"version": 0}), "at-0", run_id="at-0")
    assert {cell.dataset.version for cell in result.outcome.cells} == {0}
    table = spark.read.format("delta").load(str(world.store / "results"))
    row = table.where("run_id = 'at-0'").first()
    assert row is not None and row["dataset_version"] == 0
    assert row["n"] == world.few["fraud"][:100].notna().sum()


def test_latest_a_number_and_a_time(world: Any, small: Suites, spark: SparkSession) -> None:
    history = spark.sql(f"DESCRIBE HISTORY delta.`{world.table('few')}`").collect()
    times = {row["version"]: row["timestamp"].astimezone(dt.UTC) for row in history}
    latest = pinned_at(world, small, spark, "latest")
    assert (latest.version, latest.rows) == (1, 400) and latest.timestamp == times[1]
    assert latest.table_id and ("fraud", "bigint") in latest.schema
    first = pinned_at(world, small, spark, 0)
    assert (first.version, first.rows) == (0, 100)
    between = (times[1] - dt.timedelta(microseconds=1000)).isoformat()
    assert pinned_at(world, small, spark, between).version == 0
    assert pinned_at(world, small, spark, times[1].isoformat()).version == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_are_taken_in_once(
    world: Any, spark: SparkSession, tmp_path: Path, kind: str
) -> None:
    def write(name: str, rows: Any) -> None:
        path = tmp_path / f"{name}.{kind}"
        rows.to_csv(path, index=False) if kind == "csv" else rows.to_parquet(path, index=False)

    table, pattern = str(tmp_path / "table"), str(tmp_path / f"*.{kind}")
    write("a", world.few[:150])
    first = ingest(spark, pattern, table=table, fmt=kind)
    assert (first.version, len(first.added), len(first.known)) == (0, 1, 0)
    again = ingest(spark, pattern, table=table, fmt=kind)
    assert (again.version, len(again.added), len(again.known)) == (0, 0, 1)
    write("b", world.few[150:])
    more = ingest(spark, pattern, table=table, fmt=kind)
    assert (more.version, len(more.added), len(more.known)) == (1, 1, 1)
    assert Path(more.added[0]).name == f"b.{kind}"
    found = spark.read.format("delta").load(table).toPandas().sort_values("id")
    assert len(found) == 400
    np.testing.assert_array_equal(found["f0"], world.few["f0"])
    assert found["country"].isna().sum() == world.few["country"].isna().sum()


def test_a_file_is_known_although_the_history_forgot_it(
    world: Any, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.data import ingest as ingesting

    world.few.to_csv(tmp_path / "a.csv", index=False)
    table = str(tmp_path / "table")
    ingest(spark, str(tmp_path / "*.csv"), table=table, fmt="csv")
    monkeypatch.setattr(ingesting, "_known_identities", lambda spark, table, identities: set())
    again = ingest(spark, str(tmp_path / "*.csv"), table=table, fmt="csv")
    assert (again.version, len(again.known)) == (0, 1)


def test_without_a_jvm_at_hand_deltas_commands_tell_the_same(
    world: Any, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.spark import internals, tables

    table, pattern = str(tmp_path / "table"), str(tmp_path / "*.csv")
    world.few[:100].to_csv(tmp_path / "a.csv", index=False)
    world.few[100:].to_csv(tmp_path / "b.csv", index=False)
    ingest(spark, pattern, table=table, fmt="csv")
    quick = tables.pin(spark, table, "latest")
    assert quick.version == tables.newest_version(spark, table) == 1
    assert internals.committed_tokens(spark, table, ["neither", "nor"]) == set()
    monkeypatch.setattr(internals, "_snapshot", lambda spark, path: None)
    assert internals.table_head(spark, table) is None
    assert tables.pin(spark, table, "latest") == quick
    assert tables.newest_version(spark, table) == 1
    assert tables.newest_version(spark, str(tmp_path / "none")) is None
    again = ingest(spark, pattern, table=table, fmt="csv")
    assert (again.version, len(again.added), len(again.known)) == (1, 0, 2)


def test_ingested_text_is_what_was_written(spark: SparkSession, tmp_path: Path) -> None:
    import pandas as pd

    odd = ['a "quoted", comma', "two\nlines", "back\\slash", " spaces ", "0012", "ü😀"]
    frame = pd.DataFrame({"id": range(len(odd)), "text": odd})
    frame.to_csv(tmp_path / "a.csv", index=False)
    table = str(tmp_path / "table")
    ingest(spark, str(tmp_path / "a.csv"), table=table, fmt="csv")
    found = spark.read.format("delta").load(table).orderBy("id").toPandas()
    assert found["text"].tolist() == odd


def test_a_suite_takes_files_into_the_lake(
    world: Any, small: Suites, spark: SparkSession, tmp_path: Path
) -> None:
    world.few[:200].to_csv(tmp_path / "a.csv", index=False)
    suite = from_files(small, "csv", tmp_path / "*.csv", "lake-rows")
    first = pinned(world, suite, spark)
    assert (first.version, first.rows) == (0, 200)
    assert first.uri == str(world.store / "lake" / "lake-rows")
    assert pinned(world, suite, spark).version == 0
    world.few[200:].to_csv(tmp_path / "b.csv", index=False)
    more = pinned(world, suite, spark)
    assert (more.version, more.rows) == (1, 400)


def test_maps_and_variants_within_others_are_parts_of_a_row_without_a_key(
    world: Any, small: Suites, evaluated: Runs, spark: SparkSession
) -> None:
    from pyspark.sql import functions as F

    counts = F.create_map(F.lit("k"), F.col("id"))
    frame = (
        spark.read.format("delta")
        .load(world.table("few"))
        .withColumns(
            {
                "inside": F.struct(counts.alias("m"), F.array(counts).alias("a")),
                "listed": F.array(F.parse_json(F.lit("[1]"))),
            }
        )
    )
    frame.write.format("delta").save(world.table("nested"))
    over = {"delta": world.table("nested"), "version": 0, "key": None, "features": ["f0", "f1"]}
    suite = small(name="nested", dataset=over)
    (cell,) = evaluated(suite, "nested").outcome.cells
    few = world.few[world.few["fraud"].notna()]
    expected = skm.accuracy_score(few["fraud"].astype(int), few["f0"] > 0)
    assert cell.measured.value == pytest.approx(expected)
    suite["evaluations"][0]["slices"] = [{"by": ["listed"]}]
    with pytest.raises(DataError, match="cannot be sliced by 'listed'"):
        evaluated(suite, "nested")


def test_no_file_and_a_wrong_format(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        ingest(spark, str(tmp_path / "*.csv"), table=str(tmp_path / "t"), fmt="csv")
    with pytest.raises(DataError, match="files are 'json'"):
        ingest(spark, str(tmp_path), table=str(tmp_path / "t"), fmt="json")


ODD = {
    "country": "the country.of origin",
    "device": "de`vice",
    "age": "select",
    "fraud": "order",
    "id": '😀 "id"',
    "w": "it's a weight",
}


def test_columns_with_odd_names(
    world: Any, small: Suites, evaluated: Runs, spark: SparkSession
) -> None:
    frame = spark.read.format("delta").load(world.table("few"))
    for name, odd in ODD.items():
        frame = frame.withColumnRenamed(name, odd)
    writer = frame.write.format("delta").option("delta.columnMapping.mode", "name")
    writer.save(world.table("odd"))
    suite = small(
        name="odd 'names' & \"more\" 😀",
        dataset={
            "delta": world.table("odd"),
            "version": 0,
            "label": ODD["fraud"],
            "key": [ODD["id"]],
            "cluster": ODD["device"],
            "weight": ODD["w"],
        },
        models=[{"uri": world.model("good"), "name": "the 'good' one"}],
        slices=[
            "overall",
            {"by": [ODD["country"], ODD["device"]]},
            {"bins": {ODD["age"]: [30, 50]}},
            {"name": "a/b = 'c'", "where": "`select` < 30 AND `de``vice` = 'ios'"},
        ],
        tests=[{"metric": "recall"}],
    )
    result = evaluated(suite, "odd")
    assert result.tracking_error is None
    values = {cell.slice.name: cell for cell in result.outcome.cells}
    few = world.few[world.few["fraud"].notna()]
    mask = (few["age"] < 30) & (few["device"] == "ios")
    predicted = few["f0"] > 0
    expected = skm.recall_score(
        few["fraud"][mask].astype(int), predicted[mask], sample_weight=few["w"][mask]
    )
    assert values["a/b = 'c'"].measured.value == pytest.approx(expected, abs=1e-12)
    crossed = next(cell for name, cell in values.items() if "of origin=DE" in name)
    assert set(crossed.slice.columns) == {ODD["country"], ODD["device"]}
