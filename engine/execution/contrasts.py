"""Answers contrasts: samples of both pinned tables, which one task of a worker computes them of.

Each table is read once, and of each at most so many rows as the contrast wants go to the worker;
nothing but the answer comes to the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from engine.execution.kernel.contrasts import CONTRAST_DDL, ContrastTask, contrast
from engine.kinds import MOST_CHARACTERS, Contrast
from engine.planning import EvaluationPlan, Question
from engine.planning.projection import sample_rows, unit_hash
from engine.spark.api import F, T
from engine.spark.tables import column
from engine.store.answers import Answer

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructField


def answer_contrast(
    plan: EvaluationPlan, question: Question, frames: Callable[[EvaluationPlan], DataFrame]
) -> Answer:
    """What a contrast found; what Spark raises is not caught."""
    content = question.content
    assert isinstance(content, Contrast) and plan.reference is not None, "it reads a reference"
    both = [_sample(frames(side), side, content) for side in (plan, plan.reference)]
    ours, theirs = (side.withColumn("side", F.lit(n == 1)) for n, side in enumerate(both))
    rows = ours.unionByName(theirs)
    task = ContrastTask(content, plan.plugins)
    width = len(content.columns)
    # As the task calls them.
    order = [*(f"c{n}" for n in range(width)), "side", *(f"c{n}" for n in range(width, width + 3))]
    answers = (
        rows.select(*order).coalesce(1).mapInArrow(partial(_contrast, task=task), CONTRAST_DDL)
    )
    (payload,) = answers.toArrow().column("payload").to_pylist()
    return Answer.decode(payload)


def _sample(frame: DataFrame, plan: EvaluationPlan, content: Contrast) -> DataFrame:
    """The rows of one table's sample: the columns, the unit, the two hashes."""
    cut = frame.select(*[_shorten(field, content) for field in frame.schema.fields])
    unit = unit_hash(cut, plan, content.columns)
    return sample_rows(cut, plan, content.columns, content.rows, [unit])


def _shorten(field: StructField, content: Contrast) -> Column:
    """A column, of its texts so many characters as a contrast reads."""
    value = F.col(column(field.name))
    if field.name in content.columns and isinstance(field.dataType, T.StringType):
        return F.substring(value, 1, MOST_CHARACTERS).alias(field.name)
    return value


def _contrast(batches: Iterable[pa.RecordBatch], task: ContrastTask) -> Iterator[pa.RecordBatch]:
    return contrast((batch.rename_columns(task.names) for batch in batches), task)
