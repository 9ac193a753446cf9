"""What a scan costs, counted: jobs and predictions do not grow with slices and tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from engine.execution import scans

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

MODELS = ("good", "other", "third")
TESTS = [
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "matthews_corrcoef",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier_score",
]


@dataclass(frozen=True)
class Cost:
    jobs: int
    stages: int
    predictions: dict[str, int]
    cells: int


@pytest.fixture
def cost_of(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Cost]:
    def measure(name: str, **over: Any) -> Cost:
        suite = small(
            name=name,
            dataset={"delta": world.table("claims7"), "version": 0},
            models=[{"uri": world.model(model)} for model in MODELS],
            **over,
        )
        for model in MODELS:
            world.forget(model)
        original = scans.store_states
        context = spark.sparkContext

        def counted(*args: Any, **more: Any) -> Any:
            context.setLocalProperty("spark.jobGroup.id", name)
            try:
                return original(*args, **more)
            finally:
                context.setLocalProperty("spark.jobGroup.id", None)

        with monkeypatch.context() as patch:
            patch.setattr(scans, "store_states", counted)
            result = evaluated(suite, name)
        tracker = context.statusTracker()
        jobs = tracker.getJobIdsForGroup(name)
        stages = [
            stage
            for job in jobs
            if (info := tracker.getJobInfo(job)) is not None
            for stage in info.stageIds
        ]
        predictions = {model: sum(world.journal(model)) for model in MODELS}
        return Cost(len(jobs), len(stages), predictions, len(result.outcome.cells))

    return measure


def test_forty_slices_and_ten_tests_cost_as_many_jobs_and_predictions_as_one(
    world: Any, cost_of: Callable[..., Cost]
) -> None:
    cost_of("warm", tests=[{"metric": "accuracy"}])
    one = cost_of("one", tests=[{"metric": "accuracy"}])
    many = cost_of(
        "many",
        slices=[
            "overall",
            {"by": ["country"]},
            {"by": ["country", "device"]},
            {"bins": {"age": [20, 30, 40, 50, 60]}},
            {"quantiles": {"f0": 10}},
            {"quantiles": {"f2": 5}},
            {"name": "young", "where": "age < 25"},
            {"name": "old", "where": "age > 70"},
        ],
        tests=[{"metric": name} for name in TESTS],
    )
    slices = many.cells // (len(MODELS) * len(TESTS))
    assert slices >= 40 and many.cells == slices * len(MODELS) * len(TESTS)
    labelled = int(world.rows["fraud"].notna().sum())
    assert one.predictions == dict.fromkeys(MODELS, labelled)
    assert many.predictions == one.predictions
    assert (many.jobs, many.stages) == (one.jobs, one.stages)
    assert many.jobs > 0
