"""Contrasts on Spark: samples that are the same on any partitioning, and one task that has both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engine.core.vocabulary import DatasetVersion, ModelTest, TaskKind
from engine.execution.contrasts import answer_contrast
from engine.kinds import MOST_CHARACTERS, parameters_text
from engine.kinds.drift.classifier import DomainContrast
from engine.planning import EvaluationPlan, distinct_questions, expand_tests
from tests.fixtures.domain_trees import domain_area
from tests.fixtures.kernel import OVERALL, plan_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

NAMES = ["a", "b.c", "text"]
TYPES = (("a", "double"), ("b.c", "double"), ("text", "string"), ("label", "int"), ("id", "bigint"))


def rows(seed: int, correlation: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, noise = rng.normal(size=(2, 600))
    # Of long texts only so much counts.
    text = [f"{draw}{'x' * MOST_CHARACTERS}{rng.random()}" for draw in rng.choice(list("uvw"), 600)]
    return pd.DataFrame(
        {"a": a, "b.c": correlation * a + 0.6 * noise, "text": text, "label": 1,
         "id": np.arange(600) + 1000 * seed}
    )  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> EvaluationPlan:
    plan = plan_of(TaskKind.BINARY, [], [], slice_sets=(OVERALL,))
    dataset = DatasetVersion("rows", "here", 3, "id", 600, schema=TYPES)
    parameters = parameters_text({"distance": "domain_classifier", "columns": NAMES})
    test = ModelTest(
        "domain", "domain_auc", slice_sets=("overall",), kind="drift", parameters=parameters
    )
    columns = replace(plan.columns, weight=None, key=("id",))
    plan = replace(plan, dataset=dataset, columns=columns)
    plan = replace(plan, tests=expand_tests((test,), plan.setting))
    return plan.beside(replace(dataset, name="train", table_id="other"))


def sides_of(spark: SparkSession, correlation: float) -> tuple[DataFrame, DataFrame]:
    ours, theirs = (
        spark.createDataFrame(rows(seed, by)) for seed, by in ((1, correlation), (2, 0.8))
    )
    # The reference's keys are narrower, which changes nothing.
    return ours, theirs.withColumn("id", theirs["id"].cast("int"))


def answer(plan: EvaluationPlan, ours: Any, theirs: Any, most: int = 10_000) -> Any:
    (question,) = distinct_questions(plan)
    content = DomainContrast(question.content.columns, most)
    frames = {plan.name: ours}
    return answer_contrast(
        plan, replace(question, content=content), lambda side: frames.get(side.name, theirs)
    )


def test_the_area_is_that_of_the_same_rows_by_hand(
    spark: SparkSession, plan: EvaluationPlan
) -> None:
    ours, theirs = sides_of(spark, -0.8)
    told = answer(plan, ours, theirs)
    assert told.failure is None
    sides, units = [], []
    for frame in (ours, theirs):
        # The order of the sample is that of the key's hash, by its own type.
        hashes = ["xxhash64(id) AS h", "xxhash64(CAST(id AS STRING)) AS u"]
        side = frame.selectExpr("*", *hashes).toPandas().sort_values("h")
        sides.append(side[NAMES].assign(text=side["text"].str[:MOST_CHARACTERS]))
        units.append(side["u"].to_numpy())
    (numbers,) = told.slices.values()
    assert numbers["auc"] == pytest.approx(domain_area(sides, units, ["text"]), abs=1e-9)
    assert numbers["auc"] > 0.8 and (numbers["n"], numbers["reference"]) == (600, 600)
    (texts,) = told.texts.values()
    assert texts["looked_at"].startswith(('[["a"', '[["b.c"'))


def test_the_sample_is_the_same_on_any_partitioning(
    spark: SparkSession, plan: EvaluationPlan
) -> None:
    ours, theirs = sides_of(spark, 0.3)
    first = answer(plan, ours, theirs, 200)
    assert first.slices["[]"]["n"] == first.slices["[]"]["reference"] == 200
    moved = answer(plan, ours.orderBy("a").repartition(5), theirs.repartition(3), 200)
    assert moved == first
