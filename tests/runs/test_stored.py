"""Predictions that a table has already go all the way of a loaded model's, without a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import engine
from engine.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


def test_columns_are_evaluated_beside_the_model_that_wrote_them(
    world: Any,
    small: Callable[..., Any],
    evaluated: Callable[..., RunResult],
    spark: SparkSession,
) -> None:
    table = world.table("written")
    frame = world.few.assign(p=1 / (1 + np.exp(-1.5 * world.few["f0"].astype(float))))
    frame["said"] = (frame["p"] > 0.5).astype(int)
    half = len(frame) // 2
    spark.createDataFrame(frame[:half]).write.format("delta").save(table)
    models = [
        {"uri": world.model("good")},
        {"name": "stored", "scores": "p", "predicted": "said"},
    ]
    tests = [
        {"metric": "roc_auc", "max_drop": 0.01},
        {"metric": "log_loss", "max_rise": 0.01},
        {"metric": "recall", "no_worse": True},
    ]
    over = {"dataset": {"delta": table, "version": "latest"}, "baseline": "good"}
    suite = small(models=models, tests=tests, slices=[{"by": "device"}], reuse=True, **over)
    for rows in (half, len(frame)):
        if rows > half:
            spark.createDataFrame(frame[half:]).write.format("delta").mode("append").save(table)
        result = evaluated(suite, "stored")
        cells = {(c.model.name, c.slice.name, c.test.name): c for c in result.outcome.cells}
        assert {name for name, _, _ in cells} == {"good", "stored"}
        for (name, where, test), cell in cells.items():
            if name == "stored":
                other = cells["good", where, test]
                assert cell.counts == other.counts
                same = pytest.approx(other.measured.value, rel=1e-9, abs=1e-9)
                assert cell.measured.value == same
                assert cell.delta is None or cell.delta == pytest.approx(0.0, abs=1e-9)
        assert result.tracking_error is None
    (planned,) = engine.plan(world.folder / "suites" / "stored.yml")
    assert planned.predictions == 0, "the rows that came were all there was to do"
    noise = [{"robustness": {"noise": ["f0"], "severities": [1]}, "metric": "roc_auc"}]
    with pytest.raises(InputError, match="changes a model's input, and 'stored' is predictions"):
        evaluated(small(models=models, tests=noise, **over), "stored")
