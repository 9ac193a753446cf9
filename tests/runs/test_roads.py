"""The ways by which rows reach the workers: the same cells by each, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from engine.commands.run_result import RunResult
from engine.execution import distribute, scans
from engine.execution.roads import BY_WORKERS
from tests.fixtures.alike import assert_alike, no_pieces, wide

Suites = Callable[..., dict[str, Any]]
Runs = Callable[..., RunResult]

# As in a user's session.
pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("compiled_queries")]


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways that scans have taken, by the kind of their sources."""
    taken: list[str] = []
    scan = distribute.scan

    def watched(spark: Any, plan: Any, parts: Any) -> Any:
        taken.extend(type(part.source).__name__ for part in parts)
        return scan(spark, plan, parts)

    monkeypatch.setattr(distribute, "scan", watched)
    return taken


def test_both_ways_give_the_same_cells(
    world: Any, small: Suites, evaluated: Runs, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = evaluated(wide(world, small, "spark"), "short")
    assert set(ways) == {"PieceRows"}
    ways.clear()
    monkeypatch.setattr(scans, "_short_way", no_pieces)
    by_spark = evaluated(wide(world, small, "spark"), "by-spark")
    assert set(ways) == {"FrameRows"}
    assert_alike(short, by_spark)


def test_a_predicate_of_spark_alone_takes_its_way(
    world: Any, small: Suites, evaluated: Runs, ways: list[str]
) -> None:
    evaluated(small(slices=[{"name": "even", "where": "country RLIKE 'F'"}]), "even")
    assert ways == ["FrameRows"]
    ways.clear()
    evaluated(small(slices=[{"name": "even", "where": "id > 2"}]), "above")
    assert ways == ["PieceRows"]


def test_what_a_worker_cannot_read_spark_reads(
    world: Any,
    small: Suites,
    evaluated: Runs,
    ways: list[str],
    tmp_path: Path,
    spark: SparkSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = tmp_path / "old"
    spark.read.format("delta").load(world.table("few")).selectExpr(
        "*", "DATE '2020-01-01' AS day"
    ).coalesce(1).write.format("delta").save(str(table))
    (file,) = DeltaTable(str(table)).file_uris()
    rows = pq.read_table(file)
    mark = {b"org.apache.spark.legacyDateTime": b"", b"org.apache.spark.version": b"2.4.8"}
    pq.write_table(rows.replace_schema_metadata(mark), file)
    Path(table / f".{Path(file).name}.crc").unlink(missing_ok=True)
    asked = small(dataset={"delta": str(table), "version": 0}, slices=["overall", {"by": ["day"]}])
    with caplog.at_level("INFO", "evalmatrix"):
        result = evaluated(asked, "old")
    assert ways == ["PieceRows", "FrameRows"]
    assert "Spark reads the rows: the file" in caplog.text
    (evaluation,) = result.outcome.evaluations
    assert {cell.slice.name for cell in evaluation.cells} == {"overall", "day=2020-01-01"}


def test_the_reason_is_told(world: Any, small: Suites, spark: SparkSession) -> None:
    from engine import plan

    asked = small(slices=[{"name": "even", "where": "country RLIKE 'F'"}])
    (planned,) = plan(world.write("even", asked), spark=spark)
    assert planned.road.startswith(
        "Spark reads them: where: \"country RLIKE 'F'\" is read by Spark only"
    )
    (planned,) = plan(world.write("above", small()), spark=spark)
    assert planned.road == BY_WORKERS
