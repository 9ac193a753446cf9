"""A kind of test from outside that looks beside a reference: by how much a share of nulls rose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from engine.core.vocabulary import MetricValue, ModelTest, TaskKind
from engine.fields.values import Text
from engine.kinds import (
    KINDS,
    NO_DIFFERENCE,
    Context,
    Kind,
    Part,
    SliceEstimates,
    parameters_text,
)
from engine.metrics import Metric, Slices, share_of
from engine.states import ColumnFamily, column_nulls
from engine.statistics import Several, StudentT


class NullRise(Kind):
    """The rise of a column's share of nulls since the reference."""

    key = "null_rise"
    description = "The column whose share of nulls is held beside that of the reference."
    conditions = ("max",)
    measures_data = True
    reads_reference = True

    def keys(self) -> Mapping[str, Any]:
        return {self.key: (Text, Field(description=self.description))}

    def read(self, file: Any, canonical: Any) -> dict[str, Any]:
        return {"metric": "null_rise", "parameters": parameters_text({"column": file.null_rise})}

    def write(self, test: ModelTest) -> dict[str, Any]:
        return {self.key: _column(test)}

    def title(self, test: ModelTest) -> str:
        return f"null_rise {_column(test)}"

    def column_families(self, test: ModelTest) -> Sequence[ColumnFamily]:
        return [column_nulls(_column(test))]

    def metric(self, test: ModelTest) -> Metric:
        family = column_nulls(_column(test))
        return Metric(
            f"null_rise({_column(test)})", frozenset(TaskKind), lambda problem: (family,),
            share_of, higher_is_better=False, bounds=(-1.0, 1.0), many=True,
        )  # fmt: skip

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if on.reference is None:
            return SliceEstimates.repeat_failure(len(on), "there is no reference")
        metric = self.metric(test)
        now, then = (metric.figures(context.problem, s).values for s in (on, on.reference))
        rise = now - then
        se = np.sqrt(now * (1 - now) / on.n + then * (1 - then) / on.reference.n)
        spread = Several(len(on), ((np.arange(len(on)), StudentT(rise, np.maximum(se, 1e-9))),))
        low, high = spread.interval(context.level)
        values = [
            MetricValue(value, ci_low=lower, ci_high=upper)
            for value, lower, upper in zip(rise.tolist(), low.tolist(), high.tolist(), strict=True)
        ]
        none = [None] * len(on)
        return SliceEstimates(values, none, [NO_DIFFERENCE] * len(on), (Part(len(on), spread),))


def _column(test: ModelTest) -> str:
    column: str = json.loads(test.parameters)["column"]
    return column


KINDS.add("null_rise", NullRise())
