"""The ways by which rows reach the workers: the same cells by each, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from engine.commands.run_result import RunResult
from engine.execution import distribute, scans
from engine.execution.roads import BY_WORKERS

Suites = Callable[..., dict[str, Any]]
Runs = Callable[..., RunResult]

pytestmark = pytest.mark.spark


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


Told = tuple[object, list[float]]


def cells(result: RunResult) -> dict[tuple[str, ...], Told]:
    """What is told of each cell: what must be the same, and numbers that are sums of many."""
    (evaluation,) = result.outcome.evaluations
    told = {}
    for cell in evaluation.cells:
        measured = cell.measured
        numbers = [cell.counts.weight_sum, measured.value, measured.ci_low, measured.ci_high]
        same = (replace(cell.counts, weight_sum=0.0), cell.verdict, measured.reason)
        key = (cell.model.name, cell.variant, cell.slice.name, cell.test.name)
        told[key] = (same, [np.nan if number is None else number for number in numbers])
    return told


def wide(world: Any, small: Suites, **over: Any) -> dict[str, Any]:
    """A suite of all sorts of slices, of weights, pairs, variants and pictures."""
    tests = [
        {"metric": name}
        for name in ("accuracy", "roc_auc", "log_loss", "average_precision", "brier_score")
    ]
    hurt = {"robustness": {"noise": "f0"}, "severities": [2], "metric": "accuracy", "max_drop": 0.5}
    return small(
        dataset={"delta": world.table("claims7"), "version": 0, "weight": "w"},
        models=[{"uri": "models:/claims/1"}, {"uri": "models:/claims/2"}],
        baseline="claims-v1",
        slices=[
            "overall",
            {"by": ["country"]},
            {"by": ["country", "device"]},
            {"bins": {"age": [18, 30, 50]}},
            {"name": "young", "where": "age < 25 AND country IN ('DE', 'FR')"},
            {"name": "nobody", "where": "NOT (age <= 25 OR age IS NULL) AND f0 > 1e9"},
        ],
        tests=[*tests, hurt],
        **over,
    )


def test_both_ways_give_the_same_cells(
    world: Any, small: Suites, evaluated: Runs, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = evaluated(wide(world, small), "short")
    assert set(ways) == {"PieceRows"}
    ways.clear()
    monkeypatch.setattr(scans, "_short_way", lambda *_: None)
    by_spark = evaluated(wide(world, small), "by-spark")
    assert set(ways) == {"FrameRows"}
    assert len(cells(short)) > 100
    for key, (same, numbers) in cells(short).items():
        wanted, others = cells(by_spark)[key]
        assert same == wanted, key
        # Sums of floats come in another order.
        np.testing.assert_allclose(numbers, others, rtol=1e-9, err_msg=str(key))
    assert cells(short).keys() == cells(by_spark).keys()


def test_a_predicate_of_spark_alone_takes_its_way(
    world: Any, small: Suites, evaluated: Runs, ways: list[str]
) -> None:
    evaluated(small(slices=[{"name": "even", "where": "id % 2 = 0"}]), "even")
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

    asked = small(slices=[{"name": "even", "where": "id % 2 = 0"}])
    (planned,) = plan(world.write("even", asked), spark=spark)
    assert planned.road.startswith("Spark reads them: where: 'id % 2 = 0' is read by Spark only")
    (planned,) = plan(world.write("above", small()), spark=spark)
    assert planned.road == BY_WORKERS
